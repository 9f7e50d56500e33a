"""Scores of agents on reference problems, paired with the optimal policy on the same noise.

Axis letters: S seeds, K paths.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.episodes import episode_returns
from benchmarks.tasks.problems import PROBLEMS, Problem

Floats = npt.NDArray[np.float64]
_RESET_SEED = 10_000  # of the first path where noise is drawn by the env
_ROUNDING = 1e-9


class AboveOptimumError(AssertionError):
    """A whole interval lies above what is possible: there is a leak, or a mistake in the optimum."""


def path_rewards(policy: Any, problem: Problem, runs: int, **keywords: Any) -> Floats:
    """Mean rewards per step [S, K] of one greedy episode on each test path, the same paths for every seed.

    Args:
        policy: acts on observations [S, K, ...], or [K, ...] where S is 1; or has `acting_in(envs)`.
        problem: says which paths.
        runs: S.
        keywords: of the env, beside the problem's.
    """
    if problem.market_seeds is None:
        return _episodes(policy, problem, runs, problem.n_paths, **keywords)
    markets = [{**keywords, "market_seed": seed} for seed in problem.market_seeds]
    return np.concatenate([_episodes(policy, problem, runs, 1, **market) for market in markets], axis=1)


def _episodes(policy: Any, problem: Problem, runs: int, K: int, **keywords: Any) -> Floats:
    """Mean rewards per step [S, K] of one greedy episode on each of K paths of one env."""
    envs: Any = gym.make_vec(problem.env_id, runs * K, **{**problem.keywords, **problem.testing, **keywords})
    if problem.noise_seeds is None:
        obs, _ = envs.reset(seed=[_RESET_SEED + k for k in range(K)] * runs)
    else:
        obs, _ = envs.reset(seed=0, options={"noise_seed": np.tile(problem.noise_seeds, runs)})
    total, steps = episode_returns(policy, envs, obs, runs)
    envs.close()
    return total / steps


def optimal_rewards(problem_key: str, **keywords: Any) -> Floats:
    """Mean rewards per step [K] of the optimal policy on the test paths, which depend on the env's keywords.

    (A path begins with the returns that the first observation shows: another window is another path.)
    """
    return _optimal(problem_key, tuple(sorted(keywords.items()))).copy()


@cache
def _optimal(problem_key: str, keywords: tuple[tuple[str, Any], ...]) -> Floats:
    problem = PROBLEMS[problem_key]
    env: Any = gym.make(problem.env_id, **{**problem.keywords, **problem.testing, **dict(keywords)}).unwrapped
    return path_rewards(env.optimal_policy(), problem, 1, **dict(keywords))[0]


def check_possible(name: str, low: float, optimum: float) -> None:
    """Raises where an interval whose lower end is ``low`` lies wholly above the optimum.

    Raises:
        AboveOptimumError: it does.
    """
    if low > optimum + _ROUNDING * max(1.0, abs(optimum)):
        raise AboveOptimumError(
            f"{name}: the whole interval, from {low:.6g} on, lies above the optimum {optimum:.6g}. "
            "Something knows the future, or the optimum is wrong."
        )
