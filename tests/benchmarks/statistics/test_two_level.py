import numpy as np
import pytest

from benchmarks.statistics.two_level import edge_interval, resampled_means, score, score_interval


def test_the_interval_of_what_never_varies_is_a_point():
    assert edge_interval(np.full((3, 50), 0.25)) == pytest.approx((0.25, 0.25))


def test_the_interval_widens_with_seeds_that_differ_and_with_time_that_does():
    rng = np.random.default_rng(0)
    seeds = np.repeat(rng.normal(size=(10, 1)), 500, axis=1)
    low, high = edge_interval(seeds)
    assert high - low == pytest.approx(2 * 1.96 * seeds[:, 0].std() / np.sqrt(10), rel=0.15)
    time = np.repeat(rng.normal(size=(1, 2000)), 10, axis=0)
    low, high = edge_interval(time, mean_block=1.0)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(2000), rel=0.15)


def test_the_score_is_the_mean_reward_over_the_optimal_one():
    rewards, optimal = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([1.0, 4.0])
    assert score(rewards, optimal) == 0.8
    assert score(rewards, optimal, difference=True) == -0.5


def test_what_path_and_noise_have_in_common_cancels_in_the_interval():
    optimal = np.random.default_rng(0).normal(1.0, 0.5, 20)
    assert score_interval(0.9 * np.tile(optimal, (5, 1)), optimal) == pytest.approx((0.9, 0.9))
    low, high = score_interval(optimal[None] + 0.1, optimal, difference=True)
    assert (low, high) == pytest.approx((0.1, 0.1))


def test_seeds_that_differ_widen_the_interval():
    optimal = np.ones(20)
    rewards = np.repeat(np.linspace(0.5, 1.5, 10)[:, None], 20, axis=1)
    low, high = score_interval(rewards, optimal)
    assert high - low == pytest.approx(2 * 1.96 * rewards[:, 0].std() / np.sqrt(10), rel=0.1)


def test_a_resampled_mean_is_the_mean_over_the_drawn_seeds_and_columns():
    values = np.random.default_rng(0).normal(size=(3, 4))
    seeds, columns = np.array([[0, 0, 2], [1, 2, 1]]), np.array([[3, 3, 0, 1], [0, 1, 2, 3]])
    expected = [values[np.ix_(*drawn)].mean() for drawn in zip(seeds, columns, strict=True)]
    np.testing.assert_allclose(resampled_means(values, seeds, columns), expected)
