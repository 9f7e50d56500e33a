"""RMSprop with clipping per seed; Adam stands in `agents.networks`.

Axis letters: S seeds, P parameters per seed.
"""

import numpy as np
import numpy.typing as npt
import torch

from agents.compiled import compiled
from agents.networks import Floats, Parameters, clip_per_seed_


class RMSprop:
    """RMSprop on the flat buffer, with the gradient clipped per seed by its global norm, in torch's form.

    Source: Tieleman and Hinton 2012, lecture 6.5.

    Args:
        parameters: What to optimise.
        max_grad_norm: Largest norm of one seed's gradient.
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
        """One step down the gradient that lies in the parameters' `grad`, which is clipped in place."""
        self._clip()
        grad = self.parameters.grad
        self.square.mul_(self.alpha).addcmul_(grad, grad, value=1.0 - self.alpha)
        self.parameters.flat.addcdiv_(grad, self.square.sqrt().add_(self.eps), value=-learning_rate)

    def state(self) -> dict[str, torch.Tensor]:
        """All that it remembers by name, [S, ...] each, sharing memory."""
        return {f"square.{name}": view for name, view in self.parameters.named(self.square).items()}

    def _clip(self) -> None:
        if self.parameters.grad.device.type == "cpu":
            max_norm = np.float32(self.max_grad_norm)
            clip_compiled(self.parameters.grad.numpy(), self._sizes, self.parameters.n_seeds, max_norm)
        else:
            clip_per_seed_(self.parameters, self.max_grad_norm)


@compiled
def clip_compiled(grad: Floats, sizes: npt.NDArray[np.int64], n_seeds: int, max_norm: np.float32) -> None:
    """`clip_per_seed_` as loops over the buffer [S * P], laid out as in `Parameters`."""
    one = np.float32(1.0)
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
            g = grad[offset + s * size :]
            for i in range(size):
                g[i] *= scale
            offset += n_seeds * size
