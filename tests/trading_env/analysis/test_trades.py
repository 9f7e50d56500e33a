import itertools

import numpy as np
import pytest

from tests.trading_env.markets import random_market
from trading_env import Market, backtest

FREE = {"commission": 0.0, "slippage": 0.0}
PRICES = [10.0, 10.0, 20.0, 40.0, 20.0, 10.0, 10.0]


def market_of(close=PRICES, **fields):
    opened = [close[0], *close[:-1]]
    return Market.from_arrays(close, open=opened, time=np.arange("2024-01-01", len(close), dtype="M8[D]"), **fields)


def following(chosen, data=None, **keywords):
    """The backtest of a list of actions, and 0 from then on."""
    steps = iter(chosen)
    options = {"window": 1, "features": ["close"], "fill": "next_close", "costs": FREE, "initial_cash": 1000.0}
    data = market_of() if data is None else data
    return backtest(lambda obs: next(steps, 0), data, **{**options, **keywords})


def rows(result, *names):
    return result.trades()[list(names)].to_numpy().tolist()


def test_a_trade_is_an_entry_and_an_exit():
    result = following([2, 1, 0], costs={"commission": 0.01, "slippage": 0.0})
    (trade,) = result.trades().to_dict("records")
    assert (trade["side"], trade["closed_by"], trade["entry_bar"], trade["exit_bar"]) == ("long", "order", 1, 3)
    assert (str(trade["entry_time"])[:10], str(trade["exit_time"])[:10]) == ("2024-01-02", "2024-01-04")
    assert (trade["entry_price"], trade["exit_price"], trade["bars_held"]) == (10.0, 40.0, 2)
    units = 1000.0 / 10.1
    assert trade["units"] == pytest.approx(units)
    assert trade["pnl"] == pytest.approx(units * 30.0)
    assert trade["costs"] == pytest.approx(units * 0.5)
    assert trade["net"] == pytest.approx(result.equity[-1] - 1000.0)


def test_a_turn_closes_one_trade_and_opens_the_next():
    result = following([2, 1, 0, 1, 1, 2], allow_short=True)
    assert rows(result, "side", "entry_bar", "exit_bar", "entry_price", "exit_price", "closed_by") == [
        ["long", 1, 3, 10.0, 40.0, "order"],
        ["short", 3, 6, 40.0, 10.0, "order"],
        ["long", 6, 6, 10.0, 10.0, "open"],
    ]
    assert rows(result, "units", "pnl")[:2] == [[100.0, 3000.0], [100.0, 3000.0]]


def test_a_reduction_closes_a_trade_of_that_many_units():
    result = following([1, 2, 0, 2, 0], actions=(0.0, 1.0, 0.5))
    # 100 units at 10; at 20 half of 2,000 is 50 units; at 40 none; at 20 100 units for 2,000; at 10 none
    assert rows(result, "units", "entry_price", "exit_price", "entry_bar", "exit_bar") == [
        [50.0, 10.0, 20.0, 1, 2],
        [50.0, 10.0, 40.0, 1, 3],
        [75.0, 20.0, 10.0, 4, 5],
    ]


def test_a_part_bears_its_share_of_the_costs_of_the_entry():
    result = following([1, 2, 0], actions=(0.0, 1.0, 0.5), costs={"commission": 0.01, "slippage": 0.0})
    units = 1000.0 / 10.1
    first, second = result.trades().to_dict("records")
    assert first["units"] + second["units"] == pytest.approx(units)
    for trade in (first, second):
        assert trade["costs"] == pytest.approx(0.01 * trade["units"] * (10.0 + trade["exit_price"]))


def test_an_enlarged_position_has_its_average_entry_price():
    result = following([1, 2, 0], actions=(0.0, 0.25, 1.0))
    # 25 units at 10; then 1,250 are 62.5 units at 20
    assert rows(result, "units", "entry_price", "exit_price", "entry_bar", "exit_bar") == [
        [62.5, pytest.approx((25 * 10 + 37.5 * 20) / 62.5), 40.0, 1, 3]
    ]


