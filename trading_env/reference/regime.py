"""Two regimes, hidden or observed: the mean of the next return is +step or -step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trading_env._checks import number
from trading_env.data.bars import Floats
from trading_env.reference.envs import ReferenceEnv, ReferenceVectorEnv
from trading_env.reference.solvers import MOST_POINTS, WIDEST_CELL, normal_cdf
from trading_env.reference.trends import Chain, Trend

_POINTS = 801  # of the grid of log odds, at least
_CELL = 0.1  # of the grid of log odds, at most
_DEVIATIONS, _SATURATED = 8.0, 18.0  # ends of the grid: in deviations, or where the state is known to 1e-8


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
        """Standard deviation of a return."""
        return math.hypot(self.step, self.sigma)

    @property
    def trend_deviation(self) -> float:
        """Standard deviation of the trend, which is +step or -step."""
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
        """Log odds that the state is up before any return: 0."""
        return np.zeros(1)

    def updated(self, belief: Floats, returns: Floats) -> Floats:
        """Log odds after a possible switch and one more return, by Bayes' rule."""
        return self._switched(belief) + self._strength * (returns / self.sigma)[:, None]

    @property
    def _strength(self) -> float:
        """Standard deviation of the log odds that a return adds."""
        return 2.0 * self.step / self.sigma

    def _switched(self, log_odds: Floats) -> Floats:
        """Log odds after a possible switch."""
        up = 1.0 / (1.0 + np.exp(-np.clip(log_odds, -700.0, 700.0)))
        up = self.stay * up + (1.0 - self.stay) * (1.0 - up)
        result: Floats = np.log(up / (1.0 - up))
        return result

    def chain(self) -> Chain:
        """The log odds of the state behind the last return, on an evenly spaced grid.

        After a possible switch, a return adds strength^2 / 2 + strength eps to the log odds if the state is up, and
        -strength^2 / 2 + strength eps if it is down. The trapezoid rule on these densities is exact to rounding;
        probability beyond the grid goes to its ends.
        """
        if self.observed:
            return Chain(
                np.array([-self.step, self.step]),
                np.array([[self.stay, 1.0 - self.stay], [1.0 - self.stay, self.stay]]),
                np.array([-self.step, self.step]),
            )
        if abs(math.log(self.stay / (1.0 - self.stay))) < 1e-9:  # a fair coin: nothing can be known
            return Chain(np.zeros(1), np.ones((1, 1)), np.zeros(1))
        grid = self._grid()
        now = self._switched(grid)[:, None]
        up = 1.0 / (1.0 + np.exp(-now))
        drift = 0.5 * self._strength**2
        transition = up * _normal_chances(grid, now + drift, self._strength)
        transition += (1.0 - up) * _normal_chances(grid, now - drift, self._strength)
        return Chain(grid, transition, self.step * (2.0 * up[:, 0] - 1.0))

    def _grid(self) -> Floats:
        """Log odds (X,), up to eight of their deviations, but not beyond the point where they determine the state."""
        bound, strength = abs(math.log(self.stay / (1.0 - self.stay))), self._strength
        decay = abs(2.0 * self.stay - 1.0) * (1.0 + 0.25 * strength**2)  # of small log odds; larger ones decay faster
        reach = bound + min(_SATURATED, 0.5 * strength**2 + _DEVIATIONS * strength)
        if decay < 1.0:
            reach = min(reach, _DEVIATIONS * strength / math.sqrt(1.0 - decay * decay))
        half = max(_POINTS // 2, math.ceil(reach / min(_CELL, WIDEST_CELL * strength)))
        if 2 * half + 1 > MOST_POINTS:
            raise ValueError(
                f"stay={self.stay!r} with step={self.step!r} and sigma={self.sigma!r} makes beliefs too persistent for "
                "a known optimum"
            )
        return np.linspace(-reach, reach, 2 * half + 1)

    def optimum(self) -> float:
        """Observed: max(0, step - 2 cost (1 - stay)), exact. Hidden: by policy iteration over the belief."""
        if self.observed:
            return max(0.0, self.step - 2.0 * self.cost * (1.0 - self.stay))
        return super().optimum()


def _normal_chances(grid: Floats, means: Floats, deviation: float) -> Floats:
    """Probabilities (X, X) of evenly spaced points (X,) under normal laws with means (X, 1); ends include tails."""
    z = (grid - means) / deviation
    density = np.exp(-0.5 * np.square(np.clip(z, -40.0, 40.0))) / math.sqrt(2.0 * math.pi)
    chances = density * ((grid[1] - grid[0]) / deviation)
    chances[:, [0, -1]] = 0.5 * chances[:, [0, -1]] + normal_cdf(np.stack([z[:, 0], -z[:, -1]], axis=1))
    result: Floats = chances / chances.sum(axis=1, keepdims=True)
    return result


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
    probability b of the up state, b <- stay l + (1 - stay)(1 - l) with l by Bayes' rule, contains all
    that past returns tell; policy iteration over b on 801 points of log odds or more (relative error below 1e-4, tested
    for stay .9 to .999 and step / sigma 1e-3 to 1). If b is so persistent that it would need more than 4001 points,
    `optimum()` raises ValueError.

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
