"""CFM's three problems: trading on a mean-reverting signal under linear or quadratic costs, within a limit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trading_env.reference.cfm_problem import CFMProblem
from trading_env.reference.cfm_solution import (
    BandPolicy,
    LinearPolicy,
    band_solution,
    quadratic_solution,
    table_policy,
    table_solution,
)
from trading_env.reference.envs import ReferenceEnv, ReferenceVectorEnv
from trading_env.reference.problem import Policy

QUARTER_TRADES = tuple(k / 4.0 for k in range(-4, 5))  # nine trades, in steps of .25 up to 1


def published_noise_seeds() -> list[int]:
    """The noise seeds of the ten paths on which the authors report their scores."""
    rng = np.random.RandomState(1024)
    return [int(seed) for seed in rng.randint(0, 10**6, size=10)]


@dataclass(frozen=True)
class CFM(CFMProblem):
    """The problem of CFMEnv with its solution; see there for the fields."""

    def optimum(self) -> float:
        """By closed form (quadratic costs, wide limit), by the band's integral (linear), else by value iteration."""
        if self._is_linear_quadratic:
            return quadratic_solution(self.risk, self.psi, self.theta).value
        if self._is_band:
            return band_solution(self.psi, self.risk, self.limit, self.theta).gain
        if self._is_one_way:
            return 0.0 if 0.0 in self.actions else -self.risk * self.limit**2
        return table_solution(self).gain

    def optimal_policy(self) -> Policy:
        """The policy of that solution."""
        if self._is_linear_quadratic:
            solution = quadratic_solution(self.risk, self.psi, self.theta)
            return LinearPolicy(self, solution.a, solution.b)
        if self._is_band:
            return BandPolicy(self, band_solution(self.psi, self.risk, self.limit, self.theta))
        if self._is_one_way:
            return LinearPolicy(self, 1.0, 0.0)  # stays at 0, or makes the smallest trade
        return table_policy(self)

    @property
    def _is_linear_quadratic(self) -> bool:
        """True if the closed form holds: limit and largest trade bind in less than one step in a million."""
        if self.actions != "continuous" or self.cost != "quadratic" or self.risk == 0.0:
            return False
        solution = quadratic_solution(self.risk, self.psi, self.theta)
        return 5.0 * solution.position <= self.limit and 5.0 * solution.trade <= self.largest_trade

    @property
    def _is_one_way(self) -> bool:
        """True if all trades have one sign: a position other than 0 can never be closed, and pays its risk penalty."""
        return self.actions != "continuous" and bool(min(self.actions) >= 0.0 or max(self.actions) <= 0.0)

    @property
    def _is_band(self) -> bool:
        return self.actions == "continuous" and self.cost == "linear" and self.largest_trade >= 2.0 * self.limit


class CFMEnv(ReferenceEnv):
    """Trading on an observed mean-reverting signal, with costs, risk aversion and a limit.

    ## Description
    The signal forecasts the next return: x' = x - theta x + sigma eps, p = x / (sigma sqrt(1 / (2 theta))). The agent
    trades d = pi_t - pi_{t-1}, and is paid the forecast itself, without the return's noise. Three ids:

    | id | cost | psi | risk | limit |
    |---|---|---|---|---|
    | reference/CFMLinear-v0 | psi abs(d) | 4 | .3 | 10 |
    | reference/CFMMaxPosition-v0 | psi abs(d) | 4 | 0 | 2 |
    | reference/CFMQuadratic-v0 | psi d^2 | 1 | .3 | 10 |

    ## Action Space
    "continuous": Box(-1, 1, (1,)), the trade over max_trade. A tuple of k trades: Discrete(k), so that
    actions=QUARTER_TRADES trades in steps of .25 up to 1. The position is clipped to the limit, and
    costs are charged for the units actually traded.

    ## Observation Space
    Box float32 (2,).

    | index | content | unit |
    |---|---|---|
    | 0 | signal p_t | about one standard deviation |
    | 1 | position pi_{t-1} | units |

    ## Rewards
    p_t pi_t - risk pi_t^2 - cost(pi_t - pi_{t-1}).

    ## Starting State
    Position 0, signal p_1. The path is RandomState(noise_seed).normal(0, 1, n_bars), exactly as the authors draw it.

    ## Episode End
    Truncated after n_bars - 2 steps. Never terminated.

    ## Info
    position, cost (contained in the reward), noise_seed (which reproduces the path), t (steps made).

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | cost | "linear" | or "quadratic" |
    | psi, risk, limit | see above | cost, lambda, largest position |
    | theta, sigma | 0.1, 0.1 | reversion and noise of the signal |
    | actions | "continuous" | or a tuple of trades |
    | max_trade | None | what the continuous action 1 trades; None = twice the limit, any trade |
    | n_bars | 5000 | T |

    ``reset`` takes ``options={"noise_seed": int}``; `published_noise_seeds()` are those of the authors' test.

    ## Vectorized environment
    `gym.make_vec("reference/CFMLinear-v0", num_envs=N)` makes a CFMVectorEnv, equal bit for bit.

    ## Optimum
    Linear costs: an integral of optimal switching problems over the levels of the position (`band_solution`; signal
    on 401 points, positions on 401; relative error 1e-5 to 2e-5 by default, and more if costs take most of the
    reward: 6e-4 at psi = 20). Quadratic costs: pi_t = a pi_{t-1} + b p_t (`quadratic_solution`), exact. Otherwise (a
    tuple of trades, a binding limit or largest trade): value iteration (relative error about 2e-4), which takes
    seconds, but minutes if the signal is much more persistent than by default (theta of .001). `optimum()` raises
    ValueError if trades are too small, or the signal too persistent, for value iteration.

    ## Source
    Chaouki, Hardiman, Schmidt, Serie & de Lataillade (2020), "Deep deterministic portfolio optimization".

    ## Version History
    * v0: initial version
    """

    problem_class = CFM


class CFMVectorEnv(ReferenceVectorEnv):
    """N CFMEnvs at once."""

    problem_class = CFM
