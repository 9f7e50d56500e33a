from types import SimpleNamespace

import gymnasium as gym
import numpy as np

from agents.ppo import PPO
from benchmarks.evaluation.world_scores import world_returns, world_scores
from benchmarks.tasks.worlds import WORLDS


def test_the_optimal_policy_scores_1_on_the_regime_market():
    world = WORLDS["regime"]
    best = gym.make(world.env_id, **world.keywords).unwrapped.optimal_policy()
    assert world_scores(best, world, 3, 1) == [1.0]
    flat = SimpleNamespace(predict=lambda obs, **_: (np.zeros(len(obs), np.int64), None))
    assert world_scores(flat, world, 3, 1) == [0.0]


def test_seeds_evaluated_together_play_the_episodes_that_each_plays_alone():
    agent = PPO("CartPole-v1", seeds=[4, 5], n_steps=8, batch_size=8, net_arch=(8,))
    found = world_returns(agent, WORLDS["CartPole-v1"], 4, 2)
    assert found.shape == (2, 4)
    for s in range(2):
        assert (found[s] == world_returns(agent[s], WORLDS["CartPole-v1"], 4, 1)[0]).all()
    assert (found >= 8.0).all()
    right = SimpleNamespace(predict=lambda obs, **_: (np.ones(obs.shape[:-1], np.int64), None))
    same = world_returns(right, WORLDS["CartPole-v1"], 6, 2)
    assert (same[0] == same[1]).all()
    assert len(set(same[0])) > 1
