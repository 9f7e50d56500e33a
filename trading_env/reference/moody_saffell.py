"""Moody & Saffell's artificial price: a random walk with a hidden autoregressive trend."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from trading_env._checks import number
from trading_env.data.bars import Floats
from trading_env.data.paths import autoregression
from trading_env.reference.envs import ReferenceEnv, ReferenceVectorEnv
from trading_env.reference.solvers import autoregressive_grid
from trading_env.reference.trends import Chain, Trend

_POINTS = 601  # of the grid of beliefs


@dataclass(frozen=True)
class MoodySaffell(Trend):
    """The problem of MoodySaffellEnv; see there for the fields."""

    cost: float = 0.002
    k: float = 3.0
    decay: float = 0.9
    scale: float = 1553.7

    def __post_init__(self) -> None:
        super().__post_init__()
        number("k", self.k, least=0.0)
        number("scale", self.scale, above=0.0)
        if not 0.0 <= number("decay", self.decay) < 1.0:
            raise ValueError(f"decay must be in [0, 1), where the trend is stationary, got {self.decay!r}")

    @property
    def deviation(self) -> float:
        """Standard deviation of p' - p, divided by the scale."""
        return math.hypot(self.trend_deviation * self.scale, self.k) / self.scale

    @property
    def trend_deviation(self) -> float:
        """Standard deviation of beta, divided by the scale."""
        return 1.0 / (math.sqrt(1.0 - self.decay**2) * self.scale)

    def path(self, noise_seed: int) -> Floats:
        """Returns (p_t - p_{t-1}) / scale and trends beta_t / scale, the first trend from its stationary law."""
        rng = np.random.default_rng(noise_seed)
        nu, eps = rng.standard_normal((2, self.lead + self.episode_length))
        trend = autoregression(self.trend_deviation * self.scale * rng.standard_normal(), self.decay, nu)
        changes = np.concatenate([[0.0], trend[:-1] + self.k * eps])
        return np.column_stack([changes, trend]) / self.scale

    def prior(self) -> Floats:
        """Mean and variance of beta: its stationary law."""
        return np.array([0.0, 1.0 / (1.0 - self.decay**2)])

    def updated(self, belief: Floats, returns: Floats) -> Floats:
        """The Kalman filter's mean and variance of the next change of p, without its noise."""
        mean, variance = belief.T
        weight = variance / (variance + self.k**2)
        mean = self.decay * (mean + weight * (returns * self.scale - mean))
        return np.column_stack([mean, self.decay**2 * variance * (1.0 - weight) + 1.0])

    def variance(self) -> float:
        """The filter's steady variance P = decay^2 (P - P^2 / (P + k^2)) + 1."""
        s = self.k**2 * (1.0 - self.decay**2) - 1.0  # P^2 + s P - k^2 = 0
        return 0.5 * (math.sqrt(s * s + 4.0 * self.k**2) - s)

    def chain(self) -> Chain:
        """Chain of the filtered mean, which is autoregressive with the noise decay P / sqrt(P + k^2)."""
        p = self.variance()
        noise = 1.0 if self.observed else self.decay * p / math.sqrt(p + self.k**2)
        grid, transition = autoregressive_grid(self.decay, noise, _POINTS)
        return Chain(grid / self.trend_unit, transition, grid / self.scale)

    @property
    def trend_unit(self) -> float:
        """Divisor of beta in the coordinate of the chain: the price's scale if the trend is observed, else 1."""
        return self.scale if self.observed else 1.0


class MoodySaffellEnv(ReferenceEnv):
    """Long, flat or short on a price whose drift is a hidden autoregressive process: a test of memory.

    ## Description
    p' = p + beta + k eps, beta' = decay beta + nu, with independent standard normal eps and nu; the price is
    z = exp(p / scale). The authors' scale is the range of the whole path, a look-ahead; here it is fixed.

    ## Action Space
    Discrete(3): 0 short, 1 flat, 2 long, held at constant exposure.

    ## Observation Space
    Box float32 (window + 1,), or (2,) where the trend is observed.

    | index | content | unit |
    |---|---|---|
    | 0 ... window - 1 | last log returns of z, oldest first | their standard deviation |
    | (observed) 0 | trend beta | its standard deviation |
    | -1 | position | -1, 0, 1 |

    ## Rewards
    w log(z' / z) - cost |dw|.

    ## Starting State
    Flat; the trend from its stationary law.

    ## Episode End
    Truncated after n_steps steps. Never terminated.

    ## Info
    position, cost (contained in the reward), noise_seed (which reproduces the path), t (steps made).

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | cost | 0.002 | per unit of exposure |
    | k, decay, scale | 3, 0.9, 1553.7 | of the price |
    | window | 1 | returns in the observation; 1 makes memory necessary |
    | observed | False | whether to show beta instead |
    | n_steps | 1000 | of an episode |

    ``reset`` takes ``options={"noise_seed": int}``.

    ## Vectorized environment
    `gym.make_vec("reference/MoodySaffell-v0", num_envs=N)` makes a MoodySaffellVectorEnv, equal bit for bit.

    ## Optimum
    The mean m of the Kalman filter contains all that past returns tell about the next one, and is autoregressive
    itself. Policy iteration over m on 601 points or more (relative error below 1e-4). The policy keeps the filter as
    its state. Beyond a decay of .99998, `optimum()` raises ValueError.

    ## Source
    Moody & Saffell (2001), "Learning to trade via direct reinforcement", section IV-A; Moody, Wu, Liao & Saffell
    (1998), "Performance functions and reinforcement learning for trading systems and portfolios".

    ## Version History
    * v0: initial version
    """

    problem_class = MoodySaffell


class MoodySaffellVectorEnv(ReferenceVectorEnv):
    """N MoodySaffellEnvs at once."""

    problem_class = MoodySaffell
