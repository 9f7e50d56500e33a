"""Envs of strangers: one object for all runs, and the API of the old gym."""

import gymnasium as gym
import numpy as np
import pytest

from agents.a2c import A2C
from agents.base.evaluation import evaluate
from agents.dqn import DQN


class Base(gym.Env):
    observation_space = gym.spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 1.0, False, {}


class OldReset(Base):
    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32)


class OlderReset(Base):
    def reset(self):
        return np.zeros(2, np.float32)


class SixValues(Base):
    def step(self, action):
        return (*super().step(action), 1, 2)


class Broken(Base):
    def step(self, action):
        a, b = 1, 2, 3  # its own error
        return a, b


class Limit(gym.Wrapper):
    pass


@pytest.mark.parametrize("how", ["seeds", "n_envs"])
@pytest.mark.parametrize("wrap", [lambda env: env, lambda env: Limit(env)], ids=["bare", "wrapped anew"])
def test_a_function_that_returns_one_env_again_is_refused(how, wrap):
    env = gym.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"makes a new env at each call, but .* returned the same object.*CartPole"):
        DQN(lambda: wrap(env), **{how: 4})


def test_and_so_it_is_for_evaluation_with_the_env_it_learns_in():
    env = gym.make("CartPole-v1")
    agent = A2C(lambda: env).learn(10)
    for episodes in (1, 5):
        with pytest.raises(ValueError, match="the same object"):
            evaluate(agent, lambda: env, episodes)
    agent.learn(10)  # its env is still open
    assert evaluate(agent, lambda: gym.make("CartPole-v1"), 2).shape == (1, 2)


def test_one_env_for_one_run_will_do():
    env = gym.make("CartPole-v1")
    assert DQN(lambda: env).learn(10).num_timesteps == 10


@pytest.mark.parametrize(
    ("env", "error", "said"),
    [
        (Base, ValueError, r"Base.* must return 5 values from step.*returns 4, the API of gym before 0.26"),
        (lambda: gym.wrappers.TimeLimit(Base(), 5), ValueError, r"Base.* must return 5 values.*returns 4"),
        (SixValues, ValueError, r"SixValues.* must return 5 values"),
        (OldReset, ValueError, r"OldReset.* must return 2 values from reset.*the API of gym before 0.26"),
        (OlderReset, TypeError, r"OlderReset.* must take reset\(seed=None, options=None\)"),
        (lambda: None, TypeError, "must be a function that returns an env, but .* returned None"),
        (lambda: gym.make_vec("CartPole-v1", 2), TypeError, "must be a function that returns an env"),
    ],
)
def test_envs_of_the_old_api_are_named(env, error, said):
    for n_envs in (1, 3):
        with pytest.raises(error, match=said):
            A2C(env, n_envs=n_envs).learn(5)


def test_an_envs_own_error_stays_as_it_is():
    with pytest.raises(ValueError, match=r"^too many values to unpack \(expected 2\)$"):
        A2C(Broken).learn(5)
