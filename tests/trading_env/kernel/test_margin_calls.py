"""Margin calls within a bar: the position is closed where its low or high takes it below its maintenance."""

import numpy as np
import pytest

from trading_env import Costs, Margin, Market, TradingEnv, TradingVectorEnv, hindsight
from trading_env.envs.rendering.episode import trades_of

FREE = Costs(0.0, 0.0, 0.0)
DOUBLE = Margin(max_leverage=2.0, maintenance=0.25)
LEVEL = 1000.0 / 15.0  # 20 units, 1000 owed: -1000 + 20 q = 0.25 x 20 q


def world(bars, **keywords):
    """Market of bars (open, high, low, close) behind two flat ones at 100, and keywords of an env that sees no more."""
    o, h, lo, c = np.array([(100.0,) * 4] * 2 + bars).T
    keywords = {"window": 1, "features": np.zeros((len(c), 1)), "costs": FREE, "initial_cash": 1000.0, **keywords}
    return Market.from_arrays(open=o, high=h, low=lo, close=c), keywords


def levered(bars, sign=1.0, **keywords):
    """An env at its first bar, with the actions: 0 flat, 1 exposure of two."""
    margin = keywords.pop("margin", {"max_leverage": 2.0, "maintenance": 0.25})
    market, keywords = world(bars, actions=(0.0, 2.0 * sign), margin=margin, **keywords)
    return TradingEnv(market, **keywords)


def play(env, *actions):
    """The last info, terminated, and the equity before it."""
    _, info = env.reset()
    for action in actions:
        before = info["equity"]
        obs, _, terminated, _, info = env.step(action)
    gain = info["pnl"] - info["commission"] - info["slippage"] - info["financing"]
    assert info["equity"] - before == pytest.approx(gain, abs=1e-9)
    return obs, info, terminated


@pytest.mark.parametrize("fill", ["next_open", "next_close", "close"])
def test_a_wick_beyond_the_level_closes_a_long_position_there(fill):
    env = levered([(100.0, 100.0, 60.0, 95.0), (95.0, 95.0, 95.0, 95.0)], fill=fill)
    obs, info, terminated = play(env, 1, 1)
    assert info["units"] == 0.0
    assert info["equity"] == pytest.approx(0.25 * 20 * LEVEL, rel=1e-14)
    assert info["turnover"] == pytest.approx(20 * LEVEL / 1000.0)
    assert obs[-3] == 0.0  # the target is forgotten, so that the same choice enters again
    assert not terminated
    assert env.step(1)[4]["units"] > 0.0


def test_a_wick_beyond_the_level_closes_a_short_position_there():
    # 20 units sold, 3000 in cash: 3000 - 20 q = 0.25 x 20 q at q = 120
    _, info, _ = play(levered([(100.0, 130.0, 99.0, 101.0)], -1.0), 1, 1)
    assert (info["units"], info["equity"]) == (0.0, pytest.approx(600.0, rel=1e-14))


@pytest.mark.parametrize("low", [70.0, LEVEL + 1e-9, LEVEL])
def test_a_wick_to_the_level_or_above_it_closes_nothing(low):
    _, info, _ = play(levered([(100.0, 100.0, low, 95.0)]), 1, 1)
    assert info["units"] == pytest.approx(20.0)


@pytest.mark.parametrize(("opened", "sign", "equity"), [(60.0, 1.0, 200.0), (140.0, -1.0, 200.0)])
def test_a_bar_that_opens_beyond_the_level_closes_at_its_open(opened, sign, equity):
    env = levered([(opened, max(opened, 105.0), min(opened, 95.0), 100.0)], sign, fill="close")
    assert play(env, 1, 1)[1]["equity"] == pytest.approx(equity, rel=1e-14)


