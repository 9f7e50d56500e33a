"""Forward and backward passes of perceptrons by hand, on plain tensors.

Autograd builds and walks a graph of the same products, which for networks of this size takes longer than they do.

Axis letters: S seeds, B batch, D inputs, H hidden, A outputs.
"""

from collections.abc import Sequence

import torch

from agents.nn.layers import RELU, Activation
from agents.nn.parameters import Layer


def forward(x: torch.Tensor, layers: Sequence[Layer], activation: Activation = RELU) -> list[torch.Tensor]:
    """The input [S, B, D] and the output of each layer, [S, B, H] ..., the last one [S, B, A]."""
    outputs = [x]
    for i, (weight, bias) in enumerate(layers):
        if i:
            activation.in_place(outputs[-1])
        outputs.append(torch.baddbmm(bias, outputs[-1], weight))
    return outputs


def backward(
    outputs: Sequence[torch.Tensor],
    d_out: torch.Tensor,
    layers: Sequence[Layer],
    grads: Sequence[Layer],
    activation: Activation = RELU,
) -> None:
    """Writes into `grads` the gradient of sum(d_out * last output), given what `forward` returned.

    A test compares it with autograd's.
    """
    for i in range(len(layers) - 1, -1, -1):
        torch.bmm(outputs[i].mT, d_out, out=grads[i][0])  # [S, H, A]
        torch.sum(d_out, 1, keepdim=True, out=grads[i][1])  # [S, 1, A]
        if i:
            d_in = torch.bmm(d_out, layers[i][0].mT)  # [S, B, H]
            d_out = activation.gradient(d_in, outputs[i])
