"""Statistics, folds and the like check their arguments, each by its name."""

import math

import numpy as np
import pytest

from benchmarks.contenders import forecast_trader
from benchmarks.forecasting import metrics as forecast_metrics
from benchmarks.forecasting.windows import Windows, folds
from benchmarks.statistics import intervals as statistics
from benchmarks.statistics import two_level
from trading_env import Market

RNG = np.random.default_rng(0)
MARKET = Market.from_arrays(np.linspace(1.0, 2.0, 100), bars_per_year=252.0)
BARS, PAIR = np.array([[0, 1]]), [[0.1, 0.2]]


def fold(**changes):
    return folds(**{"rows": 1000, "first_test": 400, "count": 3, "validation": 100, "purge": 25, **changes})


def sharpes(returns, bars_per_year=252.0, samples=5, **keywords):
    return statistics.bootstrap_median_sharpe(returns, bars_per_year, samples, **keywords)


WRONG = [
    ("purge", lambda: fold(purge=-1)),
    ("purge", lambda: fold(purge=2.5)),
    ("rows", lambda: fold(rows=0)),
    ("rows", lambda: fold(rows="1000")),
    ("first_test", lambda: fold(first_test=400.5)),
    ("count", lambda: fold(count=0)),
    ("count", lambda: fold(count=True)),
    ("validation", lambda: fold(validation=-3)),
    ("market", lambda: Windows.of(None, 5, 1)),
    ("window", lambda: Windows.of(MARKET, 0, 5)),
    ("horizon", lambda: Windows.of(MARKET, 5, -1)),
    ("values", lambda: statistics.median_and_range("abc")),
    ("values", lambda: statistics.median_and_range([[1.0], [2.0]])),
    ("level", lambda: statistics.percentile_interval([1.0, 2.0], 1.5)),
    ("level", lambda: statistics.percentile_interval([1.0, 2.0], math.nan)),
    ("samples", lambda: statistics.percentile_interval([1e308, -1e308])),
    ("samples", lambda: statistics.percentile_interval(["a"])),
    ("values", lambda: statistics.iqm([])),
    ("values", lambda: statistics.iqm([1e308] * 5)),
    ("values", lambda: statistics.iqm(3.0)),
    ("axis", lambda: statistics.iqm([1.0, 2.0], axis=3)),
    ("samples", lambda: statistics.bootstrap_iqm([1.0, 2.0], 0)),
    ("samples", lambda: statistics.bootstrap_iqm([1.0, 2.0], 2.5)),
    ("seed", lambda: statistics.bootstrap_iqm([1.0, 2.0], 5, seed=-1)),
    ("values", lambda: statistics.bootstrap_iqm([])),
    ("mean_block", lambda: statistics.check_block("20")),
    ("mean_block", lambda: statistics.check_block(None)),
    ("bars", lambda: statistics.stationary_bootstrap(0, 5.0, 3, RNG)),
    ("samples", lambda: statistics.stationary_bootstrap(5, 5.0, 0, RNG)),
    ("rng", lambda: statistics.stationary_bootstrap(5, 5.0, 3, None)),
    ("returns", lambda: statistics.resampled_sharpe([0.1, 0.2], BARS, 252)),
    ("returns", lambda: statistics.resampled_sharpe([[1e308, -1e308]], BARS, 252)),
    ("drawn", lambda: statistics.resampled_sharpe(PAIR, np.array([[0, 5]]), 252)),
    ("drawn", lambda: statistics.resampled_sharpe(PAIR, np.array([[0, -1]]), 252)),
    ("drawn", lambda: statistics.resampled_sharpe(PAIR, np.array([[0, 0.5]]), 252)),
    ("bars_per_year", lambda: statistics.resampled_sharpe(PAIR, BARS, -252)),
    ("returns", lambda: sharpes([1.0])),
    ("returns", lambda: sharpes({})),
    ("returns", lambda: sharpes({"a": np.zeros(5)})),
    ("returns", lambda: sharpes({"a": np.zeros((0, 5))})),
    ("returns", lambda: sharpes({"a": np.zeros((2, 0))})),
    ("samples", lambda: sharpes({"a": np.zeros((1, 5))}, samples=0)),
    ("seed", lambda: sharpes({"a": np.zeros((1, 5))}, seed=-3)),
    ("forecast", lambda: forecast_metrics.rmse(["a"], [1.0])),
    ("forecast", lambda: forecast_metrics.mae([[1.0], [1.0, 2.0]], [1.0])),
    ("forecast", lambda: forecast_metrics.rmse([1e308], [-1e308])),
    ("level", lambda: forecast_metrics.skill_interval([1.0, 2], [0.0, 0], [1.0, 2], level=2.0)),
    ("samples", lambda: forecast_metrics.skill_interval([1.0, 2], [0.0, 0], [1.0, 2], samples=0)),
    ("forecast", lambda: forecast_trader.forecast_exposures(["a"], 0.1)),
    ("threshold", lambda: forecast_trader.forecast_exposures([1.0, 2.0], [0.1, 0.2, 0.3])),
    ("costs", lambda: forecast_trader.round_trip_cost(3)),
    ("growth", lambda: two_level.edge_interval(np.zeros(5))),
    ("growth", lambda: two_level.edge_interval(np.full((1, 5), np.nan))),
    ("growth", lambda: two_level.edge_interval(np.zeros((0, 5)))),
    ("level", lambda: two_level.edge_interval(np.zeros((1, 5)), level=2)),
    ("rewards", lambda: two_level.score_interval(np.zeros((2, 3)), np.ones(4))),
    ("level", lambda: two_level.score_interval(np.zeros((2, 3)), np.ones(3), level=-1)),
    ("optimal", lambda: two_level.score(np.zeros((2, 3)), np.zeros(3))),
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
    assert all(math.isnan(end) for end in forecast_metrics.skill_interval([1.0, 2.0], [1.0, 2.0], [1.0, 2.0], 5))
