import numpy as np
import pytest
import torch

from agents.common.devices import torch_threads
from agents.nn import lstm_kernels
from agents.nn.lstm import LSTM, Memory, State, draw_weights, lstm_cell, lstm_shapes, weights_in
from agents.nn.parameters import Parameters

CPU = torch.device("cpu")
D, H, B, T = 3, 5, 4, 6
TORCH_ORDER = [1, 0, 2, 3]  # of our gates: torch has input, forget, candidate, output


def made(S: int, inputs: int = D, hidden: int = H) -> LSTM:
    parameters = Parameters(S, lstm_shapes(inputs, hidden), CPU)
    weights = weights_in(parameters.values)
    for s in range(S):
        draw_weights(weights, s, np.random.default_rng(s))
    return LSTM(weights, weights_in(parameters.grads))


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def in_torchs_order(columns: torch.Tensor) -> torch.Tensor:
    """The gates of columns [.., 4H] as torch's rows [4H, ..]."""
    return torch.cat([columns.chunk(4, -1)[k] for k in TORCH_ORDER], -1).T


def unrolled(x: torch.Tensor, state: State, starts: torch.Tensor, weights) -> tuple[torch.Tensor, State]:
    """`lstm_cell` over time: hidden states [S, T, B, H] and the last state."""
    out = []
    for t in range(x.shape[1]):
        keep = (~starts[:, t, :, None]).float()
        state = lstm_cell(x[:, t], State(state.hidden * keep, state.cell * keep), weights)
        out.append(state.hidden)
    return torch.stack(out, 1), state


# ------------------------------------------------------------------------------------------------ the cell


def test_one_step_of_the_cell_by_hand():
    weights = weights_in({name: torch.zeros(1, *shape) for name, shape in lstm_shapes(1, 1).items()})
    weights.x[0] = torch.tensor([[1.0, 2.0, 3.0, 4.0]])  # forget, input, candidate, output
    weights.h[0] = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    weights.bias[0] = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    x, hidden, cell = (torch.full((1, 1, 1), value) for value in (0.2, -1.0, 2.0))
    state = lstm_cell(x, State(hidden, cell), weights)

    def sigmoid(z):
        return 1.0 / (1.0 + np.exp(-z))

    cell = sigmoid(0.2 - 0.5 + 0.1) * 2.0 + sigmoid(0.4 - 0.5 + 0.2) * np.tanh(0.6 - 0.5 + 0.3)
    assert state.cell.item() == pytest.approx(cell, abs=1e-6)
    assert state.hidden.item() == pytest.approx(sigmoid(0.8 - 0.5 + 0.4) * np.tanh(cell), abs=1e-6)


