"""Learning curves as a table in the terminal, and as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.common import files
from benchmarks.reports import table as tables
from benchmarks.reports.figures import (
    SIDE_COLOURS,
    SIDE_NAMES,
    names_as_text,
    new_figure,
    picture,
    show_grid,
    show_powers,
)
from benchmarks.study import provenance
from benchmarks.study.learning_curves import Curve, Curves, difference
from benchmarks.tasks.worlds import WORLDS

NUMBERS = ("seeds", "final", "95%", "less SB3's\n95%", "threshold", "steps to it", "seconds", "of")
SPARE = ("of", "seconds", "threshold", "seeds", "steps to it")
NOTES = (
    "Less SB3's: the interval of the difference at the end; where it contains 0, no difference is shown.",
    "Seconds to the threshold and in all are those of all seeds on one core, without evaluations.",
)


def print_curves(curves: Curves, wide: bool = False) -> None:
    """Prints each curve's end, when it reached the threshold, and the sides' difference; all columns if ``wide``."""
    console = tables.console_of()
    table = tables.Columns(
        "Interquartile mean over seeds, with its 95% interval", ("env", "algorithm", "side"), NUMBERS, spare=SPARE
    )
    for (env, algorithm, side), curve in curves.items():
        final, interval, *others = _cells(curve, WORLDS[env].threshold)
        peer = curves.get((env, algorithm, "sb3")) if side != "sb3" else None
        less = "" if peer is None else _ends(*difference(curve, peer), WORLDS[env].threshold)
        names = [env, algorithm, SIDE_NAMES.get(side, side)]
        table.rows.append([*names, str(len(curve.scores)), final, interval, less, *others])
    tables.show(table, console, wide)
    worlds = dict.fromkeys(key[0] for key in curves)
    made = dict.fromkeys(provenance.in_words(one.made) for one in curves.values())
    scores = (f"{env}: the score is the {WORLDS[env].unit}, greedy, on the same episodes for all." for env in worlds)
    tables.say([*scores, *NOTES, *(f"Made at {words}." for words in made)], console)


def _cells(curve: Curve, threshold: float) -> list[str]:
    """Final score, interval, threshold, steps and seconds to it, and seconds in all."""
    low, high = curve.interval()[:, -1]
    score, interval = f"{curve.middle()[-1]:.{_digits(threshold)}f}", _ends(low, high, threshold)
    reached = None if math.isnan(threshold) else curve.reached(threshold)
    when = ["never", "never"] if reached is None else [f"{reached[0]:,.0f}", f"{reached[1]:,.1f}"]
    known = ["", "", ""] if math.isnan(threshold) else [f"{threshold:g}", *when]
    return [score, interval, *known, f"{curve.seconds[-1]:,.1f}"]


def _ends(low: float, high: float, threshold: float) -> str:
    digits = _digits(threshold)
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _digits(threshold: float) -> int:
    return 5 if math.isnan(threshold) else 1 if threshold > 10.0 else 3


def draw_curves(curves: Curves, path: Path) -> None:
    """Draws two rows of panels per env, by steps and by seconds, with a column per algorithm."""
    files.write(path, picture(curves_figure(curves), path))


@names_as_text
def curves_figure(curves: Curves) -> Figure:
    """The drawing."""
    envs, algorithms = (list(dict.fromkeys(key[i] for key in curves)) for i in (0, 1))
    figure = new_figure(3.4 * len(algorithms) + 0.6, 2.3 * 2 * len(envs) + 0.5)
    grid = figure.subplots(2 * len(envs), len(algorithms), squeeze=False)
    for row, (env, axis) in enumerate((env, axis) for env in envs for axis in ("steps", "seconds")):
        for axes, algorithm in zip(grid[row], algorithms, strict=True):
            for side, colour in SIDE_COLOURS.items():
                if (env, algorithm, side) in curves:
                    _draw_curve(axes, curves[env, algorithm, side], axis, colour, SIDE_NAMES[side])
            axes.axhline(WORLDS[env].threshold, color="#999999", linewidth=0.8, linestyle=":", zorder=0)
            _label_curve(axes, axis, f"{algorithm}, {env}" if axis == "steps" else "")
        grid[row][0].set_ylabel(WORLDS[env].unit, fontsize=8)
    _share_scales(grid)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def _share_scales(grid: Any) -> None:
    """Gives all panels of an env, two rows, the same vertical scale."""
    for row in range(0, len(grid), 2):
        limits = [axes.get_ylim() for axes in grid[row]]
        for axes in (*grid[row], *grid[row + 1]):
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def _draw_curve(axes: Axes, curve: Curve, axis: str, colour: str, label: str) -> None:
    when = curve.steps / 1_000.0 if axis == "steps" else np.maximum(curve.seconds, 1e-3)
    first = 0 if axis == "steps" else 1  # a logarithm has no 0
    low, high = curve.interval()
    axes.fill_between(when[first:], low[first:], high[first:], color=colour, alpha=0.2, linewidth=0.0)
    axes.plot(when[first:], curve.middle()[first:], color=colour, linewidth=1.5, label=label)


def _label_curve(axes: Axes, axis: str, title: str) -> None:
    if axis == "seconds":
        axes.set_xscale("log")
        show_powers(axes.xaxis, (1.0, 3.0))
    label = "thousand steps per seed" if axis == "steps" else "seconds for all seeds (log scale)"
    axes.set_xlabel(label, fontsize=8)
    axes.set_title(title, loc="left", fontsize=10)
    axes.tick_params(labelsize=8)
    show_grid(axes)
