"""Extreme but valid worlds, played to their end: all is finite, inside the spaces, and balances in every step."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trading_env import DifferentialSharpe, Market, MeanVariance, TradingEnv, TradingVectorEnv

fuzz = settings(deadline=None, suppress_health_check=list(HealthCheck))
small_moves = st.floats(-0.1, 0.1)
moves = st.one_of(small_moves, small_moves, st.floats(-1.0, 1.0), st.floats(-7.0, 7.0))
exponents = st.floats(-6.0, 9.0)


def check_step(env, before, obs, reward, info):
    assert obs in env.observation_space
    parts = obs.values() if isinstance(obs, dict) else [obs]
    assert all(np.isfinite(part).all() for part in parts)
    assert math.isfinite(reward)
    assert all(np.isfinite(value).all() for value in info.values())
    assert min(info["commission"], info["slippage"], info["turnover"]) >= 0.0
    close = env.task.markets[env._opened[0]].close[info["bar"]]
    held = abs(info["units"] * close)
    scale = max(abs(before["equity"]), abs(info["equity"]), held, abs(info["pnl"]))
    assert info["cash"] + info["units"] * close == pytest.approx(info["equity"], abs=1e-12 * scale)
    terms = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
    assert info["equity"] - before["equity"] == pytest.approx(terms, abs=1e-9 * scale)


@st.composite
def markets(draw, n):
    log_prices = np.cumsum([draw(exponents) * math.log(10.0), *draw(st.lists(moves, min_size=2 * n, max_size=2 * n))])
    prices = np.exp(np.clip(log_prices, math.log(1e-6), math.log(1e9)))[1:]
    return Market.from_arrays(open=prices[::2], close=prices[1::2], name="extreme")


@st.composite
def worlds(draw):
    """Keywords that are all valid, from the smallest to the largest that anyone may mean."""
    n = draw(st.integers(4, 40))
    data = [draw(markets(n)) for _ in range(draw(st.integers(1, 2)))]
    lowest = min(min(market.open.min(), market.close.min()) for market in data)
    cash, leverage = 10.0 ** draw(st.floats(-6.0, 12.0)), draw(st.sampled_from([1.0, 2.5, 10.0]))
    part = st.sampled_from([0.0, 0.0, 1e-6, 0.01, 1.0, 100.0])
    rate = st.sampled_from([0.0, 1e-9, 5e-4, 0.02])
    actions = draw(st.sampled_from(["buy_hold_sell", "continuous", "lots", (-leverage, -0.1, 0.0, 0.7, leverage)]))
    return {
        "data": data,
        "features": ["close", "log_return_1"],
        "window": draw(st.sampled_from([1, 2, n - 2])) if n > 4 else 1,
        "actions": actions,
        "allow_short": draw(st.booleans()) if actions == "buy_hold_sell" else None,
        "sizing": draw(st.sampled_from(["drift", "rebalance"])) if isinstance(actions, tuple) else None,
        "lot_size": draw(
            st.sampled_from([None, *(cash / lowest * x for x in (1e-300, 1e-25, 1e-13, 1e-3, 0.3, 10.0))])
        ),
        "min_trade": draw(st.sampled_from([0.0, 0.05, 100.0])),
        "fill": draw(st.sampled_from(["next_open", "next_close", "close"])),
        "costs": {
            **{name: draw(rate) for name in ("commission", "half_spread", "slippage")},
            **{name: cash * draw(part) for name in ("fixed", "minimum")},
            "per_unit": lowest * draw(rate),
        },
        "margin": {
            "max_leverage": leverage,
            "maintenance": draw(st.sampled_from([0.0, 0.05, 0.9])),
            "ruin_fraction": draw(st.sampled_from([1e-100, 1e-6, 0.01, 0.99])),
            **{name: draw(st.sampled_from([0.0, 0.05, 20.0])) for name in ("r_cash", "r_margin", "r_borrow")},
            "short_proceeds_earn": draw(st.booleans()),
        },
        "bars_per_year": draw(st.sampled_from([0.5, 12, 252.0, 1e9])),
        "initial_cash": cash,
        "reward": draw(
            st.sampled_from(
                ["log_return", "pnl", "excess_log_return", DifferentialSharpe(1.0), MeanVariance(), "mean_variance"]
            )
        ),
        "observation": draw(st.sampled_from(["flat", "dict", "compact"])),
        "random_start": draw(st.booleans()),
    }


def flat_world(lot_size=None, price=10.0):
    market = Market.from_arrays(open=[price] * 4, close=[price] * 4)
    zeros = np.zeros((4, 1))
    return TradingEnv(market, window=1, features=zeros, lot_size=lot_size)


@pytest.mark.parametrize("lot_size", [1e-9, 1e-13, 1e-16, 1e-25, 1e-300, 5e-324])
def test_lots_too_small_to_matter_trade_as_fractions_do(lot_size):
    fractional, env = flat_world(), flat_world(lot_size)
    fractional.reset(), env.reset()
    assert env.step(2)[4]["units"] == pytest.approx(fractional.step(2)[4]["units"], rel=1e-12)


def test_a_step_that_float64_cannot_hold_raises_instead_of_reporting_nan():
    prices = np.tile([1e-10, 1e10], 30)
    market = Market.from_arrays(open=prices, close=prices)
    keywords = {"window": 1, "features": ["close"], "fill": "close", "actions": (1.0, 0.0), "initial_cash": 1e100}

    def run(env):
        env.reset()
        for t in range(60):
            _, reward, *_ = env.step(t % 2 if isinstance(env, TradingEnv) else np.array([t % 2]))
            assert np.isfinite(reward).all()

    scalar, vector = TradingEnv(market, **keywords), TradingVectorEnv(1, market, **keywords)
    for env in (scalar, vector):
        with pytest.raises(ValueError, match="float64 at bar"):
            run(env)
    np.testing.assert_array_equal(vector.get_state()["_state"][0], scalar.get_state()["_state"])
    np.testing.assert_array_equal(vector.get_state()["_clock"], scalar.get_state()["_clock"])


@pytest.mark.parametrize("price", [1e-16, 1e16, 5e-324, 1e308])
def test_prices_that_would_leave_float32_in_an_observation_are_refused(price):
    with pytest.raises(ValueError, match=r"data: open of 'market' must lie in .* at row 0"):
        flat_world(price=price)


@given(keywords=worlds(), seed=st.integers(0, 2**31))
@settings(fuzz, max_examples=250)
def test_in_an_extreme_world_all_is_finite_and_balances(keywords, seed):
    env, vector = TradingEnv(**keywords), TradingVectorEnv(1, autoreset_mode="disabled", **keywords)
    obs, info = env.reset(seed=seed)
    vector.reset(seed=seed)
    env.action_space.seed(seed)
    ended = False
    assert obs in env.observation_space
    while not ended:
        before, action = info, env.action_space.sample()
        obs, reward, terminated, truncated, info = env.step(action)
        check_step(env, before, obs, reward, info)
        assert terminated == (info["equity"] <= env.task.margin.ruin_fraction * env.task.initial_cash)
        assert vector.step(np.array([action]))[1].tolist() == [reward]
        ended = terminated or truncated
    if len(env.task.orders):
        rewards, _ = env.counterfactual()
        assert np.isfinite(rewards).all()
        assert reward in rewards


@given(
    start=exponents,
    returns=st.lists(st.floats(-0.09, 0.12), min_size=60, max_size=60),
    actions=st.lists(st.integers(0, 4), min_size=59, max_size=59),
)
@settings(fuzz, max_examples=100)
def test_an_account_at_ten_times_leverage_near_ruin_balances_for_long(start, returns, actions):
    closes = 10.0**start * np.cumprod(1.0 + np.array(returns))
    market = Market.from_arrays(open=closes, close=closes)
    env = TradingEnv(
        market,
        features=["close"],
        window=1,
        actions=(-10.0, -1.0, 0.0, 3.0, 10.0),
        margin={"max_leverage": 10.0, "maintenance": 0.02, "ruin_fraction": 1e-30},
    )
    _, info = env.reset()
    for action in actions:
        before = info
        obs, reward, terminated, _, info = env.step(action)
        check_step(env, before, obs, reward, info)
        if terminated:
            break
