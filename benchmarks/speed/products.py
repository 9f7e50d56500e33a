"""The matrix products of a training: their floating-point operations, and the rate that they alone would allow.

An agent's products are those of acting and of updates. They are computed here with nothing between them, on arrays of
the same sizes, in the fastest of three ways: `torch.bmm` of all seeds, `torch.mm` seed by seed, or `np.dot` in compiled
code, seed by seed.

Axis letters: S seeds, N envs per seed, M steps of a rollout, B batch, D inputs, A outputs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from agents.common.compiled import compiled
from agents.nn.fused.perceptrons import weight_of
from agents.nn.mlp import MLP
from benchmarks.speed.timing import Chunk

Block = Callable[[], None]
Sides = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """A perceptron's pass over a batch, forward, and backward too if it learns from it.

    Attributes:
        name: What it is for.
        sizes: Widths from input to output, (D, ..., A).
        batch: B.
        every: Steps of a seed, in all its envs together, from one such pass to the next.
        backward: Whether gradients in the weights are computed, and in all inputs but the first layer's.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    every: float
    backward: bool = False

    @property
    def flops(self) -> int:
        """Floating-point operations: 2 for each product of a weight with a number of the batch."""
        weights = [inputs * outputs for inputs, outputs in pairwise(self.sizes)]
        forward = 2 * self.batch * sum(weights)
        return forward + self.backward * (forward + 2 * self.batch * sum(weights[1:]))


def flops_per_step(passes: Sequence[Pass]) -> float:
    """Floating-point operations of the products per step of a seed."""
    return sum(each.flops / each.every for each in passes)


def dqn_passes(agent: Any) -> list[Pass]:
    """Those of DQN: acting, and per update one of the target network and one of the network that learns."""
    config, N = agent.config, agent.n_envs
    sizes = (agent.input_size, *config.net_arch, agent.spaces.n_actions)
    every = config.train_freq * N / config.gradient_steps
    return [
        Pass("act", sizes, N, N),
        Pass("target", sizes, config.batch_size, every),
        Pass("learn", sizes, config.batch_size, every, backward=True),
    ]


def actor_critic_passes(agent: Any) -> list[Pass]:
    """Those of A2C and PPO with separate networks: acting, values of the rollout, and updates of both networks."""
    config, N = agent.config, agent.n_envs
    M = config.n_steps * N  # steps of a rollout, whose next observations have values too
    B, epochs = getattr(config, "batch_size", M), getattr(config, "n_epochs", 1)
    pi, vf = ((agent.input_size, *config.net_arch, outputs) for outputs in (agent.distribution.n_outputs, 1))
    return [
        Pass("act", pi, N, N),
        Pass("values", vf, M + N, M),
        Pass("learn, policy", pi, B, B / epochs, backward=True),
        Pass("learn, critic", vf, B, B / epochs, backward=True),
    ]


# -- the products alone ------------------------------------------------------------------------------------------


def alone(passes: Sequence[Pass], seeds: int) -> Chunk:
    """Computes the products of some steps of all seeds, each pass in its fastest way; returns the number of steps."""
    steps = max(1, 64 // seeds) * max(each.every for each in passes)  # of a seed
    work = [fastest(Products(each, seeds), round(steps / each.every)) for each in passes]

    def block() -> int:
        for compute in work:
            compute()
        return round(steps) * seeds

    return block


def fastest(products: Products, times: int) -> Block:
    """The way that took the least time for these products in 5 trials."""

    def seconds(way: Block) -> float:
        start = time.process_time()
        way()
        return time.process_time() - start

    ways = products.ways(times)
    return min(ways, key=lambda way: min(seconds(way) for _ in range(6)))  # the first one compiles


class Products:
    """The products of a pass of S seeds, on arrays of its sizes.

    Args:
        of: The pass.
        seeds: S.
    """

    def __init__(self, of: Pass, seeds: int) -> None:
        self._net = MLP(of.sizes, range(seeds), torch.device("cpu"))
        self._backward = of.backward
        ends = np.cumsum([of.batch * width for width in of.sizes])
        self._flat_values, self._flat_grads = torch.randn(2, seeds, int(ends[-1]))  # of layers' inputs and outputs
        parts = (torch.tensor_split(flat, ends[:-1].tolist(), 1) for flat in (self._flat_values, self._flat_grads))
        self._values, self._grads = ([part.view(seeds, of.batch, -1) for part in each] for each in parts)
        self._together, self._one_by_one = self._sides(slice(None)), [self._sides(s) for s in range(seeds)]
        self._batch = of.batch

    def ways(self, times: int) -> list[Block]:
        """Three ways to compute them so many times: of all seeds at once, seed by seed, and compiled."""
        arrays = (self._net.flat, self._net.grad, self._flat_values, self._flat_grads)
        flat, grad, values, grads = (array.numpy() for array in arrays)
        return [
            lambda: self._multiply(torch.bmm, [self._together] * times),
            lambda: self._multiply(torch.mm, self._one_by_one * times),
            lambda: _dots(flat, grad, self._net.table, values, grads, self._batch, self._backward, times),
        ]

    def _sides(self, s: Any) -> list[Sides]:
        """Left side, right side and result of each product, of seed s or of a slice of them."""
        x, d = ([part[s] for part in parts] for parts in (self._values, self._grads))
        weights = [self._net.layers[i][0][s] for i in range(len(x) - 1)]
        sides = [(x[i], weight, x[i + 1]) for i, weight in enumerate(weights)]
        for i in reversed(range(len(weights))) if self._backward else ():
            sides.append((x[i].mT, d[i + 1], self._net.grads[f"{i}.weight"][s]))
            if i:
                sides.append((d[i + 1], weights[i].mT, d[i]))
        return sides

    @staticmethod
    def _multiply(product: Any, work: Sequence[Sequence[Sides]]) -> None:
        for sides in work:
            for left, right, result in sides:
                product(left, right, out=result)


@compiled
def _dots(flat: Any, grad: Any, layers: Any, values: Any, grads: Any, batch: int, backward: bool, times: int) -> None:
    """Computes the products of each seed's pass, and begins again so many times."""
    L = len(layers)
    for _ in range(times):
        for s in range(len(values)):
            start = 0
            for i in range(L):
                x, y = _rows(values[s], start, layers[i], batch)
                np.dot(x, weight_of(flat, layers, i, s), y)
                start += x.size
            if backward:
                for i in range(L - 1, -1, -1):
                    start -= batch * layers[i, 2]
                    x, _ = _rows(values[s], start, layers[i], batch)
                    d_x, d_y = _rows(grads[s], start, layers[i], batch)
                    np.dot(x.T, d_y, weight_of(grad, layers, i, s))
                    if i:
                        np.dot(d_y, weight_of(flat, layers, i, s).T, d_x)


@compiled
def _rows(numbers: Any, start: int, layer: Any, batch: int) -> Any:
    """A layer's inputs and outputs, views [B, ...] of a seed's numbers, which hold them one after the other."""
    middle = start + batch * layer[2]
    x, y = numbers[start:middle], numbers[middle : middle + batch * layer[3]]
    return x.reshape(batch, layer[2]), y.reshape(batch, layer[3])
