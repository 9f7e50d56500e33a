"""LSTM for S seeds at once: a readable cell, and a quick form of it with its gradient through time by hand.

From an input x, the hidden state h and the cell c:

    forget     f  = sigmoid(x W_xf + h W_hf + b_f)    how much of the cell is kept
    input      i  = sigmoid(x W_xi + h W_hi + b_i)    how much of the candidate is added
    candidate  g  = tanh(x W_xg + h W_hg + b_g)       what could be added
    output     o  = sigmoid(x W_xo + h W_ho + b_o)    how much of the cell is shown
    cell       c' = f * c + i * g
    hidden     h' = o * tanh(c')

The four gates stand side by side in one matrix, in this order. `lstm_cell` says just this and leaves the gradient to
autograd. `LSTM` gives the same numbers sooner: the inputs of all steps go through one product before the loop, the
gates of a step are one compiled loop, arrays are made once, and the gradients of the weights are one product each
after the loop back. Where an episode begins the state is zero, and no gradient passes.

Sources: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 (the forget gate).

Axis letters: S seeds, T time, B batch, D inputs, H hidden.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from agents.nn import lstm_kernels
from agents.nn.parameters import Floats


class State(NamedTuple):
    """What an LSTM remembers, both [S, B, H]."""

    hidden: torch.Tensor
    cell: torch.Tensor


class Weights(NamedTuple):
    """The parameters of S LSTMs, or their gradients."""

    x: torch.Tensor  # [S, D, 4H]
    h: torch.Tensor  # [S, H, 4H]
    bias: torch.Tensor  # [S, 1, 4H]


def lstm_cell(x: torch.Tensor, state: State, weights: Weights) -> State:
    """The state after one step, from x [S, B, D] and the state before it."""
    gates = x @ weights.x + state.hidden @ weights.h + weights.bias  # [S, B, 4H]
    forget, write, candidate, output = gates.chunk(4, dim=-1)  # [S, B, H] each
    cell = forget.sigmoid() * state.cell + write.sigmoid() * candidate.tanh()  # [S, B, H]
    return State(output.sigmoid() * cell.tanh(), cell)


def lstm_shapes(inputs: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """The arrays per seed of an LSTM, for `agents.nn.parameters.Parameters`."""
    names = ("lstm.weight_x", "lstm.weight_h", "lstm.bias")
    return dict(zip(names, ((inputs, 4 * hidden), (hidden, 4 * hidden), (1, 4 * hidden)), strict=True))


def weights_in(named: Mapping[str, torch.Tensor]) -> Weights:
    """The arrays of `lstm_shapes` among others."""
    return Weights(named["lstm.weight_x"], named["lstm.weight_h"], named["lstm.bias"])


def draw_weights(weights: Weights, s: int, stream: np.random.Generator) -> None:
    """First weights of seed number s: uniform in +-1/sqrt(H), as `torch.nn.LSTM` has them; biases are 0.

    The forget gate's bias is 1, so that the cell at first keeps what it holds (Jozefowicz et al. 2015, section 5).
    """
    hidden = weights.h.shape[1]
    bound = 1.0 / math.sqrt(hidden)
    for value in (weights.x[s], weights.h[s]):
        drawn = stream.uniform(-bound, bound, tuple(value.shape)).astype(np.float32)
        value.copy_(torch.from_numpy(drawn))
    weights.bias[s].zero_()[:, :hidden] = 1.0


class Memory:
    """What a pass over T steps of a batch of B leaves for the gradient, allocated once per size.

    Attributes:
        gates: What the gates say; after the way back the gradient of what they were given. [S, T, B, 4H].
        cell: As it was first, and after each step, [S, T + 1, B, H].
        shown: tanh of the cell after each step, [S, T, B, H].
        out: Hidden state after each step, [S, T, B, H].
        hidden: What is left of the hidden state before each step, where an episode begins nothing, [S, T + 1, B, H].
        keep: 0 where an episode begins at a step, else 1, [S, T + 1, B].
        given: What the gates of one step are given, [S, B, 4H].
    """

    def __init__(self, S: int, T: int, B: int, H: int, device: torch.device) -> None:
        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, device=device)

        self.gates, self.given = zeros(S, T, B, 4 * H), zeros(S, B, 4 * H)
        self.hidden, self.cell = zeros(S, T + 1, B, H), zeros(S, T + 1, B, H)
        self.shown, self.out = zeros(S, T, B, H), zeros(S, T, B, H)
        self.keep = torch.ones(S, T + 1, B, device=device)
        self.d_hidden, self.d_cell = zeros(S, B, H), zeros(S, B, H)
        self.x = zeros(0)
        self._compiled = device.type == "cpu"
        forward = (self.gates, self.cell, self.shown, self.out, self.hidden, self.keep)
        backward = (self.gates, self.cell, self.shown, self.keep)
        self._forward, self._backward = self._arrays(*forward), self._arrays(*backward)
        self._given, self._d_state = self._arrays(self.given), self._arrays(self.d_hidden, self.d_cell)

    def _arrays(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        """What the kernels take."""
        return tuple(x.numpy() if self._compiled else x for x in tensors)

    def step(self, t: int) -> None:
        """From what the gates are given to the state after step t."""
        step: Any = lstm_kernels.cells_forward if self._compiled else lstm_kernels.cells_forward_torch
        step(*self._given, t, *self._forward)

    def step_back(self, d_out: torch.Tensor, t: int) -> None:
        """From d_out [S, T, B, H] and the gradient of the state after step t to that of what the gates were given."""
        step: Any = lstm_kernels.cells_backward if self._compiled else lstm_kernels.cells_backward_torch
        step(*self._arrays(d_out), *self._d_state, t, *self._backward)


class LSTM:
    """S LSTMs on views of a flat buffer.

    Args:
        weights: Their parameters.
        grads: Where `backward` writes their gradients.
    """

    def __init__(self, weights: Weights, grads: Weights) -> None:
        self.weights, self.grads = weights, grads
        self.hidden_size = weights.h.shape[1]  # H
        self._memories: dict[tuple[int, int], Memory] = {}
        self._last: Memory | None = None  # that of the last pass
        self._acting: dict[int, Memory] = {}
        self._on_cpu = tuple(weight.numpy() for weight in weights) if weights.x.device.type == "cpu" else None

    def act(self, x: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats]:
        """Hidden state and cell after one step, [S, B, H] each, from x [S, B, D] and those before, NumPy to NumPy."""
        B = x.shape[1]
        memory = self._acting.get(B) or self._acting.setdefault(B, self._memory(1, B))
        memory.cell[:, 0] = torch.from_numpy(cell)
        if self._on_cpu is None:
            tensors = (torch.from_numpy(array).to(memory.cell.device) for array in (x, hidden))
            given = [torch.bmm(tensor, weight) for tensor, weight in zip(tensors, self.weights, strict=False)]
            torch.add(given[0] + self.weights.bias, given[1], out=memory.given)
        else:
            weight_x, weight_h, bias = self._on_cpu
            memory.given.numpy()[:] = x @ weight_x + bias + hidden @ weight_h  # [S, B, 4H]
        memory.step(0)
        return memory.out[:, 0].cpu().numpy().copy(), memory.cell[:, 1].cpu().numpy().copy()

    def forward(self, x: torch.Tensor, state: State | None = None, starts: torch.Tensor | None = None) -> torch.Tensor:
        """The hidden state after each step, [S, T, B, H], which the next pass of this size overwrites.

        Args:
            x: [S, T, B, D].
            state: Before the first step; None is zero.
            starts: Where an episode begins at a step, so that nothing is remembered before it, [S, T, B].
        """
        S, T, B, _ = x.shape
        memory = self._last = self._memories.get((T, B)) or self._memories.setdefault((T, B), self._memory(T, B))
        memory.x = x.reshape(S, T * B, -1)
        memory.keep.fill_(1.0)
        if starts is not None:
            memory.keep[:, :T] = ~starts
        if state is None:
            memory.hidden[:, 0], memory.cell[:, 0] = 0.0, 0.0
        else:
            memory.hidden[:, 0] = state.hidden * memory.keep[:, 0, :, None]
            memory.cell[:, 0] = state.cell
        torch.baddbmm(self.weights.bias, memory.x, self.weights.x, out=memory.gates.view(S, T * B, -1))
        for t in range(T):
            torch.baddbmm(memory.gates[:, t], memory.hidden[:, t], self.weights.h, out=memory.given)
            memory.step(t)
        return memory.out

    def states(self) -> State:
        """The states after each step of the last pass, [S, T, B, H] each, which the next one of its size overwrites."""
        assert self._last is not None
        return State(self._last.out, self._last.cell[:, 1:])

    def backward(self, d_out: torch.Tensor) -> None:
        """Writes the gradient of sum(d_out * out) of the last pass, d_out [S, T, B, H], into `grads`; once per pass.

        The state before the first step counts as given.
        """
        memory = self._last
        assert memory is not None
        S, T, B, H = d_out.shape
        memory.d_hidden.zero_()
        memory.d_cell.zero_()
        d_out = d_out.contiguous()
        for t in range(T - 1, -1, -1):
            memory.step_back(d_out, t)
            if t:
                torch.bmm(memory.gates[:, t], self.weights.h.mT, out=memory.d_hidden)
        d_given = memory.gates.view(S, T * B, 4 * H)
        torch.bmm(memory.x.mT, d_given, out=self.grads.x)
        torch.bmm(memory.hidden[:, :T].reshape(S, T * B, H).mT, d_given, out=self.grads.h)
        torch.sum(d_given, 1, keepdim=True, out=self.grads.bias)

    def _memory(self, T: int, B: int) -> Memory:
        with torch.inference_mode(False):  # to be written to in that mode and out of it
            return Memory(len(self.weights.x), T, B, self.hidden_size, self.weights.x.device)
