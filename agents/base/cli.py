"""Training in any env from the shell, and a table of the returns: `python -m agents.dqn --help`."""

import inspect
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from agents.base.agent import Preset, SeedAgent
from agents.base.callbacks import Checkpoint
from agents.base.calls import Callback
from agents.base.commands import output, parse, printable, refusing
from agents.base.evaluation import evaluate
from agents.common.checkpoints import check_writable
from agents.common.checks import check_int
from agents.common.extras import naming_extra
from agents.common.files import check_folder
from agents.common.processes import check_processes
from agents.common.schedules import Schedule

with naming_extra("the command line"):
    import tyro
    from rich.console import Console
    from rich.table import Table

Presets = Mapping[str, Preset | tuple[int, Any]]


@dataclass(frozen=True)
class Training:
    """Where and how long to train, and what to do afterwards."""

    env: str
    """Env id, such as CartPole-v1 or module:Env-v0."""
    total_timesteps: int = 50_000
    """Steps per seed."""
    seeds: tuple[int, ...] = (1,)
    """One number n: seeds 0..n-1. Several numbers: these seeds."""
    n_envs: int = 1
    """Envs per seed."""
    processes: int | Literal["auto"] = 1
    """Over how many processes to spread the seeds; auto: one per core."""
    device: str = "auto"
    """auto, cpu, cuda."""
    network: str | None = None
    """Function that makes the network, module:function, in place of the one of net_arch."""
    eval_episodes: int = 100
    """Greedy episodes per seed at the end; 0 for none."""
    save: Path | None = None
    """File to write the trained agent to."""
    checkpoint: Path | None = None
    """File from which a killed run can be continued: repeat the command with --resume."""
    checkpoint_every: int = 10_000
    """Steps per seed between checkpoints."""
    resume: bool = False
    """Continue from the checkpoint if there is one, and end with the weights of an uninterrupted run."""
    tensorboard_log: Path | None = None
    """Folder for TensorBoard."""
    verbose: int = 0
    """1 prints a line per 1,000 steps."""
    progress_bar: bool = True
    """Whether to show a progress bar."""


def main(algorithm: type[SeedAgent], presets: Presets, arguments: Sequence[str] | None = None) -> None:
    """Trains, evaluates and saves as the command line asks.

    Hyperparameters that it leaves out are those of the env's preset if there is one, else the algorithm's defaults.
    """
    with output():
        _run(algorithm, presets, sys.argv[1:] if arguments is None else arguments)


def _run(algorithm: type[SeedAgent], presets: Presets, arguments: Sequence[str]) -> None:
    training, config = _parse(algorithm, presets, arguments)
    with ExitStack() as held:
        with refusing(_program(algorithm)):
            checkpoint = _checked(training)
            agent = _fresh(algorithm, training, config)
            if checkpoint is not None:
                held.enter_context(checkpoint.during_training())
            started = checkpoint is not None and checkpoint.path.exists()
            if checkpoint is not None and started:
                agent = _checkpointed(agent, checkpoint, training)
        done, pace = agent.num_timesteps, Pace()
        callbacks: list[Callback] = [pace] if checkpoint is None else [pace, checkpoint]
        how: Any = {"callback": callbacks, "progress_bar": training.progress_bar, "processes": training.processes}
        if started:
            print(f"goes on after step {done:,} of {agent.goal:,}")
            agent.resume(**how)
        else:
            agent.learn(training.total_timesteps, **how)
    seconds, rate = pace.measured(agent)
    written = training.save is None or _saved(agent, training.save)  # before anything is printed, see `output`
    steps = len(agent) * (agent.num_timesteps - done)
    print(f"{steps:,} steps of {len(agent)} seeds in {seconds:.0f} s, the later half at {rate:,.0f} per second")
    if training.eval_episodes:
        _show(agent.seeds, evaluate(agent, training.env, training.eval_episodes))
    if not written:
        raise SystemExit(1)


class Pace:
    """A callback that measures the speed of the later half of training, in which nothing is compiled any more."""

    def __init__(self) -> None:
        self._start = self._half = time.perf_counter()
        self._first: int | None = None  # the step that the later half begins with
        self._middle: float | None = None

    def next_call(self, agent: SeedAgent) -> int:
        """Timesteps at which it wants to be called, where that is not after each step."""
        self._middle = self._middle or (agent.num_timesteps + agent.goal) / 2
        return math.ceil(self._middle) if self._first is None else agent.goal

    def __call__(self, agent: SeedAgent) -> None:
        """Notes the time when half of the steps to the goal are taken."""
        self._middle = self._middle or (agent.num_timesteps + agent.goal) / 2
        if self._first is None and agent.num_timesteps >= self._middle:
            self._first, self._half = agent.num_timesteps, time.perf_counter()

    def measured(self, agent: SeedAgent) -> tuple[float, float]:
        """Seconds in all, and steps of all seeds per second in the later half; NaN if that has no steps."""
        now = time.perf_counter()
        steps = 0 if self._first is None else len(agent) * (agent.num_timesteps - self._first)
        return now - self._start, steps / (now - self._half) if steps else math.nan


