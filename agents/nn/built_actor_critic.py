"""A policy and its value function made by a user's function, for S seeds at once.

Axis letters: S seeds, B batch, D observation, A outputs of the policy.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch.distributions import Distribution as TorchDistribution
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from agents.nn.distributions import Distribution
from agents.nn.extractors import Features
from agents.nn.layers import SeedModule
from agents.nn.networks import Build, BuiltNetwork
from agents.nn.parameters import Floats


class BuiltActorCritic(BuiltNetwork):
    """S policies and, unless `critic` is "none", S value functions, of networks that a function makes.

    The function is called for the policy's network with n_out = A, and for the critic's with n_out = 1; with `critic`
    "shared" once, with n_out = A + 1, the last of which is the value.

    Args:
        build: The function.
        obs_size: D, or the number of features if there is an extractor.
        distribution: Distribution of the actions.
        seeds: One seed per policy.
        device: Device of the parameters.
        critic: "separate" networks, one "shared" by both, or "none".
        log_std_init: Initial logarithm of the standard deviations of Box actions.
        features: Extractor of the networks' inputs; None means the observation itself.

    Attributes:
        log_std_values: Logarithms of the standard deviations of Box actions, [S, 1, A], else None.

    Raises:
        TypeError: See `BuiltNetwork`.
        ValueError: See `BuiltNetwork`.
    """

    def __init__(
        self,
        build: Build,
        obs_size: int,
        distribution: Distribution,
        seeds: Sequence[int],
        device: torch.device,
        critic: str = "separate",
        log_std_init: float = 0.0,
        features: Features | None = None,
    ) -> None:
        A = distribution.n_outputs
        log_std = torch.full((1, A), log_std_init) if distribution.normal else None
        make = partial(policy_and_critic, build=build, separate=critic == "separate", log_std=log_std)
        super().__init__(make, obs_size, A + (critic != "none"), seeds, device, features)
        self.distribution, self.has_critic = distribution, critic != "none"
        self.log_std_values = self.values.get("module.log_std")

    def forward(self, obs: torch.Tensor) -> tuple[TorchDistribution, torch.Tensor]:  # type: ignore[override]
        """Distributions of actions given obs [S, B, D], and values [S, B], which are 0 without a critic."""
        return self._split(super().forward(obs), self._places.get("log_std"))

    def of_seed(self, s: int, obs: torch.Tensor) -> tuple[TorchDistribution, torch.Tensor]:
        """As `forward`, of seed s alone: for obs [1, B, D]."""
        x = obs if self.features is None else self.features(obs)
        own = {name: parameter[s : s + 1] for name, parameter in self._places.items()}
        if self._batched:
            return self._split(functional_call(self.module, own, x), own.get("log_std"))
        with sdpa_kernel(SDPBackend.MATH):  # as in `BuiltNetwork.run`
            return self._split(torch.vmap(self._run_one)(own, x), own.get("log_std"))

    def _split(self, out: torch.Tensor, log_std: torch.Tensor | None) -> tuple[TorchDistribution, torch.Tensor]:
        A = self.distribution.n_outputs
        value = out[..., A] if self.has_critic else out.new_zeros(out.shape[:2])
        return self.distribution.given(out[..., :A], log_std), value

    def act(self, obs: Floats) -> Floats:
        """The policy's outputs [S, B, A] for obs [S, B, D], NumPy to NumPy."""
        return np.ascontiguousarray(self._outputs(obs)[..., : self.distribution.n_outputs])

    def value(self, obs: Floats) -> Floats:
        """Values [S, B] of obs [S, B, D], NumPy to NumPy."""
        return self._outputs(obs)[..., -1]

    def _outputs(self, obs: Floats) -> Floats:
        with torch.inference_mode():
            out = super().forward(torch.from_numpy(obs).to(self.flat.device))
        return cast(Floats, out.cpu().numpy())


class PolicyAndCritic(torch.nn.Module):
    """One or two networks, whose outputs are joined, and the standard deviations that belong to them.

    Args:
        networks: The policy's, and the critic's if it has its own.
        log_std: Initial logarithms of standard deviations, of the shape of the parameter; None means no parameter.
    """

    def __init__(self, networks: Sequence[torch.nn.Module], log_std: torch.Tensor | None) -> None:
        super().__init__()
        for name, network in zip(("pi", "vf"), networks, strict=False):
            self.add_module(name, network)
        self.log_std = None if log_std is None else torch.nn.Parameter(log_std.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Outputs [..., A], and the value if there is a critic."""
        return torch.cat([network(x) for network in self.children()], -1)


class SeedPolicyAndCritic(PolicyAndCritic, SeedModule):
    """The same, of modules that treat the seed axis themselves."""


def policy_and_critic(
    obs_size: int, n_out: int, *, build: Build, separate: bool, log_std: torch.Tensor | None
) -> torch.nn.Module:
    """The networks of one seed: made with n_out, or `separate` ones of n_out - 1 and 1."""
    made: list[Any] = [build(obs_size, size) for size in ((n_out - 1, 1) if separate else (n_out,))]
    for network in made:
        if not isinstance(network, torch.nn.Module):
            raise TypeError(f"network must make a torch.nn.Module, got {network!r}")
    if all(isinstance(network, SeedModule) for network in made):
        return SeedPolicyAndCritic(made, None if log_std is None else log_std[None])
    return PolicyAndCritic(made, log_std)
