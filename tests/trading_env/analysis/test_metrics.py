import math

import numpy as np
import pytest

from trading_env.analysis import metrics

EQUITY = np.array([100.0, 110.0, 99.0, 108.9])
RETURNS = np.array([0.1, -0.1, 0.1])


def test_returns_are_those_of_the_bars():
    np.testing.assert_allclose(metrics.simple_returns(EQUITY), RETURNS, rtol=1e-12)


def test_total_and_annual_return():
    assert metrics.total_return(EQUITY) == pytest.approx(0.089)
    assert metrics.annual_return(EQUITY, 3) == pytest.approx(0.089)
    assert metrics.annual_return(EQUITY, 6) == pytest.approx(1.089**2 - 1)
    assert metrics.annual_return([100.0, 0.0], 252) == -1.0


def test_volatility_and_sharpe_by_hand():
    mean, deviation = 0.1 / 3, math.sqrt(((0.1 - 0.1 / 3) ** 2 * 2 + (-0.1 - 0.1 / 3) ** 2) / 2)
    assert metrics.annual_volatility(RETURNS, 4) == pytest.approx(2 * deviation)
    assert metrics.sharpe_ratio(RETURNS, 4) == pytest.approx(2 * mean / deviation)
    assert metrics.sharpe_ratio(RETURNS, 4, risk_free=0.08) == pytest.approx(2 * (mean - 0.02) / deviation)


def test_sharpe_standard_error_for_independent_returns():
    # Lo (2002), table 1: a monthly ratio of 0.5 from 12 observations has the standard error 0.306.
    returns = np.array([0.5 + math.sqrt(11 / 12), 0.5 - math.sqrt(11 / 12)] * 6)  # mean 0.5, deviation 1
    assert metrics.sharpe_ratio(returns, 1) == pytest.approx(0.5)
    assert metrics.sharpe_standard_error(returns, 1) == pytest.approx(0.306, abs=5e-4)
    assert metrics.sharpe_standard_error(returns, 4) == pytest.approx(2 * math.sqrt(1.125 / 12))


def test_gmm_standard_error_by_hand():
    # Two values at equal distance from the mean: the second moment never moves, the first alone counts.
    returns = np.array([0.3, -0.1] * 4)
    deviation = returns.std(ddof=1)
    assert metrics.sharpe_standard_error(returns, 1, method="gmm", lags=0) == pytest.approx(
        math.sqrt(0.04 / deviation**2 / 8)
    )
    # One lag with weight 1/2: autocovariance -0.04 * 7/8, so the variance is 0.04 (1 - 7/8).
    assert metrics.sharpe_standard_error(returns, 1, method="gmm", lags=1) == pytest.approx(
        math.sqrt(0.04 / 8 / deviation**2 / 8)
    )


def test_standard_errors_are_the_spread_of_the_ratio():
    rng = np.random.default_rng(3)
    noise = rng.standard_normal((2000, 501))
    independent, dependent = noise[:, 1:] + 0.1, noise[:, 1:] + noise[:, :-1] + 0.1
    for returns, method in ((independent, "iid"), (independent, "gmm"), (dependent, "gmm")):
        ratios = [metrics.sharpe_ratio(row, 252) for row in returns]
        errors = [metrics.sharpe_standard_error(row, 252, method=method) for row in returns[:200]]
        assert np.mean(errors) == pytest.approx(np.std(ratios), rel=0.1)
    overconfident = metrics.sharpe_standard_error(dependent[0], 252)
    assert overconfident < 0.85 * np.std([metrics.sharpe_ratio(row, 252) for row in dependent])


def test_sortino_counts_only_what_falls_short():
    assert metrics.sortino_ratio(RETURNS, 9) == pytest.approx(3 * (0.1 / 3) / math.sqrt(0.01 / 3))
    assert math.isnan(metrics.sortino_ratio([0.1, 0.2], 9))
    assert metrics.sortino_ratio([0.1, 0.2], 1, target=0.2) == pytest.approx(-0.05 / math.sqrt(0.01 / 2))


