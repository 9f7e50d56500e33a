"""A portfolio's episode so far as a short text, as pixels, or as a figure: weights, equity with drawdown, turnover.

Letters: S steps of the episode, K instruments.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import printable
from trading_env._extras import optional
from trading_env.data.zones import local_time
from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.envs.rendering.notebook import shown_in_notebooks
from trading_env.envs.rendering.portfolio_history import Steps
from trading_env.kernel.rules import Floats, Ints

SIZE = (9.6, 7.2)  # inches at 100 pixels each: multiples of 16 pixels, as video codecs like them
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#8A8A8A"
DRAWN = 700  # rows of an episode, at most
NAMED = 12  # instruments that have a color and a name of their own; the others are drawn as one


def ansi(task: PortfolioTask, opened: Drawn, steps: Steps) -> str:
    """A few lines: time and bar, the largest positions, equity with return and drawdown, turnover, costs paid."""
    info, panel, symbols = steps.info, task.markets[opened.market], task.symbols_of(opened)
    equity, drawdown = info["equity"], _drawdown(info["equity"])
    weights = info["weights"][-1]
    largest = [k for k in np.argsort(-np.abs(weights), kind="stable")[:5] if weights[k] != 0.0]
    held = ", ".join(f"{printable(symbols[k])} {weights[k]:+.1%}" for k in largest) or "none"
    paid = sum(float(info[name].sum()) for name in ("commission", "slippage", "financing"))
    lines = (
        f"{printable(panel.name)}, {panel.time_of(int(info['bar'][-1]))}, step {len(steps.actions)}",
        f"positions   {held}",
        f"exposure    net {info['exposure'][-1]:+.1%}, gross {info['gross'][-1]:.1%}",
        f"equity      {equity[-1]:,.2f}, return {equity[-1] / equity[0] - 1.0:+.2%}",
        f"drawdown    {drawdown[-1]:.2%}, at most {drawdown.max():.2%}",
        f"turnover    {info['turnover'][-1]:.1%}, in all {info['turnover'].sum():.1%}",
        f"costs paid  {paid:,.2f}",
    )
    return "\n".join(lines) + "\n"


def pixels(task: PortfolioTask, opened: Drawn, steps: Steps) -> npt.NDArray[np.uint8]:
    """The picture as pixels (H, W, 3)."""
    backend = optional("matplotlib.backends.backend_agg", "render", "drawing an episode")
    canvas = backend.FigureCanvasAgg(_drawn(task, opened, steps))
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])


def figure(task: PortfolioTask, opened: Drawn, steps: Steps) -> Any:
    """A matplotlib Figure, which pyplot does not hold; a notebook shows it all the same.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
    """
    return shown_in_notebooks(_drawn(task, opened, steps))


def _drawn(task: PortfolioTask, opened: Drawn, steps: Steps) -> Any:
    """The Figure of three panels over one time axis."""
    made = optional("matplotlib.figure", "render", "drawing an episode").Figure(figsize=SIZE, dpi=100)
    panels = made.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1))
    info, panel = steps.info, task.markets[opened.market]
    rows, equity = thinned(len(info["bar"])), info["equity"]
    x = info["bar"][rows] if panel.time is None else local_time(panel.time[info["bar"][rows]])
    _draw_weights(panels[0], x, *_shown_weights(info["weights"][rows], task.symbols_of(opened)))
    _draw_equity(panels[1], x, equity[rows], np.maximum.accumulate(equity)[rows])
    panels[2].vlines(x, 0.0, 100.0 * _highest(info["turnover"], rows), color=GREY, linewidth=0.8)
    panels[2].set_ylim(bottom=0.0)
    panels[2].set_xlabel("bar" if panel.time is None else "")
    for axes, name in zip(panels, ("weights (%)", "equity (currency)", "turnover (%)"), strict=True):
        axes.set_ylabel(name, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#E4E4E4", linewidth=0.6)
        axes.set_axisbelow(True)
    title = f"{printable(panel.name)[:60]}: return {info['equity'][-1] / info['equity'][0] - 1.0:+,.1%}, "
    title += f"maximum drawdown {_drawdown(info['equity']).max():.1%}"
    made.suptitle(title, x=0.02, ha="left", fontsize=11, parse_math=False)
    made.align_ylabels(panels)
    made.subplots_adjust(left=0.1, right=0.84, top=0.93, bottom=0.06, hspace=0.12)
    return made


def thinned(n: int) -> Ints:
    """The rows of n that are drawn, the last one among them: about as many as there are pixels."""
    step = -(-n // DRAWN)
    return np.arange((n - 1) % step, n, step)


def _highest(values: Floats, rows: Ints) -> Floats:
    """The highest of the values since the row drawn before, for each row drawn."""
    starts = np.concatenate([[0], rows[:-1] + 1])
    return np.maximum.reduceat(values[: rows[-1] + 1], starts)


def _shown_weights(weights: Floats, symbols: tuple[str, ...]) -> tuple[Floats, list[str]]:
    """Weights (S + 1, n) of the largest instruments by mean absolute weight, and of all others together; names."""
    if len(symbols) <= NAMED:
        return weights, list(symbols)
    largest = np.sort(np.argsort(-np.abs(weights).mean(0), kind="stable")[: NAMED - 1])
    others = np.setdiff1d(np.arange(len(symbols)), largest)
    shown = np.column_stack([weights[:, largest], weights[:, others].sum(1)])
    return shown, [*(symbols[k] for k in largest), f"{len(others)} others"]


def _draw_weights(axes: Any, x: Any, weights: Floats, names: list[str]) -> None:
    """Weights stacked: long positions above 0, short ones below."""
    colors = optional("matplotlib", "render", "drawing an episode").colormaps["tab20"].colors[: len(names)]
    long, short = 100.0 * np.maximum(weights, 0.0).T, 100.0 * np.minimum(weights, 0.0).T
    areas = axes.stackplot(x, long, colors=colors, linewidth=0.0, step="pre")
    if short.any():
        axes.stackplot(x, short, colors=colors, linewidth=0.0, step="pre")
    axes.axhline(0.0, color=GREY, linewidth=0.6)
    labels = [printable(name)[:14].replace("$", r"\$") for name in names]
    axes.legend(areas[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)


def _draw_equity(axes: Any, x: Any, equity: Floats, peak: Floats) -> None:
    """Equity, and the fall from its peak as an area between the two."""
    axes.fill_between(x, equity, peak, color=ORANGE, alpha=0.3, linewidth=0.0, label="drawdown")
    axes.plot(x, equity, color=BLUE, linewidth=1.2, marker="." if len(equity) == 1 else "", label="equity")
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False)


def _drawdown(equity: Floats) -> Floats:
    """Fall of equity from its highest value so far (S + 1,)."""
    drawdown: Floats = 1.0 - equity / np.maximum.accumulate(equity)
    return drawdown
