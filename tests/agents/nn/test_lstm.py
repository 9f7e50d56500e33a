import numpy as np
import pytest
import torch

from agents.common.devices import torch_threads
from agents.nn.fused import lstm_kernels
from agents.nn.lstm import SeedLSTM, State, Weights, draw_weights, lstm_cell
from agents.nn.parameters import SeedNetwork

CPU = torch.device("cpu")
D, H, B, T = 3, 5, 4, 6
TORCH_ORDER = [1, 0, 2, 3]  # of our gates: torch has input, forget, candidate, output


class Held(SeedNetwork):
    """S LSTMs on a flat buffer."""

    def __init__(self, S: int, fused: bool = True) -> None:
        super().__init__()
        self.lstm = SeedLSTM(D, H)
        self.flatten_parameters(S, CPU)
        with torch.no_grad():
            for s in range(S):
                draw_weights(self.lstm.weights, s, np.random.default_rng(s))
        if fused:
            self.lstm.fuse()


def made(S: int, fused: bool = True) -> SeedLSTM:
    return Held(S, fused).lstm


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def in_torchs_order(columns: torch.Tensor) -> torch.Tensor:
    """The gates of columns [.., 4H] as torch's rows [4H, ..]."""
    return torch.cat([columns.chunk(4, -1)[k] for k in TORCH_ORDER], -1).T


# ------------------------------------------------------------------------------------------------ the cell


