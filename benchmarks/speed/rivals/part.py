"""Our agents and env against other projects', in turns, on one core, in processor time.

A rival runs in a process of its own, in a virtual environment that this command makes in the user's cache folder. One
that cannot be installed or does not start is named and left out. Each side learns in envs of its own unless a row says
otherwise, with observations of about the same size and the same widths, batches and numbers of updates per step.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from agents.common.devices import torch_threads
from benchmarks.contenders.ours import agent_class
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.reports.table import Columns
from benchmarks.speed import envs as speed_env
from benchmarks.speed.agents import NET_ARCH, agent_chunk
from benchmarks.speed.rivals.environments import NotInstalledError, python_of
from benchmarks.speed.timing import Chunk, Measured, Part, chunk_of

SAME_TORCH = f"torch=={torch.__version__.partition('+')[0]}"  # as ours: other builds may take gigabytes
SHARED: dict[str, dict[str, Any]] = {
    "DQN": {
        "n_envs": 4,
        "train_freq": 1,
        "batch_size": 32,
        "buffer_size": 10_000,
        "target_update_interval": 1_000,
        "exploration_fraction": 1e-6,
    },
    "PPO": {"n_envs": 16, "n_steps": 64, "batch_size": 64, "n_epochs": 10},
}
STEPS = {("DQN", 1): 8_000, ("DQN", 16): 3_200, ("DQN", 64): 800, ("PPO", 1): 8_192, ("PPO", 16): 2_048}


@dataclass(frozen=True)
class Duel:
    """A rival's contender and ours.

    Attributes:
        what: they do, and in which env.
        theirs: the contender's name in the rival's script.
        seeds: number of seeds; 0 where nobody learns.
        ours: makes our contender.
        goal: the ratio that we should reach; None where it is only reported.
    """

    what: str
    theirs: str
    seeds: int
    ours: Callable[[], Chunk]
    goal: float | None = None


@dataclass(frozen=True)
class Rival:
    """Another project.

    Attributes:
        name: of the project.
        environment: name of its virtual environment.
        requirements: what pip installs there.
        script: runs the rival's side.
        duels: what is compared.
    """

    name: str
    environment: str
    requirements: Sequence[str]
    script: str
    duels: Sequence[Duel]


def agent(name: str, seeds: int, env: str = "TradingEnv") -> Chunk:
    """A training of ours in Gymnasium's CartPole, or in TradingEnv with 5 numbers per observation."""
    made = env if env != "TradingEnv" else small_env()
    kind = agent_class(name)(made, seeds=seeds, device="cpu", net_arch=NET_ARCH, **SHARED[name])
    return agent_chunk(kind, STEPS[name, seeds])


def small_env() -> gym.Env[Any, Any]:
    """TradingEnv that shows one feature of the present bar, and the account."""
    features = np.random.default_rng(1).standard_normal((speed_env.BARS, 1))
    keywords = {**speed_env.keywords(), "features": features, "window": 1}
    return gym.make(ENV_ID, random_start=True, episode_length=252, **keywords)


def one_env(**options: Any) -> Chunk:
    """Steps of one TradingEnv without wrappers."""
    return chunk_of(0.1, speed_env.scalar_block(gym.make(ENV_ID, **speed_env.keywords() | options).unwrapped))


def many_envs() -> Chunk:
    """Steps of 1,024 TradingEnvs."""
    return chunk_of(0.1, speed_env.vector_block(gym.make_vec(ENV_ID, 1024, **speed_env.keywords())))


def closes() -> dict[str, Any]:
    """Keywords of a TradingEnv that shows 50 bars of one feature."""
    return {"window": 50, "features": np.random.default_rng(1).standard_normal((speed_env.BARS, 1))}


