"""Scores over a grid of two hyperparameters: how much of a result depends on their choice. X rates, Y values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, get_args

import numpy as np

from benchmarks.statistics.intervals import Floats
from benchmarks.study.certificates.certified import Certificate
from benchmarks.tasks.entries import ENTRIES
from benchmarks.tasks.problems import Entry

Side = Literal["ours", "sb3"]
PROBLEM = "regime"
SECOND = {"DQN": "batch_size", "PPO": "ent_coef"}
"""By agent: the hyperparameter beside the learning rate."""


@dataclass(frozen=True)
class Grid:
    """The grid of an agent; other hyperparameters are those of Stable-Baselines3's entry, for both sides.

    Attributes:
        agent: a key of `SECOND`.
        rates: learning rates, which fall to zero linearly [X].
        values: of the second hyperparameter [Y].
        steps: per seed.
    """

    agent: str
    rates: tuple[float, ...]
    values: tuple[float, ...]
    steps: int

    @property
    def second(self) -> str:
        """Name of the second hyperparameter."""
        return SECOND[self.agent]

    def entry(self, side: Side, rate: float, value: float) -> Entry:
        """The agent of one side at a point of the grid."""
        base = next(one for one in ENTRIES if (one.problem, one.agent, one.side) == (PROBLEM, self.agent, "sb3"))
        chosen = {"learning_rate": f"lin_{rate:g}", self.second: int(value) if self.agent == "DQN" else value}
        return replace(
            base,
            side=side,
            total_timesteps=self.steps,
            hyperparameters={**base.hyperparameters, **chosen},
            goal=None,
            note=f"rate {rate:g}, {self.second} {value:g}",
        )

    def entries(self) -> Iterator[Entry]:
        """All points, of both sides."""
        for side in get_args(Side):
            for rate in self.rates:
                for value in self.values:
                    yield self.entry(side, rate, value)


class Surface(NamedTuple):
    """The scores of one side over a grid; NaN where there is none yet."""

    agent: str
    side: Side
    second: str
    rates: tuple[float, ...]
    values: tuple[float, ...]
    score: Floats  # [X, Y], mean over seeds
    worst: Floats  # [X, Y], of the worst seed


def surfaces(grids: Sequence[Grid], certificates: Sequence[Certificate]) -> list[Surface]:
    """The scores of both sides over each grid."""
    kept = {one.entry.name: one for one in certificates}
    found = []
    for grid in grids:
        for side in get_args(Side):
            score, worst = (np.full((len(grid.rates), len(grid.values)), np.nan) for _ in range(2))
            for x, rate in enumerate(grid.rates):
                for y, value in enumerate(grid.values):
                    one = kept.get(grid.entry(side, rate, value).name)
                    if one is not None:
                        score[x, y], worst[x, y] = one.score, one.worst
            found.append(Surface(grid.agent, side, grid.second, grid.rates, grid.values, score, worst))
    return found
