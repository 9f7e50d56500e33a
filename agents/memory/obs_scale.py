"""Observations of each seed normalised by their running mean and variance, as VecNormalize of Stable-Baselines3 does.

    (obs - mean) / sqrt(variance + 1e-8), clipped to [-10, 10]

Training counts each observation once, when it is acted on; acting elsewhere, in `predict` and `evaluate`, leaves the
statistics as they are. They belong to the policy, so files and copies hold them with the weights.

Axis letters: S seeds, N envs per seed, B batch, D observation.
"""

import numpy as np
import numpy.typing as npt
import torch

from agents.envs.seed_envs import Floats

CLIP, EPSILON = 10.0, 1e-8


class ObsScale:
    """Running statistics of the observations of S seeds.

    Args:
        n_seeds: S.
        obs_size: D.

    Attributes:
        mean: Means, [S, D].
        variance: Variances, [S, D].
        count: Observations counted, [S].
    """

    def __init__(self, n_seeds: int, obs_size: int) -> None:
        self.mean, self.variance = np.zeros((n_seeds, obs_size)), np.ones((n_seeds, obs_size))
        self.count = np.full(n_seeds, 1e-4)  # as VecNormalize has it

    def add(self, obs: Floats) -> None:
        """Counts observations [S, N, D] (Chan et al. 1983)."""
        N, before = obs.shape[1], self.count[:, None]
        mean, variance = obs.mean(1, np.float64), obs.var(1, np.float64)  # [S, D]
        shift, total = mean - self.mean, before + N
        square = self.variance * before + variance * N + shift**2 * before * N / total  # [S, D]
        self.mean += shift * N / total
        self.variance[:] = square / total
        self.count += N

    def __call__(self, obs: Floats) -> Floats:
        """Normalised observations, [S, B, D]."""
        deviation: npt.NDArray[np.float64] = np.sqrt(np.maximum(self.variance, 0.0) + EPSILON)  # [S, D]
        return np.clip((obs - self.mean[:, None]) / deviation[:, None], -CLIP, CLIP).astype(np.float32)

    def state(self) -> dict[str, torch.Tensor]:
        """The statistics by name, [S, ...] each, sharing memory."""
        return {name: torch.from_numpy(getattr(self, name)) for name in ("mean", "variance", "count")}
