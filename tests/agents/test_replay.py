import numpy as np
import torch

from agents.replay import Replay

CPU = torch.device("cpu")


def filled(steps: int, S: int = 3, N: int = 1, size: int = 5, B: int = 64) -> Replay:
    """A memory whose transition k of seed s, env n has obs [s, n, k] and next_obs -[s, n, k]."""
    replay = Replay(S, size, 3, B, CPU)
    replay.reserve(steps * N)
    s, n = np.meshgrid(np.arange(S), np.arange(N), indexing="ij")
    for k in range(steps):
        obs = np.stack([s, n, np.full_like(s, k)], axis=-1).astype(np.float32)
        even = np.full(s.shape, k % 2 == 0)
        replay.add(obs, s + k, np.full(s.shape, k / 2), even, even, -obs)
    return replay


def every_slot(replay: Replay, B: int = 64) -> np.ndarray:
    S = len(replay.rows)
    return np.tile((np.arange(B) % replay.size + 0.5) / replay.size, (S, 1))


def test_a_row_comes_back_as_it_was_stored():
    replay = filled(4)
    batch = replay.sample(every_slot(replay))
    k = np.arange(64) % 4
    for s in range(3):
        assert (batch.obs[s, :, 2].numpy() == k).all()
        assert torch.equal(batch.next_obs[s], -batch.obs[s])
        assert (batch.action[s, :, 0].numpy() == s + k).all()
        assert (batch.reward[s].numpy() == k / 2).all()
        assert (batch.continues[s].numpy() == k % 2).all()


def test_seeds_never_mix():
    replay = filled(9)
    batch = replay.sample(np.random.default_rng(0).random((3, 64)))
    for s in range(3):
        assert (batch.obs[s, :, 0] == s).all()


def test_the_ring_forgets_the_oldest():
    replay = filled(12, size=5)
    seen = replay.sample(every_slot(replay)).obs[0, :, 2].unique().tolist()
    assert replay.size == 5
    assert seen == [7, 8, 9, 10, 11]


def test_the_ring_wraps_in_the_middle_of_a_step_of_several_envs():
    replay = filled(4, S=2, N=3, size=7)
    batch = replay.sample(every_slot(replay))
    seen = {(int(n), int(k)) for n, k in batch.obs[1, :, 1:].tolist()}
    assert seen == {(2, 1), (0, 2), (1, 2), (2, 2), (0, 3), (1, 3), (2, 3)}


def test_every_slot_is_drawn_about_equally_often():
    replay = filled(5)
    draws = np.random.default_rng(0).random((200, 3, 64))
    counts = np.zeros(5)
    for uniform in draws:
        counts += np.bincount(replay.sample(uniform).obs[..., 2].numpy().astype(int).ravel(), minlength=5)
    assert (np.abs(counts / counts.sum() - 0.2) < 0.01).all()


def test_reserving_more_keeps_what_is_stored_and_stops_at_the_buffer_size():
    replay = filled(3, size=5)
    assert replay.rows.shape[1] == 3
    replay.reserve(100)
    assert replay.rows.shape[1] == 5
    obs = np.full((3, 1, 3), 77, np.float32)
    for _ in range(2):
        replay.add(
            obs, np.zeros((3, 1), np.int64), np.zeros((3, 1)), np.zeros((3, 1), bool), np.zeros((3, 1), bool), obs
        )
    assert replay.sample(every_slot(replay)).obs[0, :5, 2].tolist() == [0, 1, 2, 77, 77]