def test_drawdown_and_its_length():
    equity = [100.0, 120.0, 90.0, 110.0, 120.0, 115.0]
    assert metrics.max_drawdown(equity) == pytest.approx(0.25)
    assert metrics.max_drawdown_length(equity) == 3  # bar 1 to bar 4
    assert metrics.max_drawdown_length(equity[:4]) == 2  # never regained
    assert metrics.max_drawdown([1.0, 2.0, 2.0]) == 0.0
    assert metrics.max_drawdown_length([1.0, 2.0, 2.0]) == 0


def test_calmar():
    assert metrics.calmar_ratio(EQUITY, 3) == pytest.approx(0.089 / 0.1)
    assert math.isnan(metrics.calmar_ratio([1.0, 2.0], 252))


def test_hit_rate_leaves_out_idle_bars():
    assert metrics.hit_rate([0.1, 0.0, -0.1, 0.2]) == pytest.approx(2 / 3)
    assert math.isnan(metrics.hit_rate([0.0, 0.0]))


def test_trading_numbers():
    assert metrics.annual_turnover([1.0, 0.0, 0.5, 0.0], 252) == pytest.approx(94.5)
    assert metrics.mean_exposure([1.0, -0.5]) == 0.25
    assert metrics.cost_paid([1.0, 2.0], [0.5, 0.0]) == 3.5


def test_break_even_cost_is_the_rate_that_eats_the_profit():
    # 108.9 - 100 gained after 1.1 of costs, on 100 + 55 traded.
    assert metrics.break_even_cost(EQUITY, [1.0, 0.5, 0.0], [1.0, 0.1, 0.0]) == pytest.approx(10.0 / 155.0)
    assert math.isnan(metrics.break_even_cost(EQUITY, [0.0] * 3, [0.0] * 3))
    with pytest.raises(ValueError, match="turnover must have 3 bars"):
        metrics.break_even_cost(EQUITY, [1.0], [1.0])


def test_equal_returns_have_no_ratio():
    flat = np.full(7, 0.001)  # whose mean misses 0.001 by rounding
    assert metrics.annual_volatility(flat, 252) == 0.0
    assert math.isnan(metrics.sharpe_ratio(flat, 252))
    assert math.isnan(metrics.sharpe_standard_error(flat, 252))
    assert math.isnan(metrics.sharpe_ratio([0.1], 252))


@pytest.mark.parametrize(
    ("equity", "message"),
    [
        ([1.0], "at least two"),
        ([[1.0, 2.0]], r"equity must be one-dimensional, got shape \(1, 2\)"),
        ("curve.csv", r"equity must be one-dimensional, got shape \(\)"),
        (None, r"equity must be one-dimensional, got shape \(\)"),
        ([1.0, math.nan, 1.0], "equity must be finite, got nan at 1"),
        ([1.0, 0.0, 1.0], "positive before its last value, got 0.0 at 1"),
    ],
)
def test_wrong_curves_are_refused(equity, message):
    with pytest.raises(ValueError, match=message):
        metrics.total_return(equity)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="bars_per_year"):
        metrics.sharpe_ratio(RETURNS, 0)
    with pytest.raises(ValueError, match="method"):
        metrics.sharpe_standard_error(RETURNS, 252, method="lo")
    with pytest.raises(ValueError, match="lags"):
        metrics.sharpe_standard_error(RETURNS, 252, method="gmm", lags=3)


