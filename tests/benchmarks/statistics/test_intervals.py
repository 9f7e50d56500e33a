import math

import numpy as np
import pytest
from arch.bootstrap import StationaryBootstrap

from benchmarks.statistics import intervals as statistics
from benchmarks.statistics.intervals import check_block
from trading_env.analysis import metrics


def test_median_and_range_by_hand():
    assert statistics.median_and_range([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0, 3)
    assert statistics.median_and_range([4.0, math.nan, 2.0]) == (3.0, 2.0, 4.0, 2)
    assert statistics.median_and_range([math.nan]).defined == 0
    assert math.isnan(statistics.median_and_range([math.nan]).median)


def test_percentile_interval_by_hand():
    assert statistics.percentile_interval(np.arange(101.0), 0.9) == pytest.approx((5.0, 95.0))
    assert statistics.percentile_interval([1.0, math.nan, 3.0], 1.0) == (1.0, 3.0)
    assert all(math.isnan(end) for end in statistics.percentile_interval([1.0, math.nan]))


def test_bootstrap_draws_blocks_of_the_mean_length_uniformly():
    drawn = statistics.stationary_bootstrap(50, 5.0, 4000, np.random.default_rng(0))
    assert drawn.shape == (4000, 50)
    follows = (np.diff(drawn, axis=1) % 50 == 1).mean()
    assert follows == pytest.approx(1 - 1 / 5 + 1 / 5 / 50, abs=0.005)
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=50) / drawn.size, 1 / 50, rtol=0.05)
    whole = statistics.stationary_bootstrap(50, 1e12, 3, np.random.default_rng(0))
    assert (np.diff(whole, axis=1) % 50 == 1).all()
    with pytest.raises(ValueError, match="mean_block"):
        statistics.stationary_bootstrap(50, 0.5, 3, np.random.default_rng(0))


def test_resampled_sharpe_is_the_sharpe_of_the_drawn_returns():
    rng = np.random.default_rng(1)
    returns, drawn = rng.normal(0.001, 0.01, (3, 40)), rng.integers(40, size=(5, 40))
    expected = [[metrics.sharpe_ratio(seed[bars], 252) for seed in returns] for bars in drawn]
    np.testing.assert_allclose(statistics.resampled_sharpe(returns, drawn, 252), expected, rtol=1e-9)


def test_equal_returns_have_no_resampled_sharpe():
    drawn = np.array([[0, 1, 2], [0, 0, 0]])
    assert np.isnan(statistics.resampled_sharpe([[0.0] * 3, [0.001] * 3], drawn, 252)).all()
    assert np.isnan(statistics.resampled_sharpe([[0.1, 0.2, 0.3]], drawn, 252)).tolist() == [[False], [True]]


def test_interval_over_time_agrees_with_arch():
    returns = np.random.default_rng(2).normal(0.0005, 0.01, 800)
    ours = statistics.bootstrap_median_sharpe({"a": returns[None]}, 252, samples=4000, mean_block=10.0)["a"]
    theirs = StationaryBootstrap(10, returns, seed=0).apply(lambda drawn: metrics.sharpe_ratio(drawn, 252), 2000)
    assert np.std(ours) == pytest.approx(np.std(theirs), rel=0.06)
    assert statistics.percentile_interval(ours) == pytest.approx(statistics.percentile_interval(theirs[:, 0]), abs=0.12)


def test_names_share_the_drawn_bars_so_that_differences_are_paired():
    returns = np.random.default_rng(3).normal(0.0005, 0.01, (1, 300))
    medians = statistics.bootstrap_median_sharpe({"a": returns, "same": returns, "half": returns / 2}, 252, samples=50)
    np.testing.assert_array_equal(medians["a"], medians["same"])
    np.testing.assert_allclose(medians["a"], medians["half"])


def test_seeds_that_differ_widen_the_interval():
    base = np.random.default_rng(4).normal(0.0, 0.01, 400)
    same, apart = np.stack([base] * 5), np.stack([base + shift for shift in (-0.002, -0.001, 0.0, 0.001, 0.002)])
    medians = statistics.bootstrap_median_sharpe({"same": same, "apart": apart}, 252, samples=500)
    assert np.std(medians["apart"]) > 1.3 * np.std(medians["same"])


def test_seeds_without_a_ratio_are_left_out():
    returns = np.random.default_rng(5).normal(0.0, 0.01, (2, 100))
    idle = np.zeros((1, 100))
    medians = statistics.bootstrap_median_sharpe({"idle": idle, "mixed": np.concatenate([returns, idle])}, 252, 50)
    assert np.isnan(medians["idle"]).all()
    assert np.isfinite(medians["mixed"]).sum() > 40


def test_returns_must_have_one_length():
    with pytest.raises(ValueError, match=r"one number of bars, got \[3, 4\]"):
        statistics.bootstrap_median_sharpe({"a": np.zeros((1, 3)), "b": np.zeros((1, 4))}, 252)


@pytest.mark.parametrize("mean_block", [0.5, np.nan, np.inf])
def test_a_block_that_cannot_be_is_refused(mean_block):
    with pytest.raises(ValueError, match="mean_block must be finite and at least 1 bar"):
        check_block(mean_block)
