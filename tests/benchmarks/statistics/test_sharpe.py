import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics import (
    deflated_sharpe,
    expected_maximum_sharpe,
    mean_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_gap,
)
from benchmarks.statistics.sharpe import sharpe_ratios
from trading_env.analysis import metrics


def test_the_published_example_of_a_deflated_ratio():
    variance = 0.5 / 250
    assert expected_maximum_sharpe(100, variance) == pytest.approx(0.1132, abs=5e-5)
    assert deflated_sharpe(2.5 / math.sqrt(250), 1250, -3.0, 10.0, 100, variance) == pytest.approx(0.9004, abs=5e-5)


def test_the_expected_maximum_is_that_of_normal_draws():
    drawn = np.random.default_rng(0).normal(0.0, 0.3, size=(20_000, 50)).max(1).mean()
    assert expected_maximum_sharpe(50, 0.09) == pytest.approx(drawn, rel=0.02)
    assert expected_maximum_sharpe(1, 0.09) == 0.0


def test_a_probability_by_hand():
    # normal returns: the variance of the ratio is (1 + ratio^2 / 2) / (T - 1)
    expected = stats.norm.cdf(0.1 * math.sqrt(100) / math.sqrt(1.0 + 0.02))
    assert probabilistic_sharpe(0.2, 0.1, 101, 0.0, 3.0) == pytest.approx(expected)
    assert probabilistic_sharpe(0.1, 0.1, 101, -1.0, 5.0) == 0.5


def test_the_minimum_track_record_just_reaches_its_level():
    bars = minimum_track_record(0.1, 0.02, -0.5, 4.0, 0.9)
    assert probabilistic_sharpe(0.1, 0.02, math.ceil(bars), -0.5, 4.0) >= 0.9
    assert probabilistic_sharpe(0.1, 0.02, math.floor(bars), -0.5, 4.0) < 0.9
    assert minimum_track_record(0.02, 0.02, 0.0, 3.0) == math.inf


def test_returns_of_two_values_have_a_ratio_without_variance_at_most():
    assert probabilistic_sharpe(2.0, 1.0, 10, 1.0, 2.0) == 1.0  # kurtosis = 1 + skew^2, and 1 - 2 + 1 = 0
    assert probabilistic_sharpe(2.0, 2.0, 10, 1.0, 2.0) == 0.5


def test_the_mean_ratio_is_the_metric_of_each_seed():
    returns = np.random.default_rng(1).normal(0.0005, 0.01, (4, 300))
    expected = np.mean([metrics.sharpe_ratio(row, 252) for row in returns])
    assert mean_sharpe(returns, 252).value == pytest.approx(expected)


def test_the_standard_error_of_one_row_is_about_los_for_independent_normal_returns():
    rng = np.random.default_rng(2)
    errors = [mean_sharpe(rng.normal(0.1, 1.0, (1, 1000)), 252).standard_error for _ in range(100)]
    assert np.mean(errors) == pytest.approx(math.sqrt(252 * (1 + 0.1**2 / 2) / 1000), rel=0.05)


def test_rows_that_share_their_bars_differ_by_less_than_their_own_intervals_say():
    rng = np.random.default_rng(3)
    market = rng.normal(0.0, 0.01, 500)
    one, other = ((market + rng.normal(0.0, 0.001, (3, 500))) for _ in range(2))
    gap, alone = sharpe_gap(one, other, 252), mean_sharpe(one, 252)
    assert gap.value == pytest.approx(alone.value - mean_sharpe(other, 252).value)
    assert gap.standard_error < 0.3 * alone.standard_error
    assert sharpe_gap(one, one, 252).value == 0.0


def test_seeds_that_never_move_are_left_out():
    returns = np.random.default_rng(4).normal(0.0, 0.01, (2, 100))
    with_idle = np.concatenate([returns, np.full((1, 100), 1e-4)])
    assert mean_sharpe(with_idle, 252) == mean_sharpe(returns, 252)
    assert math.isnan(mean_sharpe(np.zeros((2, 100)), 252).value)
    assert math.isnan(sharpe_gap(np.zeros((2, 100)), returns, 252).value)


def test_the_influence_of_a_bar_is_what_the_ratio_loses_without_it():
    returns = np.random.default_rng(5).normal(1.0, 1.0, 2000)
    found = sharpe_ratios(returns[None])
    without = np.array([sharpe_ratios(np.delete(returns, t)[None]).ratio[0] for t in range(50)])
    np.testing.assert_allclose(1999 * (found.ratio[0] - without), found.influence[0, :50], atol=0.01)


def test_more_trials_than_float64_can_tell_apart_are_refused():
    assert expected_maximum_sharpe(10**18, 1.0) > 8.0
    for function in (lambda: expected_maximum_sharpe(10**400, 1.0), lambda: deflated_sharpe(0.1, 9, 0, 3, 10**400, 1)):
        with pytest.raises(ValueError, match="n_trials must be in"):
            function()
