"""An episode so far as a short text, as pixels, or as a figure to save.

Names of data are plain text: control characters are escaped, and nothing in them is markup.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import printable
from trading_env.envs.rendering.episode import Episode, trades_of, when
from trading_env.envs.rendering.notebook import shown_in_notebooks
from trading_env.envs.rendering.picture import Picture


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


def _money(value: float) -> str:
    """Two decimals, or six digits where that would say too little or too much."""
    return f"{value:,.2f}" if 1.0 <= abs(value) < 1e9 or value == 0.0 else f"{value:.6g}"


def rgb_array(episode: Episode) -> npt.NDArray[np.uint8]:
    """The picture as pixels (H, W, 3); `picture.Picture` draws many of one episode faster."""
    return Picture(episode.fill).pixels(episode)


def figure(episode: Episode) -> Any:
    """A matplotlib Figure of four panels over one time axis: price with trades, exposure, equity, drawdown.

    pyplot does not hold it, so that it need not be closed; a notebook shows it all the same.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
    """
    return shown_in_notebooks(Picture(episode.fill, live=False).of(episode))
