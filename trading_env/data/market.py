"""Market: validated, immutable bars as contiguous arrays. T = bars, history included."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief
from trading_env.data.bars import BAR_COLUMNS, Bars, Floats, checked_bars
from trading_env.data.metadata import FrozenDict
from trading_env.data.times import row_label
from trading_env.data.zones import Times, local_time, pandas_index, zone_of

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Market:
    """One instrument's bars, checked once and immutable.

    Every array is a read-only, C-contiguous copy of the input, so a Market can be shared, cached and split into
    views. Prices are positive and finite with low <= open, close <= high (to 1e-8 of the price, since adjusted
    prices are rounded); volume is finite and not negative; timestamps strictly increase. Nothing is clipped, sorted
    or filled.

    Attributes:
        close: closing prices (T,).
        open: opening prices (T,), or None.
        high: highest prices (T,), or None.
        low: lowest prices (T,), or None.
        volume: units traded (T,), or None.
        time: timestamps (T,), datetime64[ns], or None. Timestamps with a time zone are stored in UTC; `tz` and
            `local_time` give the zone and the local time, and days are local days, also when splitting by date.
            Local midnights, the usual stamps of daily bars, are stored as plain dates instead.
        columns: further named columns (T,); leading rows may be NaN.
        name: the market's name in messages and tables.
        metadata: facts about the data: source, terms, survivorship_biased, on_missing. Read-only JSON values;
            json and pickle accept them, and copy.deepcopy gives a dict that can be changed.
        first: first bar at which a decision may be made; earlier rows are history for causal features.
        bars_per_year: 252 for business days, 365 with weekends, 52 for weeks, 12 for months; intraday the bars
            per day times 252 or 365. Inferred from the timestamps unless given; None if neither is possible.

    Raises:
        TypeError: a field has a wrong type or dtype.
        ValueError: a field has a wrong value, length or shape. The message names field, value and row.
    """

    close: Floats
    open: Floats | None
    high: Floats | None
    low: Floats | None
    volume: Floats | None
    time: Times | None
    columns: Mapping[str, Floats]
    name: str
    metadata: Mapping[str, Any]
    first: int
    bars_per_year: float | None

    def __init__(
        self,
        close: Any,
        open: Any = None,
        high: Any = None,
        low: Any = None,
        volume: Any = None,
        time: Any = None,
        columns: Mapping[str, Any] | None = None,
        name: str = "market",
        metadata: Mapping[str, Any] | None = None,
        first: int = 0,
        bars_per_year: float | None = None,
    ) -> None:
        bars = Bars(close, open, high, low, volume, time, columns or {}, name, metadata or {}, first, bars_per_year)
        vars(self).update(checked_bars(bars)._asdict())  # a frozen dataclass refuses plain assignment

    @classmethod
    def _of(cls, bars: Bars) -> Market:
        """The Market of bars that are already checked."""
        market = cls.__new__(cls)
        vars(market).update(bars._asdict())
        return market

    def _bars(self) -> Bars:
        return Bars(*(getattr(self, name) for name in Bars._fields))

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
        return cls(close, open, high, low, volume, time, columns, name, metadata, bars_per_year=bars_per_year)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, *, copy: bool = True, **options: Any) -> Market:
        """A Market from a DataFrame. Columns and options: `trading_env.data.readers.frames.read_frame`.

        ``copy=False`` takes over the frame's memory: the caller must not change it afterwards.
        """
        from trading_env.data.readers import frames

        return cls._of(checked_bars(frames.read_frame(frame, **options), copy=copy))

    @classmethod
    def from_csv(cls, path: str | Path, **options: Any) -> Market:
        """A Market from a CSV file, compressed or not. Options: `trading_env.data.readers.frames.read_csv`."""
        from trading_env.data.readers import frames

        return cls._of(checked_bars(frames.read_csv(path, **options), copy=False))

    @classmethod
    def from_parquet(cls, path: str | Path, **options: Any) -> Market:
        """A Market from a Parquet file (extra ``parquet``). Options: `trading_env.data.readers.frames.read_parquet`."""
        from trading_env.data.readers import frames

        return cls._of(checked_bars(frames.read_parquet(path, **options), copy=False))

    @classmethod
    def from_rows(cls, rows: Any, **options: Any) -> Market:
        """A Market from a list of rows. Forms and options: `trading_env.data.readers.frames.read_rows`."""
        from trading_env.data.readers import frames

        try:
            return cls._of(checked_bars(frames.read_rows(rows, **options)))
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"data as rows: {error}") from error

    def split(self, *at: Any) -> tuple[Market, ...]:
        """The market cut at dates or fractions into len(at) + 1 consecutive parts.

        Decisions in a part are made on its own bars only. A part has no rows after its end, and keeps all earlier
        rows as history for features (as views, without copying); its ``first`` is its first own bar.

        Args:
            at: increasing cuts. A date (string, datetime, datetime64, Timestamp) selects the first bar at or after
                it as the beginning of the next part; it is read as local time, or local midnight, unless it has a
                time zone. A float in (0, 1) is a fraction of the usable bars, rounded to the nearest bar.

        Raises:
            TypeError: a cut is neither a date nor a float.
            ValueError: there are no cuts, one is out of range, or they do not increase.
        """
        from trading_env.data.cuts import parts

        return tuple(self._part(*rows) for rows in parts(at, self.name, self.time, self.first, len(self)))

    def _part(self, start: int, stop: int) -> Market:
        """The rows before ``stop``, as views, with decisions from ``start`` on."""
        given = {name: getattr(self, name) for name in (*BAR_COLUMNS, "time")}
        views: dict[str, Any] = {name: values[:stop] for name, values in given.items() if values is not None}
        views["columns"] = FrozenDict({name: values[:stop] for name, values in self.columns.items()})
        return self._of(self._bars()._replace(**views, first=start))

    def __len__(self) -> int:
        return int(self.close.size)

    def column(self, name: str) -> Floats:
        """The column (T,) called ``name``: open, high, low, close, volume or one of ``columns``.

        Raises:
            ValueError: there is no such column; the message lists the known names.
        """
        values = self.columns.get(name) if name not in BAR_COLUMNS else getattr(self, name)
        if values is None:
            raise ValueError(f"{self.name!r} has no column {name!r}; known: {list(self.column_names)}")
        return values

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names that `column` accepts."""
        return (*(k for k in BAR_COLUMNS if getattr(self, k) is not None), *self.columns)

    @property
    def tz(self) -> str | None:
        """The time zone, as "Australia/Sydney", "UTC+09:30" or a list of offsets; None for dates and for UTC."""
        zone = zone_of(self.time)
        return None if zone is None else str(zone)

    @property
    def local_time(self) -> Times | None:
        """Local time of each bar, datetime64[ns] (T,); `time` itself without a time zone."""
        return None if self.time is None else local_time(self.time)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of bars, timestamps, columns and `first`: the same for the same contents, whatever the name."""
        digest = hashlib.sha256(repr((self.first, self.tz, self.column_names)).encode())
        for values in (self.time, *(self.column(name) for name in self.column_names)):
            digest.update(b"" if values is None else np.ascontiguousarray(values).view(np.uint8).data)
        return digest.hexdigest()

    def time_of(self, bar: int) -> str:
        """The local timestamp and number of ``bar``: "2008-09-15 (row 3)", or "row 3" without timestamps."""
        return row_label(self.time, range(len(self))[bar])

    def to_frame(self) -> pd.DataFrame:
        """A new DataFrame of all columns, indexed by time in its time zone, or by row number without timestamps."""
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
        return self  # immutable

    def __deepcopy__(self, memo: dict[int, Any]) -> Market:
        return self  # gymnasium.make deep-copies a spec that holds a market

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (type(self), self._bars())


def _unpickled(cls: type[Market], bars: Bars) -> Market:
    """The Market of pickled bars, which are checked again."""
    return cls._of(checked_bars(bars, copy=False))


def checked_market(value: Any) -> Market:
    """``value`` if it is a Market; TypeError otherwise."""
    if not isinstance(value, Market):
        raise TypeError(f"market must be a Market, got {brief(value)}")
    return value
