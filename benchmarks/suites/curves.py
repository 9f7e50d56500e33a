"""``python -m benchmarks curves``: learning curves of our agents and Stable-Baselines3's, with intervals over seeds.

Axis letters: S seeds, P points of a curve, B bootstrap samples.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import tyro
from gymnasium.envs.registration import EnvSpec

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder
from benchmarks.contenders import sb3
from benchmarks.evaluation.warm_up import warm_up
from benchmarks.reports import figures
from benchmarks.reports import table as tables
from benchmarks.reports.compare import KeptError, read_kept, write_whole
from benchmarks.statistics.intervals import bootstrap_iqm, iqm
from benchmarks.study import provenance
from benchmarks.tasks.checks import check_counts, check_distinct

Floats = npt.NDArray[np.float64]
PROGRAM = "python -m benchmarks curves"
SIDES = ("ours", "sb3")
EVALUATION_SEED = 10_000  # of the first evaluation episode, the same for every agent

DESCRIPTION = """\
Trains DQN, A2C and PPO, ours and Stable-Baselines3's, with the same hyperparameters and seeds: ours in one pass, SB3's
in a process per core. Evaluates greedily on the same episodes again and again, and draws the interquartile mean over
seeds with its 95% bootstrap interval, by steps and by seconds. Each curve is kept in FOLDER/ENV, ALGORITHM-SIDE.json,
and what is there is not trained again, so that a long run can be done piece by piece."""


@dataclass(frozen=True)
class World:
    """An env to learn in.

    Attributes:
        env_id: its id.
        keywords: of the env.
        threshold: score that counts as solved.
        unit: of the score.
        optimal: whether scores are divided by the optimal policy's return on the same episodes.
    """

    env_id: str
    keywords: Mapping[str, Any]
    threshold: float
    unit: str
    optimal: bool = False

    def spec(self) -> EnvSpec:
        """What copies are made from."""
        found = gym.make(self.env_id, **self.keywords).spec
        assert found is not None
        return found


WORLDS = {
    "CartPole-v1": World("CartPole-v1", {}, 475.0, "return"),
    "regime": World(
        "trading_env:reference/RegimeObserved-v0",
        {"stay": 0.95, "step": 0.005, "sigma": 0.01, "episode_length": 200},
        0.95,
        "return / optimum",
        optimal=True,
    ),
}


@dataclass(frozen=True)
class Recipe:
    """Steps, envs per seed, and hyperparameters, the same for both sides; those not named are the agents' defaults."""

    total_timesteps: int
    n_envs: int
    hyperparameters: Mapping[str, Any]


REGIME: dict[str, Recipe] = {
    "DQN": Recipe(
        20_000,
        1,
        {
            "learning_rate": "lin_1e-3",
            "gamma": 0.9,
            "batch_size": 64,
            "learning_starts": 500,
            "train_freq": 1,
            "target_update_interval": 200,
            "exploration_fraction": 0.5,
        },
    ),
    "A2C": Recipe(8_000, 8, {"learning_rate": "lin_1e-3", "gamma": 0.9, "normalize_advantage": True}),
    "PPO": Recipe(
        8_000,
        8,
        {"learning_rate": "lin_1e-3", "n_steps": 32, "batch_size": 64, "gamma": 0.9, "gae_lambda": 0.9},
    ),
}


CARTPOLE: dict[str, dict[str, Any]] = {
    "DQN": {"learning_rate": "lin_2e-3", "n_steps": 1, "gradient_steps": 1, "exploration_final_eps": 0.1},
}
"""What differs from the preset: plain one-step DQN, half the updates."""
MOST_STEPS = 100_000  # in CartPole, where A2C's preset has 500,000: --budget-scale 5


