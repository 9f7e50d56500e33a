import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics.estimates import (
    Estimate,
    Variance,
    centred_estimate,
    failure_rate,
    gap_over_seeds_and_bars,
    mean_over_seeds,
    mean_over_seeds_and_bars,
    mean_over_seeds_and_paths,
    time_variance,
)


def test_the_interval_over_seeds_is_students():
    values = np.array([1.0, 2.0, 4.0, 9.0])
    expected = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    assert mean_over_seeds(values).interval() == pytest.approx(expected)
    assert mean_over_seeds(values).p_value == pytest.approx(stats.ttest_1samp(values, 0.0).pvalue, abs=1e-6)


def test_of_one_seed_no_interval_is_known():
    one = mean_over_seeds([3.0])
    assert one.value == 3.0
    assert all(math.isnan(end) for end in one.interval())
    assert math.isnan(one.p_value)


def test_what_never_varies_is_a_point():
    assert mean_over_seeds_and_bars(np.full((3, 50), 0.25)).interval() == (0.25, 0.25)
    assert mean_over_seeds_and_paths(np.full((3, 5), 0.25)).interval() == (0.25, 0.25)


def test_half_widths_of_independent_parts_add_in_squares():
    both = Estimate(0.0, (Variance(4.0, 3), Variance(9.0, 50)))
    reach = math.hypot(2.0 * stats.t.ppf(0.975, 3), 3.0 * stats.t.ppf(0.975, 50))
    assert both.interval() == pytest.approx((-reach, reach))
    assert both.standard_error == pytest.approx(math.sqrt(13.0))
    at_the_limit = both._replace(value=reach)
    assert at_the_limit.p_value == pytest.approx(0.05)
    assert both.detectable() == pytest.approx(reach + both.reach(0.6))


def test_the_variance_over_time_is_that_of_a_mean_if_bars_are_independent():
    values = np.random.default_rng(0).normal(size=(400, 500))
    found = np.mean([time_variance(row).value for row in values])
    assert found == pytest.approx(1.0 / 500, rel=0.03)
    assert time_variance(values[0]).freedom == math.ceil(0.41 * 500 ** (2 / 3))


def test_the_variance_over_time_knows_autocorrelation():
    noise = np.random.default_rng(1).normal(size=(400, 2000))
    series = noise[:, 1:] + 0.5 * noise[:, :-1]  # long-run variance 1.5^2
    found = np.mean([time_variance(row).value for row in series])
    assert found == pytest.approx(2.25 / 1999, rel=0.05)


def test_seeds_and_paths_both_widen_the_interval():
    rng = np.random.default_rng(2)
    seeds, paths = rng.normal(size=(10, 1)), rng.normal(size=(1, 40))
    over_seeds = mean_over_seeds_and_paths(np.repeat(seeds, 40, 1))
    assert over_seeds.interval() == pytest.approx(mean_over_seeds(seeds[:, 0]).interval())
    over_paths = mean_over_seeds_and_paths(np.repeat(paths, 10, 0))
    assert over_paths.interval() == pytest.approx(mean_over_seeds(paths[0]).interval())
    both = mean_over_seeds_and_paths(seeds + paths)
    assert both.standard_error == pytest.approx(math.hypot(over_seeds.standard_error, over_paths.standard_error))


def test_one_seed_varies_over_paths_and_one_path_over_seeds():
    values = np.random.default_rng(3).normal(size=(6, 9))
    assert mean_over_seeds_and_paths(values[:1]) == mean_over_seeds(values[0])
    assert mean_over_seeds_and_paths(values[:, :1]) == mean_over_seeds(values[:, 0])


def test_noise_of_seeds_on_their_own_bars_is_counted_once():
    rng = np.random.default_rng(4)
    errors, means = [], []
    for _ in range(300):
        values = rng.normal(size=(8, 400))  # seeds with the same expectation
        one = mean_over_seeds_and_bars(values)
        errors.append(one.standard_error**2)
        means.append(one.value)
    assert np.mean(errors) == pytest.approx(np.var(means), rel=0.25)
    assert np.mean(errors) < 1.35 / (8 * 400)  # counted twice it would be 2


def test_a_single_row_has_the_variance_over_time_alone():
    values = np.random.default_rng(5).normal(size=(1, 300))
    one = centred_estimate(values.mean(1), values - values.mean())
    assert one.parts == (time_variance(values[0]),)


@pytest.mark.parametrize(("failures", "runs"), [(0, 10), (1, 10), (10, 10), (3, 30)])
def test_the_interval_of_a_failure_rate_is_exact(failures, runs):
    low, high = failure_rate(failures, runs)
    assert failures == 0 or stats.binom.sf(failures - 1, runs, low) == pytest.approx(0.025)
    assert failures == runs or stats.binom.cdf(failures, runs, high) == pytest.approx(0.025)
    assert (low == 0.0) == (failures == 0)
    assert (high == 1.0) == (failures == runs)


def test_a_gap_knows_shared_bars_and_independent_seeds():
    rng = np.random.default_rng(6)
    market = rng.normal(size=600)
    a, b = (market + 0.1 * rng.normal(size=(4, 600)) + shift for shift in (0.5, 0.0))
    gap = gap_over_seeds_and_bars(a, b)
    assert gap.value == pytest.approx(a.mean() - b.mean())
    assert gap.interval()[0] > 0.4
    assert gap.standard_error < 0.2 * mean_over_seeds_and_bars(a).standard_error
    apart = gap_over_seeds_and_bars(np.repeat([[0.0], [1.0]], 50, 1), np.zeros((1, 50)))  # only seeds vary
    assert apart.interval() == pytest.approx(mean_over_seeds([0.0, 1.0]).interval())
    with pytest.raises(ValueError, match="same bars"):
        gap_over_seeds_and_bars(a, b[:, :-1])
