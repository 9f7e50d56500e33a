"""Market: validated, immutable bars as contiguous arrays. T = bars, history included."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief, integer
from trading_env.data.bars import (
    BAR_COLUMNS,
    Floats,
    Times,
    as_column,
    as_times,
    check_bars,
    check_leading_nan,
    check_lengths,
    check_times,
    checked_rate,
    json_copy,
    named,
    parse_times,
    row_label,
)
from trading_env.data.frozen import FrozenDict, frozen
from trading_env.data.zones import go_by_dates, local_time, pandas_index, zone_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Market:
    """One instrument's bars, checked once and never changed.

    Every array is a read-only, C-contiguous copy of what was given, so that a Market may be shared, cached
    and split into views. Prices are positive and finite with low <= open, close <= high (to 1e-8 of the
    price: adjusted prices are rounded); volume is finite and not negative; timestamps strictly increase. Nothing is
    clipped, sorted or filled.

    Attributes:
        close: closing prices (T,).
        open: opening prices (T,), or None.
        high: highest prices (T,), or None.
        low: lowest prices (T,), or None.
        volume: units traded (T,), or None.
        time: timestamps (T,), datetime64[ns]; None without. With a time zone they become UTC, and `tz` and
            `local_time` tell it: days are local ones, in a split by date too. But midnights, as daily bars have them,
            stay the dates they are.
        columns: further named columns (T,); they may be NaN in leading rows.
        name: what the market is called in messages and tables.
        metadata: what is known of the data: source, terms, survivorship_biased, on_missing. JSON values,
            read-only; json and pickle take them, copy.deepcopy gives a dict to change.
        first: first bar at which a decision may be made; rows before it are history for causal features.
        bars_per_year: 252 for business days, 365 with weekends, 52 for weeks, 12 for months; intraday
            the bars per day times 252 or 365. Read off the timestamps unless given; None without either.

    Raises:
        TypeError: a field has a wrong type or dtype.
        ValueError: a field has a wrong value, length or shape. The message names field, value and row.
    """

    close: Floats
    open: Floats | None = None
    high: Floats | None = None
    low: Floats | None = None
    volume: Floats | None = None
    time: Times | None = None
    columns: Mapping[str, Floats] = field(default_factory=dict)
    name: str = "market"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0
    bars_per_year: float | None = None

    def __post_init__(self) -> None:
        self._set_up(copy=True)

    def _set_up(self, *, copy: bool) -> None:
        """Turns the fields into checked read-only arrays; without ``copy`` the caller hands its own over."""
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(f"name must be a non-empty string, got {brief(self.name)}")
        given = {name: getattr(self, name) for name in BAR_COLUMNS}
        bars = {k: as_column(k, v, copy=copy) for k, v in given.items() if v is not None}
        if "close" not in bars:
            raise TypeError("close must be an array of prices, got None")
        time = None if self.time is None else as_times(self.time, copy=copy)
        columns = {k: as_column(f"column {k!r}", v, copy=copy) for k, v in named(self.columns).items()}
        check_lengths({**bars, **({} if time is None else {"time": time}), **columns})
        if time is not None:
            check_times(time)
        check_bars(bars, time)
        for name, values in columns.items():
            check_leading_nan(name, values, time)
        self._fill(
            **bars,
            time=time,
            columns=FrozenDict(columns),
            metadata=frozen(json_copy(self.metadata)),
            first=integer("first", self.first, 0, len(bars["close"]) - 1),
            bars_per_year=checked_rate(self.bars_per_year, time),
        )

    def _fill(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def _own(cls, **values: Any) -> Market:
        """A checked Market that takes the given arrays over without copying them."""
        market = object.__new__(cls)
        for item in fields(cls):
            default = {} if item.name in ("columns", "metadata") else item.default
            object.__setattr__(market, item.name, values.get(item.name, default))
        market._set_up(copy=False)
        return market

    @classmethod
    def from_arrays(
        cls,
        close: Any,
        open: Any = None,
        high: Any = None,
        low: Any = None,
        volume: Any = None,
        time: Any = None,
        columns: Mapping[str, Any] | None = None,
        name: str = "market",
        metadata: Mapping[str, Any] | None = None,
        bars_per_year: float | None = None,
    ) -> Market:
        """A Market from arrays (T,), which are copied. ``time``: dates of any kind, or ISO 8601 strings."""
        return cls(
            close,
            open,
            high,
            low,
            volume,
            time,
            columns or {},
            name,
            metadata or {},
            bars_per_year=bars_per_year,
        )

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, **options: Any) -> Market:
        """A Market from a DataFrame. Columns and options: `trading_env.data.frames.from_frame`."""
        from trading_env.data import frames

        return frames.from_frame(frame, **options)

    @classmethod
    def from_csv(cls, path: str | Path, **options: Any) -> Market:
        """A Market from a CSV file, compressed or not. Options: `trading_env.data.frames.from_frame`."""
        from trading_env.data import frames

        return frames.from_csv(path, **options)

    @classmethod
    def from_parquet(cls, path: str | Path, **options: Any) -> Market:
        """A Market from a Parquet file (extra ``parquet``). Options: `trading_env.data.frames.from_frame`."""
        from trading_env.data import frames

        return frames.from_parquet(path, **options)

    def split(self, *at: Any) -> tuple[Market, ...]:
        """The market cut at dates or fractions into len(at) + 1 parts, in order.

        A part's decisions are made on its own bars only: it has no row after its end, and keeps all earlier
        rows as history for features (views, nothing is copied); ``first`` is its own first bar.

        Args:
            at: increasing cuts. A date (string, datetime, datetime64, Timestamp) stands for the first bar at
                or after it, which begins the next part: local midnight, or local time, unless it has a time
                zone of its own. A float in (0, 1) stands for that fraction of the usable bars, rounded to the
                nearest bar.

        Raises:
            TypeError: a cut is neither a date nor a float.
            ValueError: there is no cut, one is out of range, or they do not increase.
        """
        if not at:
            raise ValueError("split needs at least one cut: a date, or a fraction in (0, 1)")
        cuts = [self._cut(cut) for cut in at]
        bounds = [self.first, *cuts, len(self)]
        for i, row in enumerate(cuts, start=1):
            if not bounds[i - 1] < row < len(self):
                raise ValueError(
                    f"split: cut {at[i - 1]!r} falls on row {row}, it must lie after row {bounds[i - 1]} "
                    f"and before row {len(self)}: every part needs a bar"
                )
        return tuple(self._part(start, stop) for start, stop in itertools.pairwise(bounds))

    def _cut(self, cut: Any) -> int:
        """The row at which ``cut`` begins a part."""
        if isinstance(cut, (float, np.floating)):
            if not 0.0 < cut < 1.0:
                raise ValueError(f"split: a fraction must lie in (0, 1), got {brief(cut)}")
            return self.first + round(cut * (len(self) - self.first))
        if isinstance(cut, (bool, int, np.number)):
            raise TypeError(f"split: a cut must be a date or a float in (0, 1), got {brief(cut)}")
        if self.time is None:
            raise ValueError(f"split: {self.name!r} has no timestamps, so {cut!r} must be a fraction in (0, 1)")
        zoned, time = self.tz is not None, np.asarray(self.time)
        days = time.astype("datetime64[D]")
        try:
            dates, zone = parse_times([cut], dates=not zoned and go_by_dates(days, time == days))
            date = as_times(dates)[0]
        except (TypeError, ValueError) as error:
            raise type(error)(f"split: a cut must be a date or a float in (0, 1), got {brief(cut)}") from error
        if np.isnat(date):
            raise ValueError(f"split: a cut must be a date or a float in (0, 1), got {brief(cut)}")
        if zoned and zone is None:  # the market's clock; it shows an hour twice in autumn, hence no bisection
            reached = local_time(self.time) >= date
            return int(reached.argmax()) if reached.any() else len(self)
        return int(np.searchsorted(time, date))

    def _part(self, start: int, stop: int) -> Market:
        """Rows before ``stop`` as a Market whose decisions begin at ``start``: views of checked arrays."""
        part = copy.copy(self)
        rows = slice(0, stop)
        part._fill(
            **{k: v if v is None else v[rows] for k in (*BAR_COLUMNS, "time") for v in (getattr(self, k),)},
            columns=FrozenDict({k: v[rows] for k, v in self.columns.items()}),
            first=start,
        )
        return part

    def __len__(self) -> int:
        return int(self.close.size)

    def column(self, name: str) -> Floats:
        """The column (T,) of that name: open, high, low, close, volume or one of ``columns``.

        Raises:
            ValueError: there is none; the message lists the known names.
        """
        values = self.columns.get(name) if name not in BAR_COLUMNS else getattr(self, name)
        if values is None:
            raise ValueError(f"{self.name!r} has no column {name!r}; known: {list(self.column_names)}")
        return values

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that `column` knows."""
        return (*(k for k in BAR_COLUMNS if getattr(self, k) is not None), *self.columns)

    @property
    def tz(self) -> str | None:
        """The market's time zone: "Australia/Sydney", "UTC+09:30", offsets that change; None for dates and UTC."""
        zone = zone_of(self.time)
        return None if zone is None else str(zone)

    @property
    def local_time(self) -> Times | None:
        """What the market's clock shows at each bar, datetime64[ns] (T,); `time` itself without a time zone."""
        return None if self.time is None else local_time(self.time)

    def time_of(self, bar: int) -> str:
        """Local timestamp and number of ``bar`` as text: "2008-09-15 (row 3)", without timestamps "row 3"."""
        return row_label(self.time, range(len(self))[bar])

    def to_frame(self) -> pd.DataFrame:
        """A new DataFrame of all columns, indexed by time in its time zone (by row number without timestamps)."""
        import pandas as pd

        index = None if self.time is None else pandas_index(self.time).rename("time")
        return pd.DataFrame({name: self.column(name).copy() for name in self.column_names}, index=index)

    def __repr__(self) -> str:
        history = f" after {self.first} of history" if self.first else ""
        span = "" if self.time is None else f", {self._day(self.first)} to {self._day(-1)}"
        columns = ", ".join(self.column_names)
        return f"<Market {self.name!r}: {len(self) - self.first} bars{history}{span}; {columns}>"

    def _day(self, bar: int) -> str:
        return self.time_of(bar).split(" ")[0]

    def __copy__(self) -> Market:
        twin = object.__new__(type(self))
        twin._fill(**{item.name: getattr(self, item.name) for item in fields(self)})
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Market:
        return self  # nothing in it can change, and a spec that holds it is deep-copied by gymnasium.make

    def __reduce__(self) -> tuple[Any, ...]:
        state = {item.name: getattr(self, item.name) for item in fields(self)}
        return _rebuild, (type(self), state)


def _rebuild(cls: type[Market], state: dict[str, Any]) -> Market:
    """A pickled Market; it was checked when it was made, and is again."""
    return cls._own(**state)
