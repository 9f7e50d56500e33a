"""What Stable-Baselines3's models have beside learning and predicting."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.logger import configure

import agents
from agents.base.evaluation import evaluate
from agents.q_learning import QLearning


def same(one, other):
    arrays = other.state_dict()
    return all(torch.equal(array, arrays[name]) for name, array in one.state_dict().items())


@pytest.mark.parametrize("name", agents.AGENTS)
def test_hyperparameters_are_attributes_to_read(name, small):
    agent = small(name)
    for field in dataclasses.fields(agent.config):
        if field.name != "optimizer":
            assert getattr(agent, field.name) == getattr(agent.config, field.name)
            with pytest.raises(AttributeError, match=f"{field.name} is fixed when the agent is made"):
                setattr(agent, field.name, 0.5)
    assert agent.learning_rate == 0.01
    assert {"gamma", "learning_rate", "policy", "env"} <= set(dir(agent))


@pytest.mark.parametrize("name", agents.AGENTS)
def test_parameters_go_out_and_in_with_their_seed_axis(name, small, tmp_path):
    agent = small(name, seeds=3).learn(60)
    parameters = agent.get_parameters()
    assert all(len(array) == 3 for part in parameters.values() for array in part.values())
    other = small(name, seeds=[5, 6, 7])
    assert not same(agent, other) or name in ("QLearning", "TDLambda")
    other.set_parameters(parameters)
    assert same(agent, other)
    agent.learn(60)
    other.set_parameters(parameters)  # they are copies
    assert not same(agent, other)
    agent.save(tmp_path / "file", training=True)
    other.set_parameters(tmp_path / "file")
    assert same(agent, other)


def test_parameters_that_do_not_fit_are_refused_and_nothing_changes(small):
    agent, before = small("DQN", seeds=2), small("DQN", seeds=2)
    good = agent.get_parameters()
    name = next(iter(good["policy"]))
    wrong = {
        "missing": (KeyError, {"policy": {}}),
        "unknown": (KeyError, {**good, "policy": {**good["policy"], "x": torch.zeros(2)}}),
        "shape": (ValueError, {**good, "policy": {**good["policy"], name: torch.zeros(1, 2, 3)}}),
        "finite": (ValueError, {**good, "policy": {**good["policy"], name: good["policy"][name] * torch.nan}}),
    }
    for said, (error, parameters) in wrong.items():
        with pytest.raises(error, match=said):
            agent.set_parameters(parameters)
    with pytest.raises(TypeError, match="parameters must be dicts of arrays by part"):
        agent.set_parameters(good["policy"])
    assert same(agent, before)
    agent.set_parameters({"policy": {name: torch.zeros_like(good["policy"][name])}}, exact_match=False)
    assert not agent.get_parameters()["policy"][name].any()


def test_the_policy_acts_and_holds_the_networks(small):
    agent = small("PPO").learn(60)
    obs = np.ones((4, 4), np.float32)
    assert np.array_equal(agent.policy.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0])
    state = agent.policy.state_dict()
    assert state.keys() == agent.get_parameters()["policy"].keys()
    assert len(list(agent.policy.parameters())) == len(state)
    agent.policy.set_training_mode(False)
    assert agent.policy.action_space == gym.spaces.Discrete(2)
    other = small("PPO", seeds=[9])
    other.policy.load_state_dict(state)
    assert np.array_equal(other.predict(obs, deterministic=True)[0], agent.predict(obs, deterministic=True)[0])


@pytest.mark.parametrize("name", agents.AGENTS)
def test_another_env_is_learnt_in_from_its_first_step(name, small):
    agent = small(name, seeds=2, n_envs=2)
    assert agent.env is agent.get_env()
    agent.learn(30, callback=lambda agent: agent.num_timesteps < 16)
    before = agent.env
    agent.set_env(agent._env)
    assert agent.env is not before
    assert agent.env.num_envs == 4
    assert agent.resume().num_timesteps >= 30
    assert agent.learn(20, reset_num_timesteps=False).num_timesteps >= 50


def test_an_env_that_does_not_suit_is_refused_and_the_old_one_stays(small, match_env):
    agent = small("DQN")
    before = agent.env
    for env, error, said in (
        ("Acrobot-v1", ValueError, "env has .* but the agent was made for"),
        (3, TypeError, "env must be an id"),
    ):
        with pytest.raises(error, match=said):
            agent.set_env(env)
    with pytest.raises(ValueError, match="force_reset must be True"):
        agent.set_env("CartPole-v1", force_reset=False)
    assert agent.env is before
    assert agent.learn(20).num_timesteps == 20


def test_a_loaded_agent_is_given_an_env(small, tmp_path):
    small("A2C").save(tmp_path / "file")
    agent = agents.A2C.load(tmp_path / "file")
    assert agent.env is None
    agent.set_env("CartPole-v1")
    assert agent.learn(16).num_timesteps == 16


@pytest.mark.parametrize("name", agents.AGENTS)
def test_other_seeds_begin_other_streams_with_the_same_weights(name, small):
    one, other = small(name, seeds=[4, 1]), small(name, seeds=[8, 9])
    other.set_parameters(one.get_parameters())
    one.set_random_seed([8, 9])
    assert one.seeds == (8, 9)
    assert same(one.learn(60), other.learn(60))
    with pytest.raises(ValueError, match="seed must be 2 ints, one for each seed of the agent"):
        one.set_random_seed(3)
    one.set_random_seed(None)
    single = small(name)
    single.set_random_seed(np.int64(7))
    assert single.seeds == (7,)


@pytest.mark.parametrize("name", ["DQN", "RecurrentDQN"])
def test_a_replay_memory_has_a_file_of_its_own(name, small, tmp_path):
    options = {}
    agent = small(name, seeds=2, n_envs=2, **options).learn(60)
    agent.save_replay_buffer(tmp_path / "replay")
    other = small(name, seeds=2, n_envs=2, **options)
    other.load_replay_buffer(tmp_path / "replay")
    assert other.replay_buffer.size == agent.replay.size
    agent.replay.cut() if name == "DQN" else None
    assert np.array_equal(other.replay.rows[:, : other.replay.size], agent.replay.rows[:, : agent.replay.size])
    assert other.learn(60).num_timesteps == agent.learn(60).num_timesteps
    assert other.replay.size == agent.replay.size
    with pytest.raises(ValueError, match="does not hold a replay buffer for this agent"):
        small(name, seeds=3, n_envs=2, **options).load_replay_buffer(tmp_path / "replay")
    with pytest.raises(ValueError, match="truncate_last_traj must be True"):
        other.load_replay_buffer(tmp_path / "replay", truncate_last_traj=False)
    agent.save(tmp_path / "agent")
    with pytest.raises(ValueError, match="must hold a replay buffer"):
        other.load_replay_buffer(tmp_path / "agent")
    with pytest.raises(FileNotFoundError):
        other.load_replay_buffer(tmp_path / "none")


def test_what_has_no_meaning_here_says_so(small):
    agent = small("PPO")
    for name, said in (
        ("save_replay_buffer", "it has no replay buffer"),
        ("get_vec_normalize_env", "there is no VecNormalize"),
        ("policy_kwargs", "net_arch"),
        ("no_such_name", "object has no attribute 'no_such_name'$"),
    ):
        assert not hasattr(agent, name)
        with pytest.raises(AttributeError, match=f"'PPO' object has no attribute '{name}'.*{said}|{said}"):
            getattr(agent, name)


def test_recorded_values_are_reported_with_the_agents_own(small, capsys):
    agent = small("A2C", seeds=2, verbose=1)

    def record(agent):
        agent.logger.record("my/steps", agent.num_timesteps)
        agent.logger.record("my/each", [1.0, 3.0])
        agent.logger.record_mean("my/mean", agent.num_timesteps % 2)

    agent.learn(40, callback=record, log_interval=20)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step")]
    assert len(lines) >= 2
    assert all("each 2 " in line for line in lines)
    assert "mean 0.5" in lines[0]
    assert agent.logger.name_to_value == {}


@pytest.mark.parametrize("seeds", [[0], [3, 8]])
def test_sb3s_logger_gets_each_report(seeds, small, tmp_path):
    agent = small("DQN", seeds=seeds)
    logger = configure(str(tmp_path), ["csv"])
    agent.set_logger(logger)
    assert agent.logger is logger
    agent.learn(100, log_interval=20)
    logger.close()
    head, *rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert len(rows) >= 5
    assert {"rollout/ep_rew_mean", "train/loss", "time/fps"} <= set(head.split(","))
    assert ("seed_8/train/loss" in head.split(",")) == (len(seeds) == 2)
    for bad in (None, print, object):
        with pytest.raises(TypeError, match="logger must have record"):
            agent.set_logger(bad)


def test_set_env_moves_the_features_table_too():
    from trading_env.integrations.feature_windows import FeatureWindows

    def env(data):
        return gym.make("trading_env:TradingEnv-v0", data=data, observation="compact", window=5)

    first, second = env("us-stocks/AAPL"), env("us-stocks/MSFT")
    agent = agents.DQN(first, features_extractor=FeatureWindows.of(first), net_arch=(8,))
    agent.set_env(second)
    obs = torch.from_numpy(second.reset(seed=0)[0])[None]
    assert torch.equal(agent.features.extractor(obs), FeatureWindows.of(second)(obs))
    assert torch.equal(FeatureWindows.of(first)(obs), FeatureWindows.of(first)(obs))


def test_a_table_has_parameters_too(small):
    agent = small("QLearning").learn(50)
    assert agent.get_parameters()["policy"]["table"].shape == (1, 16, 4)
    assert isinstance(agent, QLearning)
    assert evaluate(agent, "FrozenLake-v1", 2).shape == (1, 2)
