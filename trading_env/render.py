"""Pictures of an episode so far: a short text, and a figure of price, exposure, equity and drawdown.

Made of the market and `env.history()` alone, and of no bar later than the last one that the agent has seen.
Letters: S steps of the episode, T bars drawn.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from trading_env.extras import optional
from trading_env.market import Market

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZE = (960, 720)  # pixels, multiples of 16 as video codecs like them
BLUE, GREEN, ORANGE, GREY, BLACK = "#0072B2", "#009E73", "#D55E00", "#8A8A8A", "#000000"  # told apart by all eyes


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

    @property
    def equity(self) -> Floats:
        """Account value at `bars` (S + 1,)."""
        return self.curve("equity", self.initial_cash)

    @property
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
    steps, bars = episode.steps, episode.bars[1:]
    units, price, traded = (steps[name].to_numpy(np.float64) for name in ("units", "price", "turnover"))
    want, exit_price = steps["want"].to_numpy(np.float64), steps["exit"].to_numpy(np.float64)
    before, notional = episode.curve("units")[:-1], traded * episode.equity[:-1]
    asked = want * episode.lot_size == -before if episode.lot_size else want == 0.0
    called = exit_price > 0.0  # within the step's bar or at its close
    forced = called | ((units == 0.0) & (notional > 0.0) & ~asked)
    late = 1 if episode.fill == "close" else 0  # the order filled at the close before the step's bar
    done = np.flatnonzero(notional > 0.0)
    bar = np.where(called, bars, bars - late)
    return Trades(bar[done], np.where(called, exit_price, price)[done], (units - before)[done], forced[done])


# -- text ------------------------------------------------------------------------------------------------------


def ansi(episode: Episode) -> str:
    """A few lines: time and bar, price, position, equity with return and drawdown, last trade, costs paid."""
    bar, close = int(episode.bars[-1]), float(episode.market.close[episode.bars[-1]])
    units, exposure = episode.curve("units")[-1], episode.curve("exposure")[-1]
    equity = episode.equity
    costs = sum(float(episode.steps[name].sum()) for name in ("commission", "slippage", "financing"))
    change = close / float(episode.market.close[max(bar - 1, 0)]) - 1.0
    lines = (
        f"{episode.market.name}, {_when(episode.market, bar)}, step {len(episode.steps)}",
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
    return f"{what} at {_money(trades.price[-1])}, {_when(episode.market, int(trades.bar[-1]))}"


def _when(market: Market, bar: int) -> str:
    """The bar's date and number, as in "2012-03-01 (bar 512)"; without timestamps "bar 512"."""
    return f"bar {bar}" if market.time is None else f"{market.time_of(bar).split(' ')[0]} (bar {bar})"


def _money(value: float) -> str:
    """Two decimals, or six digits where that would say too little or too much."""
    return f"{value:,.2f}" if 1.0 <= abs(value) < 1e9 or value == 0.0 else f"{value:.6g}"


# -- figure ----------------------------------------------------------------------------------------------------


def rgb_array(episode: Episode) -> npt.NDArray[np.uint8]:
    """The figure as pixels (H, W, 3)."""
    canvas = figure(episode).canvas
    canvas.draw()
    pixels: npt.NDArray[np.uint8] = np.array(canvas.buffer_rgba())[:, :, :3].copy()
    return pixels


