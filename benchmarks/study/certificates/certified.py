"""Scores of agents on reference problems, paired with the optimal policy on the same noise.

Axis letters: S seeds, K test paths, P points of a training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.episodes import episode_returns
from benchmarks.statistics.certified_score import score, score_estimate
from benchmarks.statistics.estimates import Estimate
from benchmarks.statistics.intervals import first_point_that_stays
from benchmarks.tasks.problems import PROBLEMS, Entry, Problem

Floats = npt.NDArray[np.float64]
_RESET_SEED = 10_000  # of the first path, if the env draws the noise
_ROUNDING = 1e-9
FAILURE = 0.9  # a seed below this score has failed, if there is no goal
_SURE = 0.99  # level at which a score above the optimum is an error: one agent in 200 at the optimum is


class AboveOptimumError(AssertionError):
    """An interval lies entirely above the optimum: data leaked, or the optimum is wrong."""


@dataclass(frozen=True)
class Certificate:
    """The scores of an agent on a problem.

    Attributes:
        entry: the agent and its training.
        steps: of each seed at each point [P].
        seconds: that all seeds together have trained, each block on one core [P].
        rewards: mean rewards per step on the test paths [P, S, K].
        optimal: those of the optimal policy [K].
        made: commit, versions and processor of its blocks of seeds, each once.
    """

    entry: Entry
    steps: Floats
    seconds: Floats
    rewards: Floats
    optimal: Floats
    made: tuple[Mapping[str, Any], ...] = ()

    @property
    def difference(self) -> bool:
        """True if the score is the difference from the optimum, because the optimum is 0."""
        return PROBLEMS[self.entry.problem].optimum_is_zero

    @property
    def score(self) -> float:
        """Score of the last weights."""
        return score(self.rewards[-1], self.optimal, difference=self.difference)

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the score, over seeds and paths."""
        return self.estimate.interval()

    @property
    def estimate(self) -> Estimate:
        """The score with its uncertainty."""
        return score_estimate(self.rewards[-1], self.optimal, difference=self.difference)

    @property
    def of_seeds(self) -> Floats:
        """Score of each seed's last weights [S]."""
        scores = [score(seed[None], self.optimal, difference=self.difference) for seed in self.rewards[-1]]
        return np.array(scores)

    @property
    def worst(self) -> float:
        """Score of the worst seed."""
        return float(self.of_seeds.min())

    @property
    def failures(self) -> int | None:
        """Number of seeds below the goal, or below `FAILURE` without one; None if the optimum is 0."""
        if self.difference:
            return None
        return int((self.of_seeds < (FAILURE if self.goal is None else self.goal)).sum())

    @property
    def goal(self) -> float | None:
        """The score to reach; None without one."""
        if self.entry.goal_reward is not None:
            return self.entry.goal_reward / float(self.optimal.mean())
        return self.entry.goal

    @property
    def met(self) -> bool | None:
        """True if the lower end of the interval reaches the goal; None without a goal.

        If the optimum is 0, no agent can win, and a lower end above 0 would show a leak: True if it is at most 0.
        """
        if self.difference:
            return self.interval[0] <= 0.0
        return None if self.goal is None else self.interval[0] >= self.goal

    def budget_to(self, fraction: float) -> float | None:
        """Steps from which on the mean score over seeds stays at this fraction; None if never."""
        if self.difference:
            return None
        point = first_point_that_stays(self.rewards.mean((1, 2)) / self.optimal.mean(), fraction)
        return None if point is None else float(self.steps[point])


def path_rewards(policy: Any, problem: Problem, runs: int, **keywords: Any) -> Floats:
    """Mean rewards per step [S, K] of one greedy episode on each test path, the same paths for every seed.

    Args:
        policy: acts on observations [S, K, ...], or [K, ...] if S is 1; or has `acting_in(envs)`.
        problem: names the paths.
        runs: S.
        keywords: of the env, beside the problem's.
    """
    if problem.market_seeds is None:
        return _episodes(policy, problem, runs, problem.n_paths, **keywords)
    markets = [{**keywords, "market_seed": seed} for seed in problem.market_seeds]
    return np.concatenate(
        [_episodes(policy, problem, runs, problem.per_market, **market) for market in markets], axis=1
    )


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

    (A path begins with the returns of the first observation, so a different window gives different paths.)
    """
    return _optimal(problem_key, tuple(sorted(keywords.items()))).copy()


@cache
def _optimal(problem_key: str, keywords: tuple[tuple[str, Any], ...]) -> Floats:
    problem = PROBLEMS[problem_key]
    env: Any = gym.make(problem.env_id, **{**problem.keywords, **problem.testing, **dict(keywords)}).unwrapped
    return path_rewards(env.optimal_policy(), problem, 1, **dict(keywords))[0]


def check_possible(name: str, low: float, optimum: float) -> None:
    """Raises if an interval with the lower end ``low`` lies entirely above the optimum.

    Raises:
        AboveOptimumError: it does.
    """
    if low > optimum + _ROUNDING * max(1.0, abs(optimum)):
        raise AboveOptimumError(
            f"{name}: the whole interval, from {low:.6g} on, lies above the optimum {optimum:.6g}. "
            "Something knows the future, or the optimum is wrong."
        )


def check(certificates: Sequence[Certificate]) -> None:
    """Raises if any interval lies entirely above the optimum.

    Raises:
        AboveOptimumError: names all such intervals.
    """
    wrong = []
    for one in certificates:
        try:
            name = f"{one.entry.name} on {one.entry.problem}"
            check_possible(name, one.estimate.interval(_SURE)[0], 0.0 if one.difference else 1.0)
        except AboveOptimumError as error:
            wrong.append(str(error))
    if wrong:
        raise AboveOptimumError("\n".join(wrong))
