"""A study's jobs by one worker and by two, of each engine. Workers have started and compiled before they are timed."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contenders.named import Contender
from benchmarks.speed.timing import Goal, Part, ratios
from benchmarks.study.engines.local import local
from benchmarks.study.engines.on_ray import on_ray
from benchmarks.study.engines.place import DONE, Pass, Place
from benchmarks.study.folds import Plan
from benchmarks.study.job import Job, jobs_of
from benchmarks.study.suite import Suite
from trading_env._extras import optional

ENGINES = ("local", "ray")
GOALS = [
    Goal(f"jobs on {name}, 2 workers against 1", f"{name}, 2 workers", f"{name}, 1 worker", 1.7) for name in ENGINES
]
BLOCK, JOBS, STEPS = 20, 16, 10_000  # seeds of a job; jobs; steps of each seed, some seconds of one core
SUITE = Suite(
    name="engines",
    data=("us-stocks/IBM",),
    walk_forward=Plan(folds=1, test=0.2, validation=50),
    env={"actions": (0.0, 1.0), "window": 10},
    contenders=(Contender(strategy="buy_and_hold"), Contender(agent="DQN", steps=STEPS)),
    block=BLOCK,
    points=1,
)


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Training steps of all seeds per second, with one worker and two, and their ratios."""
    contenders = {f"{name}, {count} worker{'s'[: count - 1]}": (name, count) for name in ENGINES for count in (1, 2)}
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds(quick)):
        for name, (engine, count) in contenders.items():
            rates[name].append(rate(engine, count, quick))
            tick()
    return Part(rates, list(ratios(rates, GOALS)), [], {"seeds": BLOCK, "jobs": JOBS, "steps": STEPS})


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return 2 * len(ENGINES) * rounds(quick)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 2


def rate(engine: str, count: int, quick: bool) -> float:
    """Training steps per second of the jobs, by so many workers of the engine."""
    steps, number = (200, 4) if quick else (STEPS, JOBS)
    with tempfile.TemporaryDirectory() as folder, running(engine, count) as run_each:
        place = Place(Path(folder) / "study", Path(folder) / "ledger.jsonl", "engines")
        states = [state for _, state in run_each(blocks(8, 1_000), place)]
        start = time.perf_counter()
        states += [state for _, state in run_each(blocks(number, steps), place)]
        seconds = time.perf_counter() - start
    if set(states) != {DONE}:
        raise RuntimeError(f"jobs of the engine {engine} ended as {states}")
    return BLOCK * number * steps / seconds


@contextmanager
def running(engine: str, count: int) -> Iterator[Pass]:
    """The engine with so many workers."""
    if engine == "local":
        with local(count) as run_each:
            yield run_each
        return
    ray = optional("ray", "ray", "the part engines")
    ray.init(address="local", num_cpus=count, include_dashboard=False, logging_level="warning", log_to_driver=False)
    try:
        with on_ray() as run_each:
            yield run_each
    finally:
        ray.shutdown()


def blocks(number: int, steps: int) -> list[Job]:
    """So many jobs of DQN, a block of seeds each."""
    learner = replace(SUITE.contenders[1], steps=steps)
    suite = replace(SUITE, seeds=BLOCK * number, contenders=(SUITE.contenders[0], learner))
    return [job for job in jobs_of(suite) if job.contender == learner.name]
