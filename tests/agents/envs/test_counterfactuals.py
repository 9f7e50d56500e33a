"""Envs that tell what every action would have brought, and the memory of it."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from agents.envs.counterfactuals import CounterfactualEnvs, counterfactual_of
from agents.envs.seed_envs import make_envs
from agents.memory.replay import Replay
from tests.agents.conftest import TellingMatch
from trading_env.data import simulators

CPU = torch.device("cpu")


def trading(market, **keywords) -> gym.Env:
    keywords = {"window": 2, "actions": (-1.0, 0.0, 1.0), "random_start": True, "episode_length": 7} | keywords
    return gym.make("trading_env:TradingEnv-v0", data=market, **keywords)


@pytest.fixture
def market():
    return simulators.ornstein_uhlenbeck(60, 1)


def test_every_outcome_comes_back_as_it_was_stored():
    S, N, K, D = 2, 3, 3, 2
    replay, draw = Replay(S, 7, D, 5, CPU, outcomes=K), np.random.default_rng(0)
    replay.reserve(100)
    stored = []
    for _ in range(4):  # 12 rows in a ring of 7
        obs, next_obs = (draw.random((S, N, *more, D)).astype(np.float32) for more in ((), (K,)))
        reward, over = draw.random((S, N, K)).astype(np.float32), draw.random((S, N, K)) < 0.3
        replay.add_outcomes(obs, reward, over, next_obs)
        stored += [(obs[:, n], next_obs[:, n], reward[:, n], over[:, n]) for n in range(N)]
    slots = np.array([[0, 1, 4, 5, 6], [6, 2, 2, 3, 0]])
    batch = replay.take(slots)
    kept = {k % 7: row for k, row in enumerate(stored)}  # later rows replace earlier ones
    for s in range(S):
        for b, slot in enumerate(slots[s]):
            obs, next_obs, reward, over = (part[s] for part in kept[slot])
            assert np.array_equal(batch.obs[s, b], obs)
            assert np.array_equal(batch.next_obs.view(S, 5, K, D)[s, b], next_obs)
            assert np.array_equal(batch.reward.view(S, 5, K)[s, b], reward)
            assert np.array_equal(batch.continues.view(S, 5, K)[s, b], 1 - over)
    assert torch.equal(batch.action, torch.arange(K).expand(S, 5, K))


@pytest.mark.parametrize("native", [True, False])
def test_the_action_taken_has_the_outcome_that_it_had_at_the_end_of_an_episode_too(market, native):
    source = trading(market) if native else lambda: trading(market)
    envs = make_envs(source, (3, 5), 2, kind=CounterfactualEnvs)
    envs.reset()
    draw, ends = np.random.default_rng(0), 0
    for _ in range(20):
        action = draw.integers(3, size=(2, 2))
        step = envs.step(action)
        reward, terminated, next_obs = envs.outcomes
        at = action[..., None]
        assert np.array_equal(np.take_along_axis(reward, at, 2)[..., 0], step.reward)
        assert np.array_equal(np.take_along_axis(terminated, at, 2)[..., 0], step.terminated)
        assert np.array_equal(np.take_along_axis(next_obs, at[..., None], 2)[:, :, 0], step.next_obs)
        assert len(np.unique(reward[0, 0])) == 3
        ends += step.ended.sum()
    assert ends == 8


def test_a_wrapper_that_changes_no_reward_lets_it_through():
    assert callable(counterfactual_of(gym.wrappers.TimeLimit(TellingMatch(), 5)))
