"""Adam on the flat buffer, with clipping per seed.

Axis letters: S seeds, P parameters per seed.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.common.compiled import compiled
from agents.nn.parameters import Flags, Floats, Parameters, clip_per_seed_


class Adam:
    """Adam on the flat buffer, with the gradient clipped per seed by its global norm.

    Source: Kingma and Ba 2015, algorithm 1, in torch's form. On the CPU one compiled loop clips and steps
    seed by seed, while the seed's numbers are in the cache; elsewhere the same in torch operations. Each seed
    counts its own steps, because one may rest while others go on.

    Args:
        parameters: The parameters to optimise.
        max_grad_norm: Maximum norm of one seed's gradient.
        betas: Decay of the two moments.
        eps: Added to the denominator.

    Attributes:
        steps_of: Steps that each seed has taken, [S].
    """

    def __init__(
        self,
        parameters: Parameters,
        max_grad_norm: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.parameters = parameters
        self.max_grad_norm = max_grad_norm
        self.betas = betas
        self.eps = eps
        self.mean = torch.zeros_like(parameters.flat)  # [S * P]
        self.square = torch.zeros_like(parameters.flat)  # [S * P]
        self.steps_of = torch.zeros(parameters.n_seeds, dtype=torch.int64)  # [S]
        self._sizes = np.array(parameters.sizes)
        self._all = np.ones(parameters.n_seeds, np.bool_)
        self._bind()

    def _bind(self) -> None:
        """Chooses the implementation of a step, and makes NumPy views of the buffers."""
        self._step = self._step_torch
        if self.parameters.flat.device.type == "cpu":
            self._step = self._step_compiled
            buffers = (self.parameters.flat, self.parameters.grad, self.mean, self.square)
            self._buffers = tuple(buffer.numpy() for buffer in buffers)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: everything except what `_bind` makes."""
        return {name: value for name, value in vars(self).items() if name not in ("_step", "_buffers")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._bind()

    @property
    def steps(self) -> int:
        """Steps taken, of the seed that took most."""
        return int(self.steps_of.max())

    @steps.setter
    def steps(self, steps: int) -> None:
        self.steps_of.fill_(steps)

    def step(self, learning_rate: float, active: Flags | None = None) -> None:
        """One step down the gradient that lies in the parameters' `grad`; `grad` itself may be overwritten.

        Args:
            learning_rate: The step size.
            active: Which seeds take it, [S]; the others stay as they are. None means all.
        """
        self._step(learning_rate, self._all if active is None else active)

    def state(self) -> dict[str, torch.Tensor]:
        """The state of the optimiser by name, [S, ...] each, sharing memory."""
        means = {f"mean.{name}": view for name, view in self.parameters.named(self.mean).items()}
        squares = {f"square.{name}": view for name, view in self.parameters.named(self.square).items()}
        return {**means, **squares, "steps": self.steps_of}

    def _step_compiled(self, rate: float, active: Flags) -> None:
        scalars = map(np.float32, (self.max_grad_norm, *self.betas, self.eps))
        clip_and_adam(*self._buffers, self._sizes, self.steps_of.numpy(), active, rate, *self.betas, *scalars)

    def _step_torch(self, rate: float, active: Flags) -> None:
        grad, on = self.parameters.grad, self.parameters.spread(torch.from_numpy(active))  # [S * P]
        clip_per_seed_(self.parameters, self.max_grad_norm)
        self.steps_of += torch.from_numpy(active)
        beta1, beta2 = self.betas
        steps = self.steps_of.clamp(min=1).double()  # [S]
        sizes = self.parameters.spread((rate / (1.0 - beta1**steps)).float())  # [S * P]
        correction = self.parameters.spread((1.0 - beta2**steps).rsqrt().float())  # [S * P]
        self.mean.copy_(torch.where(on, self.mean.lerp(grad, 1.0 - beta1), self.mean))
        square = (self.square * beta2).addcmul_(grad, grad, value=1.0 - beta2)
        self.square.copy_(torch.where(on, square, self.square))
        self.parameters.flat.addcdiv_(self.mean * sizes * on, self.square.sqrt() * correction + self.eps, value=-1.0)


@compiled
def clip_and_adam(
    flat: Floats,
    grad: Floats,
    mean: Floats,
    square: Floats,
    sizes: npt.NDArray[np.int64],
    steps: npt.NDArray[np.int64],
    active: Flags,
    learning_rate: float,
    decay1: float,
    decay2: float,
    max_norm: np.float32,
    beta1: np.float32,
    beta2: np.float32,
    eps: np.float32,
) -> None:
    """Clips each active seed's gradient and takes Adam's step, in place; buffers are [S * P] as in `Parameters`.

    `decay1` and `decay2` are `beta1` and `beta2` in double precision, for the bias correction.

    Moments of inactive units would decay into subnormal numbers, which processors handle ten times slower: they are
    set to zero before that.
    """
    one, tiny, n_seeds = np.float32(1.0), np.float32(1e-36), len(steps)
    for s in range(n_seeds):
        if not active[s]:
            continue
        steps[s] += 1
        rate = np.float32(learning_rate / (1.0 - decay1 ** float(steps[s])))
        correction = np.float32(1.0 / math.sqrt(1.0 - decay2 ** float(steps[s])))
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
            p, g, m, v = flat[start:], grad[start:], mean[start:], square[start:]
            for i in range(size):
                clipped = g[i] * scale
                mean_i = beta1 * m[i] + (one - beta1) * clipped
                square_i = beta2 * v[i] + (one - beta2) * clipped * clipped
                m[i] = mean_i if abs(mean_i) > tiny else np.float32(0.0)
                v[i] = square_i if square_i > tiny else np.float32(0.0)
                p[i] -= rate * mean_i / (np.sqrt(square_i) * correction + eps)
            offset += n_seeds * size
