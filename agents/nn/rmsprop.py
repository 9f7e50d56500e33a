"""RMSprop on the flat buffer, with clipping per seed.

Axis letters: S seeds, P parameters per seed.
"""

import numpy as np
import numpy.typing as npt
import torch

from agents.common.compiled import compiled
from agents.nn.parameters import Floats, Parameters, clip_per_seed_


class RMSprop:
    """RMSprop on the flat buffer, with the gradient clipped per seed by its global norm, in torch's form.

    Source: Tieleman and Hinton 2012, lecture 6.5. On the CPU one compiled loop clips and steps seed by seed.

    Args:
        parameters: The parameters to optimise.
        max_grad_norm: Maximum norm of one seed's gradient.
        alpha: Decay of the running mean of squares.
        eps: Added to the denominator.
    """

    def __init__(self, parameters: Parameters, max_grad_norm: float, alpha: float = 0.99, eps: float = 1e-5) -> None:
        self.parameters = parameters
        self.max_grad_norm = max_grad_norm
        self.alpha = alpha
        self.eps = eps
        self.square = torch.zeros_like(parameters.flat)  # [S * P]
        self._sizes = np.array(parameters.sizes)

    def step(self, learning_rate: float) -> None:
        """One step down the gradient that lies in the parameters' `grad`; `grad` itself may be overwritten."""
        if self.parameters.flat.device.type == "cpu":
            self._step_compiled(learning_rate)
        else:
            self._step_torch(learning_rate)

    def state(self) -> dict[str, torch.Tensor]:
        """The state of the optimiser by name, [S, ...] each, sharing memory."""
        return {f"square.{name}": view for name, view in self.parameters.named(self.square).items()}

    def _step_compiled(self, rate: float) -> None:
        buffers = (buffer.numpy() for buffer in (self.parameters.flat, self.parameters.grad, self.square))
        scalars = map(np.float32, (rate, self.max_grad_norm, self.alpha, self.eps))
        clip_and_rmsprop(*buffers, self._sizes, self.parameters.n_seeds, *scalars)

    def _step_torch(self, rate: float) -> None:
        grad = self.parameters.grad
        clip_per_seed_(self.parameters, self.max_grad_norm)
        self.square.mul_(self.alpha).addcmul_(grad, grad, value=1.0 - self.alpha)
        self.parameters.flat.addcdiv_(grad, self.square.sqrt().add_(self.eps), value=-rate)


@compiled
def clip_and_rmsprop(
    flat: Floats,
    grad: Floats,
    square: Floats,
    sizes: npt.NDArray[np.int64],
    n_seeds: int,
    rate: np.float32,
    max_norm: np.float32,
    alpha: np.float32,
    eps: np.float32,
) -> None:
    """Clips each seed's gradient and takes RMSprop's step, in place; buffers are [S * P] as in `Parameters`.

    Squares that would decay into subnormal numbers, which processors handle slowly, are set to zero before that.
    """
    one, tiny = np.float32(1.0), np.float32(1e-36)
    for s in range(n_seeds):
        total = np.float32(0.0)
        offset = 0
        for size in sizes:
            g = grad[offset + s * size :]
            for i in range(size):
                total += g[i] * g[i]
            offset += n_seeds * size
        scale = min(one, max_norm / (np.sqrt(total) + np.float32(1e-6)))
        offset = 0
        for size in sizes:
            start = offset + s * size
            p, g, v = flat[start:], grad[start:], square[start:]
            for i in range(size):
                clipped = g[i] * scale
                square_i = alpha * v[i] + (one - alpha) * clipped * clipped
                v[i] = square_i if square_i > tiny else np.float32(0.0)
                p[i] -= rate * clipped / (np.sqrt(square_i) + eps)
            offset += n_seeds * size
