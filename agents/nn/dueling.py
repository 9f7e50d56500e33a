"""Dueling networks for S seeds at once.

Q(obs, a) = V(obs) + Adv(obs, a) - mean_b Adv(obs, b)  (Wang et al. 2016, equation 9).

Axis letters: S seeds, B batch, D inputs, H width of each stream, A actions.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from agents.nn.extractors import Features
from agents.nn.layers import SeedLinear, draw_uniform, forward_numpy
from agents.nn.networks import BuiltNetwork
from agents.nn.parameters import Floats, SeedNetwork


def dueling(value: torch.Tensor, advantage: torch.Tensor) -> torch.Tensor:
    """Action values [S, B, A] from a value [S, B, 1] and advantages over it [S, B, A], of which their mean is taken."""
    return value + advantage - advantage.mean(-1, keepdim=True)


class Dueling(SeedNetwork):
    """S networks that split before their last hidden layer into a value and the actions' advantages over it.

    The streams' hidden layers, each as wide as the last of `sizes`, stand side by side in one layer: its first half
    is the value's, the other the advantages'. Initial weights as in `agents.nn.mlp.MLP`.

    Args:
        sizes: Widths from input to output, (D, ..., H, A), with a hidden layer at least.
        seeds: One seed per network.
        device: Where the parameters live.
        features: What the networks see of an observation; None means itself.
    """

    def __init__(
        self, sizes: Sequence[int], seeds: Sequence[int], device: torch.device, features: Features | None = None
    ) -> None:
        super().__init__()
        *below, H, A = sizes
        for i, (inputs, outputs) in enumerate(pairwise((*below, 2 * H))):
            self.add_module(str(i), SeedLinear(inputs, outputs))
        self.value, self.advantage = SeedLinear(H, 1), SeedLinear(H, A)
        self.flatten_parameters(len(seeds), device)
        self.features, self._split = features, H
        layers = self.layers_of(self.values)
        draw_uniform(layers, seeds)
        self._on_cpu = [(w.numpy(), b.numpy()) for w, b in layers] if device.type == "cpu" else None

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Action values [S, B, A] for obs [S, B, D], differentiable in the parameters."""
        *hidden, value, advantage = self.children()
        x = obs if self.features is None else self.features(obs)
        for layer in hidden:
            x = torch.relu(layer(x))  # [S, B, H], at last [S, B, 2H]
        of_value, of_advantage = torch.split(x, self._split, -1)  # [S, B, H] each
        return dueling(value(of_value), advantage(of_advantage))

    def act(self, obs: Floats) -> Floats:
        """Action values [S, B, A] for observations [S, B, D], NumPy to NumPy."""
        if self._on_cpu is None:
            with torch.inference_mode():
                q: Floats = self(torch.from_numpy(obs).to(self.flat.device)).cpu().numpy()
                return q
        x = obs if self.features is None else self.features.of(obs)
        hidden = np.maximum(forward_numpy(x, self._on_cpu[:-2]), 0)  # [S, B, 2H]
        (w_value, b_value), (w_advantage, b_advantage) = self._on_cpu[-2:]
        value = hidden[..., : self._split] @ w_value + b_value  # [S, B, 1]
        advantage = hidden[..., self._split :] @ w_advantage + b_advantage  # [S, B, A]
        sums: Floats = value + advantage - advantage.mean(-1, keepdims=True)
        return sums


class BuiltDueling(BuiltNetwork):
    """S networks that a function makes, whose 1 + A outputs are the value and the advantages."""

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        """Action values [S, B, A] for obs [S, B, D], differentiable in the parameters."""
        outputs = super().forward(obs)  # [S, B, 1 + A]
        return dueling(outputs[..., :1], outputs[..., 1:])
