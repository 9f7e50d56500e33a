"""A divisor for the rewards of each seed, so that networks and losses see numbers of the same size in every env.

A critic's initial values are of size 1, Huber's loss becomes linear at 1, and gradient norms are clipped at a fixed
number: if returns are about 0.01, the initial values drown them; if they are about 100, errors are reduced to their
sign. So rewards are divided by the standard deviation of the discounted returns so far,

    R_t = gamma * R_{t-1} + reward_t,    R = 0 where an episode begins,

as VecNormalize of Stable-Baselines3 does for rewards, but without its clipping, and with statistics per seed. Only
training uses it: rewards are not centred, so the best policy is the same, and acting needs no scale.

Axis letters: S seeds, N envs per seed.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.common.state import Parts
from agents.envs.seed_envs import Step


class RewardScale(Parts):
    """Running statistics of S seeds with N envs each.

    Args:
        n_seeds: S.
        n_envs: N.
        gamma: Discount factor.

    Attributes:
        running: Discounted return of each env so far, [S, N].
        count: Returns counted, [S].
        mean: Their mean, [S].
        square: Their squared differences from it, summed, [S].
    """

    def __init__(self, n_seeds: int, n_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.running = np.zeros((n_seeds, n_envs))
        self.count, self.mean, self.square = (np.zeros(n_seeds) for _ in range(3))

    @property
    def divisor(self) -> npt.NDArray[np.float64]:
        """The divisor of the rewards, [S]: 1 as long as all returns are equal."""
        deviation = np.sqrt(self.square / np.maximum(self.count, 1.0))
        return np.where(deviation > 0.0, deviation, 1.0)

    def add(self, reward: npt.NDArray[Any], ended: npt.NDArray[np.bool_]) -> None:
        """Updates the statistics by one step: rewards and ends of episodes, [S, N] each (Chan et al. 1983)."""
        N = self.running.shape[1]
        self.running = self.gamma * self.running + reward
        of_step = self.running.mean(1)
        shift, total = of_step - self.mean, self.count + N
        self.square += np.square(self.running - of_step[:, None]).sum(1) + shift**2 * self.count * N / total
        self.mean += shift * N / total
        self.count = total
        self.running[ended] = 0.0

    def begin(self) -> None:
        """Starts new episodes in all envs."""
        self.running[:] = 0.0

    def parts(self) -> dict[str, Any]:
        """The statistics, by attribute."""
        return {"running": self.running, "count": self.count, "mean": self.mean, "square": self.square}


def scaled(step: Step, scale: RewardScale | None) -> Step:
    """The step with its rewards counted and divided; the same step if there is no scale."""
    if scale is None:
        return step
    scale.add(step.reward, step.ended)
    return step._replace(reward=step.reward / scale.divisor[:, None])
