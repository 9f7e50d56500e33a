"""Priorities of stored transitions, for S seeds: a sum tree each, which samples in proportion to them.

A transition is drawn with probability P(i) = p_i / sum p, where p_i = (|error_i| + eps)^alpha, and weighs
(size * P(i))^-beta, divided by the largest weight of the batch (Schaul et al. 2016, sections 3.3 and 3.4).

Axis letters: S seeds, N envs per seed, B batch, C capacity, L leaves (a power of two, at least C).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.common.compiled import compiled
from agents.common.state import State

Floats = npt.NDArray[np.float32]
Slots = npt.NDArray[np.int64]


class Priorities:
    """Priorities of S ring buffers that fill in lockstep.

    Args:
        n_seeds: S.
        batch_size: B.
        alpha: 0 draws uniformly, 1 in proportion to the errors.
        eps: Added to an error, so that every transition can be drawn.

    Attributes:
        tree: Sums of priorities, [S, 2L]: the root in 1, the children of i in 2i and 2i + 1, slot i in L + i.
        largest: The largest priority of each seed so far, which a new transition has, [S].
        slots: Those drawn last, [S, B].
    """

    def __init__(self, n_seeds: int, batch_size: int, alpha: float, eps: float) -> None:
        self.alpha, self.eps = alpha, eps
        self.tree = np.zeros((n_seeds, 2))
        self.largest = np.ones(n_seeds)
        self.slots = np.zeros((n_seeds, batch_size), np.int64)
        self._weight = np.zeros((n_seeds, batch_size), np.float32)

    def reserve(self, capacity: int) -> None:
        """Makes room for that many slots."""
        S, L = self.tree.shape[0], self.tree.shape[1] // 2
        leaves = 1 << max(capacity - 1, 0).bit_length()
        if leaves > L:
            grown = np.zeros((S, 2 * leaves))
            grown[:, leaves : leaves + L] = self.tree[:, L:]
            for level in range(leaves.bit_length() - 2, -1, -1):
                low, high = 1 << level, 2 << level
                grown[:, low:high] = grown[:, 2 * low : 2 * high : 2] + grown[:, 2 * low + 1 : 2 * high : 2]
            self.tree = grown

    def add(self, position: int, number: int, capacity: int) -> None:
        """Gives the largest priority to that many slots of a ring from `position` on."""
        _add(self.tree, self.largest, position, number, capacity)

    def draw(self, uniform: npt.NDArray[np.float64]) -> Slots:
        """Slots [S, B], one from each of B equal parts of the sum, by numbers [S, B] in [0, 1)."""
        _draw(self.tree, uniform, self.slots)
        return self.slots

    def weights(self, size: int, beta: float) -> Floats:
        """The weights [S, B] of what was drawn last, of `size` stored; reused by the next call."""
        _weigh(self.tree, self.slots, size, beta, self._weight)
        return self._weight

    def get_state(self) -> State:
        """The priorities."""
        return {"tree": self.tree, "largest": self.largest}

    def set_state(self, state: State) -> None:
        """Restores what `get_state` returned; ValueError if it does not fit."""
        S, nodes = len(self.tree), state["tree"].shape[-1]
        if state["tree"].shape != (S, nodes) or nodes & (nodes - 1) or nodes < 2:
            raise ValueError(f"tree must have shape {(S, '2L')}, L a power of two, got {state['tree'].shape}")
        self.tree = state["tree"].copy()
        self.largest[:] = state["largest"]

    def update(self, error: npt.NDArray[Any]) -> None:
        """Sets the priorities of the slots drawn last from their errors [S, B]."""
        _update(self.tree, self.largest, self.slots, (np.abs(error) + self.eps) ** self.alpha)


@compiled
def _set(tree: Any, s: int, slot: int, priority: float) -> None:
    i = tree.shape[1] // 2 + slot
    tree[s, i] = priority
    while i > 1:
        i //= 2
        tree[s, i] = tree[s, 2 * i] + tree[s, 2 * i + 1]


@compiled
def _add(tree: Any, largest: Any, position: int, number: int, capacity: int) -> None:
    for s in range(len(tree)):
        for n in range(number):
            _set(tree, s, (position + n) % capacity, largest[s])


@compiled
def _update(tree: Any, largest: Any, slots: Any, priority: Any) -> None:
    S, B = slots.shape
    for s in range(S):
        for b in range(B):
            _set(tree, s, slots[s, b], priority[s, b])
            largest[s] = max(largest[s], priority[s, b])


@compiled
def _draw(tree: Any, uniform: Any, slots: Any) -> None:
    S, B = slots.shape
    L = tree.shape[1] // 2
    for s in range(S):
        for b in range(B):
            mass, i = (b + uniform[s, b]) / B * tree[s, 1], 1
            while i < L:
                i *= 2
                if mass >= tree[s, i] and tree[s, i + 1] > 0.0:  # rounding must not lead to an empty slot
                    mass -= tree[s, i]
                    i += 1
            slots[s, b] = i - L


@compiled
def _weigh(tree: Any, slots: Any, size: int, beta: float, weight: Any) -> None:
    S, B = slots.shape
    L = tree.shape[1] // 2
    for s in range(S):
        largest = 0.0
        for b in range(B):
            chance = tree[s, L + slots[s, b]] / tree[s, 1]
            weight[s, b] = (size * chance) ** -beta
            largest = max(largest, weight[s, b])
        for b in range(B):
            weight[s, b] /= largest