@dataclass(frozen=True)
class CurveSettings:
    """Options of ``python -m benchmarks curves``."""

    algorithms: tuple[Literal["DQN", "A2C", "PPO"], ...] = ("DQN", "A2C", "PPO")
    """What to train."""
    envs: tuple[Literal["CartPole-v1", "regime"], ...] = ("CartPole-v1", "regime")
    """What to train in: regime is reference/RegimeObserved-v0, whose optimum is known."""
    seeds: int = 10
    """Seeds 0..n-1 of each."""
    budget_scale: float = 1.0
    """Multiplies the steps of every training."""
    points: int = 25
    """Evaluations of each training, after the one of the untrained agent."""
    episodes: int = 10
    """Episodes of an evaluation, the same ones for every agent."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """2 seeds, 1% of the steps, 3 evaluations, drawn in FOLDER: shows that everything runs."""
    folder: Path = Path("results/curves")
    """Where curves are kept."""
    figure: Path | None = None
    """Where the picture goes; FOLDER/curves.png unless given."""
    docs: tyro.conf.FlagCreatePairsOff[bool] = False
    """Draw the project's own picture, docs/curves.png: of all algorithms and envs."""
    processes: int | None = None
    """Processes for Stable-Baselines3; one per core unless given."""
    progress: bool = True
    """Whether to show progress bars."""

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
        """Where the picture goes."""
        return self.figure or (Path("docs") if self.docs else self.folder) / "curves.png"


@dataclass(frozen=True)
class Curve:
    """How an algorithm of one side learnt.

    Attributes:
        steps: that each seed had taken at each point [P].
        seconds: that all seeds together had trained, on all the processes used [P].
        scores: [S, P].
        processes: that ran side by side.
        made: at which commit, with which versions and processor; None where that was not kept.
    """

    steps: Floats
    seconds: Floats
    scores: Floats
    processes: int
    made: Mapping[str, Any] | None = None

    def middle(self) -> Floats:
        """Interquartile mean over seeds [P]."""
        return iqm(self.scores)

    def interval(self) -> Floats:
        """Its 95% interval [2, P]."""
        bounds: Floats = np.quantile(bootstrap_iqm(self.scores), [0.025, 0.975], axis=0)
        return bounds

    def reached(self, threshold: float) -> tuple[float, float] | None:
        """Steps and seconds of the point from which on the interquartile mean is that high; None without one."""
        below = np.flatnonzero(self.middle() < threshold)
        point = below[-1] + 1 if below.size else 0
        return (float(self.steps[point]), float(self.seconds[point])) if point < len(self.steps) else None


Curves = dict[tuple[str, str, str], Curve]
"""By env, algorithm and side."""


def main(arguments: Sequence[str]) -> None:
    """Trains what is missing, then draws and prints all that was asked for."""
    settings = parse(list(arguments))
    with checking(PROGRAM):
        check_folder(settings.folder, "folder")
        figures.check_picture(settings.figure_path, "figure")
    with refusing(PROGRAM, (KeptError,)):
        curves = {
            (env, algorithm, side): curve_of(settings, env, algorithm, side)
            for env in settings.envs
            for algorithm in settings.algorithms
            for side in SIDES
        }
    figures.learning_curves(curves, WORLDS, settings.figure_path)
    print_curves(curves)
    print(printable(f"curves in {settings.folder}, drawn in {settings.figure_path}"))


QUICK: dict[str, Any] = {
    "seeds": 2,
    "budget_scale": 0.01,
    "points": 3,
    "episodes": 2,
    "folder": Path("results/curves-quick"),
}


def parse(arguments: list[str]) -> CurveSettings:
    """The settings that the command line asks for; ``--quick`` changes the defaults of the others."""
    default = CurveSettings(**QUICK) if "--quick" in arguments else CurveSettings()
    found: CurveSettings = commands.parse(PROGRAM, CurveSettings, arguments, default=default, description=DESCRIPTION)
    return found


# -- training ----------------------------------------------------------------------------------------------------


def curve_of(settings: CurveSettings, env: str, algorithm: str, side: str) -> Curve:
    """The curve kept by an earlier run with the same setting, else a new one, which is kept."""
    recipe = recipe_of(settings, env, algorithm)
    path = settings.folder / env / f"{algorithm}-{side}.json"
    setting = {
        "seeds": settings.seeds,
        "points": settings.points,
        "episodes": settings.episodes,
        "env": {"id": WORLDS[env].env_id, **WORLDS[env].keywords},
        "recipe": json.loads(json.dumps(asdict(recipe))),
    }
    if path.exists():
        kept = read_kept(path, ("setting", "curve"))
        if kept["setting"] == setting:
            curve = kept["curve"]
            found = (np.array(curve[name]) for name in ("steps", "seconds", "scores"))
            return Curve(*found, curve["processes"], kept.get("made"))
    curve = (train_ours if side == "ours" else train_sb3)(settings, env, algorithm, recipe)
    curve = replace(curve, made=provenance.made())
    values = {name: np.asarray(value).tolist() for name, value in vars(curve).items() if name != "made"}
    kept = {"setting": setting, "made": curve.made, "curve": values}
    text = json.dumps(kept, indent=1, allow_nan=False)
    write_whole(text + "\n", path)
    return curve


