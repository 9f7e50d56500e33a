"""Seed-batched layers: each holds S layers of the same shape, one per seed, and maps [S, B, in] to [S, B, out].

Axis letters: S seeds, B batch, D inputs, H hidden, A outputs.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.common.streams import generator
from agents.nn.parameters import Floats, Layer


class Activation(NamedTuple):
    """The activation between two layers."""

    in_place: Callable[[torch.Tensor], torch.Tensor]
    gradient: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """Gradient in the input from the one in the output, and the output."""
    on_cpu: Callable[[Floats], Any]
    """The same as `in_place`, of a NumPy array."""


RELU = Activation(
    in_place=torch.relu_,
    gradient=lambda d_out, out: torch.ops.aten.threshold_backward(d_out, out, 0),  # zero where ReLU was off
    on_cpu=lambda x: np.maximum(x, 0, out=x),
)
TANH = Activation(
    in_place=torch.tanh_,
    gradient=torch.ops.aten.tanh_backward,
    on_cpu=lambda x: np.tanh(x, out=x),
)
ACTIVATIONS = {"relu": RELU, "tanh": TANH}


class SeedLinear(torch.nn.Module):
    """S linear layers. Initial weights and biases are uniform in +-1/sqrt(inputs), as `torch.nn.Linear` has them.

    Args:
        inputs: Numbers that come in.
        outputs: Numbers that go out.

    Attributes:
        weight: [S, inputs, outputs], S being 1 until a `SeedNetwork` holds it.
        bias: [S, 1, outputs].
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = torch.nn.Parameter(torch.empty(1, inputs, outputs).uniform_(-bound, bound))
        self.bias = torch.nn.Parameter(torch.empty(1, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [S, B, out] for x [S, B, in]."""
        return torch.baddbmm(self.bias, x, self.weight)


def draw_uniform(layers: Sequence[Layer], seeds: Sequence[int]) -> None:
    """Draws weights and biases uniform in +-1/sqrt(inputs), of each seed from its own stream."""
    for s, seed in enumerate(seeds):
        stream = generator(seed, "weights")
        for weight, bias in layers:
            bound = 1.0 / math.sqrt(weight.shape[1])
            for value in (weight[s], bias[s]):
                drawn = stream.uniform(-bound, bound, tuple(value.shape)).astype(np.float32)
                value.copy_(torch.from_numpy(drawn))


def forward_numpy(x: Floats, layers: Sequence[tuple[Floats, Floats]], activation: Activation = RELU) -> Floats:
    """The last layer's output [S, B, A] for x [S, B, D]: for the tiny batches of acting twice as fast as torch."""
    for i, (weight, bias) in enumerate(layers):
        if i:
            activation.on_cpu(x)
        x = x @ weight  # [S, B, H]
        x += bias
    return x
