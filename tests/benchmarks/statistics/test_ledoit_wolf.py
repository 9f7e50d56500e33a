import numpy as np
import pytest

from benchmarks.statistics.ledoit_wolf import _differences, hac_variance, sharpe_difference
from benchmarks.statistics.sharpe import sharpe_ratios


def pair(T=600, gap=0.0, seed=0):
    rng = np.random.default_rng(seed)
    market = rng.normal(size=T)
    return market + 0.5 * rng.normal(size=T) + gap, market + 0.5 * rng.normal(size=T)


def test_the_difference_is_that_of_the_two_ratios():
    a, b = pair()
    found = sharpe_difference(a, b, samples=99)
    assert found.difference == pytest.approx(a.mean() / a.std(ddof=1) - b.mean() / b.std(ddof=1))
    assert sharpe_difference(b, a, samples=99).difference == pytest.approx(-found.difference)
    assert found == sharpe_difference(a, b, samples=99)  # the draws have a seed


def test_independent_pairs_have_the_standard_error_of_jobson_and_korkie():
    # Memmel's form for normal returns: (2 - 2 rho + (s1^2 + s2^2 - 2 s1 s2 rho^2) / 2) / T
    errors, expected = [], []
    for seed in range(40):
        a, b = pair(seed=seed)
        rho, s1, s2 = np.corrcoef(a, b)[0, 1], a.mean() / a.std(), b.mean() / b.std()
        expected.append((2 - 2 * rho + (s1**2 + s2**2 - 2 * s1 * s2 * rho**2) / 2) / 600)
        errors.append(sharpe_difference(a, b, block=1, samples=9).standard_error ** 2)
    assert np.mean(errors) == pytest.approx(np.mean(expected), rel=0.1)


def test_a_large_difference_is_found_and_none_is_not():
    assert sharpe_difference(*pair(gap=0.5), samples=499).p_value == pytest.approx(1 / 500)
    p_values = [
        sharpe_difference(*pair(T=120, seed=seed), block=1, samples=199, seed=seed).p_value for seed in range(60)
    ]
    assert 0.3 < np.mean(p_values) < 0.7


def test_the_same_returns_at_another_scale_do_not_differ():
    a, _ = pair()
    found = sharpe_difference(a, 3.0 * a)
    assert (found.difference, found.standard_error, found.p_value) == (0.0, 0.0, 1.0)


def test_block_sums_are_those_of_the_influence_function():
    a, b = pair(T=40)
    returns = np.stack([a, b])
    first, second = (np.add.reduceat(returns**power, np.arange(0, 40, 8), axis=1)[:, None] for power in (1, 2))
    blocks, difference = _differences(first, second, 8)
    means, deviations = returns.mean(1, keepdims=True), returns.std(1, keepdims=True)
    z, ratio = (returns - means) / deviations, means / deviations
    influence = z - ratio / 2 * (z**2 - 1)
    np.testing.assert_allclose(blocks[0], np.add.reduceat(influence[0] - influence[1], np.arange(0, 40, 8)), atol=1e-12)
    assert difference[0] == pytest.approx(float(ratio[0, 0] - ratio[1, 0]))


def test_the_long_run_variance_of_an_autoregression():
    rng = np.random.default_rng(0)
    noise, series = rng.normal(size=60_000), np.zeros(60_000)
    for t in range(1, len(series)):
        series[t] = 0.5 * series[t - 1] + noise[t]
    assert hac_variance(series) == pytest.approx(1 / (1 - 0.5) ** 2, rel=0.06)
    assert hac_variance(noise) == pytest.approx(1.0, rel=0.03)
    assert hac_variance(np.ones(10)) == 0.0


def test_influences_sum_to_nothing():
    ratios = sharpe_ratios(np.stack(pair()))
    np.testing.assert_allclose(ratios.influence.mean(1), 0.0, atol=1e-12)
