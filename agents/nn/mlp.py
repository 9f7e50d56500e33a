"""Perceptrons for S seeds at once.

Axis letters: S seeds, B batch, D inputs, H hidden, A outputs.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch

from agents.nn.extractors import Features
from agents.nn.fused.mlp import backward, forward
from agents.nn.layers import SeedLinear, draw_uniform, forward_numpy
from agents.nn.parameters import Floats, SeedNetwork


class MLP(SeedNetwork):
    """S perceptrons with ReLU between their layers.

    Initial weights and biases are uniform in +-1/sqrt(inputs), as `torch.nn.Linear` has it (and so SB3's
    DQN), drawn from each seed's own stream.

    Args:
        sizes: Widths from input to output, (D, H, ..., A).
        seeds: One seed per network.
        device: Device of the parameters.
        features: Extractor of the networks' inputs; None means the observation itself.

    Attributes:
        layers: Weights and biases as plain views of the buffer, for code that needs no autograd.
        layer_grads: Their gradients, the same.
    """

    def __init__(
        self, sizes: Sequence[int], seeds: Sequence[int], device: torch.device, features: Features | None = None
    ) -> None:
        super().__init__()
        for i, (inputs, outputs) in enumerate(pairwise(sizes)):
            self.add_module(str(i), SeedLinear(inputs, outputs))
        self.flatten_parameters(len(seeds), device)
        self.features = features
        self.layers, self.layer_grads = self.layers_of(self.values), self.layers_of(self.grads)
        draw_uniform(self.layers, seeds)
        self._on_cpu = [(w.numpy(), b.numpy()) for w, b in self.layers] if device.type == "cpu" else None

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Outputs [S, B, A] for obs [S, B, D], differentiable in the parameters."""
        x = self.inputs(obs)
        for i, layer in enumerate(self.children()):
            x = layer(torch.relu(x) if i else x)  # [S, B, H], at last [S, B, A]
        return x

    def inputs(self, obs: torch.Tensor) -> torch.Tensor:
        """Inputs of the first layer [S, B, D] for observations."""
        return obs if self.features is None else self.features(obs)

    def cached(self, obs: torch.Tensor) -> list[torch.Tensor]:
        """The input and the output of each layer, as `agents.nn.fused.mlp.forward`, without a graph."""
        return forward(self.inputs(obs), self.layers)

    def backward(self, outputs: Sequence[torch.Tensor], d_out: torch.Tensor) -> None:
        """Writes the gradient of sum(d_out * last output) into `grads`, given what `cached` returned."""
        backward(outputs, d_out, self.layers, self.layer_grads)

    def act(self, obs: Floats) -> Floats:
        """Outputs [S, B, A] for observations [S, B, D], NumPy to NumPy."""
        if self._on_cpu is None:
            with torch.inference_mode():
                return cast(Floats, self(torch.from_numpy(obs).to(self.flat.device)).cpu().numpy())
        return forward_numpy(obs if self.features is None else self.features.of(obs), self._on_cpu)
