import time
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.utils import get_action_masks, is_masking_supported
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecMonitor, VecNormalize

from tests.trading_env.markets import random_market as market
from trading_env.sb3 import CompactExtractor, TradingVecEnv

ENV_ID = "trading_env:TradingEnv-v0"
CASES = {
    "flat": {},
    "dict": {"observation": "dict"},
    "compact": {"observation": "compact"},
    "continuous": {"actions": "continuous"},
    "lots": {"actions": "lots", "lots": 2, "lot_size": 300.0},
    "whole series": {"random_start": False, "episode_length": None},
    "ruin": {"actions": (-3.0, 3.0), "margin": {"max_leverage": 3.0, "ruin_fraction": 0.8}},
    "two datasets": {"data": "two"},
}


def keywords(**changes):
    given = {
        "data": market(),
        "features": ["close"],
        "window": 3,
        "random_start": True,
        "episode_length": 7,
        **changes,
    }
    if given["data"] == "two":
        given["data"] = [market(), market(1, 40)]
    return given


def dummy(n, **changes):
    """What SB3 makes of N scalar envs, each under a Monitor."""
    return DummyVecEnv([lambda: Monitor(gym.make(ENV_ID, **keywords(**changes)))] * n)


def assert_same(a, b):
    """Equal bit for bit, in shape and type too."""
    if isinstance(a, dict):
        assert set(a) == set(b)
        for key in a:
            assert_same(a[key], b[key])
        return
    a, b = np.asarray(a), np.asarray(b)
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


# -- equal to SB3's own vector env ------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_it_equals_a_dummy_vec_env_bit_for_bit(case):
    ours, theirs = TradingVecEnv(3, **keywords(**CASES[case])), dummy(3, **CASES[case])
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.seed(11) == theirs.seed(11) == [11, 12, 13]
    assert_same(ours.reset(), theirs.reset())
    assert_same(ours.reset_infos[2], theirs.reset_infos[2])
    ours.action_space.seed(5)
    ends = 0
    for _ in range(150):
        actions = np.array([ours.action_space.sample() for _ in range(3)])
        mine, its = ours.step(actions), theirs.step(actions)
        for a, b in zip(mine[:3], its[:3], strict=True):
            assert_same(a, b)
        for info, other in zip(mine[3], its[3], strict=True):
            assert info["TimeLimit.truncated"] == other["TimeLimit.truncated"]
            assert ("episode" in info) == ("episode" in other)
            if "episode" in other:
                ends += 1
                assert info["episode"]["r"] == pytest.approx(other["episode"]["r"], abs=1e-6)
                assert info["episode"]["l"] == other["episode"]["l"]
                assert set(info) == set(other)
                for key in set(info) - {"episode", "TimeLimit.truncated"}:
                    assert_same(info[key], other[key])
    assert ends > 3
    for i in range(3):
        assert_same(ours.reset_infos[i], theirs.reset_infos[i])


def test_an_episode_that_ruin_ends_was_not_truncated():
    env = TradingVecEnv(4, **keywords(**CASES["ruin"], episode_length=30))
    env.seed(0)
    env.reset()
    ended = [info for _ in range(60) for info in env.step(np.ones(4, np.int64))[3] if "episode" in info]
    assert {info["TimeLimit.truncated"] for info in ended} == {False, True}
    for info in ended:
        assert info["TimeLimit.truncated"] == (info["equity"] > 0.8 * 100_000.0)


def test_episodes_are_recorded_from_reset_to_end():
    env = TradingVecEnv(2, **keywords(random_start=False, episode_length=4, reward="pnl"))
    start = time.time()
    env.reset()
    env.step(np.array([2, 0]))  # an episode that is broken off counts for nothing
    env.reset()
    paid = np.zeros(2)
    for t in range(8):
        _, reward, done, infos = env.step(np.array([2, 0]))
        paid += reward
        assert done.tolist() == [t % 4 == 3] * 2
        if done.all():
            assert [info["episode"]["l"] for info in infos] == [4, 4]
            assert [info["episode"]["r"] for info in infos] == pytest.approx(paid, rel=1e-5)
            assert 0.0 <= infos[0]["episode"]["t"] <= time.time() - start + 1.0
            paid[:] = 0.0


# -- the interface ----------------------------------------------------------------------------------------------


def test_rewards_are_float32_and_nothing_returned_is_shared():
    env = TradingVecEnv(2, **keywords())
    first = env.reset()
    kept = first.copy()
    obs, reward, done, infos = env.step(np.array([2, 2]))
    assert (reward.dtype, done.dtype) == (np.float32, np.bool_)
    assert infos[0] is not infos[1]
    infos[0]["mine"] = obs[0, 0] = reward[0] = 1.0
    later, _, _, fresh = env.step(np.array([2, 2]))
    assert_same(first, kept)
    assert "mine" not in fresh[0]
    assert not np.shares_memory(obs, later)


