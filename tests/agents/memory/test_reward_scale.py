"""Rewards divided by the deviation of their discounted returns, and the entropy's schedule."""

import gymnasium as gym
import numpy as np
import pytest

from agents.a2c import A2C, A2CConfig
from agents.dqn import DQN, DQNConfig
from agents.memory.reward_scale import RewardScale
from agents.ppo import PPO, PPOConfig
from agents.recurrent_a2c import RecurrentA2C, RecurrentA2CConfig
from agents.recurrent_dqn import RecurrentDQN, RecurrentDQNConfig
from agents.reinforce import REINFORCE, REINFORCEConfig

SMALL = {
    A2C: {"n_steps": 4, "net_arch": (8,)},
    PPO: {"n_steps": 8, "batch_size": 8, "n_epochs": 2, "net_arch": (8,)},
    RecurrentA2C: {"n_steps": 4, "lstm_size": 4},
    DQN: {"learning_starts": 20, "batch_size": 8, "net_arch": (8,)},
    RecurrentDQN: {"learning_starts": 20, "batch_size": 2, "burn_in": 2, "sequence_length": 4, "lstm_size": 4},
}


class Guess(gym.Env):
    """Shows a side; the action that names it earns `unit`, and the other costs it. An episode has 6 steps."""

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, unit=1.0):
        self.unit = unit

    def _show(self):
        self.side = int(self.np_random.integers(2))
        return np.array([2 * self.side - 1], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._show(), {}

    def step(self, action):
        reward = self.unit if action == self.side else -self.unit
        self.t += 1
        return self._show(), reward, False, self.t == 6, {}


def test_the_divisor_is_the_deviation_of_the_discounted_returns():
    rng = np.random.default_rng(0)
    rewards, ended = rng.normal(3.0, 2.0, (40, 2, 3)), rng.random((40, 2, 3)) < 0.1
    scale, running, seen = RewardScale(2, 3, 0.9), np.zeros((2, 3)), []
    for reward, end in zip(rewards, ended, strict=True):
        scale.add(reward, end)
        running = 0.9 * running + reward
        seen.append(running.copy())
        running[end] = 0.0
    np.testing.assert_allclose(scale.divisor, np.stack(seen).std((0, 2)), rtol=1e-12)


def test_without_any_difference_rewards_stay_as_they_are():
    scale = RewardScale(2, 1, 0.9)
    assert scale.divisor.tolist() == [1.0, 1.0]
    scale.add(np.zeros((2, 1)), np.zeros((2, 1), np.bool_))
    assert scale.divisor.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("algorithm", SMALL)
def test_the_unit_of_the_reward_makes_no_difference(algorithm):
    """Multiplying all rewards by a power of two changes no weight; without the option it does."""
    options = {"seeds": 2, "n_envs": 2, "device": "cpu", **SMALL[algorithm]}

    def learnt(unit, **more):
        agent = algorithm(lambda: Guess(unit), **options, **more).learn(80)
        return np.concatenate([np.ravel(x) for x in agent.state_dict().values()])

    np.testing.assert_allclose(
        learnt(1.0, normalize_reward=True), learnt(2.0**-9, normalize_reward=True), rtol=1e-4, atol=1e-6
    )
    assert not np.allclose(learnt(1.0), learnt(2.0**-9), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("algorithm", SMALL)
def test_the_scale_survives_a_file(algorithm, tmp_path):
    options = {"n_envs": 2, "device": "cpu", "normalize_reward": True, **SMALL[algorithm]}
    agent = algorithm(Guess, **options)
    agent.learn(80, lambda a: a.num_timesteps < 40)
    agent.save(tmp_path / "a", training=True)
    again = algorithm.load(tmp_path / "a.safetensors", Guess, device="cpu")
    for name in ("count", "mean", "square", "running"):
        np.testing.assert_array_equal(getattr(again._reward_scale, name), getattr(agent._reward_scale, name))


@pytest.mark.parametrize("config", [A2CConfig, PPOConfig, RecurrentA2CConfig, DQNConfig, RecurrentDQNConfig])
def test_the_option_is_a_flag(config):
    with pytest.raises(TypeError, match="normalize_reward"):
        config(normalize_reward=1)


@pytest.mark.parametrize("algorithm", [A2C, PPO, RecurrentA2C])
def test_the_weight_of_the_entropy_can_fall(algorithm):
    agent = algorithm(Guess, device="cpu", ent_coef="lin_0.4", **SMALL[algorithm])
    weights = []
    agent.learn(80, lambda a: weights.append(a._entropy_weight))
    trained = weights[SMALL[algorithm]["n_steps"] - 1]
    assert 0.0 < trained < 0.4
    assert weights[-1] == 0.0


@pytest.mark.parametrize("config", [A2CConfig, PPOConfig, REINFORCEConfig, RecurrentA2CConfig])
def test_a_wrong_weight_of_the_entropy_is_named(config):
    assert config(ent_coef=0.0).ent_coef == 0.0
    for wrong, error in ((-0.1, ValueError), ("falls", ValueError), (None, TypeError)):
        with pytest.raises(error, match="ent_coef"):
            config(ent_coef=wrong)


def test_the_entropy_of_whole_episodes_falls_too():
    agent = REINFORCE("CartPole-v1", n_episodes=1, device="cpu", ent_coef="lin_0.4", net_arch=(8,)).learn(300)
    assert 0.0 <= agent._entropy_weight < 0.2
