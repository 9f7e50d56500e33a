import numpy as np
import pytest
import torch

from agents.nn.adam import Adam
from agents.nn.layers import layer_outputs
from agents.nn.mlp import MLP
from agents.nn.parameters import clip_per_seed_

CPU = torch.device("cpu")
SIZES = (5, 8, 6, 3)


def one_by_one(net: MLP, s: int) -> torch.nn.Sequential:
    """The network of one seed, built of torch's own layers."""
    modules: list[torch.nn.Module] = []
    for weight, bias in net.layers:
        linear = torch.nn.Linear(weight.shape[1], weight.shape[2])
        linear.weight.data.copy_(weight[s].T)
        linear.bias.data.copy_(bias[s, 0])
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def flat_gradient(module: torch.nn.Sequential) -> list[torch.Tensor]:
    return [p.grad.T if p.ndim == 2 else p.grad[None] for p in module.parameters() if p.grad is not None]


def test_a_seed_has_the_same_first_weights_alone_and_among_others():
    among, alone = MLP(SIZES, range(8), CPU), MLP(SIZES, (3,), CPU)
    for name, value in alone.values.items():
        assert torch.equal(among.values[name][3], value[0])
    assert not torch.equal(among.values["0.weight"][0], among.values["0.weight"][1])


def test_first_weights_are_uniform_in_one_over_root_of_inputs():
    weight, bias = MLP((100, 400, 2), (0,), CPU).layers[0]
    for value in (weight, bias):
        assert 0.095 < value.abs().max() <= 0.1
    assert abs(weight.std().item() - 0.1 / np.sqrt(3)) < 1e-3


def test_forward_and_act_agree_with_torch_layers_seed_by_seed():
    net, x = MLP(SIZES, range(4), CPU), torch.randn(4, 7, 5)
    out = layer_outputs(x, net.layers)[-1]
    torch.testing.assert_close(net(x).detach(), out)
    for s in range(4):
        torch.testing.assert_close(out[s], one_by_one(net, s)(x[s]))
    np.testing.assert_allclose(net.act(x.numpy()), out.numpy(), rtol=1e-4, atol=1e-6)


def test_act_leaves_the_observations_as_they_were():
    net, x = MLP((5, 3), (0,), CPU), -torch.ones(1, 2, 5)
    net.act(x.numpy())
    layer_outputs(x, net.layers)
    assert torch.equal(x, -torch.ones(1, 2, 5))


@pytest.mark.parametrize("compiled", [True, False])
def test_adam_with_clipping_agrees_with_torch_seed_by_seed(compiled):
    net = MLP(SIZES, range(3), CPU)
    adam = Adam(net, max_grad_norm=0.5)
    if not compiled:
        adam._step = adam._step_torch
    references = [one_by_one(net, s) for s in range(3)]
    optimizers = [torch.optim.Adam(reference.parameters(), lr=0.01) for reference in references]
    x = torch.randn(3, 7, 5)
    for scale in (0.1, 10.0, 1.0, 3.0):  # some gradients are clipped, some are not
        d_out = scale * torch.randn(3, 7, 3)
        net.zero_grad()
        net(x).backward(d_out)
        adam.step(0.01)
        for s, (reference, optimizer) in enumerate(zip(references, optimizers, strict=True)):
            optimizer.zero_grad()
            reference(x[s]).backward(d_out[s])
            torch.nn.utils.clip_grad_norm_(reference.parameters(), 0.5)
            optimizer.step()
    for s, reference in enumerate(references):
        for value, p in zip(net.values.values(), reference.parameters(), strict=True):
            theirs = p.T if p.ndim == 2 else p[None]
            torch.testing.assert_close(value[s], theirs.detach(), rtol=1e-4, atol=1e-6)


def test_one_seeds_huge_gradient_does_not_shrink_anothers():
    net = MLP(SIZES, range(2), CPU)
    for grad in net.grads.values():
        grad[0], grad[1] = 1e-3, 1e3
    small = torch.cat([grad[0].reshape(-1).clone() for grad in net.grads.values()])
    norms = clip_per_seed_(net, 1.0)
    clipped = [torch.cat([grad[s].reshape(-1) for grad in net.grads.values()]) for s in range(2)]
    assert norms[1] > 1e3
    assert torch.equal(clipped[0], small)
    assert clipped[1].norm().item() == pytest.approx(1.0, rel=1e-4)


def test_adam_keeps_a_nan_for_all_to_see():
    net = MLP(SIZES, range(2), CPU)
    adam = Adam(net, max_grad_norm=1.0)
    net.grads["0.weight"][1, 0, 0] = float("nan")
    adam.step(0.01)
    assert torch.isnan(net.values["0.weight"][1]).any()
    assert not torch.isnan(net.values["0.weight"][0]).any()


def test_moments_of_an_inactive_unit_end_at_zero_not_among_subnormals():
    net = MLP(SIZES, (0,), CPU)
    adam = Adam(net, max_grad_norm=1.0)
    net.grad.fill_(1e-3)
    adam.step(0.01)
    net.grad.zero_()
    for _ in range(900):
        adam.step(0.01)
    assert (adam.mean == 0).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_a_seed_that_rests_stays_as_it_is_and_goes_on_where_it_was(compiled):
    together, alone = MLP(SIZES, range(2), CPU), MLP(SIZES, (1,), CPU)
    pair = [Adam(net, max_grad_norm=0.5) for net in (together, alone)]
    if not compiled:
        for adam in pair:
            adam._step = adam._step_torch
    gradients = torch.Generator().manual_seed(0)
    for k in range(12):
        rests = k in (0, 1, 5)
        for name, grad in together.grads.items():
            grad.copy_(torch.randn(grad.shape, generator=gradients))
            alone.grads[name].copy_(grad[1:])
        before = {name: value[1].clone() for name, value in together.values.items()}
        pair[0].step(0.01, np.array([True, not rests]))
        if rests:
            assert all(torch.equal(together.values[name][1], value) for name, value in before.items())
        else:
            pair[1].step(0.01)
    assert pair[0].steps_of.tolist() == [12, 9]
    for name, value in alone.values.items():
        torch.testing.assert_close(together.values[name][1], value[0], rtol=1e-5, atol=1e-7)