def test_one_step_of_the_cell_by_hand():
    weights = Weights(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
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


@pytest.mark.parametrize("fused", [False, True])
def test_states_and_gradients_are_torchs_to_1e_6(fused):
    reference, lstm = torch.nn.LSTM(D, H), made(1, fused)
    with torch.no_grad():
        reference.weight_ih_l0.copy_(in_torchs_order(lstm.weight_x[0]))
        reference.weight_hh_l0.copy_(in_torchs_order(lstm.weight_h[0]))
        reference.bias_ih_l0.copy_(in_torchs_order(lstm.bias[0])[:, 0])
        reference.bias_hh_l0.zero_()
    x, first = numbers(1, T, B, D), State(numbers(1, B, H, seed=1), numbers(1, B, H, seed=2))
    ours = lstm(x, first)
    theirs, (hidden, cell) = reference(x[0], (first.hidden, first.cell))
    close = {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(ours.hidden[0], theirs, **close)
    torch.testing.assert_close(torch.stack([part[:, -1] for part in ours]), torch.stack((hidden, cell)), **close)
    weight = numbers(T, B, H, seed=3)
    (weight * ours.hidden[0]).sum().backward()
    (weight * theirs).sum().backward()
    for parameter, name in ((lstm.weight_x, "weight_ih_l0"), (lstm.weight_h, "weight_hh_l0")):
        torch.testing.assert_close(in_torchs_order(parameter.grad[0]), getattr(reference, name).grad, **close)
    torch.testing.assert_close(in_torchs_order(lstm.bias.grad[0])[:, 0], reference.bias_ih_l0.grad, **close)


# -------------------------------------------------------------------------------------------- the compiled form


@pytest.mark.parametrize("S", [1, 3])
def test_states_and_all_gradients_of_the_compiled_form_are_autograds_of_the_definition(S):
    fused, defined = made(S), made(S, fused=False)
    starts = numbers(S, T, B, seed=4) > 0.7
    assert starts[:, 0].any()
    assert starts[:, -1].any()

    def passed(lstm):
        given = [2.0 * numbers(S, T, B, D), numbers(S, B, H, seed=1), numbers(S, B, H, seed=2)]
        x, hidden, cell = (part.requires_grad_() for part in given)
        for parameter in lstm.parameters():
            parameter.grad.zero_()
        after = lstm(x, State(hidden, cell), starts)
        loss = (numbers(S, T, B, H, seed=3) * after.hidden).sum() + (numbers(S, T, B, H, seed=5) * after.cell).sum()
        loss.backward()
        grads = [leaf.grad.clone() for leaf in (x, hidden, cell, *lstm.parameters())]
        return [part.detach().clone() for part in after] + grads

    expected = passed(defined)
    for _ in range(2):  # arrays that are used again carry nothing over
        for ours, theirs in zip(passed(fused), expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
        fused(numbers(S, T, B, D, seed=9))


def test_a_gradient_whose_numbers_were_overwritten_is_refused():
    lstm = made(1)
    first = lstm(numbers(1, T, B, D)).hidden.sum()
    second = lstm(numbers(1, T, B, D)).hidden.sum()
    with pytest.raises(RuntimeError, match="before its next pass over as many steps"):
        first.backward()
    second.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="must be taken once"):
        second.backward()


def test_nothing_is_remembered_across_the_start_of_an_episode():
    lstm = made(2)
    x, starts = numbers(2, T, B, D), torch.zeros(2, T, B, dtype=torch.bool)
    starts[1, 3, 2] = True
    once = lstm(x, None, starts).hidden.clone()
    x[1, :3, 2] += 1.0  # the past of that env
    again = lstm(x, None, starts).hidden
    assert torch.equal(again[1, 3:, 2], once[1, 3:, 2])
    assert not torch.equal(lstm(x).hidden[1, 3:, 2], once[1, 3:, 2])


@pytest.mark.parametrize("fused", [False, True])
def test_acting_step_by_step_is_a_pass_over_time(fused):
    lstm = made(2, fused)
    x = numbers(2, T, B, D)
    hidden, cell = (np.zeros((2, B, H), np.float32) for _ in range(2))
    said = []
    for t in range(T):
        hidden, cell = lstm.act(x[:, t].numpy(), hidden, cell)
        said.append(hidden)
    torch.testing.assert_close(torch.from_numpy(np.stack(said, 1)), lstm(x).hidden.detach(), rtol=1e-5, atol=1e-6)


def test_gates_are_right_and_finite_over_the_whole_range():
    z = np.concatenate((np.linspace(-30, 30, 601), [-1e30, -200.0, 200.0, 1e30, 1e-6, -1e-6])).astype(np.float32)
    gates = np.zeros(4 * len(z), np.float32)
    lstm_kernels.through_gates(np.tile(z, 4), gates)
    sigmoid, tanh = torch.from_numpy(z).double().sigmoid().numpy(), np.tanh(z.astype(float))
    forget, write, candidate, output = gates.reshape(4, -1)
    for gate in (forget, write, output):
        np.testing.assert_allclose(gate, sigmoid, rtol=1e-6, atol=1e-37)
    np.testing.assert_allclose(candidate, tanh, rtol=1e-6)


def test_a_seed_alone_says_what_it_says_among_others():
    among, alone = made(4), made(1)
    with torch.no_grad():
        for mine, theirs in zip(alone.parameters(), among.parameters(), strict=True):
            mine.copy_(theirs[2:3])
    x, weight = numbers(4, T, B, D), numbers(4, T, B, H, seed=1)
    with torch_threads(1):
        one, all_of_them = alone(x[2:3]).hidden, among(x).hidden
        torch.testing.assert_close(one[0], all_of_them[2])
        (one * weight[2:3]).sum().backward()
        (all_of_them * weight).sum().backward()
    for mine, theirs in zip(alone.parameters(), among.parameters(), strict=True):
        torch.testing.assert_close(mine.grad[0], theirs.grad[2], rtol=1e-5, atol=1e-6)


def test_first_weights_are_a_seeds_own_and_the_forget_gate_is_open():
    first, other = made(3), made(2)
    assert torch.equal(first.weights.x[:2], other.weights.x)
    assert not torch.equal(first.weights.x[0], first.weights.x[1])
    assert first.weights.h.abs().max() <= H**-0.5
    assert first.weights.bias.unique().tolist() == [0.0, 1.0]
    assert (first.weights.bias[..., :H] == 1.0).all()
