import numpy as np
import torch

from agents.memory.replay import Replay

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


def test_a_memory_that_grows_doubles_so_that_many_calls_do_not_copy_it_each_time():
    replay = Replay(1, 100, 1, 1, CPU)
    capacities = []
    for transitions in range(10, 121, 5):
        replay.reserve(transitions)
        capacities.append(replay.capacity)
    assert sorted(set(capacities)) == [10, 20, 40, 80, 100]


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


# ---------------------------------------------------------------------------------------------- several steps


def chains(ends: str, n_steps: int, gamma: float = 0.5, N: int = 1, size: int = 20, cut: int | None = None) -> Replay:
    """A memory whose step k earns 10^-k, shows k and then k + 1; "g" goes on, "t" terminates, "c" is cut off.

    Env n of N adds n to obs, and takes action n.
    """
    replay = Replay(1, size, 1, len(ends) * N, CPU, n_steps=n_steps, gamma=gamma)
    replay.reserve(len(ends) * N)
    n = np.arange(N)[None]  # [S, N]
    for k, end in enumerate(ends):
        obs = (100.0 * n + k)[..., None].astype(np.float32)
        over, ended = np.full((1, N), end == "t"), np.full((1, N), end != "g")
        replay.add(obs, n, np.full((1, N), 2.0**k), over, ended, obs + 1)
        if cut == k:
            replay.cut()
    return replay


def drawn(replay: Replay) -> dict[int, tuple[float, float, float]]:
    """By obs: reward, continues, next_obs."""
    slots = np.arange(replay.rows.shape[1]) % replay.size
    batch = replay.take(np.resize(slots, replay._slots.shape))
    columns = (batch.obs[0, :, 0], batch.reward[0], batch.continues[0], batch.next_obs[0, :, 0])
    return {int(obs): tuple(rest) for obs, *rest in zip(*(c.tolist() for c in columns), strict=True)}


def test_rewards_of_n_steps_add_up_discounted_and_the_newest_have_fewer():
    assert drawn(chains("gggg", 3)) == {  # each reward is twice the last, discounted by half
        0: (3.0, 0.25, 3.0),
        1: (6.0, 0.25, 4.0),
        2: (8.0, 0.5, 4.0),
        3: (8.0, 1.0, 4.0),
    }


def test_no_chain_crosses_the_end_of_an_episode_and_a_cut_bootstraps_from_its_last_observation():
    assert drawn(chains("gtgcg", 3)) == {
        0: (2.0, 0.0, 2.0),
        1: (2.0, 0.0, 2.0),
        2: (8.0, 0.5, 4.0),
        3: (8.0, 1.0, 4.0),
        4: (16.0, 1.0, 5.0),
    }


def test_each_env_has_chains_of_its_own():
    found = drawn(chains("ggg", 2, N=3))
    assert len(found) == 9
    for n in range(3):
        assert [found[100 * n + k] for k in range(3)] == [
            (2.0, 0.5, 100 * n + 2),
            (4.0, 0.5, 100 * n + 3),
            (4.0, 1.0, 100 * n + 3),
        ]


def test_chains_go_on_where_the_ring_wraps_and_end_at_its_newest_row():
    found = drawn(chains("ggggggg", 3, size=5))  # kept: 2..6, in slots 2 3 4 0 1
    assert found == {k: expected for k, expected in drawn(chains("ggggggg", 3)).items() if k >= 2}


def test_with_several_envs_too_whose_number_does_not_divide_the_capacity():
    replay, whole = chains("gggggg", 3, N=3, size=10), drawn(chains("gggggg", 3, N=3))
    found = drawn(replay)
    assert len(found) == 10
    assert all(found[obs] == whole[obs] for obs in found)


def test_a_cut_ends_the_chains_of_episodes_that_were_left():
    assert drawn(chains("gggg", 3, cut=1)) == drawn(chains("gcgg", 3))


def test_a_new_training_cuts_the_episodes_of_the_last_one(match_env):
    from agents.rainbow import Rainbow

    agent = Rainbow(match_env, n_steps=3, n_envs=2).learn(6).learn(6)
    assert agent.replay.rows[0, :, -1].tolist() == [0.0] * 4 + [2.0] * 2 + [0.0] * 6 + [0.0] * (
        agent.replay.capacity - 12
    )


def test_one_step_chains_are_plain_transitions():
    plain, chained = chains("gtgcg", 1), chains("gtgcg", 1)
    chained.n_steps = 2
    chained.gamma = 0.0
    first, second = drawn(plain), drawn(chained)
    assert {k: v[0] for k, v in first.items()} == {k: v[0] for k, v in second.items()}
    assert first == {0: (1, 1, 1), 1: (2, 0, 2), 2: (4, 1, 3), 3: (8, 1, 4), 4: (16, 1, 5)}


def test_actions_of_a_box_come_back_as_they_were_stored_from_one_step_and_from_several():
    one, three = (Replay(2, 20, 1, 9, CPU, n_steps=n, gamma=0.5, action_size=2) for n in (1, 3))
    for replay in (one, three):
        replay.reserve(10)
        for k in range(10):
            obs, flag = np.full((2, 1, 1), k, np.float32), np.full((2, 1), k == 4)
            action = np.stack([np.full((2, 1), k / 8), np.full((2, 1), -k / 8)], -1)  # [S, N, A]
            replay.add(obs, action, np.ones((2, 1)), flag, flag, obs + 1)
    slots = np.tile(np.arange(9), (2, 1))
    for batch, last in ((one.take(slots), np.arange(9)), (three.take(slots), [2, 3, 4, 4, 4, 7, 8, 9, 9])):
        k = np.arange(9)
        assert batch.action.dtype == torch.float32
        np.testing.assert_array_equal(batch.action[1], np.stack([k / 8, -k / 8], -1))
        np.testing.assert_array_equal(batch.obs[1, :, 0], k)
        np.testing.assert_array_equal(batch.next_obs[1, :, 0], np.array(last) + 1)
        np.testing.assert_array_equal(batch.reward[0], 2 - 0.5 ** (np.array(last) - k))
        np.testing.assert_array_equal(batch.continues[0], np.where(np.array(last) == 4, 0, 0.5 ** (np.array(last) - k)))
