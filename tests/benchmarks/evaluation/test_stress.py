import math

import numpy as np
import pytest

from benchmarks.evaluation.stress import COSTS, Delayed, break_even, growth_of, stressed
from trading_env import Market, backtest
from trading_env.analysis import strategies
from trading_env.data import simulators

MARKET = simulators.gbm(200, 0)
TASK = {"actions": (0.0, 1.0), "window": 2, "features": ["log_return_1"]}


def alternating(obs):
    """Long after a rise, else flat."""
    return int(obs[1] > 0)


def test_a_delayed_policy_takes_the_actions_of_the_bar_before():
    once = backtest(alternating, MARKET, **TASK).to_frame()["action"].to_numpy()
    late = backtest(Delayed(alternating, 1), MARKET, check_env=False, **TASK).to_frame()["action"].to_numpy()
    np.testing.assert_array_equal(late[1:], once[:-1])
    assert late[0] == 0  # flat
    assert once.any()
    assert not once.all()


def test_a_delayed_policy_holds_first_where_it_can():
    always = backtest(Delayed(lambda obs: 2, 1), MARKET, check_env=False, window=2)
    assert always.to_frame()["action"].tolist()[:3] == [1, 2, 2]


def test_strategies_and_several_runs_can_be_delayed():
    late = backtest(Delayed(strategies.mean_reversion, 1), MARKET, **TASK).to_frame()["exposure"].to_numpy()
    once = backtest(strategies.mean_reversion, MARKET, **TASK).to_frame()["exposure"].to_numpy()
    np.testing.assert_array_equal(late[1:] > 0, once[:-1] > 0)
    several = backtest(Delayed([alternating, lambda obs: 1], 2), MARKET, check_env=False, **TASK)
    assert several.equity.shape[0] == 2


def test_growth_is_the_mean_log_return_of_the_account():
    tracks = backtest(alternating, MARKET, **TASK).tracks
    np.testing.assert_allclose(growth_of(alternating, MARKET, **TASK), np.log1p(tracks.returns).mean(1))


def test_costs_take_growth_and_keep_the_policy():
    found = stressed(alternating, 1, MARKET, {**TASK, "costs": {"commission": 0.3}})
    assert found["growth_at_costs"].shape == (len(COSTS), 1)
    assert (np.diff(found["growth_at_costs"][:, 0]) < 0).all()
    free = growth_of(alternating, MARKET, **TASK, costs={"commission": 0.0, "slippage": 0.0})
    np.testing.assert_array_equal(found["growth_at_costs"][0], free)
    assert found["growth_a_bar_late"].shape == (1,)


def test_break_even_by_hand():
    assert break_even([0.0, 1.0, 2.0], [3.0, 1.0, -1.0]) == 1.5
    assert break_even([0.0, 1.0], [2.0, 0.0]) == 1.0
    assert break_even([0.0, 1.0], [2.0, 1.0]) == math.inf
    assert math.isnan(break_even([0.0, 1.0], [0.0, -1.0]))
    assert break_even([0.0, 1.0], [1.0, -math.inf]) == pytest.approx(0.0)


def test_a_market_without_costs_or_moves_grows_by_nothing():
    still = Market.from_arrays(np.full(30, 5.0))
    assert growth_of(
        lambda obs: 0, still, actions=(0.0, 1.0), window=1, features=["log_return_1"], fill="next_close"
    ).tolist() == [0.0]