def test_seeds_and_options_serve_one_reset():
    env = TradingVecEnv(2, **keywords())
    assert env.seed(3) == [3, 4]
    first = env.reset()
    assert env._seeds == [None, None]
    assert not np.array_equal(first, env.reset())
    env.seed(3)
    assert_same(first, env.reset())
    env.set_options([{"start": 10}, {}])
    env.reset()
    assert env.reset_infos[0]["bar"] == 10
    assert env._options == [{}, {}]
    env.set_options({"start": 12})
    env.reset()
    assert [info["bar"] for info in env.reset_infos] == [12, 12]
    env.set_options({"begin": 12})
    with pytest.raises(ValueError, match="begin"):
        env.reset()


def test_seed_without_a_number_draws_one_and_counts_on_from_it():
    seeds = TradingVecEnv(3, **keywords()).seed()
    assert seeds == [seeds[0], seeds[0] + 1, seeds[0] + 2]


def test_infos_of_running_episodes_hold_the_keys_asked_for():
    env = TradingVecEnv(2, info_keys=("equity", "bar"), **keywords())
    env.reset()
    infos = env.step(np.array([2, 0]))[3]
    assert all(set(info) == {"TimeLimit.truncated", "equity", "bar"} for info in infos)
    assert infos[1]["equity"] == 100_000.0
    assert isinstance(infos[0]["bar"], int)
    bar = infos[0]["bar"]
    while "episode" not in infos[0]:
        bar += 1
        infos = env.step(np.array([2, 0]))[3]
        assert infos[0]["bar"] == bar  # at the end too that of the episode, not of the next one


def test_attributes_are_read_and_set_for_each_sub_env():
    env = TradingVecEnv(3, **keywords())
    assert env.get_attr("render_mode") == [None] * 3
    assert env.get_attr("task", 1) == [env.task]
    assert env.get_attr("action_space", [0, 2]) == [env.action_space] * 2
    assert env.get_attr("observation_space") == [env.observation_space] * 3
    assert env.get_attr("unwrapped")[0] is env.get_attr("unwrapped")[0].unwrapped
    assert env.get_attr("spec") == [None] * 3
    assert env.get_attr("metadata", 0)[0]["independent_sub_envs"] is True
    env.seed(8)
    env.reset()
    assert env.get_attr("np_random_seed") == [8, 9, 10]
    assert len({id(stream) for stream in env.get_attr("np_random")}) == 3
    env.set_attr("note", "a")
    env.set_attr("note", "b", indices=1)
    assert env.get_attr("note") == ["a", "b", "a"]
    assert env.has_attr("note")
    assert not env.has_attr("no_such_name")
    for name in ("task", "action_masks"):
        with pytest.raises(AttributeError, match=f"'{name}' of a sub-env"):
            env.set_attr(name, None)
    with pytest.raises(AttributeError, match="no_such_name"):
        env.env_method("no_such_name")


@pytest.mark.parametrize("observation", ["flat", "dict"])
def test_methods_answer_for_each_sub_env(observation):
    env = TradingVecEnv(2, observation=observation, **keywords())
    singles = [gym.make(ENV_ID, observation=observation, **keywords()).unwrapped for _ in range(2)]
    with pytest.raises(ResetNeeded):
        env.env_method("action_masks")
    env.seed(1)
    env.reset()
    for i, single in enumerate(singles):
        single.reset(seed=1 + i)
        single.step(2 * i)
    env.step(np.array([0, 2]))
    for name in ("action_masks", "afterstates"):
        answers = env.env_method(name)
        for i, single in enumerate(singles):
            assert_same(answers[i], getattr(single, name)())
            assert_same(env.get_attr(name, i)[0](), answers[i])
    reward, obs = pair = env.env_method("counterfactual", indices=1)[0]
    expected = singles[1].counterfactual()
    assert_same(reward, expected[0])
    assert_same(obs, expected[1])
    assert_same(pair.terminated, expected.terminated)


def growth(before, after):
    return np.log(after["equity"] / before["equity"]) - 0.01 * after["turnover"]


SUB_ENVS = {**CASES, "callable": {"reward": growth}}


