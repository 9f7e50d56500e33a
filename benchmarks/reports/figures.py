"""Pictures of results, drawn without a display."""

from __future__ import annotations

import functools
import io
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from agents.base.commands import printable
from agents.common import files

if TYPE_CHECKING:
    from benchmarks.suites.compare import Row
    from benchmarks.suites.curves import Curves, World

P, R = ParamSpec("P"), TypeVar("R")

# Okabe and Ito's palette, which all readers can tell apart.
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
NAMES = {"dqn": "DQN", "sb3_dqn": "Stable-Baselines3's DQN", "forecast": "forecast trader"}  # else the row's, in words


# Of the rows that a study adds by itself.
MORE_COLOURS = ("#8C564B", "#17BECF", "#BCBD22", "#9467BD", "#E377C2", "#7F7F7F", "#AEC7E8", "#FFBB78")


def names_as_text(draw: Callable[P, R]) -> Callable[P, R]:
    """The drawing function, in whose picture no text is taken for mathematics or TeX, whatever a file is called."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **keywords: P.kwargs) -> R:
        with matplotlib.rc_context({"text.parse_math": False, "text.usetex": False}):
            return draw(*args, **keywords)

    return drawn


def colours_of(names: Iterable[str], known: Mapping[str, str] = COLOURS) -> dict[str, str]:
    """A colour for each name: its own, or one of those left, round and round."""
    others = itertools.cycle(MORE_COLOURS)
    return {name: known[name] if name in known else next(others) for name in names}


def check_picture(path: Path, field: str) -> None:
    """Checks that a picture can be written there, before it takes long to have one.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If its ending says no kind of picture.
    """
    known = FigureCanvasAgg.get_supported_filetypes()
    if path.suffix and path.suffix.removeprefix(".").lower() not in known:
        raise ValueError(f"{field} must end in one of {', '.join(sorted(known))}, got {str(path)!r}")
    files.check_writable(path, field)


@names_as_text
def picture(figure: Figure, path: Path) -> bytes:
    """The figure as the kind of file that the path's ending says, PNG if there is none."""
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix.removeprefix(".") or "png")
    return content.getvalue()


def equity_curves(rows: Mapping[str, Row], results: Mapping[str, Any], path: Path) -> None:
    """Draws every row's equity over the initial one, and writes the picture whole or not at all."""
    files.write(path, picture(equity_figure(rows, results), path))


@names_as_text
def equity_figure(rows: Mapping[str, Row], results: Mapping[str, Any]) -> Figure:
    """A drawing of every row's equity over the initial one: its median over seeds, and their range as a band."""
    figure = Figure(figsize=(9.0, 5.4), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour in colours_of(rows).items():
        _draw(axes, name, rows[name], colour)
    _label(axes, results, all(row.tracks.time is not None for row in rows.values()))
    return figure


def _draw(axes: Axes, name: str, row: Row, colour: str) -> None:
    equity = row.tracks.equity / row.tracks.equity[:, :1]  # [K, T+1]
    when: Any = np.arange(equity.shape[1]) if row.tracks.time is None else row.tracks.time
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
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())
    if dated:
        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
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
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False, fontsize=8)


SIDE_COLOURS = {"ours": "#0072B2", "sb3": "#D55E00"}
SIDE_NAMES = {"ours": "ours", "sb3": "Stable-Baselines3"}


@names_as_text
def learning_curves(curves: Curves, worlds: Mapping[str, World], path: Path) -> None:
    """Draws a row of panels per env: a column per algorithm by steps, and below it by seconds."""
    envs, algorithms = (list(dict.fromkeys(key[i] for key in curves)) for i in (0, 1))
    size = (3.4 * len(algorithms) + 0.6, 2.3 * 2 * len(envs) + 0.5)
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    grid = figure.subplots(2 * len(envs), len(algorithms), squeeze=False)
    for row, (env, axis) in enumerate((env, axis) for env in envs for axis in ("steps", "seconds")):
        for axes, algorithm in zip(grid[row], algorithms, strict=True):
            for side, colour in SIDE_COLOURS.items():
                if (env, algorithm, side) in curves:
                    _draw_curve(axes, curves[env, algorithm, side], axis, colour, SIDE_NAMES[side])
            axes.axhline(worlds[env].threshold, color="#999999", linewidth=0.8, linestyle=":", zorder=0)
            _label_curve(axes, axis, f"{algorithm}, {env}" if axis == "steps" else "")
        grid[row][0].set_ylabel(worlds[env].unit, fontsize=8)
    for row in range(0, len(grid), 2):  # one scale for all panels of an env
        limits = [axes.get_ylim() for axes in grid[row]]
        for axes in (*grid[row], *grid[row + 1]):
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    files.write(path, picture(figure, path))


def _draw_curve(axes: Axes, curve: Any, axis: str, colour: str, label: str) -> None:
    when = curve.steps / 1_000.0 if axis == "steps" else np.maximum(curve.seconds, 1e-3)
    first = 0 if axis == "steps" else 1  # a logarithm has no 0
    low, high = curve.interval()
    axes.fill_between(when[first:], low[first:], high[first:], color=colour, alpha=0.2, linewidth=0.0)
    axes.plot(when[first:], curve.middle()[first:], color=colour, linewidth=1.5, label=label)


def _label_curve(axes: Axes, axis: str, title: str) -> None:
    if axis == "seconds":
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
    label = "thousand steps per seed" if axis == "steps" else "seconds for all seeds (log scale)"
    axes.set_xlabel(label, fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