def figure(episode: Episode) -> Any:
    """A matplotlib Figure of four panels over one time axis: price with trades, exposure, equity, drawdown.

    It belongs to the caller alone: pyplot does not know it, so that nothing has to be closed.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
    """
    purpose = "drawing an episode"
    backend = optional("matplotlib.backends.backend_agg", "render", purpose)
    make = optional("matplotlib.figure", "render", purpose).Figure
    fig = make(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100, layout="constrained")
    backend.FigureCanvasAgg(fig)
    fig.get_layout_engine().set(rect=(0.01, 0.0, 0.97, 0.99), hspace=0.05)
    panels = fig.subplots(4, 1, sharex=True, gridspec_kw={"height_ratios": [3.2, 1.2, 2.0, 1.2]})
    for panel, draw in zip(panels, (_draw_price, _draw_exposure, _draw_equity, _draw_drawdown), strict=True):
        draw(panel, episode)
        panel.grid(True, color="#E4E4E4", linewidth=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    _draw_time(panels[-1], episode)
    fig.align_ylabels(panels)
    fig.suptitle(_title(episode), fontsize=11, x=0.02, ha="left", parse_math=False)
    return fig


def _title(episode: Episode) -> str:
    first, last = (_when(episode.market, int(bar)) for bar in episode.bars[[0, -1]])
    total, n = episode.equity[-1] / episode.equity[0] - 1.0, len(trades_of(episode).bar)
    name = textwrap.shorten(episode.market.name, 50, placeholder="...")
    name = name if name != "..." else f"{episode.market.name[:47]}..."  # one word alone
    return (
        f"{name}: {first} to {last}\n"
        f"return {total:+,.1%}, maximum drawdown {episode.drawdown.max():.1%}, {n:,} trade{'s' if n != 1 else ''}"
    )


def _x(episode: Episode, bars: Ints) -> Any:
    """The bars on the time axis: their timestamps, or their numbers."""
    return bars if episode.market.time is None else episode.market.time[bars]


def _draw_price(panel: Any, episode: Episode) -> None:
    """The close from `shown` on, and a mark for each trade at its fill price."""
    bars = np.arange(episode.shown, episode.bars[-1] + 1)
    close, trades = episode.market.close[bars], trades_of(episode)
    panel.plot(_x(episode, bars), close, color=BLUE, linewidth=1.1, label="close")
    size = float(np.clip(6000.0 / (len(trades.bar) + 1), 10.0, 60.0))
    kinds = (
        ("buy", "^", GREEN, ~trades.forced & (trades.units > 0.0)),
        ("sell", "v", ORANGE, ~trades.forced & (trades.units < 0.0)),
        ("closed by the broker", "X", BLACK, trades.forced),
    )
    for label, marker, color, rows in kinds:
        if rows.any():
            x, y = _x(episode, trades.bar[rows]), trades.price[rows]
            panel.scatter(
                *(x, y, size, color),
                marker=marker,
                label=label,
                zorder=3,
                linewidths=size / 150.0,
                edgecolors="white",
                clip_on=False,
            )
    if episode.shown < episode.start:
        panel.axvline(_x(episode, episode.bars[:1])[0], color=GREY, linewidth=0.8, linestyle=":", label="start")
    _scale(panel, np.concatenate([close, trades.price]))
    panel.set_ylabel("price", fontsize=9)
    _legend(panel)


def _draw_exposure(panel: Any, episode: Episode) -> None:
    """Exposure after each step: held over the step's bar, or over the next one where orders fill at its close."""
    exposure = episode.curve("exposure") * 100.0
    x, where = _x(episode, episode.bars), "post" if episode.fill == "next_close" else "pre"
    dense = len(exposure) > 500  # edges would paint over the areas between them
    panel.fill_between(x, exposure, step=where, color=BLUE, alpha=0.5 if dense else 0.25, linewidth=0.0)
    if not dense:
        panel.step(x, exposure, where=where, color=BLUE, linewidth=0.8)
    panel.axhline(0.0, color=GREY, linewidth=0.6)
    low, high = _usual_range(exposure)
    panel.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    if exposure.min() < low or exposure.max() > high:
        extreme = f"reaches {exposure[np.abs(exposure).argmax()]:,.0f}"
        panel.text(1.0, 1.04, extreme, fontsize=8, color=GREY, ha="right", transform=panel.transAxes)
    panel.set_ylabel("exposure (%)", fontsize=9)


def _usual_range(exposure: Floats) -> tuple[float, float]:
    """0 to 100, wider where exposures are; a moment near ruin, where equity is almost 0, does not flatten the rest."""
    low, high = min(float(exposure.min()), 0.0), max(float(exposure.max()), 0.0)
    usual_low, usual_high = (float(x) for x in np.quantile(exposure, (0.005, 0.995)))
    low = low if low >= 3.0 * min(usual_low, -100.0) else 1.5 * min(usual_low, -100.0)
    high = high if high <= 3.0 * max(usual_high, 100.0) else 1.5 * max(usual_high, 100.0)
    return low, high if high > 0.0 or low < 0.0 else 100.0


def _draw_equity(panel: Any, episode: Episode) -> None:
    """Equity, and what buying at the start and holding would have made of it without costs."""
    close = episode.market.close[episode.bars]
    x, held = _x(episode, episode.bars), episode.initial_cash * close / close[0]
    panel.plot(x, held, color=GREY, linewidth=0.9, label="buy and hold, no costs")
    panel.plot(x, episode.equity, color=BLUE, linewidth=1.3, label="equity", marker="." if len(held) == 1 else "")
    _scale(panel, np.concatenate([held, episode.equity]))
    panel.set_ylabel("equity (currency)", fontsize=9)
    _legend(panel)


def _draw_drawdown(panel: Any, episode: Episode) -> None:
    x, drawdown = _x(episode, episode.bars), -100.0 * episode.drawdown
    panel.fill_between(x, drawdown, color=ORANGE, alpha=0.3, linewidth=0.0)
    panel.plot(x, drawdown, color=ORANGE, linewidth=0.8)
    panel.set_ylabel("drawdown (%)", fontsize=9)
    panel.set_ylim(min(1.05 * float(drawdown.min()), -1.0), 0.0)


def _legend(panel: Any) -> None:
    """A legend in one line above the panel, where it hides nothing."""
    panel.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 0.98),
        fontsize=8,
        frameon=False,
        ncols=5,
        borderpad=0.2,
        columnspacing=1.2,
    )


def _scale(panel: Any, values: Floats) -> None:
    """A logarithmic axis where positive values span a factor of ten; numbers without offsets, large ones as 10M."""
    ticker = optional("matplotlib.ticker", "render", "drawing an episode")
    ratio = float(values.max() / values.min()) if values.min() > 0.0 else 0.0
    if ratio >= 10.0:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if ratio < 200.0 else (1.0,)))
        panel.yaxis.set_minor_locator(ticker.NullLocator())
    largest = float(np.abs(values).max())
    large = largest >= 1e7 and np.ptp(values) > 1e-3 * largest  # six digits tell the ticks apart
    plain = ticker.FuncFormatter(lambda value, _: f"{value:,.10g}")
    panel.yaxis.set_major_formatter(ticker.EngFormatter(sep="") if large else plain)


def _draw_time(panel: Any, episode: Episode) -> None:
    """The shared time axis: dates, or bars by number."""
    first, last = _x(episode, np.array([episode.shown, episode.bars[-1]]))
    if episode.shown < episode.bars[-1]:
        panel.set_xlim(first, last)
    if episode.market.time is None:
        panel.set_xlabel("bar", fontsize=9)
        return
    dates = optional("matplotlib.dates", "render", "drawing an episode")
    locator = dates.AutoDateLocator(minticks=4, maxticks=10)
    panel.xaxis.set_major_locator(locator)
    panel.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
