"""Orders that could not be carried out are not remembered as reached, and long-only accounts never go short."""

import gymnasium as gym
import numpy as np
import pytest

from trading_env import Costs, Margin, Market, TradingEnv, TradingVectorEnv
from trading_env.analysis.strategies import StrategyPolicy

FREE = Costs(0.0, 0.0, 0.0)
SELL, HOLD, BUY = range(3)
FALLING = [700.0, 700.0, 700.0, 600.0, 200.0, 200.0, 150.0]


def env_of(prices, **keywords):
    market = Market.from_arrays(open=prices, close=prices)
    keywords = {"window": 1, "features": np.zeros((len(prices), 1)), "costs": FREE, "initial_cash": 500.0, **keywords}
    return TradingEnv(market, **keywords)


def run(env, *actions):
    """Units, remembered target and mask after each step."""
    env.reset()
    rows = []
    for action in actions:
        obs, _, _, _, info = env.step(action)
        rows.append((info["units"], float(obs[-3]), info["action_mask"].tolist()))
    return rows


def test_a_buy_rounded_to_no_lot_is_tried_again_when_asked_again():
    rows = run(env_of(FALLING, lot_size=1.0), *[BUY] * 5)
    assert [units for units, _, _ in rows] == [0.0, 0.0, 0.0, 2.0, 2.0]  # then it is reached, and drifts
    assert [target for _, target, _ in rows] == [0.0, 0.0, 0.0, 1.0, 1.0]
    assert [mask[BUY] for _, _, mask in rows] == [True, True, True, False, False]


def test_of_any_target_exposures_one_rounded_to_no_lot_leaves_the_one_before():
    env = env_of(FALLING, actions=(0.0, 0.3, 1.0), lot_size=1.0, initial_cash=1000.0)
    rows = run(env, 2, 1, 1, 1)  # 1 unit at 700; selling down to 300 is less than a unit
    assert [(units, target) for units, target, _ in rows[:2]] == [(1.0, 1.0), (1.0, 1.0)]
    rows = run(env, 2, 1, 2, 2, 2)
    assert [units for units, _, _ in rows] == [1.0] * 5  # 1.0 was reached: it drifts


def test_a_turn_to_a_short_too_small_for_a_lot_is_tried_again():
    env = env_of([300.0, 300.0, 300.0, 100.0, 100.0], actions=(-0.5, 0.0), lot_size=1.0)
    assert [units for units, _, _ in run(env, 0, 0, 0)] == [0.0, 0.0, -2.0]


def test_what_the_band_keeps_back_is_near_enough_and_counts():
    keywords = {"actions": (0.5, 0.55, 0.7), "min_trade": 0.1}
    rows = run(env_of([100.0, 100.0, 100.0, 50.0, 50.0], **keywords), 0, 1, 1, 1)
    assert rows[1][1] == np.float32(0.55)
    assert [units for units, _, _ in rows] == [2.5] * 4  # drift: 0.55 was reached


def test_what_the_lot_keeps_back_beyond_the_band_does_not_count():
    prices = [140.0, 140.0, 140.0, 140.0, 90.0, 90.0]
    near = {"actions": (0.0, 0.2), "lot_size": 1.0}
    kept = run(env_of(prices, **near, min_trade=0.1), 1, 1, 1, 1)  # a fifth of 500 buys no unit at 140
    assert [units for units, _, _ in kept] == [0.0, 0.0, 0.0, 1.0]
    counted = run(env_of(prices, **near, min_trade=0.25), 1, 1, 1, 1)  # 0.2 is within the band
    assert [(units, target) for units, target, _ in counted] == [(0.0, np.float32(0.2))] * 4


def test_an_order_whose_costs_the_account_cannot_pay_is_tried_again():
    costs, margin = Costs(0.0, 0.0, 0.0, fixed=506.0), Margin(r_cash=0.12, ruin_fraction=1e-6)
    env = env_of([100.0] * 8, costs=costs, margin=margin, bars_per_year=12)  # 505 after a bar, 510.05 after two
    rows = run(env, *[BUY] * 5)
    assert [units > 0.0 for units, _, _ in rows] == [False, True, True, True, True]
    assert [mask[BUY] for _, _, mask in rows] == [True, False, False, False, False]


def test_rebalancing_remembers_what_it_reached_too():
    rows = run(env_of(FALLING, lot_size=1.0, sizing="rebalance"), *[BUY] * 5)
    assert [target for _, target, _ in rows] == [0.0, 0.0, 0.0, 1.0, 1.0]


def test_a_continuous_order_below_a_lot_is_not_remembered():
    env = env_of(FALLING, actions="continuous", lot_size=1.0)
    env.reset()
    seen = [float(env.step(np.array([1.0]))[0][-3]) for _ in range(4)]
    assert seen == [0.0, 0.0, 0.0, 1.0]