SERIES = {
    "equity": (metrics.simple_returns, metrics.total_return, metrics.max_drawdown, metrics.max_drawdown_length),
    "returns": (
        metrics.hit_rate,
        lambda values: metrics.annual_volatility(values, 252),
        lambda values: metrics.sharpe_ratio(values, 252),
        lambda values: metrics.sharpe_standard_error(values, 252),
        lambda values: metrics.sortino_ratio(values, 252),
    ),
    "turnover": (
        lambda values: metrics.annual_turnover(values, 252),
        lambda values: metrics.break_even_cost(EQUITY, values, RETURNS),
    ),
    "exposure": (metrics.mean_exposure,),
    "commission": (lambda values: metrics.cost_paid(values, RETURNS),),
    "slippage": (lambda values: metrics.cost_paid(RETURNS, values),),
    "costs": (lambda values: metrics.break_even_cost(EQUITY, RETURNS, values),),
    "moments": (lambda values: metrics.long_run_covariance(values, 1),),
}


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(
    "values", ["abc", ["a", "b"], np.array([1.0, "x"], object), [1.0, None], [[1.0], [1.0, 2.0]], [True, False]]
)
def test_what_is_no_series_of_numbers_is_refused_by_name(name, values):
    for metric in SERIES[name]:
        with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
            metric(values)


def test_a_drawdown_begins_at_the_last_bar_of_its_peak():
    assert metrics.max_drawdown_length([100, 90, 100, 80, 100]) == 2
    assert metrics.max_drawdown_length([100] * 6 + [99, 100]) == 2


def test_a_year_of_a_great_minute_is_infinite():
    assert metrics.annual_return([100.0, 101.0], 252.0 * 390.0) == math.inf
    assert metrics.calmar_ratio([100.0, 99.0, 101.0], 1e6) == math.inf


def test_rounding_is_no_volatility():
    returns = metrics.simple_returns(100.0 * 1.0001 ** np.arange(300))
    assert returns.min() < returns.max()
    assert math.isnan(metrics.sharpe_ratio(returns, 252.0))
    assert math.isnan(metrics.sharpe_standard_error(returns, 252.0, method="gmm"))
    assert math.isnan(metrics.sortino_ratio(returns, 252.0, target=252.0 * returns.mean()))


def test_series_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="slippage must have 3 bars as commission has, got 1"):
        metrics.cost_paid([1.0, 2.0, 3.0], [0.1])
    with pytest.raises(ValueError, match="costs must have 2 bars as equity has, got 1"):
        metrics.break_even_cost([1.0, 2.0, 3.0], [0.1, 0.2], [1.0])


def test_rounding_is_no_drawdown_and_no_hit():
    curve = np.array([100.0, 100.0, 100.0 * (1.0 - 1e-16), 100.0 * (1.0 - 2e-16), 101.0])
    assert (metrics.max_drawdown(curve), metrics.max_drawdown_length(curve)) == (0.0, 0)
    assert math.isnan(metrics.calmar_ratio(curve, 252.0))
    assert metrics.hit_rate([0.01, -2e-16, 2e-16]) == 1.0


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize("size", [1e308, 1e200])
def test_numbers_that_float64_cannot_compute_with_are_named(name, size):
    """The result, where there is one, is not infinite; else the error names the series and its size."""
    values = np.array([size, 1.0 / size, size])
    values = np.stack([values, -values], axis=1) if name == "moments" else values
    for metric in SERIES[name]:
        try:
            assert not np.isinf(metric(values)).any()
        except ValueError as error:
            assert name in str(error)  # noqa: PT017
            assert f"up to {size:g} in size" in str(error)  # noqa: PT017


def test_great_numbers_with_a_result_keep_it():
    assert metrics.max_drawdown([1e308, 5e307, 1e308]) == 0.5
    assert metrics.total_return([1e308, 1.5e308]) == 0.5
    with pytest.raises(
        ValueError, match=r"^returns must not make the computation overflow float64, got returns up to 1e\+308"
    ):
        metrics.sharpe_ratio(returns=[1e308, -1e308], bars_per_year=252)
    with pytest.raises(ValueError, match=r"^moments must be finite"):
        metrics.long_run_covariance([[math.nan, 1.0]], 0)
