"""One seed's step of Adam, compiled, so that its gradient is still in the cache.

Axis letters: S seeds, P parameters per seed.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from agents.common.compiled import compiled

ZERO, ONE, TINY = np.float32(0.0), np.float32(1.0), np.float32(1e-36)


class AdamArrays(NamedTuple):
    """An `agents.nn.adam.Adam` as kernels take it; buffers are [S * P] as in `agents.nn.parameters.Parameters`."""

    flat: Any
    grad: Any
    mean: Any
    square: Any
    sizes: Any  # numbers of parameters per seed, of each array
    steps: Any  # that each seed has taken, [S]
    rate: float
    decays: Any  # of the two moments, in double precision, for the bias correction
    max_norm: Any
    eps: Any


@compiled
def adam_of_seeds(adam: Any, active: Any) -> None:
    """Clips and steps each active seed [S], in place."""
    for s in range(len(active)):
        if active[s]:
            adam_of_seed(adam, s)


@compiled
def adam_of_seed(adam: Any, s: int) -> None:
    """Clips seed s's gradient and takes Adam's step, in place.

    Moments of inactive units would decay into subnormal numbers, which processors handle ten times slower: they are
    set to zero before that.
    """
    adam.steps[s] += 1
    decay1, decay2 = adam.decays
    beta1, beta2, n_seeds = np.float32(decay1), np.float32(decay2), len(adam.steps)
    rate = np.float32(adam.rate / (1.0 - decay1 ** float(adam.steps[s])))
    correction = np.float32(1.0 / math.sqrt(1.0 - decay2 ** float(adam.steps[s])))
    scale, offset = clip_scale(adam.grad, adam.sizes, n_seeds, s, adam.max_norm), 0
    for size in adam.sizes:
        start = offset + s * size
        p, g, m, v = adam.flat[start:], adam.grad[start:], adam.mean[start:], adam.square[start:]
        for i in range(size):
            clipped = g[i] * scale
            mean_i = beta1 * m[i] + (ONE - beta1) * clipped
            square_i = beta2 * v[i] + (ONE - beta2) * clipped * clipped
            m[i] = mean_i if abs(mean_i) > TINY else ZERO
            v[i] = square_i if square_i > TINY else ZERO
            p[i] -= rate * mean_i / (np.sqrt(square_i) * correction + adam.eps)
        offset += n_seeds * size


@compiled
def clip_scale(grad: Any, sizes: Any, n_seeds: int, s: int, max_norm: Any) -> Any:
    """The factor that clips seed s's gradient to a norm of `max_norm`."""
    total, offset = ZERO, 0
    for size in sizes:
        g = grad[offset + s * size :]
        for i in range(size):
            total += g[i] * g[i]
        offset += n_seeds * size
    return min(ONE, max_norm / (np.sqrt(total) + np.float32(1e-6)))
