"""The scalar env, SyncVectorEnv and the native vector env agree bit for bit, for every option."""

from functools import partial

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import trading_env
from tests.trading_env.markets import random_market
from trading_env import DifferentialSharpe, MeanVariance, TradingEnv, TradingVectorEnv
from trading_env.kernel.layout import LANES

N = LANES + 7  # a whole block of the kernel, and a part of one that is no multiple of what processors do at once
ID = "trading_env:TradingEnv-v0"
FINAL = ("final_obs", "_final_obs", "final_info", "_final_info")
market = partial(random_market, n=90, volatility=0.08, since="2015-01-01")


def excess(before, after):
    return np.log(np.maximum(after["equity"], 1.0) / np.maximum(before["equity"], 1.0)) - 0.01 * after["turnover"]


COMMON = {"random_start": True, "window": 3, "features": ["log_return_1", "close"]}
CASES = {
    "default": {"window": 5},
    "staggered": {**COMMON, "episode_length": 11},
    "two markets": {**COMMON, "data": (1, 2), "episode_length": 13},
    "ruin": {**COMMON, "allow_short": True, "margin": {"max_leverage": 1.0, "ruin_fraction": 0.9}},
    "liquidation": {
        **COMMON,
        "actions": (-2.0, 0.0, 3.0),
        "sizing": "rebalance",
        "margin": {"max_leverage": 3.0, "maintenance": 0.3, "r_margin": 0.1, "r_borrow": 0.05, "r_cash": 0.02},
    },
    "fixed costs": {**COMMON, "costs": {"fixed": 2.0, "minimum": 9.0, "per_unit": 0.01}, "lot_size": 10.0},
    "close": {**COMMON, "fill": "close", "reward": "pnl", "episode_length": 9},
    "next_close": {**COMMON, "fill": "next_close", "reward": "excess_log_return"},
    "continuous": {**COMMON, "actions": "continuous", "min_trade": 0.05, "reward": DifferentialSharpe()},
    "lots": {**COMMON, "actions": "lots", "lots": 3, "lot_size": 50.0, "reward": MeanVariance()},
    "dict": {**COMMON, "observation": "dict", "episode_length": 8},
    "compact": {**COMMON, "observation": "compact", "data": (1, 2), "episode_length": 8},
    "callable": {**COMMON, "reward": excess, "episode_length": 7},
}


def keywords_of(case):
    keywords = dict(CASES[case])
    seeds = keywords.get("data", (1,))
    return {
        **keywords,
        "data": [market(seed) for seed in seeds] if len(seeds) > 1 else market(seeds[0]),
    }


def actions_of(env, n_steps):
    """Action batches (n_steps, N): uniform, from one generator."""
    rng = np.random.default_rng(5)
    space = env.single_action_space
    if isinstance(space, gym.spaces.Discrete):
        return rng.integers(0, space.n, (n_steps, N))
    return rng.uniform(-1, 1, (n_steps, N, 1)).astype(np.float32)


def assert_same(a, b, where):
    if isinstance(a, dict):
        assert set(a) == set(b), where
        for key in a:
            assert_same(a[key], b[key], (*where, key))
    else:
        assert a.dtype == b.dtype, where
        np.testing.assert_array_equal(a, b, err_msg=str(where), strict=True)


def without_masks(info):
    """SyncVectorEnv's info less its `_key` masks, which the native env leaves out."""
    return {key: without_masks(v) if isinstance(v, dict) else v for key, v in info.items() if not key.startswith("_")}


