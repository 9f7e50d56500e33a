"""Networks of a user's own: all seeds at once as each alone, through files and copies, and refusals by name."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import agents
from agents.base.evaluation import evaluate
from agents.common import checkpoints
from agents.dqn import DQN
from agents.nn.adam import Adam
from agents.nn.examples.transformer import Transformer
from agents.nn.examples.window_cnn import WindowCNN
from agents.nn.layers import SeedLayerNorm, SeedLinear, SeedModule, SeedSequential
from agents.nn.mlp import MLP
from agents.nn.networks import BuiltNetwork, made_for, on_features

CPU = torch.device("cpu")
SMALL = {"learning_rate": 5e-3, "learning_starts": 50, "train_freq": 1, "target_update_interval": 20, "gamma": 0.5}


def plain(obs_size: int, n_out: int, width: int = 16) -> nn.Module:
    """A network of torch's own layers."""
    return nn.Sequential(nn.Linear(obs_size, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, n_out))


def batched(obs_size: int, n_out: int, width: int = 16) -> nn.Module:
    """The same of seed-batched layers."""
    hidden = SeedLinear(obs_size, width)
    return SeedSequential(hidden, SeedLayerNorm(width), nn.ReLU(), SeedLinear(width, n_out))


def encoder(obs_size: int, n_out: int) -> nn.Module:
    """torch's own transformer over the numbers of an observation."""
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    return nn.Sequential(
        nn.Unflatten(1, (obs_size, 1)), nn.Linear(1, 4), layer, nn.Flatten(), nn.Linear(4 * obs_size, n_out)
    )


CNN = functools.partial(on_features, extractor=WindowCNN, window=4, rest=1, channels=3, features_dim=6, net_arch=(5,))
ATTENTION = functools.partial(Transformer, window=4, rest=1, width=4)
BUILDS = {"plain": plain, "batched": batched, "encoder": encoder, "cnn": CNN, "transformer": ATTENTION}
every_build = pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)


# ------------------------------------------------------------------------------------------------------ numbers


def alone(net: BuiltNetwork, s: int, build) -> nn.Module:
    """The module of one seed with the weights that it has among the others."""
    module = build(9, 3)
    for name, parameter in module.named_parameters():
        parameter.data.copy_(net.values[f"module.{name}"][s].view(parameter.shape))
    return module


@every_build
def test_all_seeds_at_once_give_the_outputs_and_gradients_of_each_module_alone(build):
    net, obs = BuiltNetwork(build, 9, 3, range(4), CPU), torch.randn(4, 7, 9)
    out, d_out = net(obs), torch.randn(4, 7, 3)
    (out * d_out).sum().backward()
    np.testing.assert_allclose(net.act(obs.numpy()), out.detach(), rtol=1e-4, atol=1e-6)
    for s in range(4):
        module = alone(net, s, build)
        x = obs[s : s + 1] if isinstance(module, SeedModule) else obs[s]
        (module(x) * d_out[s]).sum().backward()
        torch.testing.assert_close(module(x).view(7, 3), out[s], rtol=1e-4, atol=1e-5)
        for name, parameter in module.named_parameters():
            mine = net.grads[f"module.{name}"][s].view(parameter.shape)
            torch.testing.assert_close(mine, parameter.grad, rtol=1e-4, atol=1e-5)


@every_build
def test_a_seed_draws_its_first_weights_alone_and_among_others_alike_and_leaves_torchs_numbers_alone(build):
    torch.manual_seed(5)
    among = BuiltNetwork(build, 9, 3, (7, 2, 5), CPU)
    after = torch.rand(1)
    torch.manual_seed(6)
    single = BuiltNetwork(build, 9, 3, (2,), CPU)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(1), after)
    assert all(torch.equal(among.values[name][1], value[0]) for name, value in single.values.items())
    assert any(not torch.equal(value[0], value[1]) for value in among.values.values())


