"""Pictures of results, drawn without a display."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from agents.base.commands import printable
from agents.common import files
from benchmarks.study.rows import Row
from trading_env.envs.rendering.notebook import shown_in_notebooks

P, R = ParamSpec("P"), TypeVar("R")

# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = {
    "buy_and_hold": "#000000",
    "flat": "#666666",
    "volatility_target": "#56B4E9",
    "time_series_momentum": "#CC79A7",
    "moving_average_crossover": "#E69F00",
    "random": "#999999",
    "forecast": "#009E73",
    "dqn": "#0072B2",
    "sb3_dqn": "#D55E00",
}
STYLES = {"flat": ":", "random": "--", "forecast": "--"}
NAMES = {"dqn": "DQN", "sb3_dqn": "Stable-Baselines3's DQN", "forecast": "forecast trader"}
# Colours of rows that a study adds.
MORE_COLOURS = ("#8C564B", "#17BECF", "#BCBD22", "#9467BD", "#E377C2", "#7F7F7F", "#AEC7E8", "#FFBB78")


def names_as_text(draw: Callable[P, R]) -> Callable[P, R]:
    """The drawing function with all text drawn literally, never as mathematics or TeX."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **keywords: P.kwargs) -> R:
        with matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):
            return draw(*args, **keywords)

    return drawn


def colours_of(names: Iterable[str], known: Mapping[str, str] = COLOURS) -> dict[str, str]:
    """A colour for each name: its own, or the next of the others, cyclically."""
    others = itertools.cycle(MORE_COLOURS)
    return {name: known[name] if name in known else next(others) for name in names}


def check_picture(path: Path, field: str) -> None:
    """Raises unless a picture can be written there; to be called before a long training.

    Raises:
        OSError: the file cannot be written.
        ValueError: the suffix is no picture format.
    """
    known = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix and path.suffix.removeprefix(".").lower() not in known:
        raise ValueError(f"{field} must end in one of {', '.join(sorted(known))}, got {str(path)!r}")
    files.check_writable(path, field)


@names_as_text
def picture(figure: Figure, path: Path) -> bytes:
    """The figure in the file format of the path's suffix; PNG without one."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix(".") or "png")
    return content.getvalue()


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches, drawn without a display."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    return shown_in_notebooks(figure)


def show_grid(axes: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draws a faint grid, and no frame on the top and on the right."""
    axes.grid(axis=axis, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def show_dates(axes: Axes) -> None:
    """Labels the horizontal axis with dates."""
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def show_powers(axis: Axis, multiples: Sequence[float]) -> None:
    """Labels a logarithmic axis at these multiples of powers of ten, in plain numbers."""
    axis.set_major_locator(LogLocator(subs=multiples))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


@names_as_text
def equity_figure(rows: Sequence[Row], results: Mapping[str, Any]) -> Figure:
    """A drawing of each contender's equity relative to the initial one: median over seeds, and range as a band."""
    figure = new_figure(9.0, 5.4)
    axes = figure.add_subplot()
    for name, colour in colours_of(results["rows"]).items():
        _draw(axes, name, [row for row in rows if row.contender == name], colour)
    _label(axes, results, all(np.issubdtype(row.time.dtype, np.datetime64) for row in rows))
    return figure


def _draw(axes: Axes, name: str, rows: Sequence[Row], colour: str) -> None:
    equity = np.concatenate([row.curves["equity"] / row.curves["equity"][:, :1] for row in rows])  # [K, T+1]
    when: Any = rows[0].time
    label = printable(NAMES.get(name, name.replace("_", " ").strip()))
    label += f" (median and range of {len(equity)} seeds)" if len(equity) > 1 else ""
    if len(equity) > 1:
        alpha = 0.15 if name == "random" else 0.25
        axes.fill_between(when, equity.min(axis=0), equity.max(axis=0), color=colour, alpha=alpha, linewidth=0.0)
    width = 1.8 if name in ("dqn", "sb3_dqn", "buy_and_hold") else 1.1
    axes.plot(when, np.median(equity, axis=0), STYLES.get(name, "-"), color=colour, linewidth=width, label=label)


def _label(axes: Axes, results: Mapping[str, Any], dated: bool) -> None:
    settings, data = results["settings"], results["data"]
    axes.set_yscale("log")
    show_powers(axes.yaxis, (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
    if dated:
        show_dates(axes)
    axes.set_ylabel("equity / initial equity (log scale)")
    axes.set_title(
        f"{printable(data['name'])}: test {data['test']['first']} to {data['test']['last']}, after costs",
        loc="left",
        fontsize=11,
    )
    biased = "; survivorship-biased data" if data["metadata"].get("survivorship_biased") else ""
    axes.set_xlabel(
        f"{settings['total_timesteps']:,} training steps per seed up to {data['train']['last']}; commission "
        f"{1e4 * settings['commission']:g} bps, slippage {1e4 * settings['slippage']:g} bps{biased}",
        fontsize=8,
    )
    show_grid(axes)
    axes.legend(loc="upper left", frameon=False, fontsize=8)


SIDE_COLOURS = {"ours": "#0072B2", "sb3": "#D55E00", "structural": "#009E73"}
SIDE_NAMES = {"ours": "ours", "sb3": "Stable-Baselines3", "structural": "structural baseline"}
