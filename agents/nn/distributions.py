"""Distributions of actions: how a policy's outputs become actions, and torch's distributions for the losses.

The outputs `pi` of a policy's network are logits for Discrete actions and means for a Box's.

Axis letters: S seeds, N envs per seed, B batch, A outputs, K numbers per action.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Categorical as TorchCategorical
from torch.distributions import Distribution as TorchDistribution
from torch.distributions import Independent, Normal

from agents.common.compiled import compiled
from agents.envs.seed_envs import Spaces

Floats = npt.NDArray[np.float32]


class Distribution(ABC):
    """One kind of distribution, without parameters of its own.

    Attributes:
        n_outputs: A, outputs of the policy's network.
        action_size: Numbers per action.
        noise_size: Random numbers needed to sample an action.
        normal: Whether these are standard normal, else uniform in [0, 1).
    """

    normal: ClassVar[bool]
    n_outputs: int
    action_size: int
    noise_size: int

    @abstractmethod
    def sample(self, pi: Floats, noise: npt.NDArray[np.float64], log_std: Floats | None) -> npt.NDArray[Any]:
        """Actions, from pi [S, N, A] and noise [S, N * noise_size]: ints [S, N], or floats [S, N, A]."""

    def noise(self, streams: Sequence[np.random.Generator], batch: int) -> npt.NDArray[np.float64]:
        """Noise for `sample`, [S, batch * noise_size], from one generator per seed."""
        size = batch * self.noise_size
        return np.stack([stream.standard_normal(size) if self.normal else stream.random(size) for stream in streams])

    @abstractmethod
    def mode(self, pi: Floats) -> npt.NDArray[Any]:
        """The most likely actions, in the shape of `sample`'s."""

    @abstractmethod
    def given(self, pi: torch.Tensor, log_std: torch.Tensor | None) -> TorchDistribution:
        """Torch's distribution of actions [S, B, K], whose log_prob and entropy are [S, B]: pi [S, B, A]."""


class Categorical(Distribution):
    """Discrete actions, pi(a) = exp(logit_a) / sum_b exp(logit_b)."""

    normal = False

    def __init__(self, n_actions: int) -> None:
        self.n_outputs, self.action_size, self.noise_size = n_actions, 1, 1

    def sample(self, pi: Floats, noise: npt.NDArray[np.float64], log_std: Floats | None) -> npt.NDArray[Any]:
        """Ints [S, N]: each inverts the cumulated probabilities at its noise [S, N]."""
        action = np.empty(noise.shape, np.int64)
        _sample(pi, noise, action)
        return action

    def mode(self, pi: Floats) -> npt.NDArray[Any]:
        """The actions of the largest logits, [S, N]."""
        action: npt.NDArray[np.int64] = pi.argmax(-1)
        return action

    def given(self, pi: torch.Tensor, log_std: torch.Tensor | None) -> TorchDistribution:
        """A softmax over the logits pi."""
        return Independent(TorchCategorical(logits=pi[..., None, :], validate_args=False), 1, validate_args=False)


class Gaussian(Distribution):
    """Actions of a Box, independent normal numbers; their standard deviations do not depend on the observation."""

    normal = True

    def __init__(self, action_size: int) -> None:
        self.n_outputs = self.action_size = self.noise_size = action_size

    def sample(self, pi: Floats, noise: npt.NDArray[np.float64], log_std: Floats | None) -> npt.NDArray[Any]:
        """Floats [S, N, A]: mean + std * noise."""
        assert log_std is not None
        action: npt.NDArray[Any] = pi + np.exp(log_std) * noise.reshape(pi.shape).astype(np.float32)
        return action

    def mode(self, pi: Floats) -> npt.NDArray[Any]:
        """The means."""
        return pi

    def given(self, pi: torch.Tensor, log_std: torch.Tensor | None) -> TorchDistribution:
        """Independent normal numbers with means pi."""
        assert log_std is not None
        return Independent(Normal(pi, log_std.exp(), validate_args=False), 1, validate_args=False)


def distribution_for(spaces: Spaces) -> Distribution:
    """The distribution for an env's actions."""
    return Gaussian(math.prod(spaces.action_shape)) if spaces.continuous else Categorical(spaces.n_actions)


@compiled
def _sample(logits: Floats, uniform: npt.NDArray[np.float64], action: npt.NDArray[np.int64]) -> None:
    S, N, A = logits.shape
    for s in range(S):
        for n in range(N):
            row = logits[s, n]
            top = row[0]
            for a in range(1, A):
                top = max(top, row[a])
            total = 0.0
            for a in range(A):
                total += np.exp(row[a] - top)
            left = uniform[s, n] * total
            chosen = 0
            for a in range(A):
                chosen = a
                left -= np.exp(row[a] - top)
                if left < 0.0:
                    break
            action[s, n] = chosen