def test_the_first_weights_are_those_that_torch_draws_for_the_module():
    net, module = BuiltNetwork(plain, 9, 3, (3,), CPU), made_for(3, plain, 9, 3)
    for (_, value), parameter in zip(net.values.items(), module.parameters(), strict=True):
        assert torch.equal(value[0], parameter)
    assert net.values["module.0.weight"].abs().max() <= 1 / 3


@every_build
def test_adam_steps_on_the_flat_buffer_are_torchs_on_each_module(build):
    net, obs = BuiltNetwork(build, 9, 3, range(2), CPU), torch.randn(2, 7, 9)
    modules = [alone(net, s, build) for s in range(2)]
    optimizers = [torch.optim.Adam(module.parameters(), lr=0.01, eps=0.1) for module in modules]
    adam = Adam(net, max_grad_norm=1e9, eps=0.1)  # a key's bias has a gradient of rounding errors alone
    for _ in range(3):
        net.zero_grad()
        net(obs).square().sum().backward()
        adam.step(0.01)
        for s, (module, optimizer) in enumerate(zip(modules, optimizers, strict=True)):
            optimizer.zero_grad()
            module(obs[s : s + 1] if isinstance(module, SeedModule) else obs[s]).square().sum().backward()
            optimizer.step()
    for s, module in enumerate(modules):
        for name, parameter in module.named_parameters():
            mine = net.values[f"module.{name}"][s].view(parameter.shape)
            torch.testing.assert_close(mine, parameter.detach(), rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("whole", [True, False])
def test_weights_shared_by_two_layers_stay_shared(whole):
    class Tied(nn.Module):
        def __init__(self, obs_size, n_out):
            super().__init__()
            self.one, self.last = nn.Linear(obs_size, obs_size), nn.Linear(obs_size, n_out)
            self.two = self.one if whole else nn.Linear(obs_size, obs_size)
            self.two.weight = self.one.weight

        def forward(self, x):
            return self.last(self.two(torch.relu(self.one(x))))

    net, obs = BuiltNetwork(Tied, 9, 3, range(2), CPU), torch.randn(2, 7, 9)
    for _ in range(2):
        module = alone(net, 1, Tied)
        module(obs[1]).square().sum().backward()
        net.zero_grad()
        net(obs).square().sum().backward()
        torch.testing.assert_close(net.grads["module.one.weight"][1], module.one.weight.grad, rtol=1e-4, atol=1e-5)
        net.flat.sub_(net.grad, alpha=0.01)


def test_layer_norm_is_torchs_seed_by_seed():
    class Scaled(SeedSequential):
        """Makes the parameters of seeds differ, which would all be ones and zeros."""

        def __init__(self, obs_size, n_out):
            super().__init__(SeedLayerNorm(obs_size), SeedLinear(obs_size, n_out))
            for parameter in self.parameters():
                nn.init.normal_(parameter)

    net, obs = BuiltNetwork(Scaled, 9, 3, range(3), CPU), torch.randn(3, 7, 9)
    layer, linear = net.module
    for x in (obs, torch.randn(3, 7, 2, 9)):
        for s in range(3):
            rows = nn.functional.layer_norm(x[s], (9,), layer.weight[s, 0], layer.bias[s, 0])
            torch.testing.assert_close(layer(x)[s], rows)
            torch.testing.assert_close(linear(x)[s], x[s] @ linear.weight[s] + linear.bias[s, 0])


# ------------------------------------------------------------------------------------------------------ learning


@pytest.mark.parametrize("name", ["DQN", "Rainbow"])
@pytest.mark.parametrize("build", [plain, batched])
def test_an_agent_learns_with_it_and_a_file_keeps_its_weights_and_its_name(name, build, match_env, tmp_path):
    kind, network = getattr(agents, name), functools.partial(build, width=12)
    agent = kind(match_env, seeds=2, network=network, **SMALL).learn(800)
    assert (evaluate(agent, match_env, episodes=5) == 10.0).all()
    agent.save(tmp_path / "agent", training=True)
    written = checkpoints.read(tmp_path / "agent")[1]["network"]
    assert written == {"name": f"{__name__}:{build.__name__}", "arguments": {"width": 12}}
    loaded = kind.load(tmp_path / "agent", env=match_env, network=network)
    for part, array in agent.state_dict().items():
        assert torch.equal(array, loaded.state_dict()[part])
    obs = np.eye(3, dtype=np.float32)[None].repeat(2, 0)
    assert np.array_equal(agent.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0])


