"""Our agents: all seeds in one pass on one core, or blocks of them in a process per core."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import agents
from agents.common.processes import check_processes
from benchmarks.contenders.training import Judge, Marking, Points, Trained
from benchmarks.evaluation.warm_up import warm_up


def agent_class(name: str) -> Any:
    """The class of that name in `agents`."""
    return getattr(agents, name)


def train(
    algorithm: str,
    env: Any,
    seeds: int | Sequence[int],
    total_timesteps: int,
    *,
    n_envs: int = 1,
    processes: int | Literal["auto"] = 1,
    progress_bar: bool = True,
    judge: Judge | None = None,
    every: int = 0,
    **hyperparameters: Any,
) -> Trained:
    """Trains all seeds of the algorithm at once, after a warm-up that compiles everything.

    Args:
        algorithm: name of the class in `agents`.
        env: an id, an EnvSpec, or an env with a spec, of which copies are made.
        seeds: n for 0..n-1, or a sequence of ints.
        total_timesteps: per seed.
        n_envs: envs per seed.
        processes: over which the seeds are spread, "auto" for one per core; with a judge it is one.
        progress_bar: True to show one.
        judge: scores the agent before the first step, after the last, and between them.
        every: steps between scores.
        hyperparameters: of the algorithm.
    """
    kind = agent_class(algorithm)
    warm_up(kind, env, n_envs, **hyperparameters)
    agent = kind(env, seeds=seeds, n_envs=n_envs, device="cpu", **hyperparameters)
    runs = len(agent.seeds)
    marking = Marking(judge and partial(judge, runs=runs), every, total_timesteps)
    marking.mark(agent)
    used = 1 if judge else min(check_processes(processes), runs)
    started = Started()
    callback = marking.tick if judge else started if used > 1 else None
    start = time.perf_counter()
    agent.learn(total_timesteps, callback, progress_bar=progress_bar, processes=used)
    seconds = time.perf_counter() - (started.at or start)
    marking.mark(agent)
    points = Points.of([marking.marks]) if judge else None
    return Trained(agent, seconds, agent.num_timesteps * runs / seconds, used, points)


class Started:
    """A callback that notes when the first step was taken, since processes take seconds to start.

    Attributes:
        at: that moment, by `time.perf_counter`; None before it.
    """

    def __init__(self) -> None:
        self.at: float | None = None

    def next_call(self, agent: Any) -> int:
        """Timesteps after which it wants to be called: the first step, and the last."""
        return int(agent.goal if self.at else agent.num_timesteps + 1)

    def __call__(self, agent: Any) -> None:
        """Notes the moment of the first call."""
        self.at = self.at or time.perf_counter()
