"""Several critics Q(obs, action) of each of S seeds, which learn the same from different first weights.

The smallest of two critics' values counters the overestimation of an actor that maximises one (Fujimoto et al. 2018).

Axis letters: S seeds, C critics per seed, B batch, D observation, A numbers per action, H hidden.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch

from agents.nn.extractors import Features
from agents.nn.layers import SeedModule, draw_uniform
from agents.nn.networks import Build, BuiltNetwork
from agents.nn.parameters import SeedNetwork

N_CRITICS = 2
_STREAM = 1  # of first weights: not the actor's, which would begin alike


class _CriticLinear(torch.nn.Module):
    """C linear layers of each seed; its parameters are weight [S, C, in, out] and bias [S, C, 1, out]."""

    def __init__(self, n_critics: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = torch.nn.Parameter(torch.empty(1, n_critics, inputs, outputs).uniform_(-bound, bound))
        self.bias = torch.nn.Parameter(torch.empty(1, n_critics, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [S * C, B, out] for x [S * C, B, in]."""
        return torch.baddbmm(self.bias.flatten(0, 1), x, self.weight.flatten(0, 1))


class Critics(SeedNetwork):
    """C perceptrons with ReLU of each seed, whose initial weights are those of `agents.nn.mlp.MLP`.

    Args:
        inputs: D + A, with the features in place of the observation if there is an extractor.
        net_arch: Widths of the hidden layers, of each critic.
        seeds: One seed for C critics.
        device: Device of the parameters.
        features: Extractor of the networks' inputs; None means the observation itself.
    """

    def __init__(
        self,
        inputs: int,
        net_arch: Sequence[int],
        seeds: Sequence[int],
        device: torch.device,
        features: Features | None = None,
    ) -> None:
        super().__init__()
        for i, (n_in, n_out) in enumerate(pairwise((inputs, *net_arch, 1))):
            self.add_module(str(i), _CriticLinear(N_CRITICS, n_in, n_out))
        self.flatten_parameters(len(seeds), device)
        self.features = features
        draw_uniform(self.layers_of(self.values), seeds, _STREAM)

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Values [S, B, C] of actions [S, B, A] at obs [S, B, D]."""
        inputs = torch.cat((obs if self.features is None else self.features(obs), action), -1)  # [S, B, D + A]
        x = inputs.repeat_interleave(N_CRITICS, 0)  # [S * C, B, D + A]
        for i, layer in enumerate(self.children()):
            x = layer(torch.relu(x) if i else x)  # [S * C, B, H], at last [S * C, B, 1]
        return x.view(-1, N_CRITICS, x.shape[1]).transpose(1, 2)


class BuiltCritics(BuiltNetwork):
    """C critics of each seed that a user's function makes, called with D + A inputs and one output for each of them.

    Args:
        build: The function.
        inputs: D + A.
        seeds: One seed for C critics.
        device: Device of the parameters.
        features: Extractor of the networks' inputs; None means the observation itself.

    Raises:
        TypeError: See `BuiltNetwork`.
        ValueError: See `BuiltNetwork`.
    """

    def __init__(
        self,
        build: Build,
        inputs: int,
        seeds: Sequence[int],
        device: torch.device,
        features: Features | None = None,
    ) -> None:
        super().__init__(partial(side_by_side, build=build), inputs, N_CRITICS, seeds, device, features)

    def forward(self, obs: torch.Tensor, action: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """Values [S, B, C] of actions [S, B, A] at obs [S, B, D]."""
        return self.run(torch.cat((obs if self.features is None else self.features(obs), action), -1))


class SideBySide(torch.nn.Module):
    """Networks of the same input, whose outputs are joined."""

    def __init__(self, networks: Sequence[torch.nn.Module]) -> None:
        super().__init__()
        for i, network in enumerate(networks):
            self.add_module(str(i), network)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [..., C]."""
        return torch.cat([network(x) for network in self.children()], -1)


class SeedSideBySide(SideBySide, SeedModule):
    """The same, of modules that treat the seed axis themselves."""


def side_by_side(inputs: int, outputs: int, *, build: Build) -> torch.nn.Module:
    """The critics of one seed, `outputs` of them."""
    torch.manual_seed(int(torch.randint(2**62, ())) + _STREAM)  # else they would begin as the actor does
    made = [build(inputs, 1) for _ in range(outputs)]
    for network in made:
        if not isinstance(network, torch.nn.Module):
            raise TypeError(f"network must make a torch.nn.Module, got {network!r}")
    return SeedSideBySide(made) if all(isinstance(network, SeedModule) for network in made) else SideBySide(made)
