"""A benchmark on the bars of an account: its value at or before each close. It never costs the account a bar."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env.analysis.backtest import Backtest
from trading_env.analysis.tracks import Floats, Tracks
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.data.zones import Times, go_by_dates, local_time
from trading_env.report.account import Account
from trading_env.report.histories import is_history
from trading_env.report.sources import account_of

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark beside an account of T bars.

    Attributes:
        name: shown.
        value: at each close (T+1,); NaN before its own first one, and after its own last one.
        account: of its own, on the closes at which it is known.
    """

    name: str
    value: Floats
    account: Account

    @cached_property
    def returns(self) -> Floats:
        """Simple returns of the bars (T,), 0 after a ruin; NaN where unknown."""
        found = np.full(self.value.size - 1, np.nan)
        found[self.known.start : self.known.stop - 1] = self.account.tracks.returns[0]
        return found

    @property
    def known(self) -> slice:
        """The closes from its first one to its last one."""
        return _known(self.value)


def benchmark_of(source: Any, account: Account) -> Benchmark:
    """The benchmark: a market that is held without costs, as `load` takes it, or a Backtest or a history.

    Raises:
        ValueError: it has fewer than two closes on the account's bars, nothing is left of it at the first, or it cannot
            be aligned for lack of timestamps.
    """
    name, time, value = _series(source)
    name = f"{name}, benchmark" if name in (account.name, *account.labels) else name
    ours = account.time if account.stamps is None else account.stamps
    value = _without_time(value, account) if ours is None or time is None else _aligned(name, time, value, ours)
    known = _known(value)
    if not value[known.start] > 0.0:
        raise ValueError(f"benchmark {name!r} must begin above 0 on the account's bars, got {value[known.start]}")
    when = None if account.time is None else account.time[known]
    unknown = np.full((1, known.stop - known.start - 1), np.nan)
    tracks = Tracks(when, account.tracks.bars_per_year, value[None, known], *[unknown] * 5)
    return Benchmark(name, value, Account(name, name, (name,), tracks, {}, None))


def _series(source: Any) -> tuple[str, Times | None, Floats]:
    """Name, timestamps in their zone, and values."""
    if isinstance(source, Market):
        return f"{source.name}, held", source.time, source.close
    if isinstance(source, Backtest) or is_history(source):
        account = account_of(source)
        named = account.name if isinstance(source, Backtest) else source.name if source.ndim == 1 else None
        name = "benchmark" if named is None else str(named)
        return name, account.stamps, account.tracks.equity[account.middle]
    return _series(load(source))


def _known(value: Floats) -> slice:
    places = np.flatnonzero(~np.isnan(value))
    return slice(int(places[0]), int(places[-1]) + 1)


def _without_time(value: Floats, account: Account) -> Floats:
    """The value on the account's rows, where the account or the benchmark has no timestamps."""
    closes = account.tracks.equity.shape[1]
    if len(value) == closes:
        return value
    if account.rows is not None and len(value) == account.rows[1]:  # of as many rows as the account's market
        return value[account.rows[0] :][:closes]
    raise ValueError(
        f"benchmark must have {closes} closes as the account has, where one of them has no timestamps, got {len(value)}"
    )


def _aligned(name: str, time: Times, value: Floats, ours: Times) -> Floats:
    """The value at or before each of our closes: unknown before its first one, and from a bar after its last one on."""
    known, asked = _clocks(time, ours)
    place = np.searchsorted(known, asked, side="right") - 1
    bar = np.median(np.diff(known)) if known.size > 1 else _DAY
    found = np.where((place >= 0) & (asked < known[-1] + bar), value[np.maximum(place, 0)], np.nan)
    if np.sum(~np.isnan(found)) < 2:
        begin, end, first, last = (_day(local_time(one)[i]) for one in (time, ours) for i in (0, -1))
        raise ValueError(
            f"benchmark {name!r} must have two closes within the account's, {first} to {last}; "
            f"it begins at {begin} and ends at {end}"
        )
    return found


def _day(stamp: np.datetime64) -> str:
    return np.datetime_as_string(stamp, unit="auto")


def _clocks(time: Times, ours: Times) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """When each value of the benchmark is known, and when we ask, on one clock.

    Times of the day are instants; one without a zone counts as UTC, as in `Market`. Where one of the two has dates,
    both are local, and a date means the day's end if the other has times of the day.
    """
    dated = [_dated(one) for one in (time, ours)]
    if not any(dated):
        return np.asarray(time), np.asarray(ours)
    local = [np.maximum.accumulate(local_time(one)) for one in (time, ours)]  # clocks may be put back
    if all(dated):
        return local[0], local[1]
    known, asked = (one.astype("datetime64[D]") + _DAY if day else one for one, day in zip(local, dated, strict=True))
    return known, asked


def _dated(time: Times) -> bool:
    """True if the timestamps are days, not times of the day."""
    stamps = local_time(time)
    days = stamps.astype("datetime64[D]")
    return go_by_dates(days, stamps == days)