def assert_same_step(native, sync, where):
    for name, a, b in zip(("obs", "reward", "terminated", "truncated"), native[:4], sync[:4], strict=True):
        assert_same(a, b, (*where, name))
    ours, theirs = native[4], without_masks(sync[4])
    assert ("final_obs" in ours) == ("final_obs" in theirs)
    if "final_obs" in ours:
        ended = native[2] | native[3]
        np.testing.assert_array_equal(ours["_final_obs"], ended)
        np.testing.assert_array_equal(ours["_final_info"], ended)
        for a, b in zip(ours["final_obs"], theirs["final_obs"], strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                assert_same(a, b, (*where, "final_obs"))
        assert_same(ours["final_info"], theirs["final_info"], (*where, "final_info"))
    for key in set(theirs) - set(FINAL):
        assert_same(ours[key], theirs[key], (*where, key))


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("case", CASES)
def test_native_vector_env_equals_sync_vector_env(case, mode):
    keywords = keywords_of(case)
    native = gym.make_vec(ID, num_envs=N, autoreset_mode=mode, **keywords)
    sync = gym.vector.SyncVectorEnv([lambda: gym.make(ID, **keywords)] * N, autoreset_mode=mode)
    assert isinstance(native, TradingVectorEnv)
    assert native.single_observation_space == sync.single_observation_space
    assert native.action_space == sync.action_space
    seeds = np.random.default_rng(0).integers(50, size=N).tolist()  # some of them twice
    (obs, info), (sync_obs, sync_info) = native.reset(seed=seeds), sync.reset(seed=seeds)
    assert_same(obs, sync_obs, ("reset",))
    assert_same(info, without_masks(sync_info), ("reset", "info"))
    ends = np.zeros(N, int)
    for t, actions in enumerate(actions_of(native, 150)):
        step, sync_step = native.step(actions), sync.step(actions)
        assert_same_step(step, sync_step, (t,))
        assert native.observation_space.contains(step[0])
        ends += step[2] | step[3]
    assert ends.min() >= 1


def test_the_cases_have_staggered_ends_ruins_and_liquidations():
    def run(case):
        env = TradingVectorEnv(N, **keywords_of(case))
        env.reset(seed=0)
        return [env.step(actions) for actions in actions_of(env, 150)]

    assert any(0 < (step[2] | step[3]).sum() < N for step in run("ruin"))
    assert any(step[2].any() for step in run("ruin"))
    lost = [step[4] for step in run("liquidation")]
    assert any(((info["units"] == 0) & (info["turnover"] > 3.0)).any() for info in lost)


def test_an_int_seed_seeds_sub_env_i_with_seed_plus_i():
    keywords = keywords_of("staggered")
    native = TradingVectorEnv(N, **keywords)
    obs, info = native.reset(seed=40)
    for j in range(N):
        env = TradingEnv(**keywords)
        single_obs, single_info = env.reset(seed=40 + j)
        np.testing.assert_array_equal(obs[j], single_obs)
        assert info["bar"][j] == single_info["bar"]
    assert native.np_random_seed == tuple(range(40, 40 + N))


def test_vector_reset_options_equal_scalar_ones():
    keywords = keywords_of("two markets")
    native = TradingVectorEnv(3, **keywords)
    obs, info = native.reset(options={"start": np.array([5, 9, 30]), "data": [1, 0, 1]})
    for j, (start, data) in enumerate([(5, 1), (9, 0), (30, 1)]):
        single_obs, _ = TradingEnv(**keywords).reset(options={"start": start, "data": data})
        np.testing.assert_array_equal(obs[j], single_obs)
        assert info["bar"][j] == start


def test_reset_mask_leaves_the_other_sub_envs_as_they_are():
    env = TradingVectorEnv(3, autoreset_mode="disabled", **keywords_of("default"))
    env.reset(seed=0)
    before = env.step(np.array([2, 2, 2]))
    obs, info = env.reset(options={"reset_mask": np.array([False, True, False])})
    np.testing.assert_array_equal(obs[[0, 2]], before[0][[0, 2]])
    assert obs[1, -4] == 0.0
    assert info["equity"].tolist() == [0.0, 100_000.0, 0.0]
    after = env.step(np.array([1, 1, 1]))
    assert after[4]["bar"].tolist() == [before[4]["bar"][0] + 1, info["bar"][1] + 1, before[4]["bar"][0] + 1]


def test_disabled_autoreset_refuses_to_step_an_ended_episode():
    env = TradingVectorEnv(2, autoreset_mode="disabled", data=market(1), window=2, features=["close"], episode_length=2)
    env.reset(seed=0)
    env.step(np.array([0, 0]))
    assert env.step(np.array([0, 0]))[3].all()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.array([0, 0]))


def test_outputs_of_two_calls_share_no_memory():
    env = TradingVectorEnv(N, **keywords_of("dict"))
    first, second = env.reset(seed=0)[0], None
    for _ in range(3):
        step = env.step(np.zeros(N, int))
        second = step[0]
        for key in ("market", "account"):
            assert not np.shares_memory(first[key], second[key])
        first = second
    a, b = env.step(np.zeros(N, int)), env.step(np.zeros(N, int))
    for x, y in zip(a[1:4], b[1:4], strict=True):
        assert not np.shares_memory(x, y)
    assert not any(np.shares_memory(a[4][key], b[4][key]) for key in a[4])


def test_registered_without_a_time_limit():
    spec = gym.spec("TradingEnv-v0")
    assert spec.max_episode_steps is None
    assert trading_env.__version__
