"""A benchmark on the bars of an account: its value at or before each close. It never costs the account a bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env.analysis.backtest import Backtest
from trading_env.analysis.tracks import Floats
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.report.account import Account, account_of

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A benchmark beside an account of T bars.

    Attributes:
        name: shown.
        value: at each close (T+1,); NaN before its own first one.
    """

    name: str
    value: Floats

    @property
    def returns(self) -> Floats:
        """Simple returns of the bars (T,); NaN where unknown."""
        return np.asarray(self.value[1:] / self.value[:-1] - 1.0)

    @property
    def known(self) -> slice:
        """The closes from its first one on."""
        return slice(int(np.isnan(self.value).sum()), None)


def benchmark_of(source: Any, account: Account) -> Benchmark:
    """The benchmark: a market that is held without costs, as `load` takes it, or a Backtest or a history.

    Raises:
        ValueError: it has no bar before the account's end, or cannot be aligned for lack of timestamps.
    """
    name, time, value = _series(source)
    closes = account.tracks.equity.shape[1]
    if account.time is None or time is None:
        if len(value) != closes:
            raise ValueError(
                f"benchmark must have {closes} closes as the account has, where one of them has no timestamps, "
                f"got {len(value)}"
            )
        return Benchmark(name, value)
    known = _known_at(time, account.time)
    place = np.searchsorted(known, account.time, side="right") - 1
    if (place < 0).all():
        raise ValueError(f"benchmark {name!r} begins at {time[0]}, after the account's end at {account.time[-1]}")
    return Benchmark(name, np.where(place >= 0, value[np.maximum(place, 0)], np.nan))


def _series(source: Any) -> tuple[str, npt.NDArray[Any] | None, Floats]:
    """Name, local timestamps and values."""
    if isinstance(source, Market):
        return f"{source.name}, held", source.local_time, source.close
    frame = hasattr(source, "to_frame") and (source.ndim == 1 or "equity" in source)
    if isinstance(source, Backtest) or frame:
        account = account_of(source)
        name = account.name if isinstance(source, Backtest) else getattr(source, "name", None) or "benchmark"
        return str(name), account.time, account.tracks.equity[account.middle]
    return _series(load(source))


def _known_at(time: npt.NDArray[Any], asked: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """When each value is known: at its timestamp, or at the day's end if only the benchmark's are dates."""
    dated, other = ((np.asarray(one) == np.asarray(one).astype("datetime64[D]")).all() for one in (time, asked))
    return np.asarray(time) + _DAY if dated and not other else np.asarray(time)
