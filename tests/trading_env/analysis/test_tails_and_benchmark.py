import math

import numpy as np
import pytest
from scipy import stats

from trading_env.analysis import relative, tails

RETURNS = [0.03, -0.02, 0.01, -0.05, 0.00, 0.02]


def test_moments_agree_with_scipy():
    values = np.random.default_rng(0).standard_t(5, 500)
    assert tails.skewness(values) == pytest.approx(stats.skew(values))
    assert tails.kurtosis(values) == pytest.approx(stats.kurtosis(values, fisher=False))
    assert math.isnan(tails.skewness([0.1, 0.1]))


def test_the_tail_counts_whole_returns():
    assert tails.value_at_risk(RETURNS) == pytest.approx(0.05)
    assert tails.value_at_risk(RETURNS, level=2 / 3) == pytest.approx(0.02)
    assert tails.expected_shortfall(RETURNS, level=2 / 3) == pytest.approx(0.035)


def test_extremes_profit_factor_and_ulcer_index_by_hand():
    assert (tails.best(RETURNS), tails.worst(RETURNS)) == (0.03, -0.05)
    assert tails.profit_factor([3.0, -1.0, 0.0, -1.0]) == 1.5
    assert math.isnan(tails.profit_factor([1.0, 2.0]))
    assert tails.ulcer_index([1.0, 0.5, 1.0]) == pytest.approx(math.sqrt(0.25 / 3))


def test_beta_alpha_and_correlation_are_those_of_the_regression():
    rng = np.random.default_rng(1)
    other = rng.normal(0.0, 0.01, 300)
    ours = 0.7 * other + rng.normal(0.001, 0.01, 300)
    line = stats.linregress(other, ours)
    assert relative.beta(ours, other) == pytest.approx(line.slope)
    assert relative.alpha(ours, other, 252.0) == pytest.approx(252.0 * line.intercept)
    assert relative.correlation(ours, other) == pytest.approx(line.rvalue)


def test_tracking_error_and_information_ratio_by_hand():
    ours, other = [0.02, 0.00], [0.01, 0.03]  # differences 0.01, -0.03
    assert relative.tracking_error(ours, other, 4.0) == pytest.approx(2.0 * 0.04 / math.sqrt(2.0))
    assert relative.information_ratio(ours, other, 4.0) == pytest.approx(-0.01 * 4.0 / (0.08 / math.sqrt(2.0)))
    assert math.isnan(relative.information_ratio([0.1, 0.1], [0.0, 0.0], 252.0))


def test_bars_without_a_benchmark_are_left_out_of_its_numbers():
    ours, other = np.array(RETURNS), np.array([np.nan, 0.01, 0.02, -0.01, 0.0, 0.03])
    assert relative.beta(ours, other) == pytest.approx(stats.linregress(other[1:], ours[1:]).slope)
    assert math.isnan(relative.beta(ours, np.full(6, np.nan)))
    with pytest.raises(ValueError, match="benchmark must have 6 bars"):
        relative.beta(ours, other[1:])
