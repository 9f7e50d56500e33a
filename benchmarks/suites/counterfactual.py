"""``python -m benchmarks counterfactual``: the steps saved by learning from the actions not taken.

The market does not react to one trader, so the outcome of every action can be computed. Two agents with the same seeds,
network and hyperparameters are trained: DQN learns from the outcomes of the actions taken, CounterfactualDQN from those
of all actions. At each budget both are scored on an unseen market.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from agents.base.commands import checking, parse, refusing
from benchmarks.contenders.named import Contender
from benchmarks.evaluation.world_scores import world_scores
from benchmarks.reports import table as tables
from benchmarks.statistics.intervals import first_point_that_stays
from benchmarks.study import provenance
from benchmarks.study.checks import check
from benchmarks.study.engines.local import local
from benchmarks.study.engines.run import rows_of
from benchmarks.study.job import jobs_of
from benchmarks.study.learning_curves import Curve, Curves, curves_of
from benchmarks.study.suite import Suite
from benchmarks.suites.run import ERRORS, begin, finish, place_of
from benchmarks.tasks.checks import check_counts
from benchmarks.tasks.worlds import WORLDS
from trading_env.envs.acting.policies import Policy

PROGRAM = "python -m benchmarks counterfactual"
DESCRIPTION = """\
Trains DQN and CounterfactualDQN on two simulated markets, and prints for each market the steps per seed after which
the median seed reaches 95% of the target score. Scores are log growth per bar on an unseen path. Rows are kept in
FOLDER/NAME/rows and not trained again."""
PLAIN, FULL = "DQN", "CounterfactualDQN"


@dataclass(frozen=True)
class CounterfactualSettings:
    """Options of ``python -m benchmarks counterfactual``."""

    seeds: int = 10
    """Number of training seeds."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """A run of a few seconds that shows that everything works; its numbers mean little."""
    folder: Path = Path("results")
    """Where rows are kept."""
    processes: int | None = None
    """Processes; one per core unless given."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    progress: bool = True
    """Print a line for each job."""

    def __post_init__(self) -> None:
        check_counts(self, ["seeds", "processes"])

    def suite(self) -> Suite:
        """Both agents on each task."""
        agents = [_agent(name, case, self.quick) for case in CASES for name in (PLAIN, FULL)]
        tasks, name = tuple(case.task for case in CASES), "counterfactual-quick" if self.quick else "counterfactual"
        points = 2 if self.quick else POINTS
        return Suite(name=name, tasks=tasks, contenders=tuple(agents), seeds=self.seeds, points=points)


@dataclass(frozen=True)
class Case:
    """A task to compare both agents on.

    Attributes:
        task: of `benchmarks.tasks.worlds.WORLDS`.
        steps: of each seed.
        learning_rate: of both agents.
        optimal: the optimal policy; None aims at the best score of either agent.
    """

    task: str
    steps: int
    learning_rate: float | str
    optimal: Policy | None


class FollowsState:
    """The optimal policy of the observed regime market: long while the state is positive, else flat."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions (K,) for observations (K, 1)."""
        return (observation[:, 0] > 0).astype(np.int64), state


POINTS = 24
CASES = (
    Case("regime, observed", 6_000, 1e-3, FollowsState()),
    Case("Ornstein-Uhlenbeck", 8_000, "lin_1e-3", None),
)
DQN_OPTIONS: dict[str, Any] = {
    "batch_size": 32,
    "learning_starts": 100,
    "train_freq": 1,
    "gamma": 0.9,
    "target_update_interval": 200,
    "exploration_final_eps": 0.1,
    "exploration_fraction": 0.2,
}


def _agent(name: str, case: Case, quick: bool) -> Contender:
    options = {**DQN_OPTIONS, "learning_rate": case.learning_rate}
    return Contender(agent=name, tasks=(case.task,), steps=400 if quick else case.steps, hyperparameters=options)


def target(case: Case, curves: Sequence[Curve]) -> float:
    """The score aimed at: the optimum, or the best median of the curves."""
    if case.optimal is not None:
        return float(world_scores(case.optimal, WORLDS[case.task], 1, 1)[0])
    return max(float(np.median(curve.scores, axis=0).max()) for curve in curves)


def steps_to(curve: Curve, aim: float, fraction: float = 0.95) -> int | None:
    """The steps from which on the median seed stays at this fraction of the aim; None if never."""
    point = first_point_that_stays(np.median(curve.scores, axis=0), fraction * aim)
    return None if point is None else int(curve.steps[point])


def table(curves: Curves) -> tables.Columns:
    """The table of steps to 95% of the target score, and their ratio."""
    numbers = ("aim", "score", "DQN", "counterfactual", "ratio")
    shown = tables.Columns("Steps per seed to 95%", ["market"], numbers)
    for case in CASES:
        pair = [curves[case.task, name, "ours"] for name in (PLAIN, FULL)]
        aim = target(case, pair)
        plain, full = (steps_to(curve, aim) for curve in pair)
        budgets = ["never" if steps is None else f"{steps:,}" for steps in (plain, full)]
        ratio = f"{plain / full:.1f}" if plain is not None and full else "-"
        what = "best score" if case.optimal is None else "optimum"
        shown.rows.append([case.task, what, f"{1e4 * aim:.2f} bp", *budgets, ratio])
    return shown


def main(arguments: Sequence[str]) -> int:
    """Runs the experiment that the command line describes; 1 if a job failed."""
    settings = parse(PROGRAM, CounterfactualSettings, arguments, description=DESCRIPTION)
    with checking(PROGRAM):
        suite = settings.suite()
        check(suite)
        place, jobs = place_of(suite, settings.folder), list(jobs_of(suite))
        begin(suite, place, jobs)
    with refusing(PROGRAM, ERRORS):
        if code := finish(jobs, place, local(settings.processes), settings.progress):
            return code
        curves = curves_of(rows_of(jobs, place))
    console = tables.console_of()
    tables.show(table(curves), console, settings.wide)
    spacing = " and ".join(dict.fromkeys(f"{int(curve.steps[1]):,}" for curve in curves.values()))
    lines = [f"median of {settings.seeds} seeds, scored every {spacing} steps"]
    tables.say([*lines, f"made at {provenance.in_words(next(iter(curves.values())).made)}"], console)
    return 0
