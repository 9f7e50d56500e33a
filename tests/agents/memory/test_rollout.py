"""Tests of what keeps steps: rollouts of a fixed length, and whole episodes."""

import numpy as np
import torch

from agents.envs.seed_envs import Step
from agents.memory.episodes import Episodes
from agents.memory.rollout import Rollout

RNG = np.random.default_rng(0)


def step(S: int, N: int, D: int, terminated: bool = False, truncated: bool = False) -> Step:
    obs = RNG.normal(size=(S, N, D)).astype(np.float32)
    over = np.full((S, N), terminated or truncated)
    return Step(obs, RNG.normal(size=(S, N)), np.full((S, N), terminated), over, obs)


def test_a_rollout_keeps_steps_in_their_order_and_gives_them_as_one_batch():
    S, T, N, D = 2, 3, 4, 5
    rollout = Rollout(S, T, N, D, 1)
    obs, action = RNG.normal(size=(T, S, N, D)).astype(np.float32), RNG.integers(9, size=(T, S, N))
    steps = [step(S, N, D) for _ in range(T)]
    for t in range(T):
        assert not rollout.full
        rollout.add(obs[t], action[t], steps[t], None)
    assert rollout.full
    batch = rollout.batch(torch.device("cpu")).numpy()
    assert batch.shape == (S, T * N, D + 1)
    for s, t, n in np.ndindex(S, T, N):
        assert np.array_equal(batch[s, t * N + n, :D], obs[t, s, n])
        assert batch[s, t * N + n, D] == action[t, s, n]
        assert rollout.reward[s, t, n] == np.float32(steps[t].reward[s, n])
    rollout.clear()
    assert not rollout.full


def test_a_box_action_is_stored_whole():
    rollout = Rollout(1, 1, 2, 1, 3)
    action = RNG.normal(size=(1, 2, 3)).astype(np.float32)
    rollout.add(np.zeros((1, 2, 1), np.float32), action, step(1, 2, 1), None)
    assert np.array_equal(rollout.rows[0, 0, :, 1:], action[0])


def test_the_advantage_counts_the_final_value_after_truncation_and_nothing_after_termination():
    rollout, obs = Rollout(1, 3, 1, 1, 1), np.zeros((1, 1, 1), np.float32)
    steps = [step(1, 1, 1), step(1, 1, 1, truncated=True), step(1, 1, 1, terminated=True)]
    for taken, final in zip(steps, (None, np.full((1, 1), 6.0, np.float32), None), strict=True):
        rollout.add(obs, np.zeros((1, 1)), taken, final)
    rollout.reward[0, :, 0] = 1, 2, 4
    value = np.array([10, 20, 30], np.float32)[None, :, None]
    advantage = rollout.advantage(value, np.full((1, 1), 99.0, np.float32), gamma=0.5, gae_lambda=0.0)
    assert advantage[0, :, 0].tolist() == [1 + 10 - 10, 2 + 3 - 20, 4 - 30]
    rollout.ended[:] = rollout.terminated[:] = False
    advantage = rollout.advantage(value, np.full((1, 1), 8.0, np.float32), gamma=0.5, gae_lambda=0.0)
    assert advantage[0, :, 0].tolist() == [1 + 10 - 10, 2 + 15 - 20, 4 + 4 - 30]


def test_a_final_value_of_an_older_rollout_is_forgotten():
    rollout, obs = Rollout(1, 1, 1, 1, 1), np.zeros((1, 1, 1), np.float32)
    rollout.add(obs, np.zeros((1, 1)), step(1, 1, 1, truncated=True), np.full((1, 1), 6.0, np.float32))
    rollout.clear()
    rollout.add(obs, np.zeros((1, 1)), step(1, 1, 1, terminated=True), None)
    assert rollout.final_value.item() == 0.0


def test_episodes_of_different_lengths_come_back_whole_and_in_order():
    S, N, D = 2, 2, 3
    episodes, log = Episodes(S, N, D, 1), {key: [] for key in np.ndindex(S, N)}
    for _ in range(1_500):
        obs, action = RNG.normal(size=(S, N, D)).astype(np.float32), RNG.integers(5, size=(S, N))
        reward = RNG.normal(size=(S, N))
        episodes.add(obs, action, reward)
        for (s, n), steps in log.items():
            steps.append((*obs[s, n], action[s, n], reward[s, n]))
            if RNG.random() < (0.01 if n else 0.002):  # some longer than what fits at first
                rows, rewards = episodes.take(s, n)
                expected = np.array(steps)
                np.testing.assert_allclose(rows, expected[:, :-1], rtol=1e-6)
                assert np.array_equal(rewards, expected[:, -1])
                steps.clear()
    assert episodes.length.tolist() == [[len(log[s, n]) for n in range(N)] for s in range(S)]
    episodes.clear()
    assert not episodes.length.any()
