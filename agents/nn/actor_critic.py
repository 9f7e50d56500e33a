"""Networks of a policy and its value function over one flat buffer, for S seeds at once.

Axis letters: S seeds, B batch, D observation, H hidden, A outputs of the policy.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch

from agents.common.streams import generator
from agents.nn.distributions import Distribution
from agents.nn.extractors import Features
from agents.nn.fused.mlp import backward, forward
from agents.nn.layers import ACTIVATIONS, Activation, forward_numpy
from agents.nn.parameters import Floats, Layer, Parameters

HEAD_GAIN = {"pi": 0.01, "vf": 1.0}  # of the last layers' first weights, as Stable-Baselines3 has them


@dataclass(frozen=True)
class Stack:
    """Layers, their gradients, and the activation between them."""

    layers: Sequence[Layer]
    grads: Sequence[Layer]
    activation: Activation

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The input and each layer's output, as `agents.nn.fused.mlp.forward`."""
        return forward(x, self.layers, self.activation)

    def backward(self, outputs: Sequence[torch.Tensor], d_out: torch.Tensor) -> None:
        """Writes the gradient of sum(d_out * last output) into `grads`."""
        backward(outputs, d_out, self.layers, self.grads, self.activation)

    def of_seed(self, s: int) -> "Stack":
        """The same for one seed alone: views [1, ...]."""
        layers, grads = ([(w[s : s + 1], b[s : s + 1]) for w, b in part] for part in (self.layers, self.grads))
        return Stack(layers, grads, self.activation)


class Outputs(NamedTuple):
    """Outputs of the networks for a batch of observations."""

    pi: torch.Tensor  # [S, B, A]
    value: torch.Tensor  # [S, B]; empty without a critic
    layers: list[list[torch.Tensor]]  # each stack's, for the gradient


@dataclass(frozen=True)
class Heads:
    """Layers of policy and critic: separate, or one stack whose last output is the value, or no critic."""

    pi: Stack
    vf: Stack | None
    shared: bool
    log_std: torch.Tensor | None  # [S, 1, A]
    log_std_grad: torch.Tensor | None  # [S, 1, A]
    features: Features | None = None

    @property
    def has_critic(self) -> bool:
        """True if there are values."""
        return self.shared or self.vf is not None

    def forward(self, obs: torch.Tensor) -> Outputs:
        """Outputs for obs [S, B, D]."""
        obs = obs if self.features is None else self.features(obs)
        pi = self.pi.forward(obs)
        if self.shared:
            return Outputs(pi[-1][..., :-1], pi[-1][..., -1], [pi])
        if self.vf is None:
            return Outputs(pi[-1], obs.new_empty(0), [pi])
        vf = self.vf.forward(obs)
        return Outputs(pi[-1], vf[-1][..., 0], [pi, vf])

    def backward(
        self, outputs: Outputs, d_pi: torch.Tensor, d_log_std: torch.Tensor | None, d_value: torch.Tensor | None
    ) -> None:
        """Writes the gradients: d_pi [S, B, A], d_log_std [S, 1, A], d_value [S, B] are those of the loss."""
        if self.log_std_grad is not None and d_log_std is not None:
            self.log_std_grad.copy_(d_log_std)
        if d_value is not None and self.shared:
            d_pi = torch.cat((d_pi, d_value[..., None]), -1)  # [S, B, A + 1]
        elif d_value is not None and self.vf is not None:
            self.vf.backward(outputs.layers[1], d_value[..., None])
        self.pi.backward(outputs.layers[0], d_pi)

    def of_seed(self, s: int) -> "Heads":
        """The same for one seed alone: views [1, ...]."""
        std, grad = (None if x is None else x[s : s + 1] for x in (self.log_std, self.log_std_grad))
        vf = None if self.vf is None else self.vf.of_seed(s)
        return Heads(self.pi.of_seed(s), vf, self.shared, std, grad, self.features)


