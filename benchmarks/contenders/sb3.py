"""Trains any algorithm of Stable-Baselines3 or sb3-contrib on the env that our agents train on: many seeds, all cores.

Their networks have no seed axis, so each seed is a separate run. Runs go to one process per core with one torch
thread each, the fastest way to run many of them. New processes import the main module, so a script that calls
`train` needs the guard ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import copy
import io
import multiprocessing
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec
from tqdm import tqdm

from agents.common.processes import end_with_parent, usable_cores
from benchmarks.contenders.training import Judge, Mark, Marking, Points, Trained
from trading_env.envs.acting.policies import PerSeed

_TICK = 100  # steps between two updates of the progress bar by a process


@dataclass(frozen=True)
class _Job:
    algorithm: str
    policy: str
    spec: EnvSpec
    seed: int
    total_timesteps: int
    n_envs: int
    judge: Judge | None
    every: int
    hyperparameters: Mapping[str, Any]


class _Run(NamedTuple):
    model: bytes
    steps: int
    start: float
    end: float
    marks: list[Mark]


def train(
    algorithm: str,
    env: str | EnvSpec | gym.Env[Any, Any],
    seeds: int | Sequence[int],
    total_timesteps: int,
    *,
    policy: str = "MlpPolicy",
    n_envs: int = 1,
    processes: int | None = None,
    progress_bar: bool = True,
    judge: Judge | None = None,
    every: int = 0,
    **hyperparameters: Any,
) -> Trained:
    """Trains the algorithm once per seed.

    Arguments are as in `ours.train`, with SB3's names: ``algorithm`` is a class of stable_baselines3 or sb3_contrib,
    such as "DQN" or "MaskablePPO", ``policy`` a policy class. ``processes`` are one per core unless given; 0 trains one
    seed after the other in this process.

    Raises:
        ValueError: no such algorithm, no seed, or an env without a spec.
    """
    algorithm_class(algorithm)
    numbers = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not numbers:
        raise ValueError(f"seeds must name at least one, got {seeds!r}")
    spec = env_spec(env)
    shared = (total_timesteps, n_envs, judge, every, hyperparameters)
    jobs = [_Job(algorithm, policy, spec, s, *shared) for s in numbers]
    workers = min(usable_cores() if processes is None else processes, len(jobs))
    bar = tqdm(total=total_timesteps * len(jobs), unit="step", desc=f"SB3 {algorithm}", disable=not progress_bar)
    with bar:
        runs = _run_all(jobs, workers, bar) if workers else [_run(job) for job in jobs]
    models = [algorithm_class(algorithm).load(io.BytesIO(run.model), device="cpu") for run in runs]
    seconds = max(run.end for run in runs) - min(run.start for run in runs)
    steps = sum(run.steps for run in runs)
    points = Points.of([run.marks for run in runs], max(workers, 1)) if judge else None
    return Trained(PerSeed(models), seconds, steps / seconds, max(workers, 1), points)


def check(algorithm: str, env: Any, *, policy: str = "MlpPolicy", n_envs: int = 1, **hyperparameters: Any) -> None:
    """Raises what Stable-Baselines3 raises if it cannot make a model for the env."""
    from stable_baselines3.common.env_util import make_vec_env

    spec, options = env_spec(env), copy.deepcopy(hyperparameters)  # which A2C changes
    algorithm_class(algorithm)(policy, make_vec_env(lambda: gym.make(spec), n_envs), device="cpu", **options)


def algorithm_class(name: str) -> Any:
    """The class of that name in stable_baselines3 or, if it has none, in sb3_contrib."""
    import sb3_contrib
    import stable_baselines3
    from stable_baselines3.common.base_class import BaseAlgorithm

    for package in (stable_baselines3, sb3_contrib):
        found = getattr(package, name, None)
        if isinstance(found, type) and issubclass(found, BaseAlgorithm):
            return found
    raise ValueError(f"no algorithm {name!r} in stable_baselines3 or sb3_contrib")


def env_spec(env: str | EnvSpec | gym.Env[Any, Any]) -> EnvSpec:
    """The spec from which copies of ``env`` are made, after importing the env's module."""
    if isinstance(env, str):
        env = gym.make(env)
    spec = env if isinstance(env, EnvSpec) else env.spec
    if spec is None:
        raise ValueError(f"env has no spec to make copies from: {env}")
    return spec


def _run_all(jobs: Iterable[_Job], workers: int, bar: Any) -> list[_Run]:
    """The results of the jobs, in order; the bar shows the steps of all of them."""
    context = multiprocessing.get_context("spawn")
    steps = context.Value("q", 0)
    with ProcessPoolExecutor(workers, context, set_up_worker, (steps,)) as pool:
        futures: list[Future[_Run]] = [pool.submit(_run, job) for job in jobs]
        pending = set(futures)
        while pending:
            finished, pending = wait(pending, timeout=0.2)
            if steps.value > bar.n:
                bar.update(steps.value - bar.n)
            if any(future.exception() for future in finished):
                pool.shutdown(cancel_futures=True)
        return [future.result() for future in futures]


_steps: Any = None  # of all seeds, shared by the processes


def set_up_worker(steps: Any = None) -> None:
    """Sets up a new process: it ends with its parent, has one torch thread, and counts into ``steps``, if given."""
    global _steps
    end_with_parent()  # before the import, which takes seconds
    import torch

    torch.set_num_threads(1)
    _steps = steps


def _run(job: _Job) -> _Run:
    """Trains one seed and returns the saved model, the number of steps, start and end times, and the marks."""
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env(lambda: gym.make(job.spec), n_envs=job.n_envs, seed=job.seed)
    options = copy.deepcopy(dict(job.hyperparameters))  # A2C puts an optimiser into its policy_kwargs
    model = algorithm_class(job.algorithm)(job.policy, envs, seed=job.seed, device="cpu", **options)
    counted = 0
    marking = Marking(job.judge and partial(job.judge, runs=1), job.every, job.total_timesteps)

    def count(_locals: dict[str, Any], _globals: dict[str, Any]) -> bool:
        nonlocal counted
        if _steps is None:
            marking.tick(model)
            return True
        if model.num_timesteps - counted >= _TICK or model.num_timesteps >= job.total_timesteps:
            with _steps.get_lock():
                _steps.value += model.num_timesteps - counted
            counted = model.num_timesteps
        marking.tick(model)
        return True

    step_once(job.spec)
    marking.mark(model)
    start = time.monotonic()  # one clock for all processes, which is never set back
    model.learn(job.total_timesteps, callback=count)
    end = time.monotonic()
    marking.mark(model)
    file = io.BytesIO()
    model.save(file)
    envs.close()
    return _Run(file.getvalue(), model.num_timesteps, start, end, marking.marks)


def step_once(spec: EnvSpec) -> None:
    """Resets and steps one env, so that compilation is done before training is timed."""
    env = gym.make(spec)
    env.reset(seed=0)
    env.step(env.action_space.sample())
    env.close()
