"""Checks of lab 8."""

from typing import Any

import numpy as np
import torch

from agents.nn.lstm import State, Weights, lstm_cell
from course.checking import Checks, Wrong, agree

CHECKS = Checks()
D, H, B, T = 3, 4, 5, 6


def drawn(rng: np.random.Generator, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    """Normal tensors of these shapes."""
    return [torch.as_tensor(rng.normal(size=shape)) for shape in shapes]


def loop(x: Any, step: Any) -> Any:
    """All states of a loop from zeros."""
    hidden, states = torch.zeros(B, H, dtype=x.dtype), []
    for part in x:
        hidden = step(part, hidden)
        states.append(hidden)
    return torch.stack(states)


@CHECKS.add("rnn", "all states of torch's RNN", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    x, wx, wh, b = drawn(rng, (T, B, D), (D, H), (H, H), (H,))
    cell = torch.nn.RNN(D, H).double()
    values = {"weight_ih_l0": wx.T, "weight_hh_l0": wh.T, "bias_ih_l0": b, "bias_hh_l0": 0 * b}
    cell.load_state_dict(values)
    right = cell(x)[0]
    mistakes = {
        "the last state alone is returned: all are needed, [T, B, H]": right[-1],
        "tanh is missing": loop(x, lambda part, h: part @ wx + h @ wh + b),
        "the hidden state is not carried on": torch.tanh(x @ wx + b),
        "the bias is missing": loop(x, lambda part, h: torch.tanh(part @ wx + h @ wh)),
        "sigmoid stands in place of tanh": loop(x, lambda part, h: torch.sigmoid(part @ wx + h @ wh + b)),
        "weight_h is transposed": loop(x, lambda part, h: torch.tanh(part @ wx + h @ wh.T + b)),
        "the states are those before each step": torch.cat([torch.zeros(1, B, H), right[:-1]]),
        "the sequence is read backwards": loop(x.flip(0), lambda part, h: torch.tanh(part @ wx + h @ wh + b)).flip(0),
    }
    agree("the states", student.rnn(x, wx, wh, b), right, mistakes)


@CHECKS.add("influence", "norms of the gradient of the last state", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    (x, w) = drawn(rng, (T, B, D), (D, D))

    def run(x: Any) -> Any:
        return torch.tanh((x @ w).cumsum(0))

    def norms(pick: Any) -> Any:
        given = x.clone().requires_grad_()
        return torch.autograd.grad(pick(run(given)), given)[0]

    slope = norms(lambda states: states[-1].sum())
    right = slope.flatten(1).norm(dim=1)
    mistakes = {
        "the gradient is that of all states: take the last one": norms(lambda s: s.sum()).flatten(1).norm(dim=1),
        "the gradient is that of the first state": norms(lambda s: s[0].sum()).flatten(1).norm(dim=1),
        "this is the gradient: its norm at each step is needed, [T]": slope,
        "one norm is taken over all steps: one for each is needed": slope.norm(),
        "the sum of the gradient is taken, not its norm": slope.flatten(1).sum(1),
        "the square of the norm is returned": right**2,
        "the norm is that of each sequence, too: take it over B and D together": slope.norm(dim=2),
    }
    agree("the norms", student.influence(run, x), right, mistakes)


@CHECKS.add("my_lstm_cell", "the project's cell, with torch's order of gates", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    x, h, c, wx, wh, b = drawn(rng, (B, D), (B, H), (B, H), (D, 4 * H), (H, 4 * H), (4 * H,))
    order = torch.cat([torch.arange(k * H, (k + 1) * H) for k in (1, 0, 2, 3)])
    state = lstm_cell(x[None], State(h[None], c[None]), Weights(*(w[None, ..., order] for w in (wx, wh, b))))
    hidden, cell = state.hidden[0], state.cell[0]
    found = student.my_lstm_cell(x, h, c, wx, wh, b)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Wrong("the cell must return two things: hidden state and cell")
    z = x @ wx + h @ wh + b
    i, f, g, o = z.chunk(4, 1)
    si, sf, so = (part.sigmoid() for part in (i, f, o))
    mistakes = {
        "hidden state and cell are exchanged": hidden,
        "the gates are in another order: torch's is input, forget, candidate, output": i.sigmoid() * c
        + f.sigmoid() * g.tanh(),
        "the candidate has a sigmoid: it has tanh": sf * c + si * g.sigmoid(),
        "the candidate is written whole: the input gate is missing": sf * c + g.tanh(),
        "nothing is forgotten: the forget gate is missing": c + si * g.tanh(),
        "the gates have no sigmoid": f * c + i * g.tanh(),
        "the old cell is lost": si * g.tanh(),
        "forget is 1 - input only in other cells: the LSTM has a gate of its own": (1 - si) * c + si * g.tanh(),
        "the hidden state before is not used": cell_of(x @ wx + b, c),
        "the bias is missing": cell_of(z - b, c),
    }
    agree("the cell", found[1], cell, mistakes)
    mistakes = {
        "tanh of the new cell is missing": so * cell,
        "the output gate is missing": cell.tanh(),
        "the hidden state shows the old cell": so * c.tanh(),
    }
    agree("the hidden state", found[0], hidden, mistakes)


def cell_of(z: Any, c: Any) -> Any:
    """The new cell from all preactivations."""
    i, f, g, _ = z.chunk(4, 1)
    return f.sigmoid() * c + i.sigmoid() * g.tanh()


@CHECKS.add("my_gru_cell", "torch's", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    x, h, wx, wh, bx, bh = drawn(rng, (B, D), (B, H), (D, 3 * H), (H, 3 * H), (3 * H,), (3 * H,))
    cell = torch.nn.GRUCell(D, H).double()
    cell.load_state_dict({"weight_ih": wx.T, "weight_hh": wh.T, "bias_ih": bx, "bias_hh": bh})
    (rx, zx, nx), (rh, zh, nh) = (x @ wx + bx).chunk(3, 1), (h @ wh + bh).chunk(3, 1)
    r, z = (rx + rh).sigmoid(), (zx + zh).sigmoid()
    n = (nx + r * nh).tanh()
    outside = (nx + bh[2 * H :] + r * (h @ wh[:, 2 * H :])).tanh()
    inside = (nx + (r * h) @ wh[:, 2 * H :] + bh[2 * H :]).tanh()
    mistakes = {
        "the update gate is the wrong way round: z keeps the old state": z * n + (1 - z) * h,
        "the reset gate is missing in the candidate": (1 - z) * (nx + nh).tanh() + z * h,
        "the reset gate multiplies h before the weights: in torch it multiplies h W + b": (1 - z) * inside + z * h,
        "reset and update are exchanged: torch's order is reset, update, candidate": (1 - r) * (nx + z * nh).tanh()
        + r * h,
        "the candidate alone is returned: mix it with the old state": n,
        "the candidate has a sigmoid: it has tanh": (1 - z) * (nx + r * nh).sigmoid() + z * h,
        "the reset gate multiplies the input, too": (1 - z) * (r * (nx + nh)).tanh() + z * h,
        "the bias of h stands outside of the reset gate": (1 - z) * outside + z * h,
    }
    agree("the state", student.my_gru_cell(x, h, wx, wh, bx, bh), cell(x, h), mistakes)
