import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.statistics import iqm, iqm_estimate, performance_profile, probability_of_improvement, tolerance_interval
from benchmarks.statistics.scores import iqm_gap


def test_the_interquartile_mean_leaves_out_a_quarter_on_each_side():
    assert iqm([9.0, 1.0, 2.0, 600.0]) == 5.5
    assert iqm([3.0, 1.0, 2.0]) == 2.0  # a quarter of three is none
    assert iqm(np.arange(10.0)) == 4.5  # two on each side
    assert iqm([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 8.0]) == 0.5
    tasks = [[1.0, 5.0], [2.0, 6.0], [9.0, 7.0], [0.0, -9.0]]
    assert iqm(tasks, axis=0).tolist() == [1.5, 5.5]
    assert iqm(tasks) == stats.trim_mean(np.ravel(tasks), 0.25)
    assert iqm([[1.0, 2.0, 9.0, 0.0]], axis=1).tolist() == [1.5]


def test_an_undefined_score_is_not_cut_off_as_the_best():
    assert np.isnan(iqm([1.0, 2.0, 3.0, np.nan]))
    defined, undefined = iqm([[1.0, np.nan], [2.0, 1.0], [3.0, 1.0], [4.0, 1.0]], axis=0)
    assert defined == 2.5
    assert np.isnan(undefined)


def test_the_variance_of_an_interquartile_mean_by_hand():
    one = iqm_estimate([0.0, 1.0, 2.0, 3.0, 10.0])  # one cut on each side; winsorised: 1, 1, 2, 3, 3
    assert one.value == 2.0
    assert one.parts == ((4.0 / (3 * 2), 2),)
    low, high = one.interval()
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 2) * math.sqrt(4 / 6))


def test_of_three_seeds_it_is_students_interval_and_of_one_none():
    values = [1.0, 2.0, 6.0]
    assert iqm_estimate(values).interval() == pytest.approx(stats.t.interval(0.95, 2, 3.0, stats.sem(values)))
    assert all(math.isnan(end) for end in iqm_estimate([1.0]).interval())


def test_the_gap_of_two_interquartile_means_adds_their_variances():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 0.5, 1.5]
    gap, one, other = iqm_gap(a, b), iqm_estimate(a), iqm_estimate(b)
    assert gap.value == one.value - other.value
    assert gap.standard_error == pytest.approx(math.hypot(one.standard_error, other.standard_error))


def test_the_probability_of_improvement_counts_pairs_and_halves_ties():
    assert probability_of_improvement([1.0, 2.0], [0.0, 2.0]) == (1 + 0 + 1 + 0.5) / 4
    assert probability_of_improvement([[1.0, 0.0]], [[0.0, 1.0]]) == 0.5  # mean over tasks
    a, b = np.random.default_rng(0).normal(size=(2, 30))
    assert probability_of_improvement(a, b) == pytest.approx(stats.mannwhitneyu(a, b).statistic / 900)


def test_the_profile_is_the_share_above_each_threshold():
    assert performance_profile([[0.0, 1.0], [2.0, 3.0]], [-1.0, 0.0, 2.5, 3.0]).tolist() == [1.0, 0.75, 0.25, 0.0]


def test_tolerance_limits_are_infinite_until_there_are_enough_seeds():
    scores = np.random.default_rng(1).normal(size=93)
    assert tolerance_interval(scores[:45]) == (-math.inf, math.inf)
    assert tolerance_interval(scores[:46]) == (scores[:46].min(), scores[:46].max())
    low, high = tolerance_interval(scores)
    assert low == np.sort(scores)[1]  # with 93 the second of each end will do
    assert high == np.sort(scores)[-2]


@pytest.mark.parametrize(("method", "S"), [("order", 65), ("normal", 12)])
def test_tolerance_limits_contain_their_share_as_often_as_they_say(method, S):
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(1000):
        low, high = tolerance_interval(rng.normal(size=S), 0.9, 0.9, method)
        held += stats.norm.cdf(high) - stats.norm.cdf(low) >= 0.9
    assert 0.87 < held / 1000 < 0.97


def test_infinite_scores_are_compared_as_they_are():
    assert probability_of_improvement([np.inf, 1.0], [np.inf, 2.0]) == pytest.approx(0.375)
    assert probability_of_improvement([1e308], [-1e308]) == 1.0


def test_a_threshold_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="thresholds must not be NaN, got 1"):
        performance_profile([0.5, 1.0], [0.2, float("nan")])