def test_a_position_that_is_open_at_the_end_is_valued_at_the_last_close():
    result = following([1, 2], costs={"commission": 0.01, "slippage": 0.0}, actions=(0.0, 0.1, 1.0), data=market_of())
    steps = iter([2])
    held = backtest(lambda obs: next(steps, 1), market_of(), window=1, features=["close"], fill="next_close")
    (trade,) = held.trades().to_dict("records")
    assert (trade["closed_by"], trade["exit_bar"], trade["exit_price"]) == ("open", 6, 10.0)
    assert trade["costs"] == pytest.approx(held.cost_paid)
    assert set(result.trades()["closed_by"]) == {"order"}


def test_a_fill_at_the_close_just_seen_has_the_bar_before_the_step():
    assert rows(following([2, 1, 0], fill="close"), "entry_bar", "exit_bar", "entry_price") == [[0, 2, 10.0]]
    assert rows(following([2, 1, 0], fill="next_open"), "entry_bar", "exit_bar", "entry_price") == [[1, 3, 10.0]]


def test_a_liquidation_is_named_and_has_its_own_price():
    close = [100.0, 100.0, 100.0, 60.0, 60.0]
    data = market_of(close, high=[100.0] * 3 + [100.0, 60.0], low=[100.0] * 3 + [60.0, 60.0])
    options = {"actions": (0.0, 2.0), "margin": {"max_leverage": 2.0, "maintenance": 0.25}, "fill": "next_open"}
    result = following([1, 1, 1, 0], data=data, **options)
    (trade,) = result.trades().to_dict("records")
    assert (trade["closed_by"], trade["exit_bar"]) == ("broker", 3)
    assert trade["exit_price"] == pytest.approx(200.0 / 3.0)  # equity 20 u - 1000 = a quarter of 20 u


def test_no_trade_is_an_empty_table_with_the_same_columns():
    none = following([0]).trades()
    assert len(none) == 0
    assert none.dtypes.to_dict() == following([2, 0]).trades().dtypes.to_dict()
    assert "entry_time" not in backtest(lambda obs: 1, random_market(), window=1).trades()


OPTIONS = {
    "fill": ["next_open", "next_close", "close"],
    "actions": [(-2.0, -0.5, 0.0, 1.0, 2.0), "continuous", "lots"],
    "intrabar": [True, False],
    "fees": [{}, {"fixed": 2.0, "minimum": 5.0, "per_unit": 0.01}],
}


@pytest.mark.parametrize("case", list(itertools.product(*OPTIONS.values())), ids=str)
def test_pnl_less_costs_is_the_gain_but_for_financing(case):
    fill, actions, intrabar, fees = case
    rng = np.random.default_rng(7)
    keywords = {
        "fill": fill,
        "actions": actions,
        "costs": {"commission": 2e-3, "slippage": 1e-3, **fees},
        "margin": {"max_leverage": 2.0, "maintenance": 0.45, "intrabar": intrabar, "r_margin": 0.05, "r_borrow": 0.1},
        **({"lots": 300, "initial_cash": 20_000.0} if actions == "lots" else {}),
    }
    draw = (lambda obs: rng.choice(np.float32([-1.0, -0.3, 0.2, 1.0]), 1)) if actions == "continuous" else None
    n = 601 if actions == "lots" else 5
    market = random_market(3, 400, 0.04, whole=True, since="2020-01-01")
    result = backtest(draw or (lambda obs: rng.integers(n)), market, window=2, features=["close"], **keywords)
    trades, frame = result.trades(), result.to_frame()
    assert len(trades) > 20
    rebalanced = (fill, actions, intrabar) == ("next_close", "continuous", False)  # to the margin at every close
    if actions != "lots" and not rebalanced:
        assert "broker" in set(trades["closed_by"])
    scale = frame["turnover"].sum() * result.equity.max()
    gain = result.equity[len(frame)] - result.equity[0]
    assert (trades["net"] == trades["pnl"] - trades["costs"]).all()
    assert trades["net"].sum() - result.financing.sum() == pytest.approx(gain, abs=1e-12 * scale)
    assert trades["pnl"].sum() == pytest.approx(frame["pnl"].sum(), abs=1e-12 * scale)
    assert trades["costs"].sum() == pytest.approx(result.cost_paid)
    assert (trades["units"] > 0.0).all()
    assert (trades["bars_held"] >= 0).all()
    assert trades["exit_bar"].is_monotonic_increasing
