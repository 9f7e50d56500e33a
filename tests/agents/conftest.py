"""Tiny envs whose best policies are known by hand."""

import dataclasses
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import agents
import trading_env  # noqa: F401, registers the env
from agents.envs.afterstates import AfterstateEnvs
from agents.envs.counterfactuals import CounterfactualEnvs
from agents.q_learning import TableEnvs


class MatchEnv(gym.Env[np.ndarray, np.int64]):
    """The observation shows a side as one-hot; the action that names it earns 1. An episode has `length` steps."""

    def __init__(self, n: int = 3, length: int = 10, start: int = 0, shape: tuple[int, ...] | None = None) -> None:
        self.n, self.length, self.start, self.shape = n, length, start, shape or (n,)
        self.observation_space = gym.spaces.Box(0.0, 1.0, self.shape, np.float32)
        self.action_space = gym.spaces.Discrete(n, start=start)

    def _show(self) -> np.ndarray:
        self.side = int(self.np_random.integers(self.n))
        return np.eye(self.n, dtype=np.float32)[self.side].reshape(self.shape)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.t = 0
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        reward = float(action - self.start == self.side)
        self.t += 1
        return self._show(), reward, False, self.t >= self.length, {}


class StopOrGo(gym.Env[np.ndarray, np.int64]):
    """One state. Action 1 earns 1 and lasts one step; action 0 earns 2, and then the episode is over.

    Over by termination: with gamma = 0.9, going on is worth 1 / (1 - 0.9) = 10 and stopping 2. A learner that
    bootstraps through termination believes that stopping is worth 2 + 0.9 * 11 or more, and stops. Over by
    truncation (`truncates`): stopping is only an interruption, and worth 2 / (1 - 0.9) = 20. A learner that does
    not bootstrap through truncation believes it worth 2, and goes on.
    """

    observation_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, truncates: bool) -> None:
        self.truncates = truncates

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        return np.ones(1, np.float32), {}

    def step(self, action):
        over = action == 0
        reward = 2.0 if over else 1.0
        return np.ones(1, np.float32), reward, bool(over and not self.truncates), bool(over and self.truncates), {}


class Told(tuple):
    """(reward, next_obs), with `terminated`: the answer of `counterfactual()`."""

    terminated: np.ndarray


def told(reward, next_obs, terminated):
    pair = Told((np.array(reward), np.array(next_obs, np.float32)))
    pair.terminated = np.array(terminated)
    return pair


class TellingMatch(MatchEnv):
    """MatchEnv that tells."""

    def step(self, action):
        self.before = self.side
        return super().step(action)

    def counterfactual(self):
        return told(np.eye(self.n)[self.before], [np.eye(self.n)[self.side]] * self.n, [False] * self.n)


class TellingStopOrGo(StopOrGo):
    """StopOrGo that tells."""

    def counterfactual(self):
        return told([2.0, 1.0], [[1.0], [1.0]], [not self.truncates, False])


class Aim(gym.Env[np.ndarray, np.ndarray]):
    """The observation is a number x; the reward is -(action - x / 2)^2, so that the best action is x / 2.

    Actions are a Box of shape (2, 1), each number of which counts; an episode has 10 steps.
    """

    observation_space = gym.spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = gym.spaces.Box(-0.75, 0.75, (2, 1), np.float32)

    def _show(self) -> np.ndarray:
        self.x = self.np_random.uniform(-1.0, 1.0)
        return np.array([self.x], np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.t = 0
        return self._show(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        reward = -float(np.square(action - self.x / 2).sum())
        self.t += 1
        return self._show(), reward, False, self.t >= 10, {}


class Counter(gym.Env[np.ndarray, np.int64]):
    """The observation is [number of this env, episode, step]; episodes last 3, 4, 5, ... steps; rewards are steps."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (3,), np.float64)
    action_space = gym.spaces.Discrete(2)
    made = 0

    def __init__(self) -> None:
        self.number, self.episode = Counter.made, -1
        Counter.made += 1

    def _obs(self) -> np.ndarray:
        return np.array([self.number, self.episode, self.t], np.float64)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        super().reset(seed=seed)
        self.t, self.episode = 0, self.episode + 1
        return self._obs(), {}

    def step(self, action):
        self.t += 1
        over = self.t == 3 + self.episode
        return self._obs(), float(self.t), over and self.episode % 2 == 0, over and self.episode % 2 == 1, {}


@pytest.fixture
def match_env() -> Callable[..., gym.Env]:
    return MatchEnv


@pytest.fixture
def stop_or_go() -> Callable[..., gym.Env]:
    return StopOrGo


@pytest.fixture
def aim() -> Callable[..., gym.Env]:
    return Aim


@pytest.fixture
def counter() -> Callable[..., gym.Env]:
    Counter.made = 0
    return Counter


SMALL: dict[str, Any] = {
    "learning_rate": 0.01,
    "net_arch": (6,),
    "lstm_size": 5,
    "learning_starts": 20,
    "batch_size": 8,
    "n_steps": 8,
    "n_epochs": 2,
    "n_episodes": 2,
    "train_freq": 2,
    "target_update_interval": 30,
    "burn_in": 2,
    "sequence_length": 4,
    "buffer_size": 120,
    "n_quantiles": 5,
}
"""Hyperparameters that make any agent small and quick; each takes those that it has."""


def small_env(algorithm: Any) -> Any:
    """What an agent of that kind can learn in, with episodes of a few steps."""
    if issubclass(algorithm.envs_type, TableEnvs):
        return "FrozenLake-v1"
    if not algorithm.takes_discrete_actions:
        return "Pendulum-v1"
    keywords = {"window": 3, "episode_length": 7, "random_start": True}
    trading = dataclasses.replace(gym.spec("TradingEnv-v0"), kwargs=keywords)
    asked = (AfterstateEnvs, CounterfactualEnvs)  # of which few envs know the answers
    return trading if issubclass(algorithm._training_envs(None), asked) else "CartPole-v1"


def small_agent(name: str, env: Any = None, **options: Any) -> Any:
    """The agent of that name in `agents`, made small: tests that go through all names cover a new one too."""
    algorithm = getattr(agents, name)
    own = {field.name for field in dataclasses.fields(algorithm.Config)}
    config = {field: value for field, value in SMALL.items() if field in own}
    return algorithm(small_env(algorithm) if env is None else env, **config | options)


@pytest.fixture
def small() -> Callable[..., Any]:
    return small_agent