class ActorCritic(Parameters):
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
        A, hidden = distribution.n_outputs, (obs_size, *net_arch)
        widths = {"pi": (*hidden, A + 1 if critic == "shared" else A)}
        widths |= {"vf": (*hidden, 1)} if critic == "separate" else {}
        shapes: dict[str, tuple[int, ...]] = {}
        for net, sizes in widths.items():
            for i, (inputs, outputs) in enumerate(pairwise(sizes)):
                shapes |= {f"{net}.{i}.weight": (inputs, outputs), f"{net}.{i}.bias": (1, outputs)}
        shapes |= {"log_std": (1, A)} if distribution.normal else {}
        super().__init__(len(seeds), shapes, device)
        depth, between = len(net_arch) + 1, ACTIVATIONS[activation]
        stacks = {n: Stack(_layers(self.values, n, depth), _layers(self.grads, n, depth), between) for n in widths}
        self.shared = critic == "shared"
        self.log_std = self.values.get("log_std")  # [S, 1, A]
        stds = (self.log_std, self.grads.get("log_std"))
        self.heads = Heads(stacks["pi"], stacks.get("vf"), self.shared, *stds, features)
        self._draw(seeds, widths, log_std_init)
        self._on_cpu = None
        if device.type == "cpu":
            self._on_cpu = {net: [(w.numpy(), b.numpy()) for w, b in stack.layers] for net, stack in stacks.items()}
        self._activation = between

    def _draw(self, seeds: Sequence[int], widths: Mapping[str, Sequence[int]], log_std_init: float) -> None:
        for s, seed in enumerate(seeds):
            stream = generator(seed, "weights")
            for net, sizes in widths.items():
                for i in range(len(sizes) - 1):
                    last = i == len(sizes) - 2
                    weight = _orthogonal(stream, sizes[i], sizes[i + 1])
                    weight *= HEAD_GAIN[net] if last else math.sqrt(2.0)
                    if last and self.shared:
                        weight[:, -1] *= HEAD_GAIN["vf"] / HEAD_GAIN["pi"]
                    self.values[f"{net}.{i}.weight"][s].copy_(torch.from_numpy(weight))
        if self.log_std is not None:
            self.log_std.fill_(log_std_init)

    def act(self, obs: Floats) -> Floats:
        """The policy's outputs [S, B, A] for obs [S, B, D], NumPy to NumPy."""
        out = self._run("pi", obs)
        return out[..., :-1] if self.shared else out

    def value(self, obs: Floats) -> Floats:
        """Values [S, B] of obs [S, B, D], NumPy to NumPy."""
        return self._run("pi" if self.shared else "vf", obs)[..., -1]

    def _run(self, net: str, obs: Floats) -> Floats:
        features = self.heads.features
        if self._on_cpu is not None:
            return forward_numpy(obs if features is None else features.of(obs), self._on_cpu[net], self._activation)
        stack = self.heads.vf if net == "vf" and self.heads.vf is not None else self.heads.pi
        with torch.inference_mode():
            x = torch.from_numpy(obs).to(self.flat.device)
            out: Floats = stack.forward(x if features is None else features(x))[-1].cpu().numpy()
        return out


def _layers(named: Mapping[str, torch.Tensor], net: str, depth: int) -> list[Layer]:
    return [(named[f"{net}.{i}.weight"], named[f"{net}.{i}.bias"]) for i in range(depth)]


def _orthogonal(stream: np.random.Generator, inputs: int, outputs: int) -> Floats:
    """A random matrix [inputs, outputs] whose shorter axis is orthonormal, uniform among these (Saxe et al. 2014)."""
    q, r = np.linalg.qr(stream.standard_normal((max(inputs, outputs), min(inputs, outputs))))
    q *= np.sign(np.diag(r))
    return np.ascontiguousarray(q if inputs >= outputs else q.T, np.float32)
