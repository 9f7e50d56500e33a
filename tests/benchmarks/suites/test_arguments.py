"""Statistics, folds and the like check their arguments, each by its name."""

import math

import numpy as np
import pytest

from benchmarks.contenders import forecast_trader
from benchmarks.forecasting import metrics as forecast_metrics
from benchmarks.forecasting.windows import Windows
from benchmarks.statistics import certified_score, estimates, ledoit_wolf, multiple_testing, scores, sharpe
from benchmarks.statistics import intervals as statistics
from trading_env import Market

MARKET = Market.from_arrays(np.linspace(1.0, 2.0, 100), bars_per_year=252.0)


WRONG = [
    ("market", lambda: Windows.of(None, 5, 1)),
    ("window", lambda: Windows.of(MARKET, 0, 5)),
    ("horizon", lambda: Windows.of(MARKET, 5, -1)),
    ("values", lambda: statistics.median_and_range("abc")),
    ("values", lambda: statistics.median_and_range([[1.0], [2.0]])),
    ("scores", lambda: scores.iqm([])),
    ("scores", lambda: scores.iqm([1e308] * 5)),
    ("scores", lambda: scores.iqm(3.0)),
    ("axis", lambda: scores.iqm([1.0, 2.0], axis=3)),
    ("forecast", lambda: forecast_metrics.rmse(["a"], [1.0])),
    ("forecast", lambda: forecast_metrics.mae([[1.0], [1.0, 2.0]], [1.0])),
    ("forecast", lambda: forecast_metrics.rmse([1e308], [-1e308])),
    ("forecast", lambda: forecast_trader.forecast_exposures(["a"], 0.1)),
    ("threshold", lambda: forecast_trader.forecast_exposures([1.0, 2.0], [0.1, 0.2, 0.3])),
    ("costs", lambda: forecast_trader.round_trip_cost(3)),
    ("values", lambda: estimates.mean_over_seeds_and_bars(np.zeros(5))),
    ("values", lambda: estimates.mean_over_seeds_and_bars(np.full((1, 5), np.nan))),
    ("values", lambda: estimates.mean_over_seeds_and_paths(np.zeros((0, 5)))),
    ("values", lambda: estimates.mean_over_seeds([])),
    ("level", lambda: estimates.mean_over_seeds([1.0, 2.0]).interval(2)),
    ("failures", lambda: estimates.failure_rate(3, 2)),
    ("runs", lambda: estimates.failure_rate(0, 0)),
    ("rewards", lambda: certified_score.score_estimate(np.zeros((2, 3)), np.ones(4))),
    ("optimal", lambda: certified_score.score(np.zeros((2, 3)), np.zeros(3))),
    ("returns", lambda: sharpe.mean_sharpe(np.zeros(5), 252)),
    ("returns", lambda: sharpe.mean_sharpe(np.full((1, 5), np.inf), 252)),
    ("returns", lambda: sharpe.mean_sharpe(np.zeros((1, 1)), 252)),
    ("bars_per_year", lambda: sharpe.mean_sharpe(np.zeros((1, 5)), -1)),
    ("a", lambda: sharpe.sharpe_gap(np.eye(3), np.eye(4), 252)),
    ("n_bars", lambda: sharpe.probabilistic_sharpe(0.1, 0.0, 1, 0.0, 3.0)),
    ("sharpe", lambda: sharpe.probabilistic_sharpe(math.nan, 0.0, 100, 0.0, 3.0)),
    ("kurtosis", lambda: sharpe.probabilistic_sharpe(0.1, 0.0, 100, 2.0, 3.0)),
    ("n_trials", lambda: sharpe.expected_maximum_sharpe(0, 0.1)),
    ("n_trials", lambda: sharpe.deflated_sharpe(0.1, 100, 0.0, 3.0, 1.5, 0.1)),
    ("variance", lambda: sharpe.expected_maximum_sharpe(10, -0.1)),
    ("level", lambda: sharpe.minimum_track_record(0.1, 0.0, 0.0, 3.0, 1.0)),
    ("a", lambda: ledoit_wolf.sharpe_difference(np.ones(50), np.arange(50.0))),
    ("a", lambda: ledoit_wolf.sharpe_difference(np.arange(50.0), np.arange(40.0))),
    ("a and b", lambda: ledoit_wolf.sharpe_difference(np.arange(4.0), np.arange(4.0) ** 2)),
    ("sharpe", lambda: sharpe.probabilistic_sharpe(1e200, 0.0, 10, 0.0, 3.0)),
    ("sharpe", lambda: sharpe.minimum_track_record(1e-200, 0.0, 0.0, 3.0)),
    ("block", lambda: ledoit_wolf.sharpe_difference(np.arange(50.0), np.arange(50.0) ** 2, block=51)),
    ("losses", lambda: multiple_testing.superior({"a": np.zeros(40)}, np.zeros(50))),
    ("losses", lambda: multiple_testing.superior({"a": np.zeros(40), "b": np.zeros(50)}, np.zeros(50))),
    ("losses", lambda: multiple_testing.superior({"benchmark": np.zeros(50)}, np.zeros(50))),
    ("losses", lambda: multiple_testing.superior({}, np.zeros(50))),
    ("benchmark", lambda: multiple_testing.superior({"a": np.zeros(50)}, np.full(50, np.nan))),
    ("n_blocks", lambda: multiple_testing.probability_of_backtest_overfitting(np.eye(100), 7)),
    ("returns", lambda: multiple_testing.probability_of_backtest_overfitting(np.eye(20))),
    ("returns", lambda: multiple_testing.probability_of_backtest_overfitting(np.zeros((100, 1)))),
    ("scores", lambda: scores.tolerance_interval([])),
    ("method", lambda: scores.tolerance_interval([1.0], method="guess")),
    ("a", lambda: scores.probability_of_improvement(np.zeros((2, 3)), np.zeros((2, 4)))),
]


@pytest.mark.parametrize(("name", "call"), WRONG)
def test_a_wrong_argument_is_named(name, call):
    with pytest.raises((TypeError, ValueError), match=f"^{name}\\b.* must "):
        call()


def test_numbers_as_large_as_float64_holds_have_a_median():
    assert statistics.median_and_range([1e308, 1.7e308, 1.5e308]).median == 1.5e308
    assert statistics.median_and_range([1e308, 1.5e308]).median == 1.25e308


def test_a_perfect_naive_forecast_leaves_no_skill_to_measure():
    assert math.isnan(forecast_metrics.skill([1.0], [1.0], [1.0]))
    assert math.isnan(forecast_metrics.skill_estimate([1.0, 2.0], [1.0, 2.0], [1.0, 2.0]).value)
