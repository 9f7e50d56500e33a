"""The LSTM of `agents.nn.lstm` on the CPU, with its gradient through time by hand: the same numbers, sooner.

The inputs of all steps go through one product before the loop over time, and the gradients of the weights are one
product each after the loop back; both loops are compiled (`lstm_kernels`). Arrays are made once. For autograd a whole
pass over time is one operation, so losses need not know of it.

Axis letters: S seeds, T time, B batch, D inputs, H hidden.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agents.nn.fused import lstm_kernels
from agents.nn.parameters import Floats

Gradients = tuple[torch.Tensor | None, ...]


class Memory:
    """The numbers that a pass over T steps of a batch of B leaves for its gradient, allocated once per size.

    Attributes:
        gates: The gates' outputs; after the way back the gradient in their inputs. [S, T, B, 4H].
        cell: Before the first step and after each, [S, T + 1, B, H].
        shown: tanh of the cell after each step, [S, T, B, H].
        out: Hidden state after each step, [S, T, B, H].
        hidden: Hidden state as each step uses it, zero where an episode begins, [S, T + 1, B, H].
        keep: 0 where an episode begins at a step, else 1, [S, T + 1, B].
        given: Inputs of one seed's gates at one step, [B, 4H].
        nothing: Zeros, [S, T, B, H].
        passes: Passes so far: an earlier one's numbers are gone.
    """

    def __init__(self, S: int, T: int, B: int, H: int) -> None:
        self.gates, self.given = torch.zeros(S, T, B, 4 * H), torch.zeros(B, 4 * H)
        self.hidden, self.cell = torch.zeros(S, T + 1, B, H), torch.zeros(S, T + 1, B, H)
        self.shown, self.out = torch.zeros(S, T, B, H), torch.zeros(S, T, B, H)
        self.keep = torch.ones(S, T + 1, B)
        self.d_hidden, self.d_cell = torch.zeros(S, B, H), torch.zeros(S, B, H)
        self.nothing = torch.zeros(S, T, B, H)
        self.passes = 0
        self.forward = self._arrays(self.gates, self.cell, self.shown, self.out, self.hidden, self.keep, self.given)
        state = (self.gates, self.cell, self.shown, self.hidden, self.keep, self.d_hidden, self.d_cell)
        self.backward = self._arrays(*state)

    def _arrays(self, *tensors: torch.Tensor) -> tuple[Any, ...]:
        """What the kernels take."""
        return tuple(tensor.numpy() for tensor in tensors)

    def begin(self, hidden: torch.Tensor, cell: torch.Tensor, starts: torch.Tensor | None) -> None:
        """Sets the state before the first step, and where episodes begin."""
        T = self.out.shape[1]
        self.passes += 1
        self.keep.fill_(1.0)
        if starts is not None:
            self.keep[:, :T] = ~starts
        torch.mul(hidden, self.keep[:, 0, :, None], out=self.hidden[:, 0])
        self.cell[:, 0] = cell


class FusedLSTM:
    """S LSTMs on views of a flat buffer.

    Args:
        weights: Weights of the inputs [S, D, 4H] and of the hidden state [S, H, 4H], biases [S, 1, 4H].
    """

    def __init__(self, weights: Sequence[torch.Tensor]) -> None:
        self._sizes = len(weights[1]), weights[1].shape[1]  # S, H
        self._memories: dict[tuple[int, int], Memory] = {}
        self._acting: dict[int, Memory] = {}
        self._on_cpu = tuple(weight.detach().numpy() for weight in weights)

    def act(self, x: Floats, hidden: Floats, cell: Floats) -> tuple[Floats, Floats]:
        """Hidden state and cell after one step, [S, B, H] each, from x [S, B, D] and those before, NumPy to NumPy."""
        B = x.shape[1]
        memory = self._acting.get(B) or self._acting.setdefault(B, self._memory(1, B))
        memory.begin(torch.from_numpy(hidden), torch.from_numpy(cell), None)
        lstm_kernels.forward(np.ascontiguousarray(x), *self._on_cpu, *memory.forward)
        return memory.out[:, 0].numpy().copy(), memory.cell[:, 1].numpy().copy()

    def over_time(
        self,
        x: torch.Tensor,
        hidden: torch.Tensor,
        cell: torch.Tensor,
        starts: torch.Tensor | None,
        weights: Sequence[torch.Tensor],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states and cells after each step, [S, T, B, H] each, which the next pass of this size overwrites.

        Args:
            x: [S, T, B, D].
            hidden: Before the first step, [S, B, H].
            cell: The same.
            starts: True where an episode begins at a step, so that the state before it is zero, [S, T, B].
            weights: As in the constructor, differentiable.
        """
        size = x.shape[1], x.shape[2]
        memory = self._memories.get(size) or self._memories.setdefault(size, self._memory(*size))
        apply: Any = _Pass.apply  # torch has no types for it
        out, cells = apply(memory, x, hidden, cell, starts, *weights)
        return out, cells

    def _memory(self, T: int, B: int) -> Memory:
        S, H = self._sizes
        with torch.inference_mode(False), torch.no_grad():  # to be written to in that mode and out of it
            return Memory(S, T, B, H)


class _Pass(torch.autograd.Function):
    """A pass over time and its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        memory: Memory,
        x: torch.Tensor,
        hidden: torch.Tensor,
        cell: torch.Tensor,
        starts: torch.Tensor | None,
        *weights: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        S, T, B, D = x.shape
        memory.begin(hidden, cell, starts)
        rows = x.reshape(S, T * B, D).contiguous()
        lstm_kernels.forward(rows.numpy(), *(weight.numpy() for weight in weights), *memory.forward)
        ctx.memory, ctx.passes = memory, memory.passes
        ctx.save_for_backward(rows, *weights[:2])
        ctx.set_materialize_grads(False)
        return torch.from_numpy(memory.out.numpy()), torch.from_numpy(memory.cell[:, 1:].numpy())

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_out: torch.Tensor | None, d_cells: torch.Tensor | None) -> Gradients:
        memory: Memory = ctx.memory
        if memory.passes != ctx.passes:
            raise RuntimeError("the LSTM's gradient must be taken once, and before its next pass over as many steps")
        memory.passes += 1  # the gates are overwritten
        rows, weight_x, weight_h = ctx.saved_tensors
        S, T, B, H = memory.out.shape
        d_out, d_cells = (memory.nothing if d is None else d.contiguous() for d in (d_out, d_cells))
        grads = torch.empty_like(weight_x), torch.empty_like(weight_h), torch.empty(S, 1, 4 * H)
        arrays = (array.numpy() for array in (d_out, d_cells, rows, weight_h))
        lstm_kernels.backward(*arrays, *memory.backward, *(grad.numpy() for grad in grads))
        d_x = None
        if ctx.needs_input_grad[1]:
            d_x = torch.bmm(memory.gates.view(S, T * B, 4 * H), weight_x.mT).view(S, T, B, -1)
        first = (memory.d_hidden.clone(), memory.d_cell.clone()) if any(ctx.needs_input_grad[2:4]) else (None, None)
        return None, d_x, *first, None, *grads
