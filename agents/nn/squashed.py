"""Normal numbers squashed into (-1, 1) by tanh: the policy of SAC (Haarnoja et al. 2018, appendix C).

The outputs `pi` of the policy's network are the A means and the A logarithms of the standard deviations, side by side.

Axis letters: S seeds, B batch, A numbers per action.
"""

import math

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float32]
LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
_HALF_LOG_2_PI = 0.5 * math.log(2.0 * math.pi)


def squashed(pi: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Actions tanh(mean + std * noise), [S, B, A], and the logarithms of their densities, [S, B].

    By the change of variables the density of a normal number is divided by the slope of tanh. Its logarithm
    log(1 - tanh(u)^2) is written as 2 * (log 2 - |u| - log(1 + exp(-2|u|))), which is exact where tanh(u) rounds to 1.

    Args:
        pi: [S, B, 2A].
        noise: Standard normal numbers, [S, B, A].
    """
    mean, log_std = pi.chunk(2, -1)  # [S, B, A] each
    log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)  # [S, B, A]
    u = mean + log_std.exp() * noise  # [S, B, A]
    log_density = -0.5 * noise.square() - log_std - _HALF_LOG_2_PI  # [S, B, A]
    size = u.abs()  # [S, B, A]
    log_slope = 2.0 * (math.log(2.0) - size - (-2.0 * size).exp().log1p())  # [S, B, A]
    return u.tanh(), (log_density - log_slope).sum(-1)


def squashed_sample(pi: Floats, noise: Floats) -> Floats:
    """Actions [S, B, A] as those of `squashed`, NumPy to NumPy."""
    mean, log_std = np.split(pi, 2, -1)
    action: Floats = np.tanh(mean + np.exp(np.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)) * noise)
    return action
