"""Certificates and controls as a table in the terminal, as a page, and as a picture."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from agents.base.commands import printable
from agents.common import files
from benchmarks.evaluation.control import Control
from benchmarks.reports import table as tables
from benchmarks.reports.controls import BASIS_POINT, controls_table
from benchmarks.reports.figures import SIDE_COLOURS, SIDE_NAMES, names_as_text, new_figure, picture, show_grid
from benchmarks.statistics.estimates import failure_rate
from benchmarks.study.certificates.certified import FAILURE, Certificate
from benchmarks.study.certificates.settings import CertifySettings
from benchmarks.study.provenance import in_words
from benchmarks.tasks.problems import PROBLEMS

COLUMNS = (
    *("agent", "steps", "seeds", "reward", "optimum", "score", "95%", "worst seed", "seeds below"),
    *("goal", "met", "steps to 95%"),
)
SPARE = ("made", "seeds", "optimum", "reward", "steps", "steps to 95%", "worst seed", "seeds below")
FAMILY_COLUMNS = ("agent", "points", "mean score", "worst point", "at", "worst seed", "seeds below", "met")


def cells(one: Certificate) -> list[str]:
    """A row of the table."""
    show = _basis_points if one.difference else _percent
    low, high = one.interval
    goal = "" if one.goal is None else f"at least {show(one.goal)}"
    if one.difference:
        goal = "at most 0"
    verdict = {True: "yes", False: "NO", None: ""}[one.met]
    budget = one.budget_to(0.95)
    reached = "" if one.difference else "not reached" if budget is None else f"{budget:,.0f}"
    seeds, steps = str(one.rewards.shape[1]), f"{one.entry.total_timesteps:,}"
    rewards = [f"{values.mean():.4g}" for values in (one.rewards[-1], one.optimal)]
    score = [show(one.score), f"{show(low)} to {show(high)}", show(one.worst)]
    failed = "" if one.failures is None else failures(one.failures, len(one.of_seeds))
    return [name_of(one), steps, seeds, *rewards, *score, failed, goal, verdict, reached]


def failures(count: int, runs: int) -> str:
    """A number of failed runs with the exact interval of their rate: "1 of 30, 0 to 17%"."""
    low, high = failure_rate(count, runs)
    return f"{count} of {runs}, {100.0 * low:.0f} to {100.0 * high:.0f}%"


def family_tables(certificates: Sequence[Certificate]) -> list[tables.Columns]:
    """For each family, a row per agent: mean over its points, worst point, worst seed, and how many seeds failed."""
    found: dict[str, dict[str, list[Certificate]]] = {}
    for one in certificates:
        family = PROBLEMS[one.entry.problem].family
        if family:
            found.setdefault(family, {}).setdefault(one.entry.name, []).append(one)
    shown = []
    for family, agents in found.items():
        title = f"{family}: {PROBLEMS[family].about}; agents over all points"
        shown.append(tables.Columns(title, FAMILY_COLUMNS[:1], FAMILY_COLUMNS[1:], spare=("points", "at")))
        shown[-1].rows += [[name, *_over_points(ones)] for name, ones in agents.items()]
    return shown


def _over_points(ones: Sequence[Certificate]) -> list[str]:
    worst = min(ones, key=lambda one: one.score)
    failed = failures(sum(one.failures or 0 for one in ones), sum(len(one.of_seeds) for one in ones))
    met = [one.met for one in ones if one.met is not None]
    verdict = "" if not met else "yes" if all(met) else f"{sum(met)} of {len(met)}"
    mean, least = float(np.mean([one.score for one in ones])), min(one.worst for one in ones)
    point = PROBLEMS[worst.entry.problem].point
    return [str(len(ones)), _percent(mean), _percent(worst.score), point, _percent(least), failed, verdict]


def name_of(one: Certificate) -> str:
    """Name of the agent, and of the point of a family."""
    point = PROBLEMS[one.entry.problem].point
    return f"{one.entry.name}: {point}" if point else one.entry.name


def headings(certificates: Sequence[Certificate]) -> dict[str, tuple[str, list[Certificate]]]:
    """By problem, or family of problems: its title, and its certificates."""
    found: dict[str, tuple[str, list[Certificate]]] = {}
    for one in certificates:
        problem = PROBLEMS[one.entry.problem]
        name = problem.family or one.entry.problem
        found.setdefault(name, (f"{name}: {problem.about}", []))[1].append(one)
    return found


def tables_of(certificates: Sequence[Certificate]) -> list[tables.Columns]:
    """A table for each problem, or family of problems."""
    marks = marks_of(certificates)
    return [
        tables.Columns(
            title,
            COLUMNS[:1],
            [*COLUMNS[1:], "made"],
            [[*cells(one), ", ".join(marks[in_words(made)] for made in one.made or (None,))] for one in ones],
            spare=SPARE,
        )
        for title, ones in headings(certificates).values()
    ]


def show(certificates: Sequence[Certificate], controls: Sequence[Control], settings: CertifySettings) -> None:
    """Prints all tables."""
    console = tables.console_of()
    for table in (*family_tables(certificates), *tables_of(certificates), *controls_table(controls)):
        tables.show(table, console, settings.wide)
    made = (f"Made {mark}: {words}." for words, mark in marks_of(certificates).items())
    where = f"results in {settings.folder}, table in {settings.table_path}, picture in {settings.figure_path}"
    tables.say([_legend(settings), *made, where], console)


_OF_FAMILIES = (
    " Hyperparameters are one set per agent and family; the points were drawn at random after they were chosen, and "
    "have paths of their own."
)


def _legend(settings: CertifySettings) -> str:
    return (
        "Reward: mean per step. Score: over the optimal policy's on the same paths (null: basis points above it), of "
        f"the last weights of {settings.seeds} training seeds; intervals are over seeds and paths. Seeds below: below "
        f"the goal, or below {_percent(FAILURE)} without one, and the exact 95% interval of their share. Steps are per "
        "seed. Met: the lower end of the interval reaches the goal; on null, where nobody can win, it does not lie "
        f"above 0.{_OF_FAMILIES * settings.family}"
    )


def write(certificates: Sequence[Certificate], controls: Sequence[Control], settings: CertifySettings) -> None:
    """Writes the page and the picture; neither replaces an old one before both are complete."""
    contents = {settings.table_path: page(certificates, controls, settings).encode()}
    groups = drawable(certificates)
    if groups:
        contents[settings.figure_path] = picture(draw(groups), settings.figure_path)
    files.write_together(contents)


def page(certificates: Sequence[Certificate], controls: Sequence[Control], settings: CertifySettings) -> str:
    """All tables as Markdown."""
    options = (" --family" * settings.family, " --quick" * settings.quick, " --docs" * settings.docs)
    legend = f"Written by `python -m benchmarks certify{''.join(options)}`. {_legend(settings)}"
    lines = ["# Certified agents", "", *textwrap.wrap(legend, 120)]
    if drawable(certificates):
        picture = Path(os.path.relpath(settings.figure_path, settings.table_path.parent)).as_posix()
        lines += ["", f"![scores]({quote(picture)})"]
    for table in (*family_tables(certificates), *tables_of(certificates)):
        lines += ["", *tables.markdown(table)]
    made = (f"Made {mark}: {tables.for_markdown(words)}.  " for words, mark in marks_of(certificates).items())
    lines += ["", *made]
    for table in controls_table(controls):
        lines += ["", *tables.markdown(table)]
    return "\n".join(lines) + "\n"


def marks_of(certificates: Sequence[Certificate]) -> dict[str, str]:
    """A letter for each provenance of rows, by its description."""
    words = dict.fromkeys(in_words(made) for one in certificates for made in one.made or (None,))
    return {text: chr(ord("a") + i) if i < 26 else str(i) for i, text in enumerate(words)}


def drawable(certificates: Sequence[Certificate]) -> dict[str, list[Certificate]]:
    """By problem: the certificates with a nonzero optimum."""
    found = {problem: ones for problem, (_, ones) in headings(certificates).items()}
    return {problem: ones for problem, ones in found.items() if not PROBLEMS[problem].optimum_is_zero}


@names_as_text
def draw(groups: Mapping[str, list[Certificate]]) -> Figure:
    """A drawing of scores and intervals, a row per agent, a panel per problem."""
    figure = new_figure(8.0, 0.8 + sum(0.45 + 0.24 * len(ones) for ones in groups.values()))
    grid = figure.subplots(
        len(groups), 1, squeeze=False, sharex=True, height_ratios=[len(ones) for ones in groups.values()]
    )
    for axes, (problem, ones) in zip(grid[:, 0], groups.items(), strict=True):
        for row, one in enumerate(ones):
            _draw_score(axes, row, one)
        axes.axvline(1.0, color="#000000", linewidth=0.8)
        axes.set_yticks(range(len(ones)), [printable(name_of(one)) for one in ones], fontsize=8)
        axes.set_ylim(len(ones) - 0.4, -0.6)
        axes.set_title(problem, loc="left", fontsize=9)
        axes.tick_params(axis="x", labelsize=8)
        show_grid(axes, "x")
    grid[-1, 0].set_xlim(*_ends(groups))
    label = "mean reward / optimal policy's on the same noise, 95% interval; upright bars: goals; arrows: further left"
    grid[-1, 0].set_xlabel(label, fontsize=8)
    handles = [
        grid[0, 0].plot([], [], "o", color=colour, markersize=5, label=SIDE_NAMES[side])[0]
        for side, colour in SIDE_COLOURS.items()
        if any(one.entry.side == side for ones in groups.values() for one in ones)
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False, fontsize=8)
    return figure


def _ends(groups: Mapping[str, list[Certificate]]) -> tuple[float, float]:
    """The axis limits: from 0.5, or further left for lower scores down to 0, to the right end of all intervals."""
    shown = [one for ones in groups.values() for one in ones]
    left = np.clip(min(one.score for one in shown) - 0.05, -0.1, 0.5)
    return float(left), max(1.06, *(one.interval[1] + 0.02 for one in shown))


def _draw_score(axes: Axes, row: int, one: Certificate) -> None:
    colour, (low, high) = SIDE_COLOURS[one.entry.side], one.interval
    if one.score < -0.1:
        axes.plot(-0.07, row, "<", color=colour, markersize=5)
    else:
        axes.plot([low, high], [row, row], color=colour, linewidth=1.8, solid_capstyle="butt")
        axes.plot(one.score, row, "o", color=colour, markersize=4.5)
    if one.goal is not None:
        axes.plot(one.goal, row, "|", color="#000000", markersize=9)


def _percent(value: float) -> str:
    return f"{100.0 * value:.1f}%"


def _basis_points(value: float) -> str:
    return f"{value / BASIS_POINT + 0.0:.2f}"
