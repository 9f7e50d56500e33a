"""Dueling networks for S seeds at once, their gradient by hand.

Q(obs, a) = V(obs) + Adv(obs, a) - mean_b Adv(obs, b)  (Wang et al. 2016, equation 9).

Axis letters: S seeds, B batch, D inputs, H width of each stream, A actions.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from agents.nn.extractors import Features
from agents.nn.fused.mlp import backward, forward
from agents.nn.layers import RELU, draw_uniform, forward_numpy
from agents.nn.parameters import Floats, Layer, Parameters


class Dueling(Parameters):
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
        *below, H, A = sizes
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (inputs, outputs) in enumerate(pairwise((*below, 2 * H))):
            shapes |= {f"{i}.weight": (inputs, outputs), f"{i}.bias": (1, outputs)}
        for stream, outputs in (("value", 1), ("advantage", A)):
            shapes |= {f"{stream}.weight": (H, outputs), f"{stream}.bias": (1, outputs)}
        super().__init__(len(seeds), shapes, device)
        self._features, self._split = features, H
        layers, grads = self.layers_of(self.values), self.layers_of(self.grads)
        draw_uniform(layers, seeds)
        self._hidden, self._heads = layers[:-2], layers[-2:]
        self._hidden_grads, self._head_grads = grads[:-2], grads[-2:]
        self._on_cpu = [(w.numpy(), b.numpy()) for w, b in layers] if device.type == "cpu" else None

    def cached(self, obs: torch.Tensor) -> list[torch.Tensor]:
        """What goes in, the hidden layers' outputs, and the values Q [S, B, A], for obs [S, B, D]."""
        outputs = forward(obs if self._features is None else self._features(obs), self._hidden)
        parts = torch.split(RELU.in_place(outputs[-1]), self._split, -1)  # [S, B, H] each
        value, advantage = (torch.baddbmm(b, part, w) for part, (w, b) in zip(parts, self._heads, strict=True))
        return [*outputs, advantage.sub_(advantage.mean(-1, keepdim=True)).add_(value)]

    def backward(self, outputs: Sequence[torch.Tensor], d_q: torch.Tensor) -> None:
        """Writes the gradient of sum(d_q * Q) into `grads`, given what `cached` returned."""
        d_value = d_q.sum(-1, keepdim=True)  # [S, B, 1]
        d_heads = (d_value, d_q - d_value / d_q.shape[-1])
        hidden, d_hidden = outputs[-2], []
        parts = torch.split(hidden, self._split, -1)
        for part, d_head, (weight, _), grad in zip(parts, d_heads, self._heads, self._head_grads, strict=True):
            _write(grad, part, d_head)
            d_hidden.append(torch.bmm(d_head, weight.mT))  # [S, B, H]
        backward(outputs[:-1], RELU.gradient(torch.cat(d_hidden, -1), hidden), self._hidden, self._hidden_grads)

    def act(self, obs: Floats) -> Floats:
        """Values [S, B, A] for observations [S, B, D], NumPy to NumPy."""
        if self._on_cpu is None:
            with torch.inference_mode():
                q: Floats = self.cached(torch.from_numpy(obs).to(self.flat.device))[-1].cpu().numpy()
                return q
        x = obs if self._features is None else self._features.of(obs)
        hidden = np.maximum(forward_numpy(x, self._on_cpu[:-2]), 0)  # [S, B, 2H]
        (w_value, b_value), (w_advantage, b_advantage) = self._on_cpu[-2:]
        value = hidden[..., : self._split] @ w_value + b_value  # [S, B, 1]
        advantage = hidden[..., self._split :] @ w_advantage + b_advantage  # [S, B, A]
        dueling: Floats = value + advantage - advantage.mean(-1, keepdims=True)
        return dueling


def _write(grad: Layer, x: torch.Tensor, d_out: torch.Tensor) -> None:
    """The gradient of a linear layer from its input [S, B, in] and the gradient in its output [S, B, out]."""
    torch.bmm(x.mT, d_out, out=grad[0])
    torch.sum(d_out, 1, keepdim=True, out=grad[1])
