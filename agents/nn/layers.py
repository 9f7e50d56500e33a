"""Seed-batched layers: each holds S layers of the same shape, one per seed, and maps [S, B, in] to [S, B, out].

Axis letters: S seeds, B batch, D inputs, H hidden, A outputs.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from agents.common.streams import generator
from agents.nn.parameters import Floats, Layer


class SeedModule(torch.nn.Module):
    """A module that treats the seed axis itself: it maps [S, B, ...] to [S, B, ...], each seed by its own parameters.

    Its parameters have a first axis of 1 when it is made, which becomes S once a `SeedNetwork` holds it. A network of a
    user's own that derives from it runs as it is; any other module is run through `torch.func.vmap`, see
    `agents.nn.networks`.
    """


class SeedLinear(SeedModule):
    """S linear layers. Initial weights and biases are uniform in +-1/sqrt(inputs), as `torch.nn.Linear` has them.

    Args:
        inputs: Numbers that come in.
        outputs: Numbers that go out.

    Attributes:
        weight: [S, inputs, outputs].
        bias: [S, 1, outputs].
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = torch.nn.Parameter(torch.empty(1, inputs, outputs).uniform_(-bound, bound))
        self.bias = torch.nn.Parameter(torch.empty(1, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [S, ..., out] for x [S, ..., in]."""
        if x.ndim == 3:
            return torch.baddbmm(self.bias, x, self.weight)
        rows = torch.baddbmm(self.bias, x.flatten(1, -2), self.weight)  # [S, B, out]
        return rows.view(*x.shape[:-1], rows.shape[-1])


class SeedLayerNorm(SeedModule):
    """S layers that normalise the last axis to mean 0 and variance 1, then scale and shift it (Ba et al. 2016).

    Args:
        size: Length of the last axis.
        eps: Added to the variance.
    """

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = torch.nn.Parameter(torch.ones(1, 1, size))
        self.bias = torch.nn.Parameter(torch.zeros(1, 1, size))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same shape as x [S, ..., size]."""
        rows = x.flatten(1, -2)  # [S, B, size]
        rows = torch.nn.functional.layer_norm(rows, rows.shape[-1:], eps=self.eps) * self.weight + self.bias
        return rows.view(x.shape)


class SeedSequential(torch.nn.Sequential, SeedModule):
    """Seed-batched layers, and elementwise ones such as `torch.nn.ReLU`, one after the other."""


def draw_uniform(layers: Sequence[Layer], seeds: Sequence[int], *more: int) -> None:
    """Draws weights and biases uniform in +-1/sqrt(inputs), of each seed (and `more`) from its own stream."""
    for s, seed in enumerate(seeds):
        stream = generator(seed, "weights", *more)
        for weight, bias in layers:
            bound = 1.0 / math.sqrt(weight.shape[-2])
            for value in (weight[s], bias[s]):
                drawn = stream.uniform(-bound, bound, tuple(value.shape)).astype(np.float32)
                value.copy_(torch.from_numpy(drawn))


def layer_outputs(x: torch.Tensor, layers: Sequence[Layer]) -> list[torch.Tensor]:
    """The input [S, B, D] of a perceptron with ReLU and the output of each layer, [S, B, H] ..., without a graph."""
    outputs = [x]
    for i, (weight, bias) in enumerate(layers):
        outputs.append(torch.baddbmm(bias, torch.relu_(outputs[-1]) if i else x, weight))
    return outputs


def forward_numpy(x: Floats, layers: Sequence[tuple[Floats, Floats]]) -> Floats:
    """The last layer's output [S, B, A] for x [S, B, D]: for the tiny batches of acting twice as fast as torch."""
    for i, (weight, bias) in enumerate(layers):
        x = (np.maximum(x, 0, out=x) if i else x) @ weight  # [S, B, H]
        x += bias
    return x
