"""Networks of a policy and its value function over one flat buffer, for S seeds at once.

Axis letters: S seeds, B batch, D observation, H hidden, A outputs of the policy.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch.distributions import Distribution as TorchDistribution

from agents.common.streams import generator
from agents.nn.distributions import Distribution
from agents.nn.extractors import Features
from agents.nn.fused.actor_critics import Networks
from agents.nn.fused.perceptrons import layers_table, outputs
from agents.nn.layers import SeedLinear
from agents.nn.parameters import Floats, SeedNetwork

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}
HEAD_GAIN = {"pi": 0.01, "vf": 1.0}  # of the last layers' first weights, as Stable-Baselines3 has them


class ActorCritic(SeedNetwork):
    """S policies and, unless `critic` is "none", S value functions.

    Initial weights are orthogonal, scaled by sqrt(2) in hidden layers, by 0.01 in the policy's last and by 1 in the
    critic's; biases are 0. Each seed draws them from its own stream.

    Args:
        obs_size: D, or the number of features if there is an extractor.
        net_arch: Widths of the hidden layers, of each network if there are two.
        distribution: Distribution of the actions.
        seeds: One seed per policy.
        device: Device of the parameters.
        critic: "separate" networks, hidden layers "shared" by both, or "none".
        activation: "tanh" or "relu".
        log_std_init: Initial logarithm of the standard deviations of Box actions.
        features: Extractor of the networks' inputs; None means the observation itself.

    Attributes:
        pi: The policy's layers; if they are shared, the last output is the value.
        vf: The critic's layers, if it has its own.
        log_std: Logarithms of the standard deviations of Box actions, [S, 1, A], else None.
        log_std_values: The same without a gradient.
    """

    def __init__(
        self,
        obs_size: int,
        net_arch: Sequence[int],
        distribution: Distribution,
        seeds: Sequence[int],
        device: torch.device,
        critic: str = "separate",
        activation: str = "tanh",
        log_std_init: float = 0.0,
        features: Features | None = None,
    ) -> None:
        super().__init__()
        self.distribution, self.features = distribution, features
        self.shared, self.activation = critic == "shared", activation
        A, hidden = distribution.n_outputs, (obs_size, *net_arch)
        self.pi = _linear((*hidden, A + self.shared))
        self.vf = _linear((*hidden, 1)) if critic == "separate" else None
        self.log_std = torch.nn.Parameter(torch.empty(1, 1, A)) if distribution.normal else None
        self.flatten_parameters(len(seeds), device)
        self.log_std_values = self.values.get("log_std")
        self._draw(seeds, log_std_init)
        self._compiled = device.type == "cpu"
        self._tables = layers_table(self, "pi."), layers_table(self, "vf.")

    def forward(self, obs: torch.Tensor) -> tuple[TorchDistribution, torch.Tensor]:
        """Distributions of actions given obs [S, B, D], and values [S, B], which are 0 without a critic."""
        x = self.inputs(obs)
        pi = self._through(self.pi, x)  # [S, B, A], or [S, B, A + 1]
        if self.shared:
            return self.distribution.given(pi[..., :-1], self.log_std), pi[..., -1]
        value = x.new_zeros(x.shape[:2]) if self.vf is None else self._through(self.vf, x)[..., 0]
        return self.distribution.given(pi, self.log_std), value

    def of_seed(self, s: int, obs: torch.Tensor) -> tuple[TorchDistribution, torch.Tensor]:
        """As `forward`, of seed s alone: for obs [1, B, D]."""
        own = {name: parameter[s : s + 1] for name, parameter in self.named_parameters()}
        found: tuple[TorchDistribution, torch.Tensor] = torch.func.functional_call(self, own, obs)
        return found

    def inputs(self, obs: torch.Tensor) -> torch.Tensor:
        """What the first layers take, [S, B, ...], for obs [S, B, D]."""
        return obs if self.features is None else self.features(obs)

    def _through(self, layers: torch.nn.ModuleList, x: torch.Tensor) -> torch.Tensor:
        for i, layer in enumerate(layers):
            x = layer(ACTIVATIONS[self.activation](x) if i else x)  # [S, B, H]
        return x

    def act(self, obs: Floats) -> Floats:
        """The policy's outputs [S, B, A] for obs [S, B, D], NumPy to NumPy."""
        out = self._outputs(0, obs)
        return np.ascontiguousarray(out[..., :-1]) if self.shared else out

    def value(self, obs: Floats) -> Floats:
        """Values [S, B] of obs [S, B, D], NumPy to NumPy."""
        return self._outputs(0 if self.shared else 1, obs)[..., -1]

    def _outputs(self, which: int, obs: Floats) -> Floats:
        """Outputs of the policy's layers (0) or of the critic's (1), [S, B, ...], without a gradient."""
        if not self._compiled:
            layers = self.vf if which and self.vf is not None else self.pi
            with torch.inference_mode():
                found: Floats = (
                    self._through(layers, self.inputs(torch.from_numpy(obs).to(self.flat.device))).cpu().numpy()
                )
            return found
        x = obs if self.features is None else self.features.of(obs)
        out = np.empty((*x.shape[:2], self._tables[which][-1, 3]), np.float32)
        outputs(self.flat.numpy(), self._tables[which], np.ascontiguousarray(x), self.activation == "tanh", out)
        return out

    def for_kernels(self) -> Networks:
        """The networks as `agents.nn.fused` takes them; on the CPU."""
        log_std = -1 if self.log_std_values is None else int(self.log_std_values.storage_offset())
        A, tanh = self.distribution.n_outputs, self.activation == "tanh"
        return Networks(self.flat.numpy(), self.grad.numpy(), *self._tables, A, log_std, tanh)

    def _draw(self, seeds: Sequence[int], log_std_init: float) -> None:
        for s, seed in enumerate(seeds):
            stream = generator(seed, "weights")
            for name, value in self.values.items():
                if name.endswith("weight"):
                    value[s].copy_(self._drawn(name, stream, *value.shape[1:]))
        if self.log_std_values is not None:
            self.log_std_values.fill_(log_std_init)

    def _drawn(self, name: str, stream: np.random.Generator, n_in: int, n_out: int) -> torch.Tensor:
        """A seed's first weight of that name."""
        net, i, _ = name.split(".")
        weight = _orthogonal(stream, n_in, n_out)
        last = int(i) == len(self.pi) - 1
        weight *= HEAD_GAIN[net] if last else math.sqrt(2.0)
        if last and self.shared:
            weight[:, -1] *= HEAD_GAIN["vf"] / HEAD_GAIN["pi"]
        return torch.from_numpy(weight)


def _linear(sizes: Sequence[int]) -> torch.nn.ModuleList:
    """Linear layers of these widths, from input to output."""
    return torch.nn.ModuleList(SeedLinear(inputs, outputs) for inputs, outputs in pairwise(sizes))


def _orthogonal(stream: np.random.Generator, n_in: int, n_out: int) -> Floats:
    """A random matrix [n_in, n_out] whose shorter axis is orthonormal, uniform among these (Saxe et al. 2014)."""
    q, r = np.linalg.qr(stream.standard_normal((max(n_in, n_out), min(n_in, n_out))))
    q *= np.sign(np.diag(r))
    return np.ascontiguousarray(q if n_in >= n_out else q.T, np.float32)
