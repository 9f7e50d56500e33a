"""An episode so far as a short text, and what its pictures are made of.

Made of the market and `env.history()` alone, and of no bar later than the last one that the agent has seen. Names of
data are text: what would steer a terminal is escaped, and nothing in them is markup.
Letters: S steps of the episode.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trading_env.data.market import Market

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZE = (960, 720)  # pixels of a picture, multiples of 16 as video codecs like them


@dataclass(frozen=True, eq=False)
class Episode:
    """What there is to show of an episode.

    Attributes:
        market: the bars.
        start: the first decision bar.
        shown: the first bar to draw; those up to ``start`` are what the agent first saw.
        initial_cash: equity at ``start``.
        fill: "close" where orders fill at the bar before the step's.
        lot_size: units per lot where a want is a number of lots, or 0 where it is a target exposure.
        steps: `env.history()`, S rows, and "exit": the price of a liquidation, 0 where there was none.
    """

    market: Market
    start: int
    shown: int
    initial_cash: float
    fill: str
    lot_size: float
    steps: pd.DataFrame

    @property
    def bars(self) -> Ints:
        """The decision bar and the last bar of each step (S + 1,)."""
        return np.arange(self.start, self.start + len(self.steps) + 1)

    def curve(self, name: str, first: float = 0.0) -> Floats:
        """A column of the history behind its value at the start (S + 1,)."""
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
    """The trades of the episode, read off its history."""
    done = np.flatnonzero(episode.steps["turnover"].to_numpy(np.float64) * episode.equity[:-1] > 0.0)
    names = ("units", "price", "want", "exit")
    units, price, want, exit_price = (episode.steps[name].to_numpy(np.float64)[done] for name in names)
    before = episode.curve("units")[done]
    asked = want * episode.lot_size == -before if episode.lot_size else want == 0.0
    called = exit_price > 0.0  # within the step's bar or at its close
    forced = called | ((units == 0.0) & ~asked)
    late = 1 if episode.fill == "close" else 0  # the order filled at the close before the step's bar
    bar = episode.start + 1 + done - np.where(called, 0, late)
    return Trades(bar, np.where(called, exit_price, price), units - before, forced)


# -- text ------------------------------------------------------------------------------------------------------


def ansi(episode: Episode) -> str:
    """A few lines: time and bar, price, position, equity with return and drawdown, last trade, costs paid."""
    bar, close = int(episode.bars[-1]), float(episode.market.close[episode.bars[-1]])
    units, exposure = episode.curve("units")[-1], episode.curve("exposure")[-1]
    equity = episode.equity
    costs = sum(float(episode.steps[name].sum()) for name in ("commission", "slippage", "financing"))
    change = close / float(episode.market.close[max(bar - 1, 0)]) - 1.0
    lines = (
        f"{printable(episode.market.name)}, {when(episode.market, bar)}, step {len(episode.steps)}",
        f"price       {_money(close)} ({change:+.2%})",
        f"position    {units:,.6g} units, exposure {exposure:+.1%}",
        f"equity      {_money(equity[-1])}, return {equity[-1] / equity[0] - 1.0:+.2%}",
        f"drawdown    {episode.drawdown[-1]:.2%}, at most {episode.drawdown.max():.2%}",
        f"costs paid  {_money(costs)}",
        f"last trade  {_last_trade(episode)}",
    )
    return "\n".join(lines) + "\n"


def _last_trade(episode: Episode) -> str:
    trades = trades_of(episode)
    if len(trades.bar) == 0:
        return "none"
    units = trades.units[-1]
    if trades.forced[-1]:
        what = "position closed by the broker"
    else:
        what = f"{'buy' if units > 0 else 'sell'} {abs(units):,.6g} units"
    return f"{what} at {_money(trades.price[-1])}, {when(episode.market, int(trades.bar[-1]))}"


def when(market: Market, bar: int) -> str:
    """The bar's date and number, as in "2012-03-01 (bar 512)"; without timestamps "bar 512"."""
    return f"bar {bar}" if market.time is None else f"{market.time_of(bar).split(' ')[0]} (bar {bar})"


def _money(value: float) -> str:
    """Two decimals, or six digits where that would say too little or too much."""
    return f"{value:,.2f}" if 1.0 <= abs(value) < 1e9 or value == 0.0 else f"{value:.6g}"


def printable(name: str) -> str:
    """The name with control characters, surrogates and the like escaped, so that it steers no terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def rgb_array(episode: Episode) -> npt.NDArray[np.uint8]:
    """The picture as pixels (H, W, 3); `trading_env.envs.picture.Picture` draws many of one episode faster."""
    from trading_env.envs.picture import Picture

    return Picture(episode.fill).pixels(episode)


def figure(episode: Episode) -> Any:
    """A matplotlib Figure of four panels over one time axis: price with trades, exposure, equity, drawdown.

    It belongs to the caller alone: pyplot does not know it, so that nothing has to be closed.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
    """
    from trading_env.envs.picture import Picture

    return Picture(episode.fill, live=False).of(episode)
