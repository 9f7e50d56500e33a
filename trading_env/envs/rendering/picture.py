"""The picture of an episode: price with trades, exposure, equity and drawdown over one time axis, by matplotlib.

A picture is drawn once and then updated: the axes, labels and legends of a panel are kept as pixels as long as they do
not change (see `trading_env.envs.rendering.limits`), and only the curves and marks are drawn over them.
Letters: T bars drawn, S steps of the episode, n trades.
"""

from __future__ import annotations

import textwrap
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env._checks import printable
from trading_env._extras import optional
from trading_env.data.zones import local_time
from trading_env.envs.rendering.episode import Episode, Trades, trades_of, when
from trading_env.envs.rendering.limits import (
    LOG_FROM,
    Limits,
    drawdown_limits,
    exposure_limits,
    time_limits,
    value_limits,
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SIZE = (960, 720)  # pixels, multiples of 16 as video codecs like them
BLUE, GREEN, ORANGE, GREY, BLACK = "#0072B2", "#009E73", "#D55E00", "#8A8A8A", "#000000"  # told apart by all eyes
PANELS = ((384, 624), (274, 358), (112, 248), (0, 88))  # bottom and top of each, pixels above the time axis
BANDS = ((376, 650), (267, 376), (99, 267), (-36, 99))  # of all that belongs to each; the title is above them
BASE, RIGHT = 36, 940  # where the time axis lies, and where it ends
TITLE = 0.99  # height of the title, as a fraction of the picture's
POINTS = 1200  # of a curve, beyond which a live picture thins it out: two for every pixel and a half
DENSE = 500  # steps of exposure whose edges would paint over the areas between them
KINDS = {"buy": ("^", GREEN), "sell": ("v", ORANGE), "closed by the broker": ("X", BLACK)}


class Axes(NamedTuple):
    """Everything on which the static part of a picture depends.

    Attributes:
        title: what the picture is of.
        time: limits of the time axis.
        dated: True if times are dates.
        panels: limits of each panel, True if it is logarithmic, and its further contents (4,).
    """

    title: str
    time: Limits
    dated: bool
    panels: tuple[tuple[Limits, bool, Any], ...]


class Picture:
    """The picture of one env's episodes.

    Args:
        fill: the env's ``fill``.
        live: True to draw many pictures, with room on the axes for coming bars and long curves thinned out to what is
            visible; False for one figure with all points, to save.

    Raises:
        ImportError: matplotlib is missing; the message names the extra.
    """

    def __init__(self, fill: str, live: bool = True) -> None:
        self._fill, self._live = fill, live
        backend = optional("matplotlib.backends.backend_agg", "render", "drawing an episode")
        make = optional("matplotlib.figure", "render", "drawing an episode").Figure
        self._dates = optional("matplotlib.dates", "render", "drawing an episode")
        self._ticker = optional("matplotlib.ticker", "render", "drawing an episode")
        self.figure = make(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100)
        self._canvas = backend.FigureCanvasAgg(self.figure)
        self._panels = self.figure.subplots(4, 1, sharex=True)
        self._moving: list[Any] = []  # in the order in which they are drawn
        self._add_artists()
        self._axes_now: Axes | None = None
        self._widths = [0] * len(PANELS)  # characters of the widest label of each panel
        self._left = 0.0  # pixels left of the panels
        self._background: Any = None  # pixels of all that does not move

    def __reduce__(self) -> Any:
        return Picture, (self._fill, self._live)  # a copy draws its own

    def of(self, episode: Episode) -> Any:
        """The Figure, showing the episode."""
        self._set_axes(self._update(episode))
        return self.figure

    def pixels(self, episode: Episode) -> npt.NDArray[np.uint8]:
        """The picture of the episode as pixels (H, W, 3)."""
        axes = self._update(episode)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # in a name: an empty box
            renderer = self._canvas.get_renderer()
            if axes == self._axes_now:
                self._canvas.restore_region(self._background)
            else:
                self._draw_axes(self._set_axes(axes), renderer)
                self._background = self._canvas.copy_from_bbox(self.figure.bbox)
            for artist in self._moving:
                artist.draw(renderer)
        drawn = np.asarray(self._canvas.buffer_rgba())
        pixels = np.empty((*drawn.shape[:2], 3), np.uint8)
        for channel in range(3):  # a third of the time that a copy of the slice takes
            pixels[:, :, channel] = drawn[:, :, channel]
        return pixels

    # -- what is drawn ------------------------------------------------------------------------------------

    def _add_artists(self) -> None:
        """Adds empty curves, areas and marks, and everything that is the same in every picture."""
        price, exposure, equity, drawdown = self._panels
        pre = "post" if self._fill == "next_close" else "pre"
        self._exposure_area = exposure.fill_between([], [], step=pre, color=BLUE, alpha=0.25, linewidth=0.0)
        (self._exposure,) = exposure.plot([], [], color=BLUE, linewidth=0.8, drawstyle=f"steps-{pre}")
        self._drawdown_area = drawdown.fill_between([], [], color=ORANGE, alpha=0.3, linewidth=0.0)
        (self._drawdown,) = drawdown.plot([], [], color=ORANGE, linewidth=0.8)
        (self._close,) = price.plot([], [], color=BLUE, linewidth=1.1, label="close")
        (self._held,) = equity.plot([], [], color=GREY, linewidth=0.9, label="buy and hold, no costs")
        (self._equity,) = equity.plot([], [], color=BLUE, linewidth=1.3, label="equity")
        self._marks: dict[str, Any] = {}
        text = {"fontsize": 11, "ha": "left", "va": "top", "parse_math": False, "usetex": False}
        self._title = self.figure.suptitle("", x=0.02, y=TITLE, **text)
        self._status = self.figure.text(0.02, TITLE - 18.0 / SIZE[1], "", **text)
        self._moving = [self._exposure_area, self._exposure, self._drawdown_area, self._drawdown]
        self._moving += [self._close, self._held, self._equity, self._status]
        for artist in self._moving:
            artist.set_animated(self._live)
        (self._start,) = price.plot([], [], color=GREY, linewidth=0.8, linestyle=":", label="start")
        self._start.set_transform(price.get_xaxis_transform())
        exposure.axhline(0.0, color=GREY, linewidth=0.6)
        where = {"fontsize": 8, "color": GREY, "ha": "right", "transform": exposure.transAxes}
        self._note = exposure.text(1.0, 1.04, "", **where)
        names = ("price", "exposure (%)", "equity (currency)", "drawdown (%)")
        for panel, name in zip(self._panels, names, strict=True):
            panel.set_ylabel(name, fontsize=9)
            panel.grid(True, color="#E4E4E4", linewidth=0.6)
            panel.set_axisbelow(True)
            panel.spines[["top", "right"]].set_visible(False)
            panel.tick_params(labelsize=8)

    def _update(self, episode: Episode) -> Axes:
        """Updates the moving parts to the episode; returns the Axes that the static part needs."""
        trades, market = trades_of(episode), episode.market
        bars = np.arange(episode.shown, episode.bars[-1] + 1)
        close, equity = market.close[bars], episode.equity
        held, exposure = equity[0] * market.close[episode.bars] / market.close[episode.start], episode.curve("exposure")
        x = self._x(episode, bars[[0, episode.start - episode.shown, -1]])  # converting all would take longest
        time = time_limits(float(x[0]), float(x[-1]), self._live)
        prices, price_log = self._value_limits(close, trades.price)
        equities, equity_log = self._value_limits(held, equity)
        exposures, note = exposure_limits(100.0 * exposure, self._live)
        drawdowns = drawdown_limits(-100.0 * float(episode.drawdown.max()), self._live)
        self._set_curves(episode, held, 100.0 * exposure)
        self._close.set_data(*self._thin(episode, bars, close))
        self._set_marks(trades, self._x(episode, trades.bar), time, prices)
        title, status = _title(episode), _status(episode, trades)
        self._status.set_text(status if self._live else "")  # writing takes half of the time
        kinds = tuple(name for name, mark in self._marks.items() if mark.get_visible())
        first = float(x[1]) if x[1] > x[0] else None
        panels = (
            (prices, price_log, (first, kinds)),
            (exposures, False, note),
            (equities, equity_log, None),
            (drawdowns, False, None),
        )
        return Axes(title if self._live else f"{title}\n{status}", time, market.time is not None, panels)

    def _set_curves(self, episode: Episode, held: Floats, exposure: Floats) -> None:
        """Moves the curves and areas over the steps of the episode; held, exposure (S + 1,)."""
        curves = ((self._held, held), (self._equity, episode.equity), (self._drawdown, -100.0 * episode.drawdown))
        for line, values in curves:
            line.set_data(*self._thin(episode, episode.bars, values))
        self._equity.set_marker("." if len(held) == 1 else "")
        self._drawdown_area.set_data(*self._drawdown.get_data(), 0.0)
        steps = self._means(episode, exposure)
        dense = len(held) > DENSE
        if not dense:
            self._exposure.set_data(*steps)
        self._exposure.set_visible(not dense)
        self._exposure_area.set_alpha(0.5 if dense else 0.25)
        self._exposure_area.set_data(*steps, 0.0)

    def _value_limits(self, *arrays: Floats) -> tuple[Limits, bool]:
        """Limits of an axis that shows the values, and True if it is logarithmic."""
        low, high = _ends(*arrays)
        log = low > 0.0 and high / low >= LOG_FROM
        return value_limits(low, high, log, self._live), log

    def _set_marks(self, trades: Trades, x: Floats, time: Limits, prices: Limits) -> None:
        """Marks each trade at its fill price; a live picture draws only one of marks that would hide each other."""
        size = float(np.clip(6000.0 / (len(x) + 1), 10.0, 60.0))
        rows_of = {
            "buy": ~trades.forced & (trades.units > 0.0),
            "sell": ~trades.forced & (trades.units < 0.0),
            "closed by the broker": trades.forced,
        }
        for name, chosen in rows_of.items():
            rows = np.flatnonzero(chosen)
            if name in self._marks:
                self._marks[name].set_visible(len(rows) > 0)
            if len(rows) == 0:
                continue
            if name not in self._marks:
                self._marks[name] = self._new_marks(name)
            if self._live:
                rows = rows[_apart(x[rows], trades.price[rows], time, prices)]
            self._marks[name].set_offsets(np.column_stack([x[rows], trades.price[rows]]))
            self._marks[name].set_sizes([size])
            self._marks[name].set_linewidths([size / 150.0])

    def _new_marks(self, name: str) -> Any:
        """Marks for a kind of trades that has not occurred before."""
        marker, color = KINDS[name]
        marks = self._panels[0].scatter([], [], color=color, marker=marker, label=name, zorder=3, clip_on=False)
        marks.set_edgecolor("white")
        marks.set_animated(self._live)
        self._moving.append(marks)
        return marks

    def _thin(self, episode: Episode, bars: Ints, values: Floats) -> tuple[Floats, Floats]:
        """The curve; for a long one in a live picture only the extremes of every few bars."""
        if not self._live or len(bars) <= POINTS:
            return self._x(episode, bars), values
        size = -(-2 * len(bars) // POINTS)
        whole = len(bars) // size * size
        parts = values[:whole].reshape(-1, size)
        ends = np.sort([parts.argmin(1), parts.argmax(1)], axis=0) + np.arange(0, whole, size)  # [2, parts]
        kept = np.concatenate([ends.T.ravel(), np.arange(whole, len(bars))])
        kept[0], kept[-1] = 0, len(bars) - 1
        return self._x(episode, bars[kept]), values[kept]

    def _means(self, episode: Episode, values: Floats) -> tuple[Floats, Floats]:
        """The steps; for many in a live picture the means of every few bars, since tall edges are slow to draw."""
        bars = episode.bars
        if not self._live or len(bars) <= 2 * POINTS:
            return self._x(episode, bars), values
        size = -(-2 * len(bars) // POINTS)
        starts = np.arange(0, len(bars), size)
        lengths = np.diff(np.append(starts, len(bars)))
        return self._x(episode, bars[starts + lengths - 1]), np.add.reduceat(values, starts) / lengths

    def _x(self, episode: Episode, bars: Ints) -> Floats:
        """The bars on the time axis: their timestamps as days, or their numbers."""
        time = episode.market.time
        x: Floats = bars.astype(np.float64) if time is None else self._dates.date2num(local_time(time[bars]))
        return x

    # -- what stays -----------------------------------------------------------------------------------------

    def _set_axes(self, axes: Axes) -> list[int]:
        """Sets limits, ticks, legends and the margin for tick labels; returns the panels that have changed."""
        now, self._axes_now = self._axes_now, axes
        changed = [i for i, panel in enumerate(axes.panels) if now is None or panel != now.panels[i]]
        for i in changed:
            self._set_panel(i, *axes.panels[i])
        self._title.set_text(axes.title)
        same_time = now is not None and now[:3] == axes[:3]
        if not same_time:
            self._set_time(self._panels[-1], axes.time, axes.dated)
        left = -(-(34 + 6.3 * max(self._widths)) // 10) * 10
        if same_time and left == self._left:
            return changed
        self._left = left
        self._place(left)
        return list(range(len(PANELS)))

    def _set_panel(self, i: int, limits: Limits, log: bool, what: Any) -> None:
        """Sets limits, ticks and legend of panel i."""
        panel = self._panels[i]
        panel.set_yscale("log" if log else "linear")
        panel.set_ylim(*limits)
        if i in (0, 2):
            _set_ticks(self._ticker, panel, limits, log)
        labels = panel.yaxis.get_major_formatter().format_ticks(panel.get_yticks())
        self._widths[i] = max(len(label) for label in labels)
        if i == 0:
            first, kinds = what
            start = [] if first is None else [self._start]
            self._start.set_data([first] * 2 * len(start), [0.0, 1.0] * len(start))
            _set_legend(panel, [self._close, *(self._marks[name] for name in KINDS if name in kinds), *start])
        elif i == 1:
            self._note.set_text(what)
        elif i == 2:
            _set_legend(panel, [self._held, self._equity])

    def _draw_axes(self, changed: list[int], renderer: Any) -> None:
        """Draws the changed panels over the kept pixels of the others."""
        if len(changed) == len(PANELS):
            self._canvas.draw()
            return
        self._canvas.restore_region(self._background)
        pixels = np.asarray(self._canvas.buffer_rgba())
        for i in changed:
            bottom, top = BANDS[i]
            pixels[SIZE[1] - BASE - top : SIZE[1] - BASE - bottom] = pixels[0, 0]  # a corner where nothing is
            self._panels[i].draw(renderer)

    def _set_time(self, panel: Any, limits: Limits, dated: bool) -> None:
        """The shared time axis: dates, or bars by number."""
        panel.set_xlim(*limits)
        panel.set_xlabel("" if dated else "bar", fontsize=9, labelpad=0)
        if dated:
            locator = self._dates.AutoDateLocator(minticks=4, maxticks=10)
            formatter = self._dates.ConciseDateFormatter(locator)
        else:
            locator = self._ticker.MaxNLocator(9, integer=True, steps=[1, 2, 5, 10])
            formatter = self._ticker.FuncFormatter(lambda value, _: f"{value:,.0f}")
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(formatter)

    def _place(self, left: float) -> None:
        """Places the panels, ``left`` pixels from the edge, and their names beside them."""
        for panel, (bottom, top) in zip(self._panels, PANELS, strict=True):
            box = (left / SIZE[0], (BASE + bottom) / SIZE[1], (RIGHT - left) / SIZE[0], (top - bottom) / SIZE[1])
            panel.set_position(box)
            panel.yaxis.set_label_coords((16.0 - left) / (RIGHT - left), 0.5)


def _title(episode: Episode) -> str:
    """Name of the data and first bar of the episode."""
    full = printable(" ".join(episode.market.name.split()))
    name = textwrap.shorten(full, 50, placeholder="...")
    name = name if name != "..." else f"{full[:47]}..."  # one word alone
    return f"{name} from {when(episode.market, episode.start)}"


def _status(episode: Episode, trades: Trades) -> str:
    """Last bar of the episode, and its return, drawdown and trades."""
    last, n = when(episode.market, int(episode.bars[-1])), len(trades.bar)
    total, lowest = episode.equity[-1] / episode.equity[0] - 1.0, episode.drawdown.max()
    return f"to {last}: return {total:+,.1%}, maximum drawdown {lowest:.1%}, {n:,} trade{'s' if n != 1 else ''}"


def _ends(*arrays: Floats) -> Limits:
    """The least and the greatest value of all arrays."""
    filled = [array for array in arrays if len(array)]
    return min(float(array.min()) for array in filled), max(float(array.max()) for array in filled)


def _apart(x: Floats, y: Floats, time: Limits, prices: Limits) -> Ints:
    """Rows of marks that stand three by six pixels apart, or about that, from each other (at most n)."""
    if len(x) <= 100:
        return np.arange(len(x))
    (left, right), (low, high) = time, prices
    column = (x - left) / (right - left) * (SIZE[0] / 3)
    row = (y - low) / (high - low) * ((PANELS[0][1] - PANELS[0][0]) / 6)
    _, first = np.unique(column.astype(np.int64) * SIZE[1] + row.astype(np.int64), return_index=True)
    rows: Ints = first
    return rows


def _set_ticks(ticker: Any, panel: Any, limits: Limits, log: bool) -> None:
    """Numbers without offsets, large ones as 10M; on a logarithmic axis at 1, 2 and 5, or at powers of ten."""
    low, high = limits
    if log:
        panel.yaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 400.0 else (1.0,)))
        panel.yaxis.set_minor_locator(ticker.NullLocator())
    else:
        panel.yaxis.set_major_locator(ticker.AutoLocator())
    largest = max(abs(low), abs(high))
    large = largest >= 1e7 and high - low > 1e-3 * largest  # six digits tell the ticks apart
    plain = ticker.FuncFormatter(lambda value, _: f"{value:,.10g}")
    panel.yaxis.set_major_formatter(ticker.EngFormatter(sep="") if large else plain)


def _set_legend(panel: Any, handles: list[Any]) -> None:
    """Adds a legend in one line above the panel, where it hides nothing."""
    panel.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 0.98),
        fontsize=8,
        frameon=False,
        ncols=5,
        borderpad=0.2,
        columnspacing=1.2,
    )
