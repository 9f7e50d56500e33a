"""Perceptrons for S seeds at once.

Axis letters: S seeds, B batch, D inputs, H hidden, A outputs.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import numpy as np
import torch

from agents.nn.extractors import Features
from agents.nn.fused.perceptrons import layers_table, outputs
from agents.nn.layers import SeedLinear, draw_uniform
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
        table: Where they begin in it, for compiled code, see `agents.nn.fused.perceptrons`.
    """

    def __init__(
        self, sizes: Sequence[int], seeds: Sequence[int], device: torch.device, features: Features | None = None
    ) -> None:
        super().__init__()
        for i, (n_in, n_out) in enumerate(pairwise(sizes)):
            self.add_module(str(i), SeedLinear(n_in, n_out))
        self.flatten_parameters(len(seeds), device)
        self.features = features
        self.layers, self.table = self.layers_of(self.values), layers_table(self)
        draw_uniform(self.layers, seeds)
        self._on_cpu = self.flat.numpy() if device.type == "cpu" else None

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Outputs [S, B, A] for obs [S, B, D], differentiable in the parameters."""
        x = self.inputs(obs)
        for i, layer in enumerate(self.children()):
            x = layer(torch.relu(x) if i else x)  # [S, B, H], at last [S, B, A]
        return x

    def inputs(self, obs: torch.Tensor) -> torch.Tensor:
        """Inputs of the first layer [S, B, D] for observations."""
        return obs if self.features is None else self.features(obs)

    def act(self, obs: Floats) -> Floats:
        """Outputs [S, B, A] for observations [S, B, D], NumPy to NumPy."""
        if self._on_cpu is None:
            with torch.inference_mode():
                return cast(Floats, self(torch.from_numpy(obs).to(self.flat.device)).cpu().numpy())
        x = np.ascontiguousarray(obs if self.features is None else self.features.of(obs))
        out = np.empty((*x.shape[:2], self.table[-1, 3]), np.float32)
        outputs(self._on_cpu, self.table, x, False, out)
        return out