def test_lots_refused_at_the_margin_are_masked_and_taken_once_there_is_margin():
    env = env_of(FALLING, actions="lots")
    rows = run(env, *[BUY] * 5)
    assert [units for units, _, _ in rows] == [0.0, 0.0, 0.0, 1.0, 2.0]
    assert [target for _, target, _ in rows[:3]] == [0.0] * 3
    assert [mask[BUY] for _, _, mask in rows] == [False, False, False, True, False]


def test_the_vector_env_and_what_if_remember_the_same():
    market = env_of(FALLING).task.markets[0]
    keywords = {"window": 1, "features": ["close"], "costs": FREE, "initial_cash": 500.0, "lot_size": 1.0}
    env, envs = TradingEnv(market, **keywords), TradingVectorEnv(3, market, **keywords)
    env.reset(), envs.reset()
    for _ in range(5):
        obs = env.step(BUY)[0]
        rows, *_, infos = envs.step(np.full(3, BUY))
        np.testing.assert_array_equal(rows, np.tile(obs, (3, 1)))
        np.testing.assert_array_equal(infos["action_mask"][0], env.action_masks())
        np.testing.assert_array_equal(env.counterfactual()[1][BUY], obs)


# -- allow_short=False -----------------------------------------------------------------------------------------


def test_long_only_lots_never_sell_more_than_the_position():
    env = env_of([100.0] * 12, actions="lots", lots=2, allow_short=False)
    assert env.action_space == gym.spaces.Discrete(5)
    rows = run(env, 0, 1, 3, 0, 1, 4, 3, 0, 1)  # sell 2, sell 1, buy 1, sell 2, sell 1, buy 2, buy 1, sell 2, sell 1
    assert [units for units, _, _ in rows] == [0.0, 0.0, 1.0, 1.0, 0.0, 2.0, 3.0, 1.0, 0.0]
    assert rows[2][2][:3] == [False, True, True]  # of one unit two cannot be sold
    assert rows[0][2][:3] == [False, False, True]


def test_a_long_only_continuous_action_is_a_fraction():
    env = env_of([100.0] * 5, actions="continuous", allow_short=False, margin={"max_leverage": 2.0})
    assert env.action_space == gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    env.reset()
    assert env.step(np.array([0.5]))[4]["exposure"] == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"action must be in \[0, 1\], got -0.5"):
        env.step(np.array([-0.5]))
    envs = TradingVectorEnv(
        2, env.task.markets[0], window=1, features=["close"], actions="continuous", allow_short=False
    )
    assert envs.single_action_space == gym.spaces.Box(0.0, 1.0, (1,), np.float32)
    envs.reset()
    with pytest.raises(ValueError, match=r"actions\[1\] must be in \[0, 1\], got -0.5"):
        envs.step(np.array([[0.5], [-0.5]]))


@pytest.mark.parametrize("left_out", [{}, {"allow_short": None}])
def test_left_out_lots_and_continuous_may_go_short_and_buy_hold_sell_may_not(left_out):
    assert run(env_of([100.0] * 5, actions="lots", **left_out), 0)[0][0] == -1.0
    assert env_of([100.0] * 5, actions="continuous", **left_out).action_space.low[0] == -1.0
    assert run(env_of([100.0] * 5, **left_out), SELL)[0][0] == 0.0


@pytest.mark.parametrize("actions", ["lots", "continuous", (0.0, 1.0)])
def test_going_short_is_allowed_by_name_for_buy_hold_sell_alone(actions):
    with pytest.raises(ValueError, match="allow_short=True belongs to actions='buy_hold_sell'"):
        env_of([100.0] * 5, actions=actions, allow_short=True)


def test_short_targets_are_refused_where_going_short_is_forbidden():
    with pytest.raises(ValueError, match=r"allow_short=False refuses short positions, got actions=\(-1.0, 0.0, 1.0\)"):
        env_of([100.0] * 5, actions=(-1.0, 0.0, 1.0), allow_short=False)
    assert env_of([100.0] * 5, actions=(0.0, 1.0), allow_short=False).action_space.n == 2


@pytest.mark.parametrize("actions", ["lots", "continuous"])
def test_a_spec_keeps_whether_short_is_allowed(actions):
    market = Market.from_arrays(close=[100.0] * 5)
    keywords = {"data": market, "window": 1, "features": ["close"], "fill": "close", "actions": actions}
    env = gym.make("trading_env:TradingEnv-v0", allow_short=False, **keywords)
    assert gym.make(env.spec).unwrapped.task.long_only
    assert env.unwrapped.task.long_only


def test_short_exposures_have_no_action_in_a_long_only_env():
    env = env_of([100.0] * 5, actions="continuous", allow_short=False)
    with pytest.raises(ValueError, match=r"exposures go down to -0\.5, and allow_short=False refuses short positions"):
        StrategyPolicy(np.full(5, -0.5), env)
    assert StrategyPolicy(np.full(5, 0.5), env).actions[0] == 0.5
