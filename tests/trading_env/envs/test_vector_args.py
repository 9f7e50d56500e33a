"""The vector envs take seeds, masks and actions as Gymnasium's SyncVectorEnv does, and refuse what it refuses."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv

IDS = [
    "trading_env:TradingEnv-v0",
    "trading_env:reference/Ritter-v0",
    "trading_env:reference/CFMLinear-v0",
    "trading_env:reference/RegimeObserved-v0",
]
N = 3


@pytest.fixture(params=IDS)
def name(request):
    return request.param


def sync(name):
    return SyncVectorEnv([lambda: gym.make(name)] * N)


@pytest.mark.parametrize("seed", [40, [7, 7, 2]])
def test_the_seeds_are_told_for_each_sub_env(name, seed):
    native, theirs = gym.make_vec(name, N), sync(name)
    native.reset(seed=seed), theirs.reset(seed=seed)
    assert native.np_random_seed == theirs.np_random_seed
    native.reset(), theirs.reset()
    assert native.np_random_seed == theirs.np_random_seed
    options = {"reset_mask": np.array([False, True, False])}
    native.reset(seed=90, options=dict(options)), theirs.reset(seed=90, options=dict(options))
    assert native.np_random_seed == theirs.np_random_seed


def test_seeds_exist_before_a_reset_and_go_when_generators_are_set(name):
    env = gym.make_vec(name, N)
    assert len(set(env.np_random_seed)) == N
    assert env.np_random_seed == env.np_random_seed
    env.unwrapped.np_random = [np.random.default_rng(i) for i in range(N)]
    assert env.np_random_seed == (-1,) * N


def test_seeds_are_part_of_the_state(name):
    env, other = gym.make_vec(name, N), gym.make_vec(name, N)
    env.reset(seed=5), other.reset(seed=9)
    other.unwrapped.set_state(env.unwrapped.get_state())
    assert other.np_random_seed == (5, 6, 7)


MASKS = [
    ([True, False, True], TypeError),
    (np.array([1, 0, 1]), TypeError),
    (np.array([True, False]), ValueError),
    (np.array([[True, False, True]]), ValueError),
    (np.zeros(N, np.bool_), ValueError),
]


@pytest.mark.parametrize(("mask", "error"), MASKS)
def test_a_wrong_mask_has_gymnasiums_error_and_changes_nothing(name, mask, error):
    native, theirs = gym.make_vec(name, N), sync(name)
    native.reset(seed=0), theirs.reset(seed=0)
    with pytest.raises(error, match="reset_mask"):
        theirs.reset(seed=4, options={"reset_mask": mask})
    with pytest.raises(error, match="reset_mask"):
        native.reset(seed=4, options={"reset_mask": mask})
    assert native.np_random_seed == (0, 1, 2)


def test_a_mask_that_leaves_out_a_sub_env_without_an_episode_is_refused(name):
    with pytest.raises(ValueError, match="never reset"):
        gym.make_vec(name, N).reset(options={"reset_mask": np.array([True, False, True])})


@pytest.mark.parametrize("seed", [1.5, [1, 2.5, 3], True, [1, True, 3]])
def test_a_seed_that_is_no_integer_is_named(name, seed):
    with pytest.raises(TypeError, match="seed"):
        gym.make_vec(name, N).reset(seed=seed)


def test_another_number_of_actions_is_a_value_error_as_gymnasium_has_it(name):
    native, theirs = gym.make_vec(name, N), sync(name)
    native.reset(seed=0), theirs.reset(seed=0)
    for n in (N - 1, N + 1):
        wrong = gym.make_vec(name, n).action_space.sample()
        with pytest.raises(ValueError, match="zip"):
            theirs.step(wrong)
        with pytest.raises(ValueError, match="actions must be"):
            native.step(wrong)
    with pytest.raises(ValueError, match="actions must be"):
        native.step(native.action_space.sample()[None])


def test_a_tensor_that_numpy_cannot_read_is_named(name):
    env, single = gym.make_vec(name, N), gym.make(name).unwrapped
    env.reset(seed=0), single.reset(seed=0)
    tensor = torch.zeros(env.action_space.shape, requires_grad=True)
    with pytest.raises(TypeError, match=r"(?s)actions must be an array that NumPy can read, got tensor.*detach"):
        env.step(tensor)
    with pytest.raises(TypeError, match=r"actions? must be"):
        single.step(tensor[0])


def test_tensors_that_numpy_can_read_are_actions(name):
    env = gym.make_vec(name, N)
    env.reset(seed=0)
    assert env.step(torch.from_numpy(env.action_space.sample()))[1].shape == (N,)


@pytest.mark.parametrize("one", [True, np.True_, np.array(True), torch.tensor(True)])
def test_true_is_no_action(name, one):
    env, single = gym.make_vec(name, N), gym.make(name).unwrapped
    env.reset(seed=0), single.reset(seed=0)
    with pytest.raises(TypeError, match=r"actions? must be"):
        single.step(one)
    with pytest.raises(TypeError, match="actions must be"):
        env.step([one] * N)
