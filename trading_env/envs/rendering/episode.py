"""Bars, curves and trades of an episode so far, from which texts and pictures are made.

They come from the market and the env's history only, and from no bar that the agent has not seen.
Letters: S steps of the episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from trading_env.data.market import Market
from trading_env.envs.task import Task

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Episode:
    """An episode so far.

    Attributes:
        market: the bars.
        start: the first decision bar.
        shown: the first bar to draw; those up to ``start`` are what the agent first saw.
        initial_cash: equity at ``start``.
        fill: "close" where orders fill at the bar before the step's.
        lot_size: units per lot where an order is a number of lots, or 0 where it is a target exposure.
        steps: `trading_env.envs.rendering.replay.history`, S rows.
    """

    market: Market
    start: int
    shown: int
    initial_cash: float
    fill: str
    lot_size: float
    steps: pd.DataFrame

    @classmethod
    def of(cls, task: Task, opened: tuple[int, int], steps: pd.DataFrame) -> Episode:
        """The episode of an env with this task; ``opened`` is its market index and first decision bar."""
        i, start = opened
        lot_size = task.lot_size if task.actions == "lots" else 0.0
        shown = max(start - task.window + 1, 0)
        return cls(task.markets[i], start, shown, task.initial_cash, task.fill, lot_size, steps)

    @property
    def bars(self) -> Ints:
        """The decision bar and the last bar of each step (S + 1,)."""
        return np.arange(self.start, self.start + len(self.steps) + 1)

    def curve(self, name: str, first: float = 0.0) -> Floats:
        """Value at the start, then a column of the history (S + 1,)."""
        return np.concatenate([[first], self.steps[name].to_numpy(np.float64)])

    @cached_property
    def equity(self) -> Floats:
        """Account value at `bars` (S + 1,)."""
        return self.curve("equity", self.initial_cash)

    @cached_property
    def drawdown(self) -> Floats:
        """Fall of equity from its peak at `bars` (S + 1,), >= 0."""
        return 1.0 - self.equity / np.maximum.accumulate(self.equity)


@dataclass(frozen=True)
class Trades:
    """Fills in order of time: arrays (n,) of bar, price before spread, and units traded (negative = sold).

    ``forced`` are positions that the broker closed. A position opened and closed within one bar is the closing
    alone, with 0 units.
    """

    bar: Ints
    price: Floats
    units: Floats
    forced: npt.NDArray[np.bool_]


def trades_of(episode: Episode) -> Trades:
    """Trades of the episode, derived from its history."""
    done = np.flatnonzero(episode.steps["turnover"].to_numpy(np.float64) * episode.equity[:-1] > 0.0)
    names = ("units", "price", "order", "exit")
    units, price, order, exit_price = (episode.steps[name].to_numpy(np.float64)[done] for name in names)
    before = episode.curve("units")[done]
    asked = order * episode.lot_size == -before if episode.lot_size else order == 0.0
    called = exit_price > 0.0  # within the step's bar or at its close
    forced = called | ((units == 0.0) & ~asked)
    late = 1 if episode.fill == "close" else 0  # the order filled at the close before the step's bar
    bar = episode.start + 1 + done - np.where(called, 0, late)
    return Trades(bar, np.where(called, exit_price, price), units - before, forced)


def when(market: Market, bar: int) -> str:
    """The bar's date and number, as in "2012-03-01 (bar 512)"; without timestamps "bar 512"."""
    return f"bar {bar}" if market.time is None else f"{market.time_of(bar).split(' ')[0]} (bar {bar})"