def _saved(agent: SeedAgent, path: Path) -> bool:
    """True if the agent was written; prints why if not, so that its evaluation can still be shown."""
    try:
        agent.save(path)
    except OSError as error:
        print(printable(f"{path} could not be written: {error}"), file=sys.stderr)
        return False
    return True


def _checked(training: Training) -> Checkpoint | None:
    """The checkpoint callback, if one is asked for; raises now for mistakes that would only show after training."""
    check_int("total_timesteps", training.total_timesteps, 1)
    check_int("eval_episodes", training.eval_episodes, 0)
    check_processes(training.processes)
    checkpoint = None if training.checkpoint is None else Checkpoint(training.checkpoint, training.checkpoint_every)
    if training.resume and checkpoint is None:
        raise ValueError("--resume needs --checkpoint, the file to go on from")
    if checkpoint is not None and checkpoint.path.exists() and not training.resume:
        raise ValueError(f"checkpoint {checkpoint.path} exists: go on from it with --resume, or remove it")
    for name in ("save", "checkpoint"):
        if (path := getattr(training, name)) is not None:
            check_writable(path, name)
    if training.tensorboard_log is not None:
        check_folder(training.tensorboard_log, "tensorboard_log")
    return checkpoint


def _fresh(algorithm: type[SeedAgent], training: Training, config: Any) -> SeedAgent:
    """A new agent."""
    if not training.seeds:
        raise ValueError("seeds must be at least one number, got none")
    try:
        return algorithm(
            training.env,
            seeds=training.seeds if len(training.seeds) > 1 else training.seeds[0],
            n_envs=training.n_envs,
            device=training.device,
            network=training.network,
            verbose=training.verbose,
            tensorboard_log=training.tensorboard_log,
            **{option.name: getattr(config, option.name) for option in fields(config)},
        )
    except (gym.error.Error, ImportError) as error:
        raise ValueError(f"env {training.env!r}: {error}") from error


def _checkpointed(fresh: SeedAgent, checkpoint: Checkpoint, training: Training) -> SeedAgent:
    """The agent in the checkpoint, to be resumed; ValueError if the command line asks for another run."""
    agent = type(fresh).load(checkpoint.path, env=training.env, device=training.device, network=training.network)
    agent.verbose, agent.tensorboard_log = fresh.verbose, fresh.tensorboard_log
    asked = (fresh.config, fresh.seeds, fresh.n_envs, training.total_timesteps)
    stored = (agent.config, agent.seeds, agent.n_envs, agent.total_timesteps)
    for name, ours, theirs in zip(("config", "seeds", "n_envs", "total_timesteps"), asked, stored, strict=True):
        if ours != theirs:
            raise ValueError(f"checkpoint {checkpoint.path} is of another run: its {name} is {theirs}, not {ours}")
    return agent


def _parse(algorithm: type[SeedAgent], presets: Presets, arguments: Sequence[str]) -> tuple[Training, Any]:
    """The training and the algorithm's configuration given by the arguments."""
    known = " ".join(presets) or "none"
    name = algorithm.__name__
    description = f"Train {name} from scratch, several seeds at once. Envs with tuned defaults: {known}."
    words = [word.removeprefix("--env=") for word in arguments]
    found = next((presets[word] for word in words if word in presets), None)
    preset = Preset(*(found or (Training.total_timesteps, algorithm.Config())))
    training = Training(tyro.MISSING, total_timesteps=preset.total_timesteps, n_envs=preset.n_envs)
    flat: Any = tyro.conf.OmitArgPrefixes
    options = make_dataclass(
        "Options",
        [
            ("training", flat[Training], field(default=training)),
            ("config", flat[algorithm.Config], field(default=preset.config)),
        ],
    )
    parsed: Any = parse(_program(algorithm), options, arguments, description=description, registry=_registry())
    return parsed.training, parsed.config


def _program(algorithm: type[SeedAgent]) -> str:
    return f"python -m agents.{Path(inspect.getfile(algorithm)).stem}"


def _registry() -> tyro.constructors.ConstructorRegistry:
    """Lets tyro parse a learning rate that is a number or a text."""
    registry = tyro.constructors.ConstructorRegistry()

    @registry.primitive_rule
    def rate(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec[Any] | None:
        if info.type != float | str | Schedule:
            return None
        return tyro.constructors.PrimitiveConstructorSpec(
            nargs=1,
            metavar="FLOAT|lin_FLOAT",
            instance_from_str=lambda words: _number_or_text(words[0]),
            is_instance=lambda value: isinstance(value, float | str),
            str_from_instance=lambda value: [str(value)],
        )

    return registry


def _number_or_text(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _show(seeds: Sequence[int], returns: npt.NDArray[np.float64]) -> None:
    """Prints a table of the returns [S, N], one row per seed, to four digits: in trading they may be small."""
    print(f"Return of {returns.shape[1]} greedy episodes, last weights:")
    table = Table()
    for column in ("seed", "mean", "std", "min", "max"):
        table.add_column(column, justify="right")
    for seed, row in zip(seeds, returns, strict=True):
        table.add_row(str(seed), *(f"{value:#.4g}" for value in (row.mean(), row.std(), row.min(), row.max())))
    Console().print(table)
