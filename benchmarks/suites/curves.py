"""``python -m benchmarks curves``: learning curves of our agents and Stable-Baselines3's, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder
from benchmarks.reports.curves import draw_curves, print_curves
from benchmarks.reports.figures import check_picture
from benchmarks.study.checks import check
from benchmarks.study.engines.local import local
from benchmarks.study.engines.run import rows_of
from benchmarks.study.job import jobs_of
from benchmarks.study.learning_curves import curves_of
from benchmarks.study.suite import Suite
from benchmarks.suites.run import ERRORS, begin, finish, place_of
from benchmarks.tasks.checks import check_counts, check_distinct

PROGRAM = "python -m benchmarks curves"
ALGORITHMS = ("DQN", "A2C", "PPO")
ENVS = ("CartPole-v1", "regime")

DESCRIPTION = """\
Trains DQN, A2C and PPO, ours and Stable-Baselines3's, with the same hyperparameters and seeds: ours in one pass, SB3's
one by one. Evaluates the greedy policies repeatedly on the same episodes, and draws the interquartile mean over seeds
with its 95% interval, by steps and by seconds. It is the suite curves with other options: rows are kept in FOLDER/rows
and not trained again, so a long run can be done piece by piece."""


@dataclass(frozen=True)
class CurveSettings:
    """Options of ``python -m benchmarks curves``."""

    algorithms: tuple[Literal["DQN", "A2C", "PPO"], ...] = ALGORITHMS
    """Algorithms to train."""
    envs: tuple[Literal["CartPole-v1", "regime"], ...] = ENVS
    """Envs to train in; regime is reference/RegimeObserved-v0, whose optimum is known."""
    seeds: int = 10
    """Seeds 0..n-1 of each."""
    budget_scale: float = 1.0
    """Multiplies the steps of every training."""
    points: int = 25
    """Evaluations during each training, after that of the untrained agent."""
    episodes: int = 10
    """Episodes per evaluation, the same for every agent."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """2 seeds, 1% of the steps and 3 evaluations, to show that everything works."""
    folder: Path = Path("results/curves")
    """Where rows are kept."""
    figure: Path | None = None
    """File of the picture; FOLDER/curves.png unless given."""
    docs: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw the picture of the documentation, docs/curves.png, with all algorithms and envs."""
    processes: int | None = None
    """Processes; one per core unless given."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    progress: bool = True
    """Print a line for each job."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds", "points", "episodes", "processes"))
        if not 0.0 < self.budget_scale < math.inf:
            raise ValueError(f"budget_scale must be above 0 and finite, got {self.budget_scale}")
        check_distinct("algorithms", self.algorithms)
        check_distinct("envs", self.envs)
        if self.docs and (self.quick or {*self.algorithms} != {*ALGORITHMS} or {*self.envs} != {*ENVS}):
            raise ValueError("docs must show all curves: leave out --algorithms, --envs and --quick")

    @property
    def figure_path(self) -> Path:
        """File of the picture."""
        return self.figure or (Path("docs") if self.docs else self.folder) / "curves.png"

    def suite(self) -> Suite:
        """The suite ``curves`` with these options."""
        whole = Suite.read("curves")
        chosen = [
            replace(one, steps=max(round(one.steps * self.budget_scale), self.points))
            for one in whole.contenders
            if (one.agent or one.sb3) in self.algorithms and set(one.tasks or ()) <= set(self.envs)
        ]
        counts = {"seeds": self.seeds, "points": self.points, "episodes": self.episodes}
        name = self.folder.resolve().name
        return replace(whole, name=name, tasks=self.envs, contenders=tuple(chosen), **counts)


def main(arguments: Sequence[str]) -> int:
    """Trains what is missing, then draws and prints all requested curves; 1 if a job failed."""
    settings = parse(list(arguments))
    with checking(PROGRAM):
        check_folder(settings.folder, "folder")
        suite = settings.suite()
        place, jobs = place_of(suite, settings.folder.resolve().parent), list(jobs_of(suite))
        refuse_old(settings.folder)
        check_picture(settings.figure_path, "figure")
        check(suite)
        begin(suite, place, jobs)
    with refusing(PROGRAM, ERRORS):
        code = finish(jobs, place, local(settings.processes), settings.progress)
        curves = curves_of(rows_of(jobs, place))
    if curves:
        draw_curves(curves, settings.figure_path)
        print_curves(curves, settings.wide)
        print(printable(f"rows in {settings.folder}, drawn in {settings.figure_path}"))
    return code


def refuse_old(folder: Path) -> None:
    """Raises ValueError if the folder holds curves of earlier versions, which were kept in another form."""
    old = sorted(path for side in ("ours", "sb3") for path in folder.glob(f"*/*-{side}.json"))
    if old:
        raise ValueError(
            f"folder {str(folder)!r} has curves of an earlier version, such as {old[0].relative_to(folder)}: "
            "they cannot be read, remove them or give another --folder"
        )


QUICK: dict[str, Any] = {
    "seeds": 2,
    "budget_scale": 0.01,
    "points": 3,
    "episodes": 2,
    "folder": Path("results/curves-quick"),
}


def parse(arguments: list[str]) -> CurveSettings:
    """The settings of this command line; ``--quick`` changes the defaults of the others."""
    default = CurveSettings(**QUICK) if "--quick" in arguments else CurveSettings()
    found: CurveSettings = commands.parse(PROGRAM, CurveSettings, arguments, default=default, description=DESCRIPTION)
    return found
