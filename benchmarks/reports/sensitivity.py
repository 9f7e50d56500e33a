"""The sensitivity of scores to two hyperparameters: a heat map for each agent and side, and a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from benchmarks.reports import table as tables
from benchmarks.reports.figures import SIDE_NAMES, names_as_text, new_figure
from benchmarks.study.sensitivity import Surface

COLUMNS = ("points", "best", "median", "worst point", "within 5% of the best", "at")
_NAMES = {"batch_size": "batch size", "ent_coef": "entropy coefficient"}


def table_of(surfaces: Sequence[Surface]) -> tables.Columns:
    """A row for each agent and side: its best point, and how many others are as good."""
    table = tables.Columns("Scores over the grid, share of the optimum", ["agent"], COLUMNS, spare=["points", "at"])
    for one in surfaces:
        known = one.score[~np.isnan(one.score)]
        if known.size:
            x, y = np.unravel_index(int(np.nanargmax(one.score)), one.score.shape)
            near = int((known >= known.max() - 0.05).sum())
            best = f"rate {one.rates[x]:g}, {_NAMES[one.second]} {one.values[y]:g}"
            shares = [f"{100.0 * value:.1f}%" for value in (known.max(), np.median(known), known.min())]
            cells = [str(known.size), *shares, f"{near} of {known.size}", best]
            table.rows.append([f"{one.agent}, {SIDE_NAMES[one.side]}", *cells])
    return table


@names_as_text
def draw(surfaces: Sequence[Surface]) -> Figure:
    """A heat map for each agent and side: the mean score at each point, and that of the worst seed below it."""
    rows = max(len(surfaces) // 2, 1)
    figure = new_figure(8.0, 0.6 + 2.6 * rows)
    grid = figure.subplots(rows, 2, squeeze=False)
    for axes, one in zip(grid.flat, surfaces, strict=False):
        image = axes.imshow(np.clip(one.score.T, 0.0, 1.0), cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
        for (x, y), score in np.ndenumerate(one.score):
            if not np.isnan(score):
                text = f"{100.0 * score:.0f}\n({100.0 * one.worst[x, y]:.0f})"
                axes.text(x, y, text, ha="center", va="center", fontsize=7, color="k" if score > 0.6 else "w")
        axes.set_xticks(range(len(one.rates)), [f"{rate:g}" for rate in one.rates], fontsize=7)
        axes.set_yticks(range(len(one.values)), [f"{value:g}" for value in one.values], fontsize=7)
        axes.set_xlabel("learning rate", fontsize=8)
        axes.set_ylabel(_NAMES[one.second], fontsize=8)
        axes.set_title(f"{one.agent}, {SIDE_NAMES[one.side]}", loc="left", fontsize=9)
    bar = figure.colorbar(image, ax=grid.ravel().tolist(), shrink=0.8)
    bar.set_label("share of the optimum (worst seed)", fontsize=8)
    return figure
