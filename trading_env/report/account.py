"""What a tear sheet shows: the accounts of one policy over the same bars.

K = runs, T = bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env.analysis.tracks import Floats, Tracks
from trading_env.data.market import Market
from trading_env.data.zones import Times

PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, eq=False)
class Account:
    """The accounts of K runs of one policy.

    Attributes:
        name: of the policy.
        market: name of the market.
        labels: of the runs (K,).
        tracks: their curves; NaN throughout where one is unknown.
        prices: name in `PRICES` -> (T+1,) from the first decision's close on; empty if unknown.
        trades: of each run, as `trading_env.analysis.trades` has them, with bars counted from the first close; None if
            unknown.
        notes: assumptions behind the numbers.
        stamps: timestamps of the closes in their time zone (T+1,); None if no more than `time` is known.
        rows: the first close as a row of the market, and the number of its rows; None if unknown.
    """

    name: str
    market: str
    labels: tuple[str, ...]
    tracks: Tracks
    prices: Mapping[str, Floats]
    trades: Sequence[Any] | None
    notes: Sequence[str] = ()
    stamps: Times | None = None
    rows: tuple[int, int] | None = None

    def knows(self, curve: str) -> bool:
        """True if this curve of the tracks is known."""
        return not np.isnan(getattr(self.tracks, curve)).any()

    @property
    def time(self) -> npt.NDArray[np.datetime64] | None:
        """Local timestamps of the closes (T+1,)."""
        return self.tracks.time

    @cached_property
    def middle(self) -> int:
        """The run with the median final equity, the lower of two."""
        return int(np.argsort(self.tracks.equity[:, -1], kind="stable")[(len(self.labels) - 1) // 2])

    def until_ruin(self, k: int) -> Floats:
        """Equity of run k up to the value at which nothing was left."""
        equity: Floats = self.tracks.equity[k]
        gone = np.flatnonzero(equity <= 0.0)
        return equity[: int(gone[0]) + 1] if gone.size else equity


def prices_of(market: Market, first: int, stop: int) -> dict[str, Floats]:
    """The market's prices from one bar up to another; closes stand for what it has not."""
    close = market.close[first:stop]
    if market.open is None or market.high is None or market.low is None:
        return {"close": close}
    return {
        "open": market.open[first:stop],
        "high": market.high[first:stop],
        "low": market.low[first:stop],
        "close": close,
    }
