"""LSTM for S seeds at once.

From an input x, the hidden state h and the cell c:

    forget     f  = sigmoid(x W_xf + h W_hf + b_f)    how much of the cell is kept
    input      i  = sigmoid(x W_xi + h W_hi + b_i)    how much of the candidate is added
    candidate  g  = tanh(x W_xg + h W_hg + b_g)       what could be added
    output     o  = sigmoid(x W_xo + h W_ho + b_o)    how much of the cell is shown
    cell       c' = f * c + i * g
    hidden     h' = o * tanh(c')

The four gates stand side by side in one matrix, in this order. Where an episode begins the state is zero, and no
gradient passes. `agents.nn.fused.lstm` computes the same sooner on the CPU.

Sources: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000 (the forget gate).

Axis letters: S seeds, T time, B batch, D inputs, H hidden.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from agents.nn.fused.lstm import FusedLSTM
from agents.nn.parameters import Floats


class State(NamedTuple):
    """The state of an LSTM, both [S, B, H]; of all steps of a sequence [S, T, B, H]."""

    hidden: torch.Tensor
    cell: torch.Tensor


class Weights(NamedTuple):
    """The parameters of S LSTMs."""

    x: torch.Tensor  # [S, D, 4H]
    h: torch.Tensor  # [S, H, 4H]
    bias: torch.Tensor  # [S, 1, 4H]


def lstm_cell(x: torch.Tensor, state: State, weights: Weights) -> State:
    """The state after one step, from x [S, B, D] and the state before it."""
    gates = x @ weights.x + state.hidden @ weights.h + weights.bias  # [S, B, 4H]
    forget, write, candidate, output = gates.chunk(4, dim=-1)  # [S, B, H] each
    cell = forget.sigmoid() * state.cell + write.sigmoid() * candidate.tanh()  # [S, B, H]
    return State(output.sigmoid() * cell.tanh(), cell)


class SeedLSTM(torch.nn.Module):
    """S LSTMs.

    Args:
        inputs: D.
        hidden: H.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.weight_x = torch.nn.Parameter(torch.zeros(1, inputs, 4 * hidden))
        self.weight_h = torch.nn.Parameter(torch.zeros(1, hidden, 4 * hidden))
        self.bias = torch.nn.Parameter(torch.zeros(1, 1, 4 * hidden))
        self._fused: FusedLSTM | None = None

    @property
    def weights(self) -> Weights:
        """The parameters."""
        return Weights(self.weight_x, self.weight_h, self.bias)

    def fuse(self) -> None:
        """Lets compiled loops do the work from now on; once a `SeedNetwork` holds the parameters, on the CPU."""
        self._fused = FusedLSTM(self.weights)

    def forward(self, x: torch.Tensor, state: State | None = None, starts: torch.Tensor | None = None) -> State:
        """The states after each step, [S, T, B, H] each; of fused LSTMs the next pass of this size overwrites them.

        Args:
            x: [S, T, B, D].
            state: Before the first step; None is zero.
            starts: True where an episode begins at a step, so that the state before it is zero, [S, T, B].
        """
        S, T, B, _ = x.shape
        state = state or State(*torch.zeros(2, S, B, self.weight_h.shape[1], device=x.device))
        if self._fused is not None:
            return State(*self._fused.over_time(x, *state, starts, self.weights))
        keep = torch.ones(S, T, B, device=x.device) if starts is None else (~starts).float()
        states = []
        for t in range(T):
            kept = State(*(part * keep[:, t, :, None] for part in state))  # [S, B, H]
            state = lstm_cell(x[:, t], kept, self.weights)
            states.append(state)
        return State(*(torch.stack(parts, 1) for parts in zip(*states, strict=True)))

    @torch.no_grad()
    def act(self, x: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats]:
        """Hidden state and cell after one step, [S, B, H] each, from x [S, B, D] and those before, NumPy to NumPy."""
        if self._fused is not None:
            return self._fused.act(x, hidden, cell)
        given, *before = (torch.from_numpy(array).to(self.bias.device) for array in (x, hidden, cell))
        after = lstm_cell(given, State(*before), self.weights)
        return after.hidden.cpu().numpy(), after.cell.cpu().numpy()


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
