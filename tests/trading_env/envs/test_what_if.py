"""Afterstates, counterfactuals and masks against envs that really take the other action."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from tests.trading_env.markets import random_market
from trading_env import Costs, Market, TradingEnv, TradingVectorEnv

CASES = {
    "buy_hold_sell": {"allow_short": True},
    "targets": {"actions": (-1.5, 0.0, 0.5, 2.0), "margin": {"max_leverage": 2.0, "maintenance": 0.3}},
    "rebalance": {"sizing": "rebalance", "fill": "next_close", "costs": {"minimum": 3.0}},
    "close": {"fill": "close", "reward": "differential_sharpe", "actions": (0.0, 1.0)},
    "lots": {"actions": "lots", "lots": 2, "lot_size": 300.0, "reward": "pnl"},
    "dict": {"observation": "dict", "reward": "mean_variance"},
    "callable": {"reward": lambda before, after: after["equity"] / before["equity"] - 1.0 - after["turnover"]},
    "ruin": {"allow_short": True, "margin": {"ruin_fraction": 0.97}},
}
market = partial(random_market, 3, 80, volatility=0.03)


def keywords_of(case):
    return {"data": market(), "window": 3, "features": ["log_return_1"], **CASES[case]}


@pytest.mark.parametrize("case", CASES)
def test_counterfactual_is_what_a_copy_of_the_env_gets_for_each_action(case):
    env = TradingEnv(**keywords_of(case))
    env.reset(seed=0)
    env.action_space.seed(2)
    for _ in range(40):
        twins = [copy.deepcopy(env) for _ in range(env.action_space.n)]
        action = env.action_space.sample()
        step = env.step(action)
        reward, next_obs = pair = env.counterfactual()
        for a, twin in enumerate(twins):
            obs, expected, terminated, _, _ = twin.step(a)
            assert reward[a] == expected
            assert pair.terminated[a] == terminated
            if isinstance(obs, dict):
                np.testing.assert_equal({key: value[a] for key, value in next_obs.items()}, obs)
            else:
                np.testing.assert_array_equal(next_obs[a], obs)
        assert reward[action] == step[1]
        if step[2] or step[3]:
            break


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("case", CASES)
def test_vector_counterfactual_and_afterstates_are_those_of_scalar_envs(case, mode):
    keywords = {**keywords_of(case), "random_start": True, "episode_length": 9}
    vector = TradingVectorEnv(4, autoreset_mode=mode, **keywords)
    envs = [TradingEnv(**keywords) for _ in range(4)]
    vector.reset(seed=7)
    for j, env in enumerate(envs):
        env.reset(seed=7 + j)
    rng, waiting = np.random.default_rng(0), np.zeros(4, bool)
    for _ in range(40):
        after = vector.afterstates()
        actions = rng.integers(0, vector.single_action_space.n, 4)
        for j in np.flatnonzero(~waiting):
            np.testing.assert_equal(part(after, j), envs[j].afterstates())
        masks, step = vector.action_masks(), vector.step(actions)
        reward, next_obs = pair = vector.counterfactual()
        for j, env in enumerate(envs):
            if waiting[j]:
                env.reset()
                assert not reward[j].any()
                continue
            np.testing.assert_array_equal(masks[j], env.action_masks())
            env.step(actions[j])
            own = env.counterfactual()
            np.testing.assert_array_equal(reward[j], own[0])
            np.testing.assert_equal(part(next_obs, j), own[1])
            np.testing.assert_array_equal(pair.terminated[j], own.terminated)
        ended = step[2] | step[3]
        waiting = ended if mode is AutoresetMode.NEXT_STEP else np.zeros(4, bool)
        for j in np.flatnonzero(ended & ~waiting):
            envs[j].reset()


def part(obs, j):
    return {key: value[j] for key, value in obs.items()} if isinstance(obs, dict) else obs[j]


def test_an_afterstate_is_the_position_after_the_action_with_the_same_market():
    env = TradingEnv(market(), window=2, features=["close"], costs=Costs(0.01, 0, 0), actions=(0.0, 0.5, 1.0))
    before = env.reset()[0]
    after = env.afterstates()
    np.testing.assert_array_equal(after[:, :2], np.stack([before[:2]] * 3))
    assert after[:, -4].tolist() == [0.0, 0.5, 1.0]  # exposure
    assert after[:, -3].tolist() == [0.0, 0.5, 1.0]  # target
    assert after[:, -1] == pytest.approx([0.0, 0.005 / 1.005, 0.01 / 1.01], rel=1e-5)  # drawdown by cost
    np.testing.assert_array_equal(env.step(1)[4]["exposure"] > 0, True)  # nothing moved before the step


def test_hold_leaves_the_afterstate_as_the_state():
    env = TradingEnv(market(), window=2, features=["close"])
    env.reset()
    obs = env.step(2)[0]
    np.testing.assert_array_equal(env.afterstates()[1], obs)


def test_masks_forbid_what_hold_does_as_well():
    env = TradingEnv(market(), window=2, features=["close"])
    assert env.reset()[1]["action_mask"].tolist() == [False, True, True]
    assert env.step(2)[4]["action_mask"].tolist() == [True, True, False]
    assert env.action_masks().tolist() == [True, True, False]
    assert env.step(0)[4]["action_mask"].tolist() == [False, True, True]


def test_masks_forbid_lots_beyond_the_margin():
    prices = [100.0] * 6
    world = {"data": Market.from_arrays(close=prices, open=prices), "window": 1, "features": ["close"]}
    env = TradingEnv(**world, actions="lots", lots=2, lot_size=4.0, costs=Costs(0, 0, 0), initial_cash=1000.0)
    assert env.reset()[1]["action_mask"].tolist() == [True] * 5
    assert env.step(4)[4]["action_mask"].tolist() == [True, True, True, False, False]


def test_every_target_of_a_tuple_may_be_chosen_and_continuous_actions_have_no_mask():
    env = TradingEnv(market(), window=2, features=["close"], actions=(0.0, 1.0))
    assert env.reset()[1]["action_mask"].tolist() == [True, True]
    env = TradingEnv(market(), window=2, features=["close"], actions="continuous")
    assert "action_mask" not in env.reset()[1]
    with pytest.raises(ValueError, match="continuous"):
        env.afterstates()


def test_a_returned_mask_is_the_users_own():
    env = TradingEnv(market(), window=2, features=["close"])
    info = env.reset()[1]
    info["action_mask"][:] = False
    assert env.action_masks().tolist() == [False, True, True]


def test_what_if_needs_an_episode():
    env = TradingEnv(market(), window=2, features=["close"])
    for call in (env.action_masks, env.afterstates, env.counterfactual):
        with pytest.raises(ResetNeeded):
            call()
    env.reset()
    with pytest.raises(ResetNeeded):
        env.counterfactual()


def test_a_reward_that_asks_for_the_bar_is_told_the_one_of_its_market():
    def bars(before, after):
        return (after["bar"] - before["bar"]).astype(np.float64)

    markets = [market(), random_market(4, 120, 0.03)]
    env = TradingVectorEnv(
        6, data=markets, window=3, features=["log_return_1"], autoreset_mode="SAME_STEP", episode_length=1, reward=bars
    )
    env.reset(seed=0)
    for _ in range(5):  # each step ends its episode, and the next one may be in the other market
        assert (env.step(np.full(6, 2))[1] == 1.0).all()
        assert (env.counterfactual()[0] == 1.0).all()


def test_a_counterfactual_can_be_pickled_and_copied():
    env = TradingEnv(**keywords_of("buy_hold_sell"))
    env.reset()
    env.step(2)
    result = env.counterfactual()
    for twin in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert (twin.terminated == result.terminated).all()
        for one, other in zip(twin, result, strict=True):
            assert (one == other).all()