def test_the_costs_of_a_call_are_those_of_a_trade_at_its_price():
    costs = Costs(0.001, 0.0005, 0.0005, minimum=2.0)
    _, info, _ = play(levered([(100.0, 100.0, 60.0, 95.0)], costs=costs), 1, 1)
    level = info["turnover"] * (info["equity"] - info["pnl"] + info["commission"] + info["slippage"])
    assert info["slippage"] == pytest.approx(0.001 * level, rel=1e-12)
    assert info["commission"] == pytest.approx(max(2.0, 0.001 * 0.999 * level), rel=1e-12)


def test_the_order_of_the_bar_is_void_after_a_call_before_its_close():
    env = levered([(100.0, 100.0, 60.0, 95.0), (95.0, 95.0, 95.0, 95.0)], fill="next_close")
    obs, info, _ = play(env, 1, 0)
    assert (info["units"], obs[-3]) == (0.0, 0.0)
    assert info["turnover"] == pytest.approx(20 * LEVEL / 1000.0)  # closed once, at the level


def test_a_position_opened_at_the_bars_open_meets_its_wick_and_one_opened_at_its_close_does_not():
    bars = [(100.0, 100.0, 60.0, 95.0)]
    assert play(levered(bars, fill="next_open"), 0, 1)[1]["units"] == 0.0
    assert play(levered(bars, fill="next_close"), 0, 1)[1]["units"] == pytest.approx(2 * 1000.0 / 95.0)


@pytest.mark.parametrize(("sign", "bar"), [(1.0, (100.0, 100.0, 40.0, 99.0)), (-1.0, (100.0, 160.0, 99.0, 101.0))])
def test_without_maintenance_the_level_is_no_equity_and_that_is_ruin(sign, bar):
    _, info, terminated = play(levered([bar], sign, margin={"max_leverage": 2.0}), 1, 1)
    assert (info["units"], info["equity"]) == (0.0, pytest.approx(0.0, abs=1e-9))
    assert terminated


@pytest.mark.parametrize("margin", [{"maintenance": 0.25}, {}])
def test_the_close_alone_counts_where_that_is_asked_for_or_no_range_is_known(margin):
    bars = [(100.0, 160.0, 40.0, 95.0)]
    env = levered(bars, margin={"max_leverage": 2.0, "intrabar": False, **margin})
    assert play(env, 1, 1)[1]["units"] == pytest.approx(20.0)
    market, keywords = world(bars, actions=(0.0, 2.0), margin={"max_leverage": 2.0, **margin})
    env = TradingEnv(Market.from_arrays(open=market.open, close=market.close), **keywords)
    assert play(env, 1, 1)[1]["units"] == pytest.approx(20.0)


def test_of_several_datasets_those_without_a_range_go_by_their_close():
    market, keywords = world([(100.0, 100.0, 60.0, 95.0)], actions=(0.0, 2.0), margin=DOUBLE)
    bare = Market.from_arrays(open=market.open, close=market.close)
    env = TradingEnv([market, bare], **keywords)
    units = []
    for index in (0, 1):
        env.reset(options={"data": index})
        units.append([env.step(1)[4]["units"] for _ in range(2)][-1])
    assert units == [0.0, pytest.approx(20.0)]


def test_low_alone_counts_for_what_is_bought():
    market, keywords = world([(100.0, 100.0, 60.0, 95.0)], actions=(0.0, 2.0), margin=DOUBLE)
    market = Market.from_arrays(open=market.open, low=market.low, close=market.close)
    assert play(TradingEnv(market, **keywords), 1, 1)[1]["units"] == 0.0


def test_without_an_open_a_bar_wholly_beyond_the_level_closes_at_its_best_price():
    market, keywords = world([(64.0, 65.0, 60.0, 62.0)], actions=(0.0, 2.0), margin=DOUBLE)
    market = Market.from_arrays(high=market.high, low=market.low, close=market.close)
    _, info, _ = play(TradingEnv(market, fill="close", **keywords), 1, 1)
    assert info["equity"] == pytest.approx(-1000.0 + 20 * 65.0, rel=1e-13)


