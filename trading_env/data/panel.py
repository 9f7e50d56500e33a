"""Panel: several instruments on one clock, validated and immutable. T = rows of the clock, K = instruments."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, did_you_mean
from trading_env.data.alignment import Rows, aligned
from trading_env.data.assembly import (
    checked_markets,
    checked_symbols,
    common_facts,
    first_row,
    price_columns,
    rate_of,
    spread,
)
from trading_env.data.bars import Floats
from trading_env.data.cuts import parts
from trading_env.data.market import Market
from trading_env.data.metadata import FrozenDict, frozen, json_copy
from trading_env.data.times import row_label
from trading_env.data.zones import Times, local_time, pandas_index, zone_of

if TYPE_CHECKING:
    import pandas as pd

Bools = NDArray[np.bool_]


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Panel:
    """K instruments on one clock, checked once and immutable.

    The clock is the union of the instruments' timestamps. Where an instrument has no bar it is not tradable: its row
    is NaN, nothing is filled, and no instrument or row is dropped for it. Columns that only some instruments have are
    left out, and metadata["left_out"] names the instruments that lack them.

    Every array is read-only and C-contiguous.

    Attributes:
        symbols: names of the instruments, K of them.
        time: timestamps (T,) as in `Market`, or None if no instrument has any.
        tradable: True where an instrument has a bar (T, K).
        columns: every column by name (T, K), open, high, low, close and volume among them; NaN where not tradable.
        name: the panel's name in messages and tables.
        metadata: facts that all instruments share, and under "instruments" the others by symbol. Biased by
            survivorship if one instrument is: survivorship_biased.
        first: first row at which a decision may be made; earlier rows are history for causal features.
        ends: row of the last bar of an instrument that is delisted before the panel ends; T for the others (K,).
        bars_per_year: as in `Market`: given, or that of all instruments, or inferred from the clock.
        rates: bars_per_year of each instrument, NaN where unknown (K,).

    Raises:
        TypeError: an argument has a wrong type.
        ValueError: there is no market, a symbol occurs twice, or the instruments have no common kind of time.
    """

    symbols: tuple[str, ...]
    time: Times | None
    tradable: Bools
    columns: Mapping[str, Floats]
    name: str
    metadata: Mapping[str, Any]
    first: int
    ends: NDArray[np.int64]
    bars_per_year: float | None
    rates: Floats

    def __init__(
        self,
        markets: Sequence[Market],
        symbols: Sequence[str] | None = None,
        *,
        name: str = "panel",
        metadata: Mapping[str, Any] | None = None,
        bars_per_year: float | None = None,
    ) -> None:
        given = checked_markets(markets)
        names = checked_symbols(symbols, given)
        if not isinstance(name, str) or not name:
            raise TypeError(f"name must be a non-empty string, got {brief(name)}")
        time, length, rows = aligned(given, names)
        last = np.array([own[-1] for own in rows], np.int64)
        self._set(
            symbols=names,
            time=time,
            tradable=_marked(rows, length),
            columns=FrozenDict(spread(given, rows, length)),
            name=name,
            metadata=frozen({**common_facts(given, names), **json_copy(metadata or {})}),
            first=first_row(given, rows),
            ends=np.where(last < length - 1, last, length),
            bars_per_year=rate_of(given, time, bars_per_year),
            rates=np.array([np.nan if m.bars_per_year is None else m.bars_per_year for m in given]),
        )

    def _set(self, **values: Any) -> None:
        """Sets the fields, with read-only arrays; a frozen dataclass refuses plain assignment."""
        for array in (*values.values(), *values["columns"].values()):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False
        vars(self).update(values)

    @classmethod
    def _of(cls, **values: Any) -> Panel:
        """The Panel of fields that are already checked."""
        panel = cls.__new__(cls)
        panel._set(**values)
        return panel

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_markets(
        cls,
        markets: Sequence[Market],
        symbols: Sequence[str] | None = None,
        *,
        name: str = "panel",
        metadata: Mapping[str, Any] | None = None,
        bars_per_year: float | None = None,
    ) -> Panel:
        """A Panel of Markets.

        Args:
            markets: K of them. Of parts of a split, the panel's first decision is after the history of all.
            symbols: their names on the panel; by default each market's own.
            name: the panel's name.
            metadata: further facts; JSON values.
            bars_per_year: by default that of all markets, or else inferred from the clock.
        """
        return cls(markets, symbols, name=name, metadata=metadata, bars_per_year=bars_per_year)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, symbol: str | None = None, **options: Any) -> Panel:
        """A Panel of a long frame: rows of time, symbol, open, high, low, close and volume.

        The instruments are in alphabetical order, unless ``symbols`` gives another.

        Args:
            frame: the rows, of each instrument in order of time. Also a frame with two levels of columns, tickers
                and prices, as yfinance returns it; its rows without any price are no bars.
            symbol: the column of symbols; by default the one named tic, ticker, symbol or the like.
            options: symbols (those to take, in this order), name, metadata and bars_per_year of the panel; the
                others as for `load`, applied to each instrument.

        Raises:
            TypeError, ValueError: as `Market.from_frame`, naming the instrument; or one of ``symbols`` has no rows.
        """
        from trading_env.data.readers.long_frames import instrument_frames

        own = {key: options.pop(key) for key in ("name", "metadata", "bars_per_year") if key in options}
        frames = instrument_frames(frame, symbol, options.pop("symbols", None))
        return cls([_market(key, rows, options) for key, rows in frames.items()], tuple(frames), **own)

    def split(self, *at: Any) -> tuple[Panel, ...]:
        """The panel cut at dates or fractions into len(at) + 1 consecutive parts, as `Market.split`.

        All parts have all instruments, those not listed yet and those delisted among them. A part has no rows after
        its end, and keeps all earlier rows as history. An instrument with a gap at the end of a part is delisted there
        only if its bars end.
        """
        rows = parts(at, self.name, self.time, self.first, len(self))
        return tuple(self._part(start, stop) for start, stop in rows)

    def _part(self, start: int, stop: int) -> Panel:
        """The rows before ``stop``, as views, with decisions from ``start`` on."""
        views = {
            "time": None if self.time is None else self.time[:stop],
            "tradable": self.tradable[:stop],
            "columns": FrozenDict({name: values[:stop] for name, values in self.columns.items()}),
            "ends": np.minimum(self.ends, stop),
        }
        return self._of(**{**self._fields(), **views, "first": start})

    def with_columns(self, columns: Mapping[str, Floats]) -> Panel:
        """The first n rows of the panel with these columns (n, K) in place of its own, which are not checked.

        Where a close is NaN the instrument has no bar; if its last bars are missing, it is delisted before them.
        """
        close = columns["close"]
        n = len(close)
        part, tradable, rows = self._part(min(self.first, n - 1), n), ~np.isnan(close), np.arange(n)[:, None]
        last, before = (np.max(rows * bars, axis=0, initial=0) for bars in (tradable, self.tradable[:n]))
        ends = np.where(last < before, last, part.ends)
        return self._of(
            **{**part._fields(), "columns": FrozenDict(columns), "tradable": tradable, "ends": ends},
        )

    def market(self, symbol: str) -> Market:
        """The bars of one instrument, history included.

        Its first decision is at its first bar from the panel's `first` on, or at its last bar if there is none.

        Raises:
            ValueError: there is no such instrument, or it is not listed before this part of a split ends.
        """
        k = self.index(symbol)
        rows = np.flatnonzero(self.tradable[:, k])
        if rows.size == 0:
            raise ValueError(f"{symbol!r} has no bar before this part of {self.name!r} ends: {self.time_of(-1)}")
        values = {name: column[rows, k] for name, column in self.columns.items()}
        facts = {key: value for key, value in self.metadata.items() if key not in ("instruments", "left_out")}
        return Market(
            **price_columns(values),
            time=None if self.time is None else self.time[rows],
            columns=values,
            name=symbol,
            metadata={**facts, **self.metadata.get("instruments", {}).get(symbol, {})},
            first=min(int(np.searchsorted(rows, self.first)), rows.size - 1),
            bars_per_year=self.bars_per_year if np.isnan(self.rates[k]) else float(self.rates[k]),
        )

    def __len__(self) -> int:
        return len(self.tradable)

    def index(self, symbol: str) -> int:
        """The position of an instrument; ValueError if there is no such symbol."""
        if symbol not in self.symbols:
            hint = did_you_mean(symbol, self.symbols)
            raise ValueError(f"{self.name!r} has no instrument {brief(symbol)}; it has {list(self.symbols)}{hint}")
        return self.symbols.index(symbol)

    def column(self, name: str) -> Floats:
        """The column (T, K) called ``name``; ValueError if there is none."""
        if name not in self.columns:
            lack = self.metadata.get("left_out", {}).get(name)
            why = f", which {list(lack)} lack" if lack else ""
            raise ValueError(f"{self.name!r} has no column {brief(name)}{why}; known: {list(self.columns)}")
        return self.columns[name]

    @property
    def close(self) -> Floats:
        """Closing prices (T, K), NaN where not tradable."""
        return self.columns["close"]

    @property
    def open(self) -> Floats | None:
        """Opening prices (T, K), NaN where not tradable; None if an instrument lacks them, and so below."""
        return self.columns.get("open")

    @property
    def high(self) -> Floats | None:
        """Highest prices (T, K)."""
        return self.columns.get("high")

    @property
    def low(self) -> Floats | None:
        """Lowest prices (T, K)."""
        return self.columns.get("low")

    @property
    def volume(self) -> Floats | None:
        """Units traded (T, K)."""
        return self.columns.get("volume")

    @property
    def listed(self) -> NDArray[np.int64]:
        """Row of the first bar of each instrument; T if it has none before this part of a split ends (K,)."""
        return np.where(self.tradable.any(0), self.tradable.argmax(0), len(self))

    @cached_property
    def own_rows(self) -> Rows:
        """Number of the instrument's last bar at or before each row, counted from 0; -1 before its first (T, K)."""
        rows: Rows = np.cumsum(self.tradable, axis=0) - 1
        rows.flags.writeable = False
        return rows

    @cached_property
    def last_close(self) -> Floats:
        """Last close at or before each row: the price at which a position is marked; NaN before listing (T, K)."""
        rows = np.where(self.tradable, np.arange(len(self))[:, None], 0)
        last: Floats = np.take_along_axis(self.close, np.maximum.accumulate(rows, axis=0), axis=0)
        last = np.where(self.own_rows < 0, np.nan, last)
        last.flags.writeable = False
        return last

    @property
    def tz(self) -> str | None:
        """The time zone, as in `Market`."""
        zone = zone_of(self.time)
        return None if zone is None else str(zone)

    @property
    def local_time(self) -> Times | None:
        """Local time of each row, datetime64[ns] (T,); `time` itself without a time zone."""
        return None if self.time is None else local_time(self.time)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of symbols, bars, timestamps, delistings and `first`: the same for the same contents."""
        facts = (self.first, self.tz, self.symbols, self.ends.tolist(), list(self.columns))
        digest = hashlib.sha256(repr(facts).encode())
        for values in (self.time, self.tradable, *self.columns.values()):
            digest.update(b"" if values is None else np.ascontiguousarray(values).view(np.uint8).data)
        return digest.hexdigest()

    def time_of(self, row: int) -> str:
        """The local timestamp and number of a row: "2008-09-15 (row 3)", or "row 3" without timestamps."""
        return row_label(self.time, range(len(self))[row])

    def to_frame(self) -> pd.DataFrame:
        """A new long DataFrame, one row per bar: time, symbol and all columns, ordered by time and instrument."""
        import pandas as pd

        rows, instruments = np.nonzero(self.tradable)
        time = rows if self.time is None else pandas_index(self.time)[rows]
        symbols = np.array(self.symbols, object)[instruments]
        return pd.DataFrame(
            {"time": time, "symbol": symbols, **{n: v[rows, instruments] for n, v in self.columns.items()}}
        )

    def __repr__(self) -> str:
        history = f" after {self.first} of history" if self.first else ""
        span = "" if self.time is None else f", {self.time_of(self.first).split()[0]} to {self.time_of(-1).split()[0]}"
        names = ", ".join(self.symbols) if len(self.symbols) <= 8 else f"{', '.join(self.symbols[:7])}, ..."
        size = f"{len(self.symbols)} instruments ({names}), {len(self) - self.first} rows"
        return f"<Panel {self.name!r}: {size}{history}{span}>"

    def __copy__(self) -> Panel:
        return self  # immutable

    def __deepcopy__(self, memo: dict[int, Any]) -> Panel:
        return self  # gymnasium.make deep-copies a spec that holds a panel

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._fields(),)


def _unpickled(values: dict[str, Any]) -> Panel:
    return Panel._of(**values)


def _marked(rows: Sequence[Rows], length: int) -> Bools:
    """True in each market's own rows (T, K)."""
    marked = np.zeros((length, len(rows)), np.bool_)
    for k, own in enumerate(rows):
        marked[own, k] = True
    return marked


def _market(symbol: str, frame: Any, options: Mapping[str, Any]) -> Market:
    """The Market of one instrument's rows; errors begin with the symbol."""
    try:
        market = Market.from_frame(frame, name=symbol, **options)
        if market.time is None and options.get("time") is not False:
            raise ValueError("the rows have no time; time=False says that all instruments have the same rows")
        return market
    except (TypeError, ValueError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{symbol!r}: {error}") from error
