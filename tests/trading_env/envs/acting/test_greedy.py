import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

from trading_env.envs.acting.greedy import greedy_steps


class Ends(gym.Env):
    """An episode of a given number of steps, with reward 1 each; observes the steps that are left."""

    observation_space = gym.spaces.Box(0.0, 9.0, (1,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.left = self.length
        return np.array([self.left], np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.array([self.left], np.float32), 1.0, self.left == 0, False, {}


class Watches:
    """Keeps the shapes that it is given, and counts its steps in its state."""

    def __init__(self):
        self.seen = []

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        self.seen.append((observation.shape, state, episode_start.copy()))
        return np.zeros(observation.shape[:-1], int), (0 if state is None else state) + 1


def envs_of(*lengths):
    return SyncVectorEnv([lambda length=length: Ends(length) for length in lengths])


def test_policies_get_observations_in_the_leading_shape_their_state_and_the_starts():
    envs, policy = envs_of(1, 2), Watches()
    steps = list(greedy_steps(policy, envs, envs.reset()[0], (2, 1)))
    assert [step.running.tolist() for step in steps] == [[True, True], [False, True]]
    assert [shape for shape, _, _ in policy.seen] == [(2, 1, 1)] * 2
    assert [state for _, state, _ in policy.seen] == [None, 1]
    assert [starts.ravel().tolist() for _, _, starts in policy.seen] == [[True, True], [True, False]]