@pytest.mark.parametrize("case", SUB_ENVS)
def test_sub_envs_have_the_state_history_and_pictures_of_a_dummy_vec_env(case):
    changes = SUB_ENVS[case]
    ours = TradingVecEnv(3, render_mode="ansi", **keywords(**changes))
    theirs = DummyVecEnv([lambda: gym.make(ENV_ID, render_mode="ansi", **keywords(**changes))] * 3)
    ours.sub_envs[1]._place[0]._room = 4  # so that actions are dropped
    assert ours.get_attr("keywords")[0].keys() == theirs.get_attr("keywords")[0].keys()
    assert ours.env_method("get_state")[0].keys() == theirs.env_method("get_state")[0].keys()  # of no episode
    with pytest.raises(ResetNeeded):
        ours.env_method("history")
    ours.seed(3), theirs.seed(3)
    ours.reset(), theirs.reset()
    ours.action_space.seed(1)
    for t in range(25):
        if t % 4 == 0:
            assert ours.env_method("render") == theirs.env_method("render")
            for mine, its in zip(ours.env_method("history"), theirs.env_method("history"), strict=True):
                assert mine.equals(its)
            for mine, its in zip(ours.env_method("get_state"), theirs.env_method("get_state"), strict=True):
                np.testing.assert_equal(mine, its)
        actions = np.array([ours.action_space.sample() for _ in range(3)])
        ours.step(actions), theirs.step(actions)


def test_an_env_of_ones_own_goes_on_from_a_sub_envs_state():
    ours = TradingVecEnv(2, **keywords())
    ours.seed(0)
    ours.reset()
    for _ in range(3):
        ours.step(np.array([2, 0]))
    sub_env = ours.sub_envs[0]
    assert ours.get_attr("get_wrapper_attr", 0)[0]("keywords") == sub_env.keywords
    single = gym.make(ENV_ID, **sub_env.keywords).unwrapped
    single.set_state(ours.env_method("get_state", indices=0)[0])
    obs, reward, *_ = single.step(1)
    their_obs, their_reward, *_ = ours.step(np.array([1, 1]))
    assert_same(obs, their_obs[0])
    assert np.float32(reward) == their_reward[0]


def test_sub_envs_have_the_methods_of_wrapped_attributes():
    env = TradingVecEnv(2, **keywords())
    assert env.env_method("has_wrapper_attr", "task") == [True, True]
    assert env.env_method("has_wrapper_attr", "no_such_name") == [False, False]
    assert env.env_method("get_wrapper_attr", "task") == [env.task] * 2
    assert env.env_method("set_wrapper_attr", "note", 5, indices=1) == [True]
    assert env.env_method("set_wrapper_attr", "other", 5, force=False) == [False, False]
    assert env.get_attr("note", 1) == [5]
    with pytest.raises(AttributeError, match="'render_mode' of a sub-env"):
        env.env_method("set_wrapper_attr", "render_mode", "ansi")


def test_pictures_of_all_sub_envs_are_tiled():
    env = TradingVecEnv(2, render_mode="rgb_array", **keywords())
    single = gym.make(ENV_ID, render_mode="rgb_array", **keywords())
    env.seed(4)
    env.reset(), single.reset(seed=4)
    env.step(np.array([2, 0])), single.step(2)
    assert_same(env.get_images()[0], single.render())
    assert env.render().shape[2] == 3
    assert_same(env.env_method("render", indices=0)[0], single.render())


def test_a_vector_env_that_was_stepped_by_others_is_named():
    env = TradingVecEnv(2, **keywords())
    env.reset()
    env.envs.step(np.array([2, 0]))
    with pytest.raises(ResetNeeded, match="sub-env 0 was moved by other means"):
        env.env_method("history")


def test_masks_are_those_of_the_last_observations_and_belong_to_the_caller():
    env = TradingVecEnv(2, **keywords(random_start=False, episode_length=2))
    env.reset()
    assert is_masking_supported(env)
    env.step(np.array([2, 1]))
    masks = get_action_masks(env)
    assert masks.tolist() == [[True, True, False], [False, True, True]]  # bought already; flat already
    env.env_method("action_masks")[0][:] = False
    assert_same(get_action_masks(env), masks)
    env.step(np.array([2, 1]))  # the end: a new episode, in which both are flat
    assert get_action_masks(env).tolist() == [[False, True, True]] * 2


def test_it_counts_as_monitored_and_wrapped_in_nothing_else():
    env = TradingVecEnv(2, **keywords())
    assert env.env_is_wrapped(Monitor) == [True, True]
    assert env.env_is_wrapped(gym.wrappers.TimeLimit, indices=0) == [False]


def test_without_a_render_mode_there_are_no_images():
    env = TradingVecEnv(2, **keywords())
    assert env.render_mode is None
    with pytest.warns(UserWarning, match="no images"):
        assert env.get_images() == [None, None]
    with pytest.warns(UserWarning, match="no `render_mode`"):
        assert env.render() is None
    for mode in ("human", "video", 3):
        with pytest.raises(ValueError, match="render_mode must be one of"):
            TradingVecEnv(1, render_mode=mode)
    env.close()
    env.close()


