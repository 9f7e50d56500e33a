"""Two regimes, hidden or seen: the mean of the next return is +step or -step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trading_env.checks import number
from trading_env.reference import ReferenceEnv, ReferenceVectorEnv
from trading_env.reference_trends import Chain, Trend
from trading_env.validation import Floats

_POINTS, _NODES = 1001, 96  # of the belief's log odds, and of the quadrature over the next return


@dataclass(frozen=True)
class Regime(Trend):
    """The problem of RegimeEnv; see there for the fields."""

    cost: float = 0.001
    stay: float = 0.98
    step: float = 0.001
    sigma: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        number("step", self.step, above=0.0)
        number("sigma", self.sigma, least=0.0)
        if not 0.0 < number("stay", self.stay) < 1.0:
            raise ValueError(f"stay must be in (0, 1), got {self.stay!r}")
        if not self.observed and self.sigma == 0.0:
            raise ValueError("sigma must be above 0 where the state is hidden: without noise a return tells it")

    @property
    def deviation(self) -> float:
        """Of a return."""
        return math.hypot(self.step, self.sigma)

    @property
    def trend_deviation(self) -> float:
        """The trend is +step or -step."""
        return self.step

    def path(self, noise_seed: int) -> Floats:
        """Returns r_t = step s_{t-1} + sigma eps, and trends step s_t; the first state is a fair coin."""
        rng = np.random.default_rng(noise_seed)
        n = self.lead + self.episode_length
        flips = np.where(rng.random(n + 1) < self.stay, 1.0, -1.0)
        flips[0] = 1.0 if rng.random() < 0.5 else -1.0
        trend = self.step * np.cumprod(flips)
        return np.column_stack([np.concatenate([[0.0], trend[:-1] + self.sigma * rng.standard_normal(n)]), trend])

    def prior(self) -> Floats:
        """Log odds of the up state: even."""
        return np.zeros(1)

    def updated(self, belief: Floats, returns: Floats) -> Floats:
        """Bayes' rule on the state that made the return, and then a chance to switch."""
        return self._log_odds(belief + 2.0 * self.step / self.sigma**2 * returns[:, None])

    def _log_odds(self, before: Floats) -> Floats:
        """Log odds one step later."""
        up = 1.0 / (1.0 + np.exp(-np.clip(before, -700.0, 700.0)))
        up = self.stay * up + (1.0 - self.stay) * (1.0 - up)
        result: Floats = np.log(up / (1.0 - up))
        return result

    def chain(self) -> Chain:
        """The log odds of the belief on an even grid between their bounds, by Gauss-Hermite quadrature."""
        if self.observed:
            return Chain(
                np.array([-self.step, self.step]),
                np.array([[self.stay, 1.0 - self.stay], [1.0 - self.stay, self.stay]]),
                np.array([-self.step, self.step]),
            )
        bound = abs(math.log(self.stay / (1.0 - self.stay)))
        if bound < 1e-9:  # a fair coin: nothing can be known
            return Chain(np.zeros(1), np.ones((1, 1)), np.zeros(1))
        grid = np.linspace(-bound, bound, _POINTS)
        up = 1.0 / (1.0 + np.exp(-grid))
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        transition = np.zeros((_POINTS, _POINTS))
        rows = np.arange(_POINTS)[:, None]
        for sign, chance in ((1.0, up), (-1.0, 1.0 - up)):
            returns = sign * self.step + self.sigma * nodes
            after = self._log_odds(grid[:, None] + 2.0 * self.step / self.sigma**2 * returns)  # [X, nodes]
            place = np.clip((after + bound) / (grid[1] - grid[0]), 0.0, _POINTS - 1.0)
            left = np.minimum(place.astype(np.int64), _POINTS - 2)
            mass = chance[:, None] * weights / weights.sum()
            np.add.at(transition, (rows, left), mass * (1.0 - (place - left)))
            np.add.at(transition, (rows, left + 1), mass * (place - left))
        return Chain(grid, transition, self.step * (2.0 * up - 1.0))

    def optimum(self) -> float:
        """Observed: max(0, step - 2 cost (1 - stay)), exact. Hidden: by value iteration over the belief."""
        if self.observed:
            return max(0.0, self.step - 2.0 * self.cost * (1.0 - self.stay))
        return super().optimum()


class RegimeEnv(ReferenceEnv):
    """Long, flat or short on returns whose mean switches between two states.

    ## Description
    r_{t+1} = step s_t + sigma eps, s in {-1, +1}; s_{t+1} = s_t with probability stay, else -s_t. Two ids:
    reference/RegimeHidden-v0 shows returns, reference/RegimeAdditive-v0 the state. (reference/RegimeObserved-v0 is
    the same market in TradingEnv, with compounding wealth, long or flat.)

    ## Action Space
    Discrete(3): 0 short, 1 flat, 2 long, held at constant exposure.

    ## Observation Space
    Box float32 (window + 1,), or (2,) where the state is observed.

    | index | content | unit |
    |---|---|---|
    | 0 ... window - 1 | last returns, oldest first | their standard deviation |
    | (observed) 0 | state s_t | -1, 1 |
    | -1 | position | -1, 0, 1 |

    ## Rewards
    w r_{t+1} - cost |dw|.

    ## Starting State
    Flat; the state is a fair coin.

    ## Episode End
    Truncated after n_steps steps. Never terminated.

    ## Info
    position, cost (contained in the reward), noise_seed (which reproduces the path), t (steps made).

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | cost | 0.001 | per unit of exposure |
    | stay, step, sigma | 0.98, 0.001, 0.01 | of the returns |
    | window | 1 | returns in the observation; 1 makes memory necessary |
    | observed | False | whether to show the state instead |
    | n_steps | 1000 | of an episode |

    ``reset`` takes ``options={"noise_seed": int}``.

    ## Vectorized environment
    `gym.make_vec("reference/RegimeHidden-v0", num_envs=N)` makes a RegimeVectorEnv, equal bit for bit.

    ## Optimum
    Observed: follow the state iff step > 2 cost (1 - stay), which earns the difference; exact. Hidden: the filtered
    probability b of the up state, b <- stay l + (1 - stay)(1 - l) with l by Bayes' rule, is all that the returns
    tell; value iteration over (b, w) on 1001 points of log odds (relative error below 1e-4).

    ## Source
    Hamilton (1989), "A new approach to the economic analysis of nonstationary time series"; the optimum is derived
    here.

    ## Version History
    * v0: initial version
    """

    problem_class = Regime


class RegimeVectorEnv(ReferenceVectorEnv):
    """N RegimeEnvs at once."""

    problem_class = Regime
