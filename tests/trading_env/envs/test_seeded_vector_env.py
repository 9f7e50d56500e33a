"""Streams, resets, autoreset and the frame of the state are written once, for dynamics of any kind."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from trading_env import TradingVectorEnv
from trading_env.envs.seeded_vector_env import SeededVectorEnv
from trading_env.reference.envs import ReferenceVectorEnv

SPACES = spaces.Box(-np.inf, np.inf, (1,), np.float64), spaces.Discrete(2)
N = 3


class Countdown(gym.Env):
    """Counts down from a number that is drawn; the reward is the action."""

    observation_space, action_space = SPACES

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(2, 6))
        return np.array([float(self.left)]), {"left": self.left}

    def step(self, action):
        self.left -= 1
        return np.array([float(self.left)]), float(action), self.left == 0, False, {"left": self.left}


class Countdowns(SeededVectorEnv):
    """N Countdowns."""

    _reset_options, _state_keys = (), ("left",)

    def __init__(self, num_envs, autoreset_mode):
        super().__init__(num_envs, autoreset_mode)
        self._set_spaces(*SPACES)
        self.left = np.zeros(num_envs, np.int64)

    def _asked(self, options, rows):
        return [None] * len(rows)

    def _draw(self, rng, asked=None):
        return int(rng.integers(2, 6))

    def _begin(self, rows, episodes, stepped):
        self.left[rows] = episodes

    def _first(self, rows, episodes):
        return self.left[:, None].astype(np.float64), {"left": self.left.copy()}

    def _show(self, rows, episodes, obs, info):
        obs[rows, 0] = info["left"][rows] = self.left[rows]

    def _inputs(self, actions):
        return actions

    def _advance(self, inputs, turn):
        self.left -= ~self._ended
        obs, info = self._first(None, None)
        ended = (self.left == 0) & ~self._ended
        return obs, np.where(self._ended, 0.0, inputs), ended, np.zeros(len(ended), bool), info, ended.any()

    def _own_state(self):
        return {"left": self.left.copy()}

    def _checked_state(self, state, begun, ended):
        return state["left"].copy()

    def _take_up(self, parts):
        self.left = parts


def same(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        return all(same(one[key], other[key]) for key in one)
    if isinstance(one, (tuple, list)) or (isinstance(one, np.ndarray) and one.dtype == object):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return np.array_equal(one, other)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_any_dynamics_go_as_under_gymnasiums_sync_vector_env(mode):
    ours, theirs = Countdowns(N, mode), SyncVectorEnv([Countdown] * N, autoreset_mode=mode)
    assert same(ours.reset(seed=3)[0], theirs.reset(seed=3)[0])
    rng = np.random.default_rng(0)
    for _ in range(40):
        actions = rng.integers(0, 2, N)
        (*mine, info), (*yours, their_info) = ours.step(actions), theirs.step(actions)
        assert same(mine, yours)
        assert same(info["left"], their_info["left"])
        assert ("final_obs" in info) == ("final_obs" in their_info)
        for key in ("final_obs", "_final_obs"):
            assert same(info.get(key), their_info.get(key))


def test_an_env_goes_on_from_the_state_of_another():
    ours, other = Countdowns(N, "NEXT_STEP"), Countdowns(N, "NEXT_STEP")
    ours.reset(seed=5)
    ours.step(np.ones(N))
    other.set_state(ours.get_state())
    for _ in range(20):
        assert same(ours.step(np.ones(N)), other.step(np.ones(N)))
    assert other.np_random_seed == (5, 6, 7)


def test_without_autoreset_an_ended_episode_waits_for_a_reset_mask():
    env = Countdowns(N, "DISABLED")
    env.reset(seed=0)
    while not (ended := env.step(np.ones(N))[2]).any():
        pass
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.ones(N))
    env.reset(options={"reset_mask": ended})
    env.step(np.ones(N))


@pytest.mark.parametrize("env", [TradingVectorEnv, ReferenceVectorEnv])
def test_no_vector_env_has_streams_or_autoreset_of_its_own(env):
    assert issubclass(env, SeededVectorEnv)
    assert not {"step", "reset", "np_random", "np_random_seed", "_seed", "_autoreset", "_final"} & vars(env).keys()