def test_a_ready_vector_env_is_taken_as_it_is():
    ready = gym.make_vec("trading_env:reference/RegimeObserved-v0", 2, autoreset_mode="SameStep")
    env = TradingVecEnv(ready)
    assert env.num_envs == 2
    assert env.get_attr("spec")[0].id == "reference/RegimeObserved-v0"
    with pytest.raises(ValueError, match="SAME_STEP"):
        TradingVecEnv(gym.make_vec(ENV_ID, 2, **keywords()))
    with pytest.raises(TypeError, match="no keywords"):
        TradingVecEnv(ready, window=3)
    with pytest.raises(TypeError, match="autoreset_mode"):
        TradingVecEnv(2, autoreset_mode="NextStep")
    with pytest.raises(TypeError, match="num_envs"):
        TradingVecEnv("two")
    with pytest.raises(ValueError, match="'wealth'"):
        TradingVecEnv(2, info_keys=["wealth"])
    with pytest.raises(TypeError, match="info_keys"):
        TradingVecEnv(2, info_keys="equity")


def test_stepping_needs_a_reset():
    with pytest.raises(ResetNeeded):
        TradingVecEnv(2, **keywords()).step(np.array([0, 0]))


# -- SB3's wrappers and algorithms ------------------------------------------------------------------------------


@pytest.mark.parametrize("observation", ["flat", "dict"])
@pytest.mark.parametrize("wrap", [VecNormalize, lambda env: VecFrameStack(env, 2)])
def test_wrappers_see_what_they_see_over_a_dummy_vec_env(wrap, observation):
    ours = wrap(TradingVecEnv(2, **keywords(observation=observation)))
    theirs = wrap(dummy(2, observation=observation))
    ours.seed(0), theirs.seed(0)
    assert_same(ours.reset(), theirs.reset())
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.integers(3, size=2)
        mine, its = ours.step(actions), theirs.step(actions)
        assert_same(mine[0], its[0])
        np.testing.assert_allclose(mine[1], its[1], rtol=1e-6)
        for info, other in zip(mine[3], its[3], strict=True):
            assert ("terminal_observation" in info) == ("terminal_observation" in other)
            if "terminal_observation" in other:
                assert_same(info["terminal_observation"], other["terminal_observation"])


def test_vec_monitor_records_the_same_episodes():
    with pytest.warns(UserWarning, match="already wrapped with a `Monitor`"):
        env = VecMonitor(TradingVecEnv(1, **keywords()))
    own = TradingVecEnv(1, **keywords())
    env.seed(0), own.seed(0)
    env.reset(), own.reset()
    for _ in range(20):
        theirs, ours = env.step(np.array([2]))[3][0], own.step(np.array([2]))[3][0]
        assert ("episode" in theirs) == ("episode" in ours)
        if "episode" in theirs:
            assert theirs["episode"]["l"] == ours["episode"]["l"]
            assert theirs["episode"]["r"] == pytest.approx(ours["episode"]["r"], abs=1e-5)


def test_training_ends_with_the_weights_that_a_dummy_vec_env_gives():
    def weights(env):
        model = A2C("MlpPolicy", env, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}).learn(100)
        episodes = [(episode["r"], episode["l"]) for episode in model.ep_info_buffer]
        return model.policy.state_dict(), episodes

    (ours, mine), (theirs, its) = weights(TradingVecEnv(2, **keywords())), weights(dummy(2))
    assert mine == its
    assert all((ours[name] == theirs[name]).all() for name in theirs)


@pytest.mark.parametrize(
    ("algorithm", "policy", "changes", "options"),
    [
        (DQN, "MlpPolicy", {}, {"learning_starts": 10, "buffer_size": 100}),
        (PPO, "MultiInputPolicy", {"observation": "dict"}, {"n_steps": 16, "batch_size": 16}),
        (PPO, "MlpPolicy", {"actions": "continuous"}, {"n_steps": 16, "batch_size": 16}),
        (MaskablePPO, "MlpPolicy", {}, {"n_steps": 16, "batch_size": 16}),
    ],
)
def test_algorithms_learn_and_are_evaluated(algorithm, policy, changes, options):
    env = TradingVecEnv(2, **keywords(**changes))
    model = algorithm(policy, env, seed=0, device="cpu", policy_kwargs={"net_arch": [8]}, **options).learn(64)
    assert len(model.ep_info_buffer) > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # none that the env is not monitored
        mean, _ = evaluate_policy(model, env, n_eval_episodes=4)
    assert np.isfinite(mean)


def test_compact_observations_that_are_stacked_are_refused():
    env = VecFrameStack(TradingVecEnv(2, observation="compact", window=5), 3)
    with pytest.raises(ValueError, match="compact observations, which no wrapper may stack or scale"):
        PPO("MlpPolicy", env, policy_kwargs=CompactExtractor.of(env))
