import numpy as np
import pytest
import torch

from agents.nn.fused.perceptrons import activate, backward, forward, layers_table, outputs
from agents.nn.mlp import MLP

CPU = torch.device("cpu")
S, B, SIZES = 3, 7, (5, 8, 6, 4)


def network() -> tuple[MLP, np.ndarray]:
    net = MLP(SIZES, range(S), CPU)
    return net, layers_table(net)


def reference(net: MLP, x: np.ndarray, tanh: bool) -> torch.Tensor:
    """The outputs by autograd's means."""
    y = torch.from_numpy(x)
    for i, layer in enumerate(net.children()):
        y = layer((torch.tanh(y) if tanh else torch.relu(y)) if i else y)
    return y


@pytest.mark.parametrize("tanh", [True, False])
def test_outputs_and_gradients_agree_with_autograd_seed_by_seed(tanh):
    (net, layers), draw = network(), np.random.default_rng(0)
    x, d_out = draw.normal(size=(S, B, 5)).astype(np.float32), draw.normal(size=(S, B, 4)).astype(np.float32)
    flat, grad = net.flat.numpy(), np.full_like(net.grad.numpy(), np.nan)
    kept, spare = np.empty(B * (8 + 6 + 4), np.float32), np.empty((2, B * 8), np.float32)
    expected = reference(net, x, tanh)
    (expected * torch.from_numpy(d_out)).sum().backward()
    for s in (2, 0, 1):
        out = forward(flat, layers, s, x[s], kept, tanh)
        np.testing.assert_allclose(out, expected[s].detach(), rtol=1e-5, atol=1e-6)
        backward(flat, grad, layers, s, x[s], kept, d_out[s], spare, tanh)
    np.testing.assert_allclose(grad, net.grad, rtol=1e-5, atol=1e-6)
    out = np.empty((S, B, 4), np.float32)
    outputs(flat, layers, x, tanh, out)
    np.testing.assert_allclose(out, expected.detach(), rtol=1e-5, atol=1e-6)


def test_a_perceptron_may_have_no_hidden_layer():
    net, x = MLP((5, 4), range(S), CPU), np.random.default_rng(0).normal(size=(S, B, 5)).astype(np.float32)
    flat, grad, layers = net.flat.numpy(), net.grad.numpy(), layers_table(net)
    spare = np.empty((2, B * 5), np.float32)
    out = forward(flat, layers, 1, x[1], np.empty(B * 4, np.float32), True)
    np.testing.assert_allclose(out, net(torch.from_numpy(x))[1].detach(), rtol=1e-5, atol=1e-6)
    backward(flat, grad, layers, 1, x[1], np.empty(B * 4, np.float32), np.ones((B, 4), np.float32), spare, True)
    np.testing.assert_allclose(net.grads["0.weight"][1], x[1].sum(0)[:, None].repeat(4, 1), rtol=1e-5, atol=1e-6)


def test_tanh_is_right_to_a_few_units_in_the_last_place():
    x = np.concatenate((np.linspace(-12, 12, 200_001), np.logspace(-30, 0, 1_000), [0.0])).astype(np.float32)
    y = x.copy()
    activate(y, True)
    np.testing.assert_allclose(y, np.tanh(x.astype(np.float64)), rtol=5e-7, atol=0)
    assert np.abs(y).max() <= 1.0


def test_tanh_of_numbers_that_are_not_finite():
    y = np.array([np.nan, np.inf, -np.inf], np.float32)
    activate(y, True)
    np.testing.assert_allclose(y, np.array([np.nan, 1.0, -1.0]), rtol=5e-7)
