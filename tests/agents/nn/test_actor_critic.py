import numpy as np
import pytest
import torch

from agents.nn.actor_critic import ActorCritic
from agents.nn.distributions import Categorical, Gaussian
from agents.nn.rmsprop import RMSprop

CPU = torch.device("cpu")
CRITICS = ["separate", "shared", "none"]


def network(seeds, critic="separate", distribution=None, **options) -> ActorCritic:
    return ActorCritic(5, (8, 6), distribution or Categorical(3), seeds, CPU, critic, **options)


def reference(leaves: dict[str, torch.Tensor], net: str, x: torch.Tensor, activation) -> torch.Tensor:
    """A network's output, by autograd's means."""
    for i in range(3):
        x = torch.baddbmm(leaves[f"{net}.{i}.bias"], activation(x) if i else x, leaves[f"{net}.{i}.weight"])
    return x


@pytest.mark.parametrize("critic", CRITICS)
def test_a_seed_has_the_same_first_weights_alone_and_among_others(critic):
    among, alone = network(range(5), critic), network((3,), critic)
    for name, value in alone.values.items():
        assert torch.equal(among.values[name][3], value[0])
    assert not torch.equal(among.values["pi.0.weight"][0], among.values["pi.0.weight"][1])


@pytest.mark.parametrize("critic", CRITICS)
def test_first_weights_are_orthogonal_with_sb3s_gains_and_biases_zero(critic):
    net = network((0, 1), critic, Gaussian(3), log_std_init=-0.5)
    for name, value in net.values.items():
        for matrix in value:
            if name.endswith("bias"):
                assert (matrix == 0).all()
            elif name == "log_std":
                assert (matrix == -0.5).all()
            elif ".2." not in name:
                short = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
                torch.testing.assert_close(short, 2.0 * torch.eye(len(short)), atol=1e-5, rtol=0)
    heads = net.values["pi.2.weight"].square().sum(1).sqrt()  # [S, A]
    expected = [0.01] * 3 + [1.0] * (critic == "shared")
    torch.testing.assert_close(heads, torch.tensor([expected] * 2))
    if critic == "separate":
        torch.testing.assert_close(net.values["vf.2.weight"].norm(dim=1), torch.ones(2, 1))


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("critic", CRITICS)
def test_outputs_agree_with_plain_perceptrons(critic, activation):
    net, x = network(range(3), critic, Gaussian(3), activation=activation), torch.randn(3, 7, 5)
    net.flat.add_(0.1 * torch.randn(net.flat.shape, generator=torch.Generator().manual_seed(0)))
    between = {"tanh": torch.tanh, "relu": torch.relu}[activation]
    pi = reference(net.values, "pi", x, between)
    value = pi[..., -1] if critic == "shared" else torch.zeros(3, 7)
    if critic == "separate":
        value = reference(net.values, "vf", x, between)[..., 0]
    policy, found = net(x)
    torch.testing.assert_close(policy.mean, pi[..., :3])
    torch.testing.assert_close(policy.base_dist.scale, net.values["log_std"].exp().expand(3, 7, 3))
    torch.testing.assert_close(found, value)
    np.testing.assert_allclose(net.act(x.numpy()), pi[..., :3], rtol=1e-4, atol=1e-6)
    if critic != "none":
        np.testing.assert_allclose(net.value(x.numpy()), value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("critic", CRITICS)
def test_one_seed_alone_has_its_outputs_and_leaves_the_gradients_of_others_alone(critic):
    net, x = network(range(3), critic, Gaussian(3)), torch.randn(3, 7, 5)
    (policy, value), (own, own_value) = net(x), net.of_seed(1, x[1:2])
    torch.testing.assert_close(own.mean[0], policy.mean[1])
    torch.testing.assert_close(own_value[0], value[1])
    (own.log_prob(torch.zeros(1, 7, 3)).sum() + own_value.sum()).backward()
    for grad in net.grads.values():
        assert grad[1].any()
        assert not grad[[0, 2]].any()


@pytest.mark.parametrize("critic", ["separate", "shared"])
def test_what_acts_on_other_devices_agrees_with_what_acts_on_the_cpu(critic, monkeypatch):
    net, obs = network(range(3), critic), np.random.default_rng(0).normal(size=(3, 7, 5)).astype(np.float32)
    expected = net.act(obs), net.value(obs)
    monkeypatch.setattr(net, "_compiled", False)
    np.testing.assert_allclose(net.act(obs), expected[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net.value(obs), expected[1], rtol=1e-4, atol=1e-6)


def test_observations_are_left_as_they_were():
    net, x = network((0,)), -torch.ones(1, 2, 5)
    net(x)
    net.act(x.numpy())
    net.value(x.numpy())
    assert torch.equal(x, -torch.ones(1, 2, 5))


@pytest.mark.parametrize("compiled", [True, False])
def test_rmsprop_with_clipping_agrees_with_torch_seed_by_seed(compiled, monkeypatch):
    net = network(range(3))
    ours = RMSprop(net, max_grad_norm=0.5)
    if not compiled:
        monkeypatch.setattr(ours, "_step_compiled", ours._step_torch)
    copies = [[value[s].clone().requires_grad_() for value in net.values.values()] for s in range(3)]
    theirs = [torch.optim.RMSprop(copy, lr=0.01, alpha=0.99, eps=1e-5) for copy in copies]
    for scales in ((0.01, 10.0, 1.0), (10.0, 0.01, 1.0), (1.0, 1.0, 0.01)):  # some gradients are clipped, some are not
        for grad in net.grads.values():
            for s, scale in enumerate(scales):
                grad[s] = scale * torch.randn(grad[s].shape)
        for s in range(3):
            for leaf, grad in zip(copies[s], net.grads.values(), strict=True):
                leaf.grad = grad[s].clone()
            torch.nn.utils.clip_grad_norm_(copies[s], 0.5)
            theirs[s].step()
        ours.step(0.01)
    for s in range(3):
        for value, leaf in zip(net.values.values(), copies[s], strict=True):
            torch.testing.assert_close(value[s], leaf.detach(), rtol=1e-4, atol=1e-6)