@pytest.mark.parametrize("build", [plain, batched])
def test_a_seed_takes_the_same_200_steps_alone_and_among_others(build):
    def actions(seeds, s):
        settings = SMALL | {"exploration_initial_eps": 0.5}
        return DQN("CartPole-v1", seeds=seeds, network=build, **settings).learn(200).replay.rows[s, :200, 8]

    among, alone = actions(3, 2), actions([2], 0)
    assert np.array_equal(among, alone)
    assert 0 < among.mean() < 1


def test_a_perceptron_of_ones_own_learns_what_the_built_in_one_does():
    def network(obs_size, n_out):
        return SeedSequential(SeedLinear(obs_size, 16), nn.ReLU(), SeedLinear(16, n_out))

    own, built_in = DQN("CartPole-v1", network=network, **SMALL), DQN("CartPole-v1", net_arch=(16,), **SMALL)
    assert isinstance(built_in.q_net, MLP)
    for agent in (own, built_in):
        agent.q_net.flat.copy_(built_in.q_net.flat)
        agent.q_net_target.flat.copy_(built_in.q_net.flat)
        agent.learn(200)
    torch.testing.assert_close(own.q_net.flat, built_in.q_net.flat, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("by", [copy.deepcopy, lambda agent: pickle.loads(pickle.dumps(agent))])
def test_a_copy_goes_on_as_the_original_does_a_lambdas_too(by):
    agent = DQN("CartPole-v1", seeds=2, network=lambda D, A: nn.Linear(D, A), **SMALL).learn(80)
    twin = by(agent)
    for both in (agent, twin):
        both.learn(40, reset_num_timesteps=False)
    assert torch.equal(agent.q_net.flat, twin.q_net.flat)
    assert torch.equal(agent[1].q_net.flat.view(-1), torch.cat([v[1].flatten() for v in agent.q_net.values.values()]))


# ------------------------------------------------------------------------------------------------------ files


def test_a_file_asks_for_the_network_and_imports_none(match_env, tmp_path):
    DQN(match_env, network=f"{__name__}:plain").save(tmp_path / "agent")
    with pytest.raises(ValueError, match=f"network is missing: the agent was made with '{__name__}:plain"):
        DQN.load(tmp_path / "agent")
    DQN.load(tmp_path / "agent", network=f"{__name__}:plain")
    with pytest.raises(ValueError, match=f"network must be '{__name__}:plain"):
        DQN.load(tmp_path / "agent", network=batched)
    with pytest.raises(ValueError, match="width=7"):
        DQN.load(tmp_path / "agent", network=functools.partial(plain, width=7))
    DQN(match_env).save(tmp_path / "other")
    with pytest.raises(ValueError, match="network must be None"):
        DQN.load(tmp_path / "other", network=plain)


def test_a_lambda_has_no_name_and_is_checked_by_its_shapes(match_env, tmp_path):
    agent = DQN(match_env, network=lambda D, A: nn.Linear(D, A))
    agent.save(tmp_path / "agent")
    assert checkpoints.read(tmp_path / "agent")[1]["network"] == {"name": None, "arguments": {}}
    with pytest.raises(ValueError, match="network is missing: the agent was made with a function without a name"):
        DQN.load(tmp_path / "agent")
    loaded = DQN.load(tmp_path / "agent", network=lambda D, A: nn.Linear(D, A))
    assert torch.equal(loaded.q_net.flat, agent.q_net.flat)
    with pytest.raises(ValueError, match=r"it has no array q_net\.module\.0\.weight"):
        DQN.load(tmp_path / "agent", network=plain)


def test_a_class_among_the_arguments_is_written_by_its_name(match_env, tmp_path):
    network = functools.partial(on_features, extractor=WindowCNN, window=3, net_arch=(4,))
    DQN(match_env, network=network).save(tmp_path / "agent")
    arguments = checkpoints.read(tmp_path / "agent")[1]["network"]["arguments"]
    assert arguments == {"extractor": "agents.nn.examples.window_cnn:WindowCNN", "window": 3, "net_arch": [4]}
    DQN.load(tmp_path / "agent", network=network)


# ----------------------------------------------------------------------------------------------------- refusals


def with_layer(layer):
    return lambda D, A: nn.Sequential(nn.Linear(D, 4), layer(), nn.Linear(4, A))


class Noisy(nn.Module):
    """Noise in a buffer, other for every seed."""

    def __init__(self, obs_size, n_out):
        super().__init__()
        self.last = nn.Linear(obs_size, n_out)
        self.register_buffer("noise", torch.rand(1))

    def forward(self, x):
        return self.last(x + self.noise)


class Mixed(SeedModule):
    """A seed-batched module with a layer that is not."""

    def __init__(self, obs_size, n_out):
        super().__init__()
        self.last = nn.Linear(obs_size, n_out)


@pytest.mark.parametrize(
    ("network", "error", "says"),
    [
        (3, TypeError, "network must be a function"),
        ("nowhere:net", ValueError, 'network must be "module:function"'),
        ("agents", ValueError, 'network must be "module:function"'),
        (lambda D, A: None, TypeError, "network must make a torch.nn.Module"),
        (lambda D, A: nn.Linear(D, A + 1), ValueError, r"network must give outputs \(2, 3, 3\)"),
        (lambda D, A: nn.Linear(D + 1, A), ValueError, "network must map inputs"),
        (lambda D, A: nn.ReLU(), ValueError, "network must have parameters"),
        (lambda D, A: nn.Linear(D, A).double(), TypeError, "network must have parameters of float32"),
        (lambda D, A: nn.LazyLinear(A), TypeError, "network must have parameters of float32"),
        (with_layer(lambda: nn.BatchNorm1d(4)), ValueError, r"network must not have BatchNorm1d \(1\)"),
        (with_layer(lambda: nn.Dropout(0.1)), ValueError, r"network must not have Dropout \(1\) with dropout"),
        (with_layer(lambda: nn.TransformerEncoderLayer(4, 2)), ValueError, "with dropout"),
        (with_layer(lambda: SeedLinear(4, 4)), ValueError, r"SeedLinear \(1\) within Sequential"),
        (lambda D, A: nn.Linear(D, A) if torch.rand(1) < 0.5 else plain(D, A), ValueError, "same parameters for every"),
        (Noisy, ValueError, "same numbers for every seed in its buffer noise"),
        (Mixed, ValueError, "last.weight must have a first axis of 1"),
    ],
)
def test_what_cannot_be_right_is_refused_by_name(match_env, network, error, says):
    seeds = [0, 1]
    with pytest.raises(error, match=says):
        DQN(match_env, seeds=seeds, network=network)


def test_a_network_is_refused_by_agents_that_have_none_of_the_kind():
    with pytest.raises(ValueError, match="network must be None for QLearning"):
        agents.QLearning("FrozenLake-v1", network=plain)


def test_a_buffer_that_is_the_same_for_all_seeds_is_used():
    class Centred(Noisy):
        def __init__(self, obs_size, n_out):
            super().__init__(obs_size, n_out)
            self.noise.fill_(2.0)

    net, obs = BuiltNetwork(Centred, 9, 3, range(2), CPU), torch.randn(2, 7, 9)
    torch.testing.assert_close(net(obs)[1], alone(net, 1, Centred)(obs[1]))


def test_windows_that_do_not_fit_the_observation_are_refused():
    with pytest.raises(ValueError, match="window=4 and rest=0 do not fit observations of 9 numbers"):
        WindowCNN(9, window=4)
    with pytest.raises(ValueError, match="width must be a multiple of heads=2, got 5"):
        Transformer(9, 3, window=4, rest=1, width=5)