def test_an_account_that_owes_nothing_is_not_called():
    market, keywords = world([(100.0, 100.0, 1e-9, 95.0)])
    env = TradingEnv(market, **keywords)
    assert not env.task.wicks
    assert play(env, 2, 1)[1]["units"] == pytest.approx(10.0)


@pytest.mark.parametrize("actions", ["continuous", "lots", "buy_hold_sell", (-1.0, 0.0, 1.0)])
def test_short_positions_of_all_kinds_of_actions_are_called(actions):
    allow_short = {"allow_short": True} if actions == "buy_hold_sell" else {}
    market, keywords = world([(100.0, 300.0, 99.0, 100.0)], actions=actions, lot_size=10.0, **allow_short)
    env = TradingEnv(market, **keywords)
    short = np.array([-1.0]) if actions == "continuous" else 0
    still = short if actions in ("continuous", (-1.0, 0.0, 1.0)) else 1
    _, info, terminated = play(env, short, still)
    assert (info["units"], terminated) == (0.0, True)


@pytest.mark.parametrize("intrabar", [True, False])
def test_the_vector_env_closes_the_same_bit_for_bit(intrabar):
    rng = np.random.default_rng(3)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.05, 400)))
    opened = close * np.exp(rng.normal(0.0, 0.02, 400))
    high, low = np.maximum(opened, close) * 1.05, np.minimum(opened, close) * 0.95
    market = Market.from_arrays(open=opened, high=high, low=low, close=close)
    margin = {"max_leverage": 3.0, "maintenance": 0.1, "ruin_fraction": 1e-9, "intrabar": intrabar}
    for fill in ("next_open", "next_close", "close"):
        for costs in (Costs(), Costs(minimum=1.0)):
            for maintenance in (0.0, 0.1):
                options = {"margin": {**margin, "maintenance": maintenance}, "fill": fill, "costs": costs}
                keywords = {"data": market, "features": ["close"], "window": 1, "actions": (-3.0, 0.0, 3.0), **options}
                envs, single = TradingVectorEnv(40, **keywords), TradingEnv(**keywords)
                envs.reset(seed=0), single.reset(seed=0)
                actions = np.random.default_rng(1).integers(0, 3, (60, 40))
                for batch in actions:
                    info = envs.step(batch)[4]
                    own = single.step(batch[0])
                    assert all(info[key][0] == own[4][key] for key in ("equity", "cash", "units", "pnl", "turnover"))
                    if own[2]:
                        break


def test_the_hindsight_bound_is_reached_by_its_actions_and_knows_the_wicks():
    rng = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.04, 60)))
    opened = close * np.exp(rng.normal(0.0, 0.01, 60))
    market = Market.from_arrays(open=opened, close=close, high=np.maximum(opened, close) * 1.08, low=close * 0.85)
    margin = {"max_leverage": 4.0, "maintenance": 0.2}
    keywords = {"features": ["close"], "window": 1, "actions": (-4.0, 0.0, 4.0), "costs": Costs(1e-3, 0.0, 0.0)}
    bounds = {}
    for intrabar in (True, False):
        env = TradingEnv(market, margin={**margin, "intrabar": intrabar}, **keywords)
        best = hindsight(env)
        env.reset()
        reward = sum(env.step(action)[1] for action in best.actions)
        assert reward == pytest.approx(best.log_growth, rel=1e-9)
        bounds[intrabar] = best.log_growth
    assert bounds[True] < bounds[False]


def test_a_call_is_drawn_at_its_price_in_its_bar():
    env = levered([(100.0, 100.0, 60.0, 95.0)], fill="close")
    play(env, 1, 1)
    trades = trades_of(env.episode())
    assert trades.forced.tolist() == [False, True]
    assert (trades.bar[1], trades.price[1]) == (2, pytest.approx(LEVEL))
    assert "exit" not in env.history()
