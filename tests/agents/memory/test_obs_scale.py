"""Normalised observations: VecNormalize's numbers per seed, frozen outside of training, kept with the weights."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents.a2c import A2C
from agents.base.evaluation import evaluate
from agents.memory.obs_scale import ObsScale
from agents.ppo import PPO

CONFIGS = {
    "A2C": (A2C, {"net_arch": (8,), "normalize_obs": True}),
    "PPO": (PPO, {"net_arch": (8,), "normalize_obs": True, "n_steps": 16, "batch_size": 16, "n_epochs": 2}),
}
both = pytest.mark.parametrize("name", CONFIGS)


class Wide(gym.Env):
    """Observations of very different sizes; the reward is 1 if the action names the sign of the larger one."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def _show(self):
        self.x = self.np_random.normal(size=2)
        return (self.x * [300.0, 0.01] + [5_000.0, -0.3]).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self._show(), {}

    def step(self, action):
        reward = float(action == (self.x[0] > 0))
        self.t += 1
        return self._show(), reward, False, self.t >= 10, {}


def until(step):
    """A callback that ends training there."""
    return lambda agent: agent.num_timesteps < step


def make(name, **options):
    kind, config = CONFIGS[name]
    return kind(Wide, seeds=2, n_envs=3, **config | options)


def test_numbers_are_those_of_vec_normalize_for_each_seed():
    draw, theirs = np.random.default_rng(0), [VecNormalize(DummyVecEnv([Wide] * 3)) for _ in range(2)]
    scale = ObsScale(2, 2)
    for _ in range(20):
        obs = (draw.normal(size=(2, 3, 2)) * [[[300.0, 0.01]], [[1.0, 1.0]]] + 7.0).astype(np.float32)
        scale.add(obs)
        for s in range(2):
            theirs[s].obs_rms.update(obs[s])
            np.testing.assert_allclose(scale(obs)[s], theirs[s].normalize_obs(obs[s]), rtol=1e-4, atol=1e-5)
    far = scale(np.full((2, 1, 2), 1e9, np.float32))
    assert (far == 10.0).all()


@both
def test_training_counts_each_observation_that_is_acted_on_once(name):
    agent, seen = make(name), []
    agent.learn(96, callback=lambda agent: seen.append(agent._obs.copy()))
    first = A2C(Wide, seeds=2, n_envs=3)._envs.reset()
    all_seen = np.concatenate([first, *seen[:-1]], 1).astype(np.float64)  # [S, steps * N, D]
    np.testing.assert_allclose(agent._obs_scale.count, all_seen.shape[1] + 1e-4)
    np.testing.assert_allclose(agent._obs_scale.mean, all_seen.mean(1), rtol=1e-4)
    np.testing.assert_allclose(agent._obs_scale.variance, all_seen.var(1), rtol=1e-3, atol=2e-6)
    assert np.abs(agent.rollout.rows[..., :2]).max() < 10.0  # the networks learn from what they saw


@both
def test_predict_and_evaluate_leave_the_statistics_as_they_are_and_use_them(name):
    agent = make(name).learn(96)
    before = copy.deepcopy(agent._obs_scale.state())
    obs = np.full((2, 4, 2), [5_000.0, -0.3], np.float32)
    evaluate(agent, Wide, episodes=3)
    agent.predict(obs)
    after = agent._obs_scale.state()
    assert all(torch.equal(before[part], after[part]) for part in before)
    expected = agent.net.act(agent._obs_scale(obs)).argmax(-1)
    assert np.array_equal(agent.predict(obs, deterministic=True)[0], expected)
    assert np.array_equal(agent._value(obs), agent.net.value(agent._obs_scale(obs)))  # to bootstrap from


@both
def test_files_seeds_and_copies_keep_the_statistics_and_a_run_goes_on_exactly(name, tmp_path):
    agent = make(name).learn(96)
    agent.save(tmp_path / "agent")
    obs = np.random.default_rng(0).normal(size=(2, 50, 2)) * [300.0, 0.01] + [5_000.0, -0.3]
    expected = agent.predict(obs, deterministic=True)[0]
    for other in (type(agent).load(tmp_path / "agent"), copy.deepcopy(agent)):
        assert np.array_equal(other.predict(obs, deterministic=True)[0], expected)
    assert np.array_equal(agent[1].predict(obs[1], deterministic=True)[0], expected[1])
    whole, broken, cut = (make(name).learn(192, callback=until(step)) for step in (10**6, 100, 100))
    block = cut.block(1, 2).resume()
    broken.resume()
    for part, array in whole.state_dict().items():
        assert torch.equal(broken.state_dict()[part], array), part
        torch.testing.assert_close(block.state_dict()[part], array[1:2], rtol=1e-4, atol=1e-5)


@both
def test_observations_of_any_size_are_learnt_from(name):
    options = {"A2C": {"learning_rate": 7e-3}, "PPO": {"learning_rate": 1e-2}}[name]
    agent = make(name, gamma=0.5, **options).learn(6_000)
    assert (evaluate(agent, Wide, episodes=50).mean(1) > 9.0).all()
    without = make(name, gamma=0.5, normalize_obs=False, **options).learn(6_000)
    assert (evaluate(without, Wide, episodes=50).mean(1) < 9.0).all()


def test_an_extractor_and_a_wrong_flag_are_refused():
    class Same:
        features_dim = 2

        def __call__(self, obs):
            return obs

    with pytest.raises(ValueError, match="normalize_obs must be False with a features_extractor"):
        A2C(Wide, normalize_obs=True, features_extractor=Same())
    for kind in (A2C, PPO):
        with pytest.raises(TypeError, match="normalize_obs"):
            kind(Wide, normalize_obs=1)
