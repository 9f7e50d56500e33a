import copy

import numpy as np
import pytest
import torch

from agents import A2C, PPO, REINFORCE
from agents.base.evaluation import evaluate
from agents.nn.built_actor_critic import BuiltActorCritic
from agents.nn.distributions import Categorical, Gaussian
from agents.nn.layers import SeedLinear, SeedSequential

CPU = torch.device("cpu")
S, B, D, A = 3, 7, 5, 2
CRITICS = ["separate", "shared", "none"]


def plain(obs_size: int, n_out: int) -> torch.nn.Module:
    layers = (torch.nn.Linear(obs_size, 8), torch.nn.LayerNorm(8), torch.nn.Tanh(), torch.nn.Linear(8, n_out))
    return torch.nn.Sequential(*layers)


def batched(obs_size: int, n_out: int) -> torch.nn.Module:
    return SeedSequential(SeedLinear(obs_size, 8), torch.nn.Tanh(), SeedLinear(8, n_out))


def network(build, critic, seeds=range(S), kind=Gaussian) -> BuiltActorCritic:
    return BuiltActorCritic(build, D, kind(A), seeds, CPU, critic, log_std_init=-0.5)


@pytest.mark.parametrize("critic", CRITICS)
@pytest.mark.parametrize("build", [plain, batched])
def test_each_seed_has_its_own_networks_alone_and_among_others(build, critic):
    among, alone = network(build, critic), network(build, critic, (2,))
    for name, value in alone.values.items():
        assert torch.equal(among.values[name][2], value[0])
    x = torch.randn(S, B, D)
    (policy, value), (own, own_value) = among(x), alone(x[2:])
    torch.testing.assert_close(policy.mean[2], own.mean[0])
    torch.testing.assert_close(value[2], own_value[0])
    (own, own_value), stds = among.of_seed(2, x[2:]), policy.base_dist.scale
    torch.testing.assert_close(policy.mean[2], own.mean[0])
    torch.testing.assert_close(value[2], own_value[0])
    torch.testing.assert_close(stds, torch.full((S, B, A), np.exp(-0.5)).float())
    np.testing.assert_allclose(among.act(x.numpy()), policy.mean.detach(), rtol=1e-5, atol=1e-6)
    if critic == "none":
        assert not value.any()
    else:
        np.testing.assert_allclose(among.value(x.numpy()), value.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", [plain, batched])
def test_policy_and_critic_begin_with_different_weights(build):
    values = network(build, "separate").values
    first = [name for name in values if name.startswith("module.pi.0")]
    assert first
    assert not any(torch.equal(values[name], values[name.replace("pi", "vf")]) for name in first)


@pytest.mark.parametrize("build", [plain, batched])
def test_a_gradient_of_one_seed_leaves_the_others_alone(build):
    net = network(build, "separate")
    policy, value = net.of_seed(1, torch.randn(1, B, D))
    (policy.log_prob(torch.zeros(1, B, A)).sum() + value.sum()).backward()
    for grad in net.grads.values():
        assert grad[1].any()
        assert not grad[[0, 2]].any()


def test_a_function_that_makes_no_module_is_refused():
    with pytest.raises(TypeError, match=r"network must make a torch\.nn\.Module, got 3"):
        network(lambda obs_size, n_out: 3, "separate")


@pytest.mark.parametrize("critic", CRITICS)
def test_a_network_with_another_number_of_outputs_is_refused(critic):
    with pytest.raises(ValueError, match="network must give outputs"):
        network(lambda obs_size, n_out: torch.nn.Linear(obs_size, n_out + 1), critic, kind=Categorical)


@pytest.mark.parametrize("build", [plain, batched])
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        (A2C, {"n_steps": 8, "n_envs": 4, "shared_network": True}),
        (PPO, {"n_steps": 32, "batch_size": 32, "n_epochs": 4, "n_envs": 2}),
        (REINFORCE, {"n_episodes": 4, "value_baseline": True}),
    ],
)
def test_a_tiny_env_is_solved_by_networks_of_a_users_own(match_env, algorithm, options, build):
    options = {"gamma": 0.2, "learning_rate": 1e-2, **options}
    agent = algorithm(match_env, seeds=2, network=build, **options).learn(4_000)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()


def test_files_and_copies_act_the_same(tmp_path, aim):
    agent = PPO(aim, seeds=2, network=plain, n_steps=16, batch_size=16).learn(32)
    agent.save(tmp_path / "agent")
    obs = np.linspace(-1, 1, 10, dtype=np.float32).reshape(2, 5, 1)
    expected, _ = agent.predict(obs, deterministic=True)
    for other in (PPO.load(tmp_path / "agent", network=plain), copy.deepcopy(agent)):
        np.testing.assert_array_equal(other.predict(obs, deterministic=True)[0], expected)
    copied = copy.deepcopy(agent)
    agent.learn(16, reset_num_timesteps=False)
    copied.learn(16, reset_num_timesteps=False)
    assert torch.equal(agent.net.flat, copied.net.flat)
