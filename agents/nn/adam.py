"""Adam on the flat buffer, with clipping per seed.

Axis letters: S seeds, P parameters per seed.
"""

from typing import Any

import numpy as np
import torch

from agents.nn.fused.optimizers import AdamArrays, adam_of_seeds
from agents.nn.parameters import Flags, Parameters, clip_per_seed_


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
            self._buffers: Any = [buffer.numpy() for buffer in buffers]

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

    def for_kernels(self, learning_rate: float) -> AdamArrays:
        """The optimiser as `agents.nn.fused` takes it; on the CPU."""
        flat, grad, mean, square = self._buffers
        limits = np.float32(self.max_grad_norm), np.float32(self.eps)
        return AdamArrays(
            flat, grad, mean, square, self._sizes, self.steps_of.numpy(), learning_rate, self.betas, *limits
        )

    def _step_compiled(self, rate: float, active: Flags) -> None:
        adam_of_seeds(self.for_kernels(rate), active)

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
