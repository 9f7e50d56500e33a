"""Scores of agents on reference problems, paired with the optimal policy on the same noise.

Axis letters: S seeds, K paths, B bootstrap samples.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import check_sampling, numbers
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
    acting = policy.acting_in(envs) if hasattr(policy, "acting_in") else policy
    lead = (runs, K) if runs > 1 else (K,)
    total, running = np.zeros(runs * K), np.ones(runs * K, np.bool_)
    state, start, steps = None, np.ones(lead, np.bool_), 0
    while running.any():
        seen = obs.reshape(*lead, *obs.shape[1:])
        action, state = acting.predict(seen, state=state, episode_start=start, deterministic=True)
        obs, reward, terminated, truncated, _ = envs.step(np.asarray(action).reshape(envs.action_space.shape))
        total[running] += reward[running]
        running &= ~(terminated | truncated)
        start, steps = np.zeros(lead, np.bool_), steps + 1
    envs.close()
    return (total / steps).reshape(runs, K)


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


def score(rewards: Floats, optimal: Floats, *, difference: bool = False) -> float:
    """Mean reward [S, K] over that of the optimal policy [K], or less it."""
    ours, best = float(rewards.mean()), float(optimal.mean())
    if best == 0.0 and not difference:
        raise ValueError("optimal must have a mean other than 0 to be divided by: take the difference")
    return ours - best if difference else ours / best


def score_interval(
    rewards: Floats,
    optimal: Floats,
    *,
    difference: bool = False,
    level: float = 0.95,
    samples: int = 5000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of `score`: seeds and, jointly for both policies, paths drawn anew."""
    rewards, optimal = numbers("rewards", rewards, 2), numbers("optimal", optimal, 1)
    check_sampling(samples, seed, level)
    if not rewards.size or rewards.shape[1] != len(optimal):
        raise ValueError(f"rewards must be [S, {len(optimal)}], a path of the optimum each, got shape {rewards.shape}")
    rng = np.random.default_rng(seed)
    S, K = rewards.shape
    seeds = _counts(rng.integers(S, size=(samples, S)), S)  # [B, S]
    paths = _counts(rng.integers(K, size=(samples, K)), K)  # [B, K]
    ours = np.einsum("bs,sk,bk->b", seeds, rewards, paths, optimize=True) / (S * K)
    best = paths @ optimal / K
    drawn = ours - best if difference else ours / best
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def _counts(drawn: npt.NDArray[np.int64], n: int) -> Floats:
    """How often each of n was drawn [B, n]."""
    return np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float64)


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
