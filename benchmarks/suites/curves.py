"""``python -m benchmarks curves``: learning curves of our agents and Stable-Baselines3's, with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder
from benchmarks.contenders import ours, sb3
from benchmarks.contenders.sb3_options import for_sb3
from benchmarks.evaluation.world_scores import world_scores
from benchmarks.reports.curves import draw_curves, print_curves
from benchmarks.reports.figures import check_picture
from benchmarks.study import provenance
from benchmarks.study.learning_curves import Curve
from benchmarks.study.results import KeptError, keep, kept
from benchmarks.tasks.checks import check_counts, check_distinct
from benchmarks.tasks.worlds import REGIME, WORLDS, Recipe, recipe_of

PROGRAM = "python -m benchmarks curves"
SIDES = ("ours", "sb3")

DESCRIPTION = """\
Trains DQN, A2C and PPO, ours and Stable-Baselines3's, with the same hyperparameters and seeds: ours in one pass, SB3's
in a process per core. Evaluates the greedy policies repeatedly on the same episodes, and draws the interquartile mean
over seeds with its 95% interval, by steps and by seconds. Keeps each curve in FOLDER/ENV/ALGORITHM-SIDE.json
and does not train it again, so a long run can be done piece by piece."""


@dataclass(frozen=True)
class CurveSettings:
    """Options of ``python -m benchmarks curves``."""

    algorithms: tuple[Literal["DQN", "A2C", "PPO"], ...] = ("DQN", "A2C", "PPO")
    """Algorithms to train."""
    envs: tuple[Literal["CartPole-v1", "regime"], ...] = ("CartPole-v1", "regime")
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
    """Where curves are kept."""
    figure: Path | None = None
    """File of the picture; FOLDER/curves.png unless given."""
    docs: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw the picture of the documentation, docs/curves.png, with all algorithms and envs."""
    processes: int | None = None
    """Processes for Stable-Baselines3; one per core unless given."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    progress: bool = True
    """Show progress bars."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds", "points", "episodes", "processes"))
        if not 0.0 < self.budget_scale < math.inf:
            raise ValueError(f"budget_scale must be above 0 and finite, got {self.budget_scale}")
        check_distinct("algorithms", self.algorithms)
        check_distinct("envs", self.envs)
        if self.docs and (self.quick or {*self.algorithms} != {*REGIME} or {*self.envs} != {*WORLDS}):
            raise ValueError("docs must show all curves: leave out --algorithms, --envs and --quick")

    @property
    def figure_path(self) -> Path:
        """File of the picture."""
        return self.figure or (Path("docs") if self.docs else self.folder) / "curves.png"


def main(arguments: Sequence[str]) -> None:
    """Trains the missing curves, then draws and prints all requested ones."""
    settings = parse(list(arguments))
    with checking(PROGRAM):
        check_folder(settings.folder, "folder")
        check_picture(settings.figure_path, "figure")
    with refusing(PROGRAM, (KeptError,)):
        curves = {
            (env, algorithm, side): curve_of(settings, env, algorithm, side)
            for env in settings.envs
            for algorithm in settings.algorithms
            for side in SIDES
        }
    draw_curves(curves, WORLDS, settings.figure_path)
    print_curves(curves, settings.wide)
    print(printable(f"curves in {settings.folder}, drawn in {settings.figure_path}"))


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


def curve_of(settings: CurveSettings, env: str, algorithm: str, side: str) -> Curve:
    """The curve that an earlier run with the same setting kept, else a new one, which is kept."""
    recipe = recipe_of(env, algorithm, settings.budget_scale, settings.points)
    path = settings.folder / env / f"{algorithm}-{side}.json"
    setting = {
        "seeds": settings.seeds,
        "points": settings.points,
        "episodes": settings.episodes,
        "env": {"id": WORLDS[env].env_id, **WORLDS[env].keywords},
        "recipe": asdict(recipe),
    }
    found = kept(path, setting, ("curve",))
    if found is not None:
        curve = found["curve"]
        arrays = (np.array(curve[name]) for name in ("steps", "seconds", "scores"))
        return Curve(*arrays, curve["processes"], found.get("made"))
    curve = replace(train(settings, env, algorithm, side, recipe), made=provenance.made())
    values = {name: np.asarray(value).tolist() for name, value in vars(curve).items() if name != "made"}
    keep(path, setting, made=curve.made, curve=values)
    return curve


def train(settings: CurveSettings, env: str, algorithm: str, side: str, recipe: Recipe) -> Curve:
    """Trains all seeds: ours in one pass on one core, SB3's one at a time in a process per core."""
    shared: dict[str, Any] = {
        "n_envs": recipe.n_envs,
        "progress_bar": settings.progress,
        "judge": partial(world_scores, world=WORLDS[env], episodes=settings.episodes),
        "every": recipe.total_timesteps // settings.points,
    }
    task = (algorithm, WORLDS[env].spec(), settings.seeds, recipe.total_timesteps)
    if side == "ours":
        trained = ours.train(*task, **shared, **recipe.hyperparameters)
    else:
        options = for_sb3(algorithm, recipe.hyperparameters)
        trained = sb3.train(*task, processes=settings.processes, **shared, **options)
    assert trained.points is not None
    steps, seconds, scores = trained.points
    return Curve(steps, seconds, scores.T, trained.processes)
