"""Networks as torch modules on a flat buffer."""

import copy
import pickle

import cloudpickle
import pytest
import torch

from agents.nn.adam import Adam
from agents.nn.mlp import MLP

CPU = torch.device("cpu")
SIZES = (5, 8, 6, 3)


def test_autograd_writes_the_gradient_into_the_buffer_and_adds_to_it():
    net, x, d_out = MLP(SIZES, range(4), CPU), torch.randn(4, 7, 5), torch.randn(4, 7, 3)
    torch.testing.assert_close(net.grads["2.bias"], torch.zeros(4, 1, 3))
    net(x).backward(d_out)
    torch.testing.assert_close(net.grads["2.bias"], d_out.sum(1, keepdim=True))
    once = net.grad.clone()
    net(x).backward(d_out)
    torch.testing.assert_close(net.grad, 2 * once)
    for parameter, grad in zip(net.parameters(), net.grads.values(), strict=True):
        assert parameter.grad.data_ptr() == grad.data_ptr()


def test_what_writes_to_the_buffer_changes_the_network():
    net, x = MLP(SIZES, range(2), CPU), torch.randn(2, 7, 5)
    adam = Adam(net, max_grad_norm=1.0)
    before = net(x).detach()
    net(x).square().sum().backward()
    adam.step(0.1)
    assert not torch.allclose(net(x), before)
    torch.testing.assert_close(net(x).detach(), torch.from_numpy(net.act(x.numpy())))
    net.flat.zero_()
    assert not net(x).any()


@pytest.mark.parametrize("none", [True, False])
def test_zeroed_gradients_stay_views_of_the_buffer(none):
    net, x = MLP(SIZES, range(2), CPU), torch.randn(2, 7, 5)
    net.grad.fill_(3.0)
    net.zero_grad(set_to_none=none)
    assert not net.grad.any()
    net(x).sum().backward()
    assert net.grad.any()


def test_names_and_numbers_of_parameters_are_those_of_the_views():
    net = MLP(SIZES, range(3), CPU)
    for (name, parameter), (key, value) in zip(net.named_parameters(), net.values.items(), strict=True):
        assert name == key
        assert parameter.shape == value.shape
        assert parameter.data_ptr() == value.data_ptr()


@pytest.mark.parametrize(
    "by",
    [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net)), lambda net: cloudpickle.loads(cloudpickle.dumps(net))],
)
def test_a_copy_learns_by_autograd_apart_from_the_original(by):
    net, x = MLP(SIZES, range(2), CPU), torch.randn(2, 7, 5)
    twin = by(net)
    assert torch.equal(twin(x), net(x))
    twin(x).sum().backward()
    assert not net.grad.any()
    twin.flat.zero_()
    assert not twin(x).any()
    assert net(x).any()


def test_moving_a_network_off_its_buffer_is_refused():
    net = MLP(SIZES, range(2), CPU)
    for move in (lambda: net.to("cpu"), net.double):
        with pytest.raises(TypeError, match="MLP stays on the device"):
            move()
