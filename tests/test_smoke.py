"""A minute of everything that needs no benchmark extras: what a new platform or a new release is tried with."""

import gymnasium as gym
import numpy as np
import pytest

ID = "trading_env:TradingEnv-v0"


@pytest.mark.parametrize("actions", ["buy_hold_sell", "continuous", "lots"])
def test_an_episode_keeps_its_identity(actions):
    env = gym.make(ID, data="us-stocks/IBM", actions=actions, episode_length=50)
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    truncated = terminated = False
    while not (terminated or truncated):
        before = info["equity"]
        _, _, terminated, truncated, info = env.step(env.action_space.sample())
        gain = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
        assert info["equity"] - before == pytest.approx(gain, abs=1e-6)
    assert len(env.unwrapped.history()) == 50


def test_many_envs_are_the_single_env():
    envs = gym.make_vec(ID, num_envs=3, data="us-stocks/IBM", random_start=True)
    obs, _ = envs.reset(seed=7)
    for i in range(3):
        env = gym.make(ID, data="us-stocks/IBM", random_start=True)
        assert np.array_equal(env.reset(seed=7 + i)[0], obs[i])


def test_an_agent_learns_is_saved_and_acts_the_same(tmp_path):
    from agents import DQN

    agent = DQN("CartPole-v1", learning_starts=20, seeds=2).learn(100)
    agent.save(tmp_path / "agent")
    again = DQN.load(tmp_path / "agent")
    obs = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)  # [S, B, D]
    assert np.array_equal(agent.predict(obs, deterministic=True)[0], again.predict(obs, deterministic=True)[0])
