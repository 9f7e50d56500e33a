"""Training of 16 seeds by `learn(..., processes=2)` against one process, and what limits the gain.

Two processes halve the time at best if a step of 8 seeds takes half the time of a step of 16. The third contender, one
process with 8 seeds, shows how near to that it comes: twice its rate over that of 16 seeds is the most that is to be
had. The rest is the cost of starting processes and of merging what they have learnt.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks.speed.agents import CONTESTS, MANY, Contest, our_agent
from benchmarks.speed.timing import Goal, Measured, Part, ratios

STEPS = {"DQN": 24_000, "A2C": 160_000, "PPO": 24_576}  # per seed, about ten seconds of one core
GOALS = [
    Goal(f"{name} x {MANY}, 2 processes against 1", f"{name}, 2 processes", f"{name}, 1 process", 1.8) for name in STEPS
]


class Run(NamedTuple):
    """What a training took."""

    steps: int  # of all seeds
    wall: float  # seconds
    cpu: float  # seconds of all processes


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Rates with one process and two, ratios beside their goals, and seconds of wall and CPU."""
    rates: dict[str, list[float]] = {}
    measured: list[Measured] = []
    remarks: list[str] = []
    for contest in CONTESTS:
        runs = take_turns(contest, quick, tick)
        rates |= {name: [run.steps / run.wall for run in taken] for name, taken in runs.items()}
        measured += costs(contest.name, runs)
        seconds = {name: ", ".join(f"{run.wall:.1f}" for run in taken) for name, taken in runs.items()}
        remarks.append("seconds: " + "; ".join(f"{name}: {said}" for name, said in seconds.items()))
    return Part(rates, [*ratios(rates, GOALS), *measured], remarks, {"seeds": MANY, "steps": STEPS})


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return 3 * rounds(quick) * len(CONTESTS)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 2


def take_turns(contest: Contest, quick: bool, tick: Callable[[], Any]) -> dict[str, list[Run]]:
    """The runs of one process, of two, and of one with half of the seeds, by name."""
    steps = STEPS[contest.name] // (100 if quick else 1)
    contenders = {"1 process": (MANY, 1), "2 processes": (MANY, 2), "1, half of the seeds": (MANY // 2, 1)}
    runs: dict[str, list[Run]] = {f"{contest.name}, {name}": [] for name in contenders}
    train(contest, MANY, 300, 1)  # loads what is compiled
    for _ in range(rounds(quick)):
        for taken, (seeds, processes) in zip(runs.values(), contenders.values(), strict=True):
            taken.append(train(contest, seeds, steps, processes))
            tick()
    return runs


def train(contest: Contest, seeds: int, steps: int, processes: int) -> Run:
    """A training from the start."""
    agent = our_agent(contest, "TradingEnv", seeds)
    cpu, wall = cpu_seconds(), time.perf_counter()
    agent.learn(steps, processes=processes)
    return Run(agent.num_timesteps * seeds, time.perf_counter() - wall, cpu_seconds() - cpu)


def cpu_seconds() -> float:
    """CPU time of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def costs(name: str, runs: dict[str, list[Run]]) -> Iterator[Measured]:
    """The most that two processes can gain, and the CPU time that they take together."""
    one, two, half = (statistics.median(run.cpu for run in taken) for taken in runs.values())
    yield Measured(f"{name}: CPU of {MANY} seeds against half: most to be had", one / half, None)
    yield Measured(f"{name}: CPU of 2 processes against 1", two / one, None)
