import numpy as np
import pytest

from benchmarks.statistics.certified_score import score, score_estimate
from benchmarks.statistics.estimates import mean_over_seeds


def test_the_score_is_the_mean_reward_over_the_optimal_one():
    rewards, optimal = np.array([[1.0, 2.0], [3.0, 2.0]]), np.array([1.0, 4.0])
    assert score(rewards, optimal) == 0.8
    assert score(rewards, optimal, difference=True) == -0.5
    assert score_estimate(rewards, optimal).value == 0.8


def test_what_path_and_noise_have_in_common_cancels_in_the_interval():
    optimal = np.random.default_rng(0).normal(1.0, 0.5, 20)
    assert score_estimate(0.9 * np.tile(optimal, (5, 1)), optimal).interval() == pytest.approx((0.9, 0.9))
    low, high = score_estimate(optimal[None] + 0.1, optimal, difference=True).interval()
    assert (low, high) == pytest.approx((0.1, 0.1))


def test_seeds_that_differ_widen_the_interval():
    seeds = np.linspace(0.5, 1.5, 10)
    found = score_estimate(np.repeat(seeds[:, None], 20, axis=1), np.ones(20))
    assert found.interval() == pytest.approx(mean_over_seeds(seeds).interval())
