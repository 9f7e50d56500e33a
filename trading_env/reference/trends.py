"""Base of problems that are long, flat or short on returns whose mean follows a trend.

For an agent that sees only returns, the filtered mean of the trend contains all information, so the optimal policy
trades on it.
Letters: N sub-envs, W returns seen, X grid points of the belief, K its numbers.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium import spaces

from trading_env._checks import flag, integer, number
from trading_env.data.bars import Floats
from trading_env.reference.problem import Bools, Policy, Problem
from trading_env.reference.solvers import interpolated, stationary, worth_of_a_unit

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_POSITIONS = np.array([-1.0, 0.0, 1.0])


class Chain(NamedTuple):
    """Markov chain of the best forecast: coordinates (X,), transitions (X, X), mean next return at each (X,)."""

    grid: Floats
    transition: Floats
    means: Floats


@dataclass(frozen=True)
class Trend(Problem):
    """Positions -1, 0, 1 at constant exposure: reward w r' - cost |dw|, where the mean of the return r' varies.

    Paths have two columns: the return up to a row, and the mean of the next return, the trend.
    """

    meant: ClassVar[tuple[str, ...]] = ("window", "observed")

    cost: float = 0.0
    window: int = 1
    observed: bool = False
    n_steps: int = 1000

    def __post_init__(self) -> None:
        number("cost", self.cost, least=0.0)
        integer("window", self.window, 1)
        flag("observed", self.observed)
        integer("n_steps", self.n_steps, 1)

    @property
    def episode_length(self) -> int:
        """Steps until truncation."""
        return self.n_steps

    @property
    def lead(self) -> int:
        """Rows before the first decision: it sees ``window`` returns."""
        return self.window

    # -- what a problem adds ------------------------------------------------------------------------------

    @property
    @abstractmethod
    def deviation(self) -> float:
        """Standard deviation of a return, by which observations are scaled."""

    @property
    @abstractmethod
    def trend_deviation(self) -> float:
        """Standard deviation of the trend, by which observed trends are scaled."""

    @abstractmethod
    def prior(self) -> Floats:
        """The belief before any return (K,)."""

    @abstractmethod
    def updated(self, belief: Floats, returns: Floats) -> Floats:
        """The beliefs (N, K) after one more return each (N,); the first number is the chain's coordinate."""

    @abstractmethod
    def chain(self) -> Chain:
        """Markov chain of that coordinate, or of the trend if it is observed."""

    # -- dynamics -----------------------------------------------------------------------------------------

    def action_space(self) -> spaces.Space[Any]:
        """Action space: short, flat, long."""
        return spaces.Discrete(3)

    def observation_space(self) -> spaces.Space[Any]:
        """Observation space: the last returns or the trend, and the position."""
        high = np.full(2 if self.observed else self.window + 1, _FLOAT32_MAX, np.float32)
        high[-1] = 1.0
        return spaces.Box(-high, high, dtype=np.float32)

    def moved(self, position: Floats, actions: Any) -> Floats:
        """The positions that the actions choose."""
        return np.asarray(actions - 1.0)

    def reward(self, now: Floats, then: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """Return of the position less the cost of its change."""
        cost: Floats = self.cost * np.abs(after - before)
        return after * then[:, 0] - cost, cost

    def observe(self, seen: Floats, position: Floats) -> Any:
        """Scaled returns, oldest first, or the scaled trend; and the position."""
        shown = seen[:, -1:, 1] / self.trend_deviation if self.observed else seen[:, 1:, 0] / self.deviation
        return np.column_stack([shown, position]).astype(np.float32)

    # -- solution -----------------------------------------------------------------------------------------

    def optimum(self) -> float:
        """Optimum by policy iteration over the belief; see `Trend.chain` for the grid."""
        return trend_solution(self)[0]

    def optimal_policy(self) -> Policy:
        """Policy that filters the observed returns and makes the best trade for the belief."""
        return FilterPolicy(self)


@cache
def trend_solution(problem: Trend) -> tuple[float, Floats]:
    """Optimal mean reward per step, and the value of holding each position (X, 3) before costs.

    Short, flat and long hold none, one or both of two units with the same rewards. Each unit is an optimal switching
    problem that earns E max(0, worth - cost) a step. Flat is never better than both others.
    """
    _, transition, means = problem.chain()
    worth, _ = worth_of_a_unit(means, transition, problem.cost)
    gain = 2.0 * float(stationary(transition) @ np.maximum(worth - problem.cost, 0.0))
    return gain, worth[:, None] * _POSITIONS


class FilterPolicy(Policy):
    """The optimal policy: its state is the belief (N, K); if the trend is observed it needs none."""

    def __init__(self, problem: Trend) -> None:
        self.problem = problem
        self.grid = problem.chain().grid
        self.worth = trend_solution(problem)[1]

    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        problem = self.problem
        shown, position = np.asarray(obs[:, :-1], np.float64), np.rint(obs[:, -1]).astype(np.int64)
        if problem.observed:
            coordinate = shown[:, 0] * problem.trend_deviation
        else:
            state = self._believed(shown * problem.deviation, state, start)
            coordinate = state[:, 0]
        worth = interpolated(self.grid, self.worth, coordinate)  # [N, 3]
        costs = problem.cost * np.abs(_POSITIONS[position + 1][:, None] - _POSITIONS)
        return (worth - costs).argmax(axis=1), state

    def _believed(self, returns: Floats, belief: Any, start: Bools) -> Floats:
        """Beliefs (N, K) updated by the last of the returns (N, W); by all of them at the start of an episode."""
        fresh = np.tile(self.problem.prior(), (len(returns), 1))
        if start.any():
            for column in returns.T:
                fresh = self.problem.updated(fresh, column)
        old = fresh if belief is None else self.problem.updated(belief, returns[:, -1])
        result: Floats = np.where(start[:, None], fresh, old)
        return result
