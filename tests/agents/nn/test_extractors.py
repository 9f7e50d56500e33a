"""A features extractor: buffers keep the raw observation, networks see what it stands for."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.a2c import A2C
from agents.base.evaluation import evaluate
from agents.dqn import DQN
from agents.memory.replay import Replay
from agents.nn.extractors import Features
from agents.ppo import PPO
from agents.pqn import PQN
from agents.qrdqn import QRDQN
from agents.rainbow import Rainbow
from agents.reinforce import REINFORCE
from agents.td_lambda import TDLambda
from trading_env.data import simulators
from trading_env.integrations.feature_windows import FeatureWindows

CPU = torch.device("cpu")
SMALL = {"learning_starts": 20, "train_freq": 2, "net_arch": (16,), "target_update_interval": 30}
AGENTS = {
    "DQN": (DQN, SMALL),
    "DQN, autograd": (DQN, SMALL | {"fused": False}),
    "Rainbow": (Rainbow, SMALL),
    "PQN": (PQN, {"net_arch": (16,), "n_steps": 32, "batch_size": 16}),
    "QRDQN": (QRDQN, SMALL | {"n_quantiles": 5}),
    "A2C": (A2C, {"net_arch": (16,)}),
    "A2C, shared": (A2C, {"net_arch": (16,), "shared_network": True}),
    "PPO": (PPO, {"net_arch": (16,), "n_steps": 32, "batch_size": 16, "n_epochs": 2}),
    "REINFORCE": (REINFORCE, {"net_arch": (16,), "n_episodes": 2}),
}
every_agent = pytest.mark.parametrize(("algorithm", "options"), AGENTS.values(), ids=AGENTS)


def trading(observation: str, seed: int = 3) -> gym.Env:
    market = simulators.ornstein_uhlenbeck(120, seed)
    keywords = {"data": market, "window": 6, "actions": (0.0, 1.0), "random_start": True, "episode_length": 25}
    return gym.make("trading_env:TradingEnv-v0", observation=observation, **keywords)


class Rows(torch.nn.Module):
    """Observation [index] -> row of a table."""

    def __init__(self, learns: bool = False) -> None:
        super().__init__()
        self.register_buffer("table", torch.eye(3))
        self.features_dim = 3
        self.scale = torch.nn.Parameter(torch.ones(1), requires_grad=learns)

    def forward(self, obs: torch.Tensor) -> torch.Tensor:
        return self.table[obs[:, 0].long()]


class Indexed(gym.ObservationWrapper):
    """One-hot observations as their index."""

    observation_space = gym.spaces.Box(0.0, 2.0, (1,), np.float32)

    def observation(self, observation):
        return np.array([observation.argmax()], np.float32)


@every_agent
def test_compact_observations_learn_the_very_same_as_the_flat_ones_they_stand_for(algorithm, options):
    compact = trading("compact")
    extractor = FeatureWindows.of(compact)
    seen = algorithm(compact, seeds=2, features_extractor=extractor, **options).learn(160)
    plain = algorithm(trading("flat"), seeds=2, **options).learn(160)
    assert seen.n_updates == plain.n_updates > 0
    for name, array in plain.state_dict().items():
        assert torch.equal(seen.state_dict()[name], array), name


def test_q_values_are_the_same_too_and_the_memory_keeps_five_numbers():
    compact, flat = trading("compact"), trading("flat")
    extractor = FeatureWindows.of(compact)
    seen, plain = DQN(compact, features_extractor=extractor, **SMALL).learn(60), DQN(flat, **SMALL).learn(60)
    obs, expanded = seen.replay.rows[:, :50, :5], plain.replay.rows[:, :50, : extractor.features_dim]
    assert np.array_equal(seen.q_net.act(obs), plain.q_net.act(expanded))
    learns = seen.q_net(torch.from_numpy(obs))
    assert torch.equal(learns, plain.q_net(torch.from_numpy(expanded)))


def test_a_million_compact_transitions_take_52_megabytes():
    replay = Replay(1, 1_000_000, 5, 32, CPU)
    replay.reserve(1_000)
    assert replay.rows.nbytes * 1_000 == 52_000_000


@every_agent
def test_an_extractor_that_is_a_module_serves_as_well(match_env, algorithm, options):
    agent = algorithm(lambda: Indexed(match_env()), seeds=2, features_extractor=Rows(), **options).learn(160)
    plain = algorithm(match_env, seeds=2, **options).learn(160)
    for name, array in plain.state_dict().items():
        assert torch.equal(agent.state_dict()[name], array), name
    assert evaluate(agent, lambda: Indexed(match_env()), episodes=2).shape == (2, 2)


@pytest.mark.parametrize("wrapped", [False, True], ids=["vector env", "sub-envs"])
@every_agent
def test_in_another_market_it_is_evaluated_by_that_markets_data(algorithm, options, wrapped, monkeypatch):
    def other(observation):
        env = trading(observation, seed=8)
        return gym.wrappers.TransformReward(env, lambda reward: 2.0 * reward) if wrapped else env

    compact = trading("compact")
    seen = algorithm(compact, seeds=2, features_extractor=FeatureWindows.of(compact), **options).learn(160)
    plain = algorithm(trading("flat"), seeds=2, **options).learn(160)
    for agent in (seen, plain):
        net = agent.q_net if algorithm in (DQN, PQN, QRDQN, Rainbow) else agent.net
        net.flat.copy_(3.0 * torch.randn(net.flat.shape, generator=torch.Generator().manual_seed(0)))
        next(iter(net.values.values())).mul_(100.0)  # the first weights: what is seen decides, and not the biases
    extractor, table = seen.features.extractor, seen.features.extractor.table.copy()
    expected = evaluate(plain, other("flat"), 5)
    assert np.array_equal(evaluate(seen, other("compact"), 5), expected)
    assert seen.best_on(other("compact"), 5).seeds == plain.best_on(other("flat"), 5).seeds
    assert seen.features.extractor is extractor
    assert np.array_equal(extractor.table, table, equal_nan=True)
    seen.learn(64, reset_num_timesteps=False), plain.learn(64, reset_num_timesteps=False)
    for name, array in plain.state_dict().items():
        assert torch.equal(seen.state_dict()[name], array), name
    monkeypatch.setattr(FeatureWindows, "look_at", lambda *args: None)
    assert not np.array_equal(evaluate(seen, other("compact"), 5), evaluate(plain, other("flat"), 5))


def test_an_env_that_the_extractor_cannot_look_at_is_refused():
    compact = trading("compact")
    agent = DQN(compact, features_extractor=FeatureWindows.of(compact), **SMALL)
    market = simulators.ornstein_uhlenbeck(120, 3)
    other = gym.make("trading_env:TradingEnv-v0", observation="compact", data=market, window=7, actions=(0.0, 1.0))
    with pytest.raises(ValueError, match="env has window=7, but the agent learnt with window=6"):
        evaluate(agent, other, 2)
    with pytest.raises(ValueError, match="env must have window 6"):
        evaluate(agent, other, 2, check_env=False)
    assert agent.features.extractor.window == 6


@every_agent
def test_a_file_demands_the_extractor_again(match_env, algorithm, options, tmp_path):
    agent = algorithm(lambda: Indexed(match_env()), features_extractor=Rows(), **options)
    agent.save(tmp_path / "agent")
    obs = np.array([[0.0], [1.0], [2.0]], np.float32)
    loaded = algorithm.load(tmp_path / "agent", features_extractor=Rows())
    expected = agent.predict(obs, deterministic=True)[0]
    assert np.array_equal(loaded.predict(obs, deterministic=True)[0], expected)
    assert np.array_equal(agent[0].predict(obs, deterministic=True)[0], expected)
    with pytest.raises(ValueError, match=r"features_extractor is missing: .* features_dim=3"):
        algorithm.load(tmp_path / "agent")
    other = Rows()
    other.features_dim = 4
    with pytest.raises(ValueError, match=r"features_extractor must have features_dim=3 .* got 4"):
        algorithm.load(tmp_path / "agent", features_extractor=other)
    algorithm(match_env, **options).save(tmp_path / "plain")
    with pytest.raises(ValueError, match="features_extractor must have features_dim=None"):
        algorithm.load(tmp_path / "plain", features_extractor=Rows())


def test_a_bad_extractor_is_refused_by_name(match_env):
    def make():
        return Indexed(match_env())

    for bad, error in ((3, TypeError), (lambda obs: obs, TypeError), (Rows(learns=True), ValueError)):
        with pytest.raises(error, match="features_extractor"):
            DQN(make, features_extractor=bad)
    wrong = Rows()
    wrong.features_dim = 2
    with pytest.raises(ValueError, match=r"features_extractor must give features of shape \(1, 2\), got \(1, 3\)"):
        DQN(make, features_extractor=wrong).predict(np.zeros(1))


def test_an_agent_that_takes_none_says_so(match_env):
    env = gym.make("trading_env:TradingEnv-v0", data=simulators.ornstein_uhlenbeck(120, 3), actions=(0.0, 1.0))
    with pytest.raises(ValueError, match="features_extractor must be None for TDLambda"):
        TDLambda(env, features_extractor=Rows())


def test_observations_with_any_axes_before_the_last_become_features():
    features = Features(Rows(), CPU)
    obs = torch.tensor([[[0.0], [2.0]], [[1.0], [1.0]], [[2.0], [0.0]]])  # [3, 2, 1]
    assert torch.equal(features(obs), torch.eye(3)[obs[..., 0].long()])