REJAX = [
    Duel(name, f"{name} x {S}", S, partial(agent, name, S), goal)
    for name, S, goal in (("DQN", 1, 0.5), ("DQN", 16, 2.0), ("DQN", 64, None), ("PPO", 1, 0.5), ("PPO", 16, 1.0))
]
SBX = [
    Duel(f"{name}, CartPole", f"{name} x 1", 1, partial(agent, name, 1, "CartPole-v1")) for name in SHARED
]  # of Gymnasium, on both sides
TORCH = ("torch", ("torchrl", "torchtrade", SAME_TORCH), "torch_envs.py")
RIVALS = (
    Rival("rejax", "rejax", ("rejax==0.1.3", "gymnax<1", "jax<0.12"), "rejax_training.py", REJAX),
    Rival("sbx", "sbx", ("sbx-rl==0.28.*", SAME_TORCH), "sbx_training.py", SBX),
    Rival("TorchRL", *TORCH, [Duel("FinancialRegimeEnv", "FinancialRegimeEnv", 0, lambda: one_env(**closes()))]),
    Rival(
        "TorchTrade",
        *TORCH,
        [Duel("1 env", "TorchTrade", 0, one_env), Duel("1,024 envs", "TorchTrade x 1024", 0, many_envs)],
    ),
)


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Rates of both sides of each duel, and their ratios.

    Args:
        quick: True for a single round.
        tick: called after each duel of a round.
    """
    table = Columns(
        "Against other projects, one core, steps of all seeds per second of processor time",
        ["rival", "what", "seeds"],
        ["theirs", "ours", "ratio", "goal", "compile, s"],
    )
    rates: dict[str, list[float]] = {}
    measured, remarks = [], []
    for rival in RIVALS:
        try:
            with Process(rival) as process, torch_threads(1):
                found = [*duels(rival, process, rounds(quick), tick)]
        except (NotInstalledError, RivalFailedError) as error:
            remarks.append(f"{rival.name} was left out: {error}")
            continue
        remarks.append(f"{rival.name}: " + ", ".join(f"{name} {number}" for name, number in process.versions.items()))
        for duel, first, theirs, ours in found:
            name = f"{rival.name}, {duel.theirs}"
            rates |= {name: theirs, f"{name}, ours": ours}
            ratio = statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))
            measured.append(Measured(f"ours / {name}", ratio, duel.goal))
            seeds = str(duel.seeds or "")
            cells = [f"{statistics.median(side):,.0f}" for side in (theirs, ours)]
            goal = "" if duel.goal is None else f"{duel.goal:g}"
            table.rows.append([rival.name, duel.what, seeds, *cells, f"{ratio:.2f}", goal, f"{first:.1f}"])
    setting = {"hyperparameters": SHARED, "net_arch": NET_ARCH, "rounds": rounds(quick)}
    return Part(rates, measured, remarks, setting, table)


def duels(
    rival: Rival, process: Process, rounds: int, tick: Callable[[], Any]
) -> Iterator[tuple[Duel, float, list[float], list[float]]]:
    """Each duel, the seconds of the rival's first chunk, and the rates of both sides in each round, in turns."""
    for duel in rival.duels:
        ours, (_, first) = duel.ours(), process.chunk(duel.theirs)
        ours()
        tick()
        rates: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            steps, seconds = process.chunk(duel.theirs)
            rates[0].append(steps / seconds)
            start = time.process_time()
            steps = ours()
            rates[1].append(steps / (time.process_time() - start))
            tick()
        yield duel, first, *rates


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 5


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick`` if all rivals can be installed."""
    return (rounds(quick) + 1) * sum(len(rival.duels) for rival in RIVALS)


# -- a rival's process -------------------------------------------------------------------------------------------


class RivalFailedError(RuntimeError):
    """A rival's process ended before it answered."""


class Process:
    """A rival's process, as a context that ends it.

    Attributes:
        versions: of the rival's packages.
    """

    def __init__(self, rival: Rival) -> None:
        python = python_of(rival.environment, rival.requirements)
        command = [python, "-W", "ignore", Path(__file__).parent / rival.script]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with the process)
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors, "text": True}
        self._process = subprocess.Popen(command, **pipes)
        self.versions: Mapping[str, str] = {}

    def __enter__(self) -> Process:
        try:
            self.versions = self._answer()
        except RivalFailedError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def chunk(self, contender: str) -> tuple[int, float]:
        """Lets a contender work; its steps and seconds."""
        self._process.stdin.write(f"{contender}\n")
        self._process.stdin.flush()
        answer = self._answer()
        return answer["steps"], answer["seconds"]

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines()
            raise RivalFailedError(said[-1] if said else "its process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer
