"""Ritter's problem: a mean-reverting price on a grid of ticks, with market impact and aversion to variance.

Letters: N sub-envs, X prices, M positions, A actions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium import spaces

from trading_env._checks import choice, integer, number
from trading_env.data.bars import Floats
from trading_env.reference.envs import ReferenceEnv, ReferenceVectorEnv
from trading_env.reference.problem import Bools, Ints, Policy, Problem
from trading_env.reference.solvers import normal_cdf, relative_value_iteration

_FLOAT32_MAX = float(np.finfo(np.float32).max)
_SHORTEST_HALF_LIFE = math.log(2.0) / 2.0  # at a shorter one, the log price overshoots by more than its distance
_LARGEST_SIGMA = 10.0  # of the log price in a step: exp of a draw stays finite


@dataclass(frozen=True)
class Ritter(Problem):
    """The problem of RitterEnv; see there for the fields."""

    meant: ClassVar[tuple[str, ...]] = (
        "observation",
        "n_prices",
        "tick",
        "mean",
        "lot",
        "max_trade",
        "max_position",
    )

    risk_aversion: float = 1e-4
    half_life: float = 5.0
    sigma: float = 0.1
    mean: float = 50.0
    tick: float = 0.1
    n_prices: int = 1000
    lot: float = 100.0
    max_trade: int = 5
    max_position: int = 10
    impact: float = 0.01
    observation: str = "index"
    n_steps: int = 5000

    def __post_init__(self) -> None:
        number("risk_aversion", self.risk_aversion, least=0.0)
        number("half_life", self.half_life, above=_SHORTEST_HALF_LIFE)
        if number("sigma", self.sigma, above=0.0) > _LARGEST_SIGMA:
            raise ValueError(f"sigma must be at most {_LARGEST_SIGMA:g}, got {self.sigma!r}")
        number("tick", self.tick, above=0.0)
        number("lot", self.lot, above=0.0)
        number("impact", self.impact, least=0.0)
        integer("n_prices", self.n_prices, 2, 10_000)
        integer("max_trade", self.max_trade, 1)
        integer("max_position", self.max_position, 1)
        integer("n_steps", self.n_steps, 1)
        choice("observation", self.observation, ("index", "box"))
        if not self.tick <= number("mean", self.mean) <= self.tick * self.n_prices:
            raise ValueError(
                f"mean must be one of the prices, {self.tick:g} ... {self.tick * self.n_prices:g}, got {self.mean!r}"
            )
        self._check_rewards()

    def _check_rewards(self) -> None:
        """Raises ValueError if squares of wealth would exceed float64."""
        shares = self.lot * max(self.max_trade, self.max_position)
        wealth = self.tick * shares * (self.n_prices + 1.0 + self.impact * shares)
        if not math.isfinite(max(1.0, self.risk_aversion) * wealth * wealth):
            raise ValueError(
                f"lot={self.lot!r}, tick={self.tick!r}, impact={self.impact!r} and risk_aversion="
                f"{self.risk_aversion!r} make rewards too large for float64"
            )

    @property
    def episode_length(self) -> int:
        """Steps until truncation."""
        return self.n_steps

    @property
    def kappa(self) -> float:
        """Fraction of its distance from the mean by which the log price reverts in a step."""
        return math.log(2.0) / self.half_life

    @property
    def n_positions(self) -> int:
        """Number of positions."""
        return 2 * self.max_position + 1

    @cached_property
    def prices(self) -> Floats:
        """All prices (X,), from one tick upwards."""
        result: Floats = self.tick * np.arange(1.0, self.n_prices + 1.0)
        return result

    @cached_property
    def centres(self) -> Floats:
        """Mean of the next log(price / mean) from each price (X,)."""
        result: Floats = (1.0 - self.kappa) * np.log(self.prices / self.mean)
        return result

    # -- dynamics -----------------------------------------------------------------------------------------

    def path(self, noise_seed: int) -> Floats:
        """Indices of prices (n_steps + 1, 1), from the one nearest to the mean.

        A price is rounded, and the next is drawn from the rounded one: so the price alone is the state.
        """
        shocks = np.random.default_rng(noise_seed).standard_normal(self.n_steps) * self.sigma
        centres, ticks, n, exp = self.centres.tolist(), self.mean / self.tick, self.n_prices, math.exp
        price = min(max(round(ticks), 1), n)  # in ticks
        indices = [price - 1]
        for shock in shocks.tolist():
            price = round(ticks * exp(centres[price - 1] + shock))
            if price < 1:
                price = 1
            elif price > n:
                price = n
            indices.append(price - 1)
        return np.array(indices, np.float64)[:, None]

    def action_space(self) -> spaces.Space[Any]:
        """Trades of -max_trade ... max_trade lots."""
        return spaces.Discrete(2 * self.max_trade + 1)

    def observation_space(self) -> spaces.Space[Any]:
        """The index of the state, or price and position."""
        if self.observation == "index":
            return spaces.Discrete(self.n_prices * self.n_positions)
        high = np.array([_FLOAT32_MAX, 1.0], np.float32)
        return spaces.Box(-high, high, dtype=np.float32)

    def moved(self, position: Floats, actions: Any) -> Floats:
        """Lots held after the trades, within max_position."""
        return np.asarray(np.clip(position + actions - self.max_trade, -self.max_position, self.max_position))

    def price_of(self, lots: Any) -> Any:
        """Cost of trades, in lots: a tick of spread a share, and impact."""
        shares = self.lot * np.abs(lots)
        return self.tick * (shares + self.impact * np.square(shares))

    def utility(self, gain: Any) -> Any:
        """Utility dv - (risk_aversion / 2) dv^2 of changes of wealth."""
        return gain - 0.5 * self.risk_aversion * np.square(gain)

    def reward(self, now: Floats, then: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """Utility of the change of wealth, costs included, and the costs in currency."""
        cost: Floats = self.price_of(after - before)
        gain = self.lot * after * self.tick * (then[:, 0] - now[:, 0]) - cost
        return self.utility(gain), cost

    def observe(self, seen: Floats, position: Floats) -> Any:
        """Index of the state (N,), or price and position (N, 2)."""
        index = seen[:, -1, 0].astype(np.int64)
        if self.observation == "index":
            return index * self.n_positions + position.astype(np.int64) + self.max_position
        deviation = self.sigma / math.sqrt(1.0 - (1.0 - self.kappa) ** 2)
        scaled = np.log(self.prices[index] / self.mean) / deviation
        return np.stack([scaled, position / self.max_position], axis=1).astype(np.float32)

    # -- solution -----------------------------------------------------------------------------------------

    def optimum(self) -> float:
        """Optimum by value iteration over all states; see RitterEnv for its accuracy."""
        return ritter_solution(self).gain

    def optimal_policy(self) -> Policy:
        """Policy of that solution, a table of actions."""
        return RitterPolicy(self, ritter_solution(self).actions)


class Solution(NamedTuple):
    """Mean reward per step, and the best action in each state (X, M)."""

    gain: float
    actions: Ints


def price_transition(problem: Ritter) -> Floats:
    """Transition probabilities (X, X) of the price: those of log prices that round to it, tails at the ends."""
    with np.errstate(divide="ignore"):
        edges = np.log((np.arange(1, problem.n_prices) + 0.5) * problem.tick / problem.mean)  # [X - 1]
    z = (edges - problem.centres[:, None]) / problem.sigma
    below = np.concatenate([np.zeros((len(z), 1)), normal_cdf(z), np.ones((len(z), 1))], axis=1)
    return np.diff(below, axis=1)


@cache
def ritter_solution(problem: Ritter) -> Solution:
    """Relative value iteration over prices and positions."""
    transition = price_transition(problem)
    lots = np.arange(-problem.max_position, problem.max_position + 1)  # [M]
    trades = np.arange(-problem.max_trade, problem.max_trade + 1)  # [A]
    after = np.clip(lots[:, None] + trades, -problem.max_position, problem.max_position)  # [M, A]
    costs = problem.price_of(after - lots[:, None])
    first = transition @ problem.prices - problem.prices  # [X], E dp
    second = transition @ problem.prices**2 - 2.0 * problem.prices * (first + problem.prices) + problem.prices**2
    shares = problem.lot * after  # the reward's mean, E[dv] - l/2 E[dv^2] with dv = shares dp - cost:
    mean = shares * first[:, None, None] - costs
    square = shares**2 * second[:, None, None] - 2.0 * shares * costs * first[:, None, None] + costs**2
    rewards = mean - 0.5 * problem.risk_aversion * square  # [X, M, A]
    places = after + problem.max_position

    def best(future: Floats) -> Floats:
        value: Floats = (rewards + future[:, places]).max(axis=2)
        return value

    gain, future = relative_value_iteration(best, transition, len(lots))
    return Solution(gain, (rewards + future[:, places]).argmax(axis=2))


class Performance(NamedTuple):
    """Long-run moments of a policy: mean reward and mean and deviation of the change of wealth, per step."""

    reward: float
    gain: float
    deviation: float

    def sharpe(self, steps_per_year: float = 252.0) -> float:
        """Annualised Sharpe ratio of the changes of wealth."""
        return self.gain / self.deviation * math.sqrt(steps_per_year)


def performance(problem: Ritter, actions: Ints) -> Performance:
    """Exact long-run moments of the policy ``actions`` (X, M), from the stationary probabilities of its states."""
    transition = price_transition(problem)
    lots = np.arange(-problem.max_position, problem.max_position + 1)
    after = np.clip(lots + actions - problem.max_trade, -problem.max_position, problem.max_position)  # [X, M]
    places = after + problem.max_position
    chances = np.full(actions.shape, 1.0 / actions.size)
    rows = np.arange(len(actions))[:, None]
    for _ in range(100_000):
        held = np.zeros_like(chances)
        np.add.at(held, (rows, places), chances)
        new = transition.T @ held
        change = float(np.abs(new - chances).sum())
        chances = new
        if change < 1e-10:
            break
    first = transition @ problem.prices - problem.prices
    second = transition @ problem.prices**2 - 2.0 * problem.prices * (first + problem.prices) + problem.prices**2
    shares, costs = problem.lot * after, problem.price_of(after - lots)
    mean = float((chances * (shares * first[:, None] - costs)).sum())
    squares = shares**2 * second[:, None] - 2.0 * shares * costs * first[:, None] + costs**2
    square = float((chances * squares).sum())
    return Performance(mean - 0.5 * problem.risk_aversion * square, mean, math.sqrt(square - mean * mean))


class RitterPolicy(Policy):
    """Looks actions up in a table (X, M), for either form of observation."""

    def __init__(self, problem: Ritter, actions: Ints) -> None:
        self.problem, self.actions = problem, actions
        self.obs_ndim = 0 if problem.observation == "index" else 1

    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        problem = self.problem
        if problem.observation == "index":
            return self.actions.reshape(-1)[np.asarray(obs)], state
        deviation = problem.sigma / math.sqrt(1.0 - (1.0 - problem.kappa) ** 2)
        price = problem.mean * np.exp(np.asarray(obs[:, 0], np.float64) * deviation)
        lots = np.rint(obs[:, 1] * problem.max_position).astype(np.int64)
        return self.actions[np.rint(price / problem.tick).astype(np.int64) - 1, lots + problem.max_position], state


class RitterEnv(ReferenceEnv):
    """Trading lots of a share whose price reverts to its mean, against spread, impact and aversion to variance.

    ## Description
    x = log(p / mean), x' = (1 - kappa) x + sigma eps, kappa = ln 2 / half_life; the price is rounded to the tick and
    clipped to the n_prices prices from one tick up. A tabular problem: 1000 prices x 21 positions, 11 actions.

    ## Action Space
    Discrete(2 max_trade + 1): trade -max_trade ... max_trade lots. The position is clipped to max_position lots.

    ## Observation Space
    "index": Discrete(n_prices (2 max_position + 1)), price index x (2 max_position + 1) + lots + max_position.
    "box": Box float32 (2,):

    | index | content | unit |
    |---|---|---|
    | 0 | log(p / mean) | its stationary standard deviation |
    | 1 | position | fraction of max_position |

    ## Rewards
    dv - (risk_aversion / 2) dv^2 of the change of wealth dv = shares held after the trade x (p' - p) - cost, in
    currency; the cost of n shares is tick (|n| + impact n^2).

    ## Starting State
    No position, at the mean price.

    ## Episode End
    Truncated after n_steps steps. Never terminated.

    ## Info
    position (lots), cost (currency), noise_seed (which reproduces the path), t (steps made).

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | risk_aversion | 1e-4 | per currency |
    | half_life, sigma, mean | 5, 0.1, 50 | of the price |
    | tick, n_prices | 0.1, 1000 | the grid of prices |
    | lot, max_trade, max_position | 100, 5, 10 | shares, lots, lots |
    | impact | 0.01 | per share |
    | observation | "index" | or "box" |
    | n_steps | 5000 | of an episode |

    ``reset`` takes ``options={"noise_seed": int}``.

    ## Vectorized environment
    `gym.make_vec("reference/Ritter-v0", num_envs=N)` makes a RitterVectorEnv, equal bit for bit.

    ## Optimum
    Relative value iteration over all states: exact to 1e-7 of the mean reward by default. `performance` gives the
    exact moments of any table of actions, and with them its Sharpe ratio. With a half life of 50 steps it takes about
    a minute, and is exact to 1e-4. If a step of sigma seldom moves the price by a tick, or if the half life is 100
    steps or more, the chain forgets its start so slowly that `optimum()` raises ValueError.

    ## Source
    Ritter (2017), "Machine learning for trading".

    ## Version History
    * v0: initial version
    """

    problem_class = Ritter


class RitterVectorEnv(ReferenceVectorEnv):
    """N RitterEnvs at once."""

    problem_class = Ritter