def recipe_of(settings: CurveSettings, env: str, algorithm: str) -> Recipe:
    """What both sides train with: all of the hyperparameters, by our names."""
    if env == "regime":
        recipe = REGIME[algorithm]
        steps, n_envs = recipe.total_timesteps, recipe.n_envs
        config = our_class(algorithm).Config(**recipe.hyperparameters)
    else:
        steps, config, n_envs = import_module(f"agents.{algorithm.lower()}").PRESETS[env]
        steps, config = min(steps, MOST_STEPS), replace(config, **CARTPOLE.get(algorithm, {}))
    return Recipe(max(round(steps * settings.budget_scale), settings.points), n_envs, asdict(config))


def train_ours(settings: CurveSettings, env: str, algorithm: str, recipe: Recipe) -> Curve:
    """All seeds in one pass, on one core."""
    options = {"seeds": settings.seeds, "n_envs": recipe.n_envs, "device": "cpu", **recipe.hyperparameters}
    agent = our_class(algorithm)(WORLDS[env].spec(), **options)
    judge = partial(scores, world=WORLDS[env], episodes=settings.episodes, runs=settings.seeds)
    marking = sb3.Marking(judge, recipe.total_timesteps // settings.points, recipe.total_timesteps)
    warm_up(our_class(algorithm), WORLDS[env].spec(), recipe.n_envs, **recipe.hyperparameters)
    marking.mark(agent)
    agent.learn(recipe.total_timesteps, marking.tick, progress_bar=settings.progress)
    marking.mark(agent)
    steps, seconds, marks = (np.array(column) for column in zip(*marking.marks, strict=True))
    return Curve(steps, seconds, marks.T, 1)


def train_sb3(settings: CurveSettings, env: str, algorithm: str, recipe: Recipe) -> Curve:
    """A process per core, a seed at a time in each. The seconds are those of all seeds over the processes."""
    trained = sb3.train(
        algorithm,
        WORLDS[env].spec(),
        settings.seeds,
        recipe.total_timesteps,
        n_envs=recipe.n_envs,
        processes=settings.processes,
        progress_bar=settings.progress,
        judge=partial(score, world=WORLDS[env], episodes=settings.episodes),
        every=recipe.total_timesteps // settings.points,
        **for_sb3(algorithm, recipe.hyperparameters),
    )
    marks = np.array(trained.marks, np.float64)  # [S, P, 3]
    seconds = marks[:, :, 1].sum(0) / trained.processes
    return Curve(marks[0, :, 0], seconds, marks[:, :, 2], trained.processes)


def our_class(algorithm: str) -> Any:
    """The agent of that name."""
    return getattr(import_module(f"agents.{algorithm.lower()}"), algorithm)


@dataclass(frozen=True)
class Linear:
    """A schedule of Stable-Baselines3, linear to zero, that goes to other processes."""

    start: float

    def __call__(self, remaining: float) -> float:
        """The value where that part of training remains."""
        return self.start * remaining


def for_sb3(algorithm: str, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """All of our hyperparameters by SB3's names.

    Raises:
        ValueError: one that SB3 lacks is not at its default.
    """
    from torch import nn

    options = dict(hyperparameters)
    policy: dict[str, Any] = {"net_arch": list(options.pop("net_arch"))}
    if algorithm == "DQN":
        policy["optimizer_kwargs"] = {"eps": options.pop("adam_eps")}
    else:
        policy["activation_fn"] = {"tanh": nn.Tanh, "relu": nn.ReLU}[options.pop("activation")]
        policy["log_std_init"] = options.pop("log_std_init")
    known = inspect.signature(sb3.algorithm_class(algorithm)).parameters
    default = asdict(our_class(algorithm).Config())
    for name in [name for name in options if name not in known]:
        if options.pop(name) != default[name]:
            raise ValueError(f"{name} must be {default[name]!r}: Stable-Baselines3 has no such option")
    for name in ("learning_rate", "clip_range"):
        if isinstance(options.get(name), str):
            options[name] = Linear(float(options[name].removeprefix("lin_")))
    return {**options, "policy_kwargs": policy}


# -- evaluation --------------------------------------------------------------------------------------------------


def score(policy: Any, world: World, episodes: int) -> float:
    """Mean score of one model's greedy episodes."""
    return float(scores(policy, world, episodes, 1)[0])


def scores(policy: Any, world: World, episodes: int, runs: int) -> Floats:
    """Mean scores [S] of greedy episodes, the same ones for every seed, policy and side."""
    result = returns(policy, world, episodes, runs).mean(1)
    if world.optimal:
        env: Any = gym.make(world.env_id, **world.keywords).unwrapped
        result = result / returns(env.optimal_policy(), world, episodes, 1).mean()
    return result


def returns(policy: Any, world: World, episodes: int, runs: int) -> Floats:
    """Undiscounted returns [S, episodes]."""
    spec = world.spec()
    mode = "sync" if spec.max_episode_steps else "vector_entry_point"  # CartPole's own has one stream for all
    envs = gym.make_vec(spec, runs * episodes, mode)
    obs, _ = envs.reset(seed=[EVALUATION_SEED + e for _ in range(runs) for e in range(episodes)])
    total, running = np.zeros(runs * episodes), np.ones(runs * episodes, np.bool_)
    lead = (runs, episodes) if runs > 1 else (episodes,)
    while running.any():
        action, _ = policy.predict(obs.reshape(*lead, *obs.shape[1:]), deterministic=True)
        obs, reward, terminated, truncated, _ = envs.step(np.asarray(action).reshape(-1))
        total[running] += reward[running]
        running &= ~(terminated | truncated)
    envs.close()
    return total.reshape(runs, episodes)


# -- the table ---------------------------------------------------------------------------------------------------


def print_curves(curves: Curves) -> None:
    """Prints the last point of each curve and when it reached the threshold, and what sets the two sides apart."""
    console = tables.console_of()
    numbers = ("seeds", "final", "95%", "less SB3's\n95%", "threshold", "steps to it", "seconds", "of")
    title = "Interquartile mean over seeds, with its 95% interval"
    table = tables.Columns(title, ("env", "algorithm", "side"), numbers)
    for (env, algorithm, side), curve in curves.items():
        final, interval, *others = _cells(curve, WORLDS[env].threshold)
        peer = curves.get((env, algorithm, "sb3")) if side != "sb3" else None
        less = "" if peer is None else _ends(*difference(curve, peer), WORLDS[env].threshold)
        names = [env, algorithm, figures.SIDE_NAMES.get(side, side)]
        table.rows.append([*names, str(len(curve.scores)), final, interval, less, *others])
    tables.show(table, console)
    worlds = dict.fromkeys(key[0] for key in curves)
    tables.say(
        (f"{env}: score is {WORLDS[env].unit}, greedy, on the same episodes for all." for env in worlds), console
    )
    tables.say(NOTES, console)
    tables.say(
        (f"Made at {words}." for words in dict.fromkeys(provenance.in_words(one.made) for one in curves.values())),
        console,
    )


def difference(one: Curve, other: Curve) -> tuple[float, float]:
    """A 95% interval of one curve's last interquartile mean less the other's; seeds are drawn on either side."""
    drawn = bootstrap_iqm(one.scores[:, -1], seed=0) - bootstrap_iqm(other.scores[:, -1], seed=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


NOTES = (
    "Less SB3's: the interval of the difference of both at the end; where it holds 0, no difference is shown.",
    "Seconds to the threshold and in all, of all seeds: ours on one core, SB3's on all; without evaluations.",
)


def _ends(low: float, high: float, threshold: float) -> str:
    digits = 1 if threshold > 10.0 else 3
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _cells(curve: Curve, threshold: float) -> list[str]:
    """Final score, interval, threshold, steps and seconds to it, and seconds in all."""
    low, high = curve.interval()[:, -1]
    digits = 1 if threshold > 10.0 else 3
    score, interval = f"{curve.middle()[-1]:.{digits}f}", _ends(low, high, threshold)
    reached = curve.reached(threshold)
    when = ["never", "never"] if reached is None else [f"{reached[0]:,.0f}", f"{reached[1]:,.1f}"]
    return [score, interval, f"{threshold:g}", *when, f"{curve.seconds[-1]:,.1f}"]