def test_the_cell_and_its_gradient_are_torchs_to_1e_6():
    reference = torch.nn.LSTM(D, H)
    lstm = made(1)
    leaves = type(lstm.weights)(*(w.clone().requires_grad_() for w in lstm.weights))
    with torch.no_grad():
        reference.weight_ih_l0.copy_(in_torchs_order(leaves.x[0]))
        reference.weight_hh_l0.copy_(in_torchs_order(leaves.h[0]))
        reference.bias_ih_l0.copy_(in_torchs_order(leaves.bias[0])[:, 0])
        reference.bias_hh_l0.zero_()
    x, first = numbers(1, T, B, D), State(numbers(1, B, H, seed=1), numbers(1, B, H, seed=2))
    ours, last = unrolled(x, first, torch.zeros(1, T, B, dtype=torch.bool), leaves)
    theirs, (hidden, cell) = reference(x[0], (first.hidden, first.cell))
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.stack((last.hidden, last.cell)), torch.stack((hidden, cell)), rtol=0, atol=1e-6)
    weight = numbers(T, B, H, seed=3)
    (weight * ours[0]).sum().backward()
    (weight * theirs).sum().backward()
    for leaf, name in zip(leaves, ("weight_ih_l0", "weight_hh_l0"), strict=False):
        torch.testing.assert_close(in_torchs_order(leaf.grad[0]), getattr(reference, name).grad, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(
        in_torchs_order(leaves.bias.grad[0])[:, 0], reference.bias_ih_l0.grad, rtol=1e-6, atol=1e-6
    )


# -------------------------------------------------------------------------------------------- the quick form


@pytest.mark.parametrize("in_torch", [False, True])
@pytest.mark.parametrize("S", [1, 3])
def test_forward_and_gradient_agree_with_autograd_of_the_cell(S, in_torch, monkeypatch):
    if in_torch:  # what runs where there is no CPU
        monkeypatch.setattr(Memory, "_arrays", lambda self, *tensors: tensors)
        monkeypatch.setattr(lstm_kernels, "cells_forward", lstm_kernels.cells_forward_torch)
        monkeypatch.setattr(lstm_kernels, "cells_backward", lstm_kernels.cells_backward_torch)
    lstm = made(S)
    x, first = 2.0 * numbers(S, T, B, D), State(numbers(S, B, H, seed=1), numbers(S, B, H, seed=2))
    starts = numbers(S, T, B, seed=4) > 0.7
    assert starts[:, 0].any()
    assert starts[:, -1].any()
    leaves = type(lstm.weights)(*(w.clone().requires_grad_() for w in lstm.weights))
    expected, last = unrolled(x, first, starts, leaves)
    weight = numbers(S, T, B, H, seed=3)
    (weight * expected).sum().backward()
    for _ in range(2):  # arrays that are used again carry nothing over
        out = lstm.forward(x, first, starts)
        torch.testing.assert_close(out, expected.detach(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(lstm.states().cell[:, -1], last.cell.detach(), rtol=1e-5, atol=1e-6)
        lstm.backward(weight)
        for grad, leaf in zip(lstm.grads, leaves, strict=True):
            torch.testing.assert_close(grad, leaf.grad, rtol=1e-5, atol=1e-5)
        lstm.forward(numbers(S, T, B, D, seed=9))


def test_nothing_is_remembered_across_the_start_of_an_episode():
    lstm = made(2)
    x, starts = numbers(2, T, B, D), torch.zeros(2, T, B, dtype=torch.bool)
    starts[1, 3, 2] = True
    once = lstm.forward(x, None, starts).clone()
    x[1, :3, 2] += 1.0  # the past of that env
    again = lstm.forward(x, None, starts)
    assert torch.equal(again[1, 3:, 2], once[1, 3:, 2])
    lstm.forward(x)
    assert not torch.equal(lstm.forward(x)[1, 3:, 2], once[1, 3:, 2])


def test_acting_step_by_step_is_a_pass_over_time():
    lstm = made(2)
    x = numbers(2, T, B, D)
    hidden, cell = (np.zeros((2, B, H), np.float32) for _ in range(2))
    said = []
    for t in range(T):
        hidden, cell = lstm.act(x[:, t].numpy(), hidden, cell)
        said.append(hidden)
    torch.testing.assert_close(torch.from_numpy(np.stack(said, 1)), lstm.forward(x), rtol=1e-5, atol=1e-6)


def test_gates_are_right_and_finite_over_the_whole_range():
    z = np.concatenate((np.linspace(-30, 30, 601), [-1e30, -200.0, 200.0, 1e30, 1e-6, -1e-6])).astype(np.float32)
    given = np.zeros((1, 1, 4 * len(z)), np.float32)
    given[0, 0] = np.tile(z, 4)
    gates = np.zeros((1, 1, 1, 4 * len(z)), np.float32)
    others = [np.zeros((1, n, 1, len(z)), np.float32) for n in (2, 1, 1, 2)]  # cell, shown, out, hidden
    lstm_kernels.cells_forward(given, 0, gates, *others, np.ones((1, 2, 1), np.float32))
    sigmoid, tanh = torch.from_numpy(z).double().sigmoid().numpy(), np.tanh(z.astype(float))
    forget, write, candidate, output = gates.reshape(4, -1)
    for gate in (forget, write, output):
        np.testing.assert_allclose(gate, sigmoid, rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(candidate, tanh, rtol=1e-6)


def test_a_seed_alone_says_what_it_says_among_others():
    among = made(4)
    alone = made(1)
    for mine, theirs in zip(alone.weights, among.weights, strict=True):
        mine.copy_(theirs[2:3])
    x, weight = numbers(4, T, B, D), numbers(4, T, B, H, seed=1)
    with torch_threads(1):
        torch.testing.assert_close(alone.forward(x[2:3])[0], among.forward(x)[2])
        alone.backward(weight[2:3])
        among.backward(weight)
    for mine, theirs in zip(alone.grads, among.grads, strict=True):
        torch.testing.assert_close(mine[0], theirs[2], rtol=1e-5, atol=1e-6)


def test_first_weights_are_a_seeds_own_and_the_forget_gate_is_open():
    first, other = made(3), made(2)
    assert torch.equal(first.weights.x[:2], other.weights.x)
    assert not torch.equal(first.weights.x[0], first.weights.x[1])
    assert first.weights.h.abs().max() <= H**-0.5
    assert first.weights.bias.unique().tolist() == [0.0, 1.0]
    assert (first.weights.bias[..., :H] == 1.0).all()
