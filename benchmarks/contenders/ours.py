"""Our agents: all seeds in one pass, on one core."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import agents
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
    start = time.perf_counter()
    agent.learn(total_timesteps, marking.tick if judge else None, progress_bar=progress_bar)
    seconds = time.perf_counter() - start
    marking.mark(agent)
    points = Points.of([marking.marks]) if judge else None
    return Trained(agent, seconds, agent.num_timesteps * runs / seconds, 1, points)
