import gymnasium as gym
import numpy as np
import pytest

from agents.base.evaluation import evaluate
from agents.dqn import DQN
from agents.q_learning import QLearning


class Endless(gym.Env[np.ndarray, np.int64]):
    """Each step earns 1; action 1 ends the episode, and nothing else does."""

    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 1, 1.0, bool(action == 1), False, {}


def test_an_agent_that_goes_in_circles_is_stopped_with_its_return_so_far():
    agent = QLearning(Endless, seeds=2)
    agent.table[1, :, 1] = 1.0  # seed 1 ends its episode at once, seed 0 never
    with pytest.warns(UserWarning, match="3 of 6 episodes did not end in max_steps=50") as warned:
        returns = evaluate(agent, Endless, 3, max_steps=50)
    assert len(warned) == 1
    assert returns.tolist() == [[50.0] * 3, [1.0] * 3]
    with pytest.warns(UserWarning, match="max_steps=10000"):
        assert agent.best_on(Endless, 1).seeds == (0,)
    with pytest.raises(ValueError, match="max_steps must be at least 1"):
        evaluate(agent, Endless, 3, max_steps=0)


def test_an_episode_of_just_max_steps_is_whole(match_env):
    agent = DQN(match_env, net_arch=(8,))
    assert np.array_equal(evaluate(agent, match_env, 3, max_steps=10), evaluate(agent, match_env, 3, max_steps=None))


def test_an_env_of_another_shape_is_refused_with_both_shapes(match_env):
    agent = DQN(match_env, net_arch=(8,))
    for judge in (evaluate, DQN.best_on):
        with pytest.raises(ValueError, match=r"env has .*obs_shape=\(4,\).* was made for .*obs_shape=\(3,\)"):
            judge(agent, lambda: match_env(4), 1)
