from itertools import combinations

import numpy as np
import pytest

from benchmarks.statistics import probability_of_backtest_overfitting, superior


def slow_pbo(returns, n_blocks):
    """CSCV, word for word."""
    blocks, lost = np.array_split(returns, n_blocks), []
    for chosen in combinations(range(n_blocks), n_blocks // 2):
        inside = np.concatenate([blocks[i] for i in chosen])
        outside = np.concatenate([blocks[i] for i in range(n_blocks) if i not in chosen])
        ratios = [part.mean(0) / part.std(0) for part in (inside, outside)]
        best = ratios[0].argmax()
        rank = 1 + np.count_nonzero(ratios[1] < ratios[1][best])
        omega = rank / (returns.shape[1] + 1)
        lost.append(np.log(omega / (1 - omega)) <= 0)
    return np.mean(lost)


@pytest.mark.parametrize(("shape", "n_blocks"), [((100, 7), 6), ((61, 10), 8), ((40, 2), 4)])
def test_overfitting_is_counted_as_defined(shape, n_blocks):
    returns = np.random.default_rng(0).normal(size=shape)
    assert probability_of_backtest_overfitting(returns, n_blocks) == pytest.approx(slow_pbo(returns, n_blocks))


def test_luck_overfits_half_the_time_and_skill_never():
    rng = np.random.default_rng(1)
    luck = [probability_of_backtest_overfitting(rng.normal(size=(160, 11)), 8) for _ in range(150)]
    assert np.mean(luck) == pytest.approx(0.5, abs=0.08)
    skilled = rng.normal(size=(800, 10)) + np.array([1.0] + [0.0] * 9)
    assert probability_of_backtest_overfitting(skilled) == 0.0


def test_equal_configurations_share_the_choice():
    same = np.repeat(np.random.default_rng(2).normal(size=(64, 1)), 3, 1)
    assert probability_of_backtest_overfitting(same, 4) == 1.0  # each is the median
    idle = np.zeros((64, 2))
    assert probability_of_backtest_overfitting(idle, 4) == 1.0


def rows(T=400, better=0.0, seed=0):
    rng = np.random.default_rng(seed)
    benchmark = rng.normal(size=T)
    return {f"row {i}": benchmark + rng.normal(size=T) - better * (i == 2) for i in range(5)}, benchmark


def test_a_better_row_is_found_by_all_three_tests():
    found = superior(*rows(better=0.5), samples=300)
    assert found.p_value < 0.01
    assert found.better == ("row 2",)
    assert found.confidence_set == ("row 2",)
    assert found.p_lower <= found.p_value <= found.p_upper
    assert found == superior(*rows(better=0.5), samples=300)  # the draws have a seed


def test_among_equal_rows_none_is_better():
    p_values = [superior(*rows(T=150, seed=seed), block=1, samples=100).p_value for seed in range(12)]
    assert np.mean(p_values) > 0.2
    found = superior(*rows(), samples=300)
    assert found.better == ()
    assert "benchmark" in found.confidence_set


def test_a_row_equal_to_the_benchmark_is_neither_better_nor_worse():
    losses, benchmark = rows()
    found = superior({**losses, "twin": benchmark}, benchmark, samples=200)
    assert ("twin" in found.confidence_set) == ("benchmark" in found.confidence_set)
    alone = superior({"twin": benchmark}, benchmark)
    assert (alone.p_value, alone.better, alone.confidence_set) == (1.0, (), ("twin", "benchmark"))


def test_an_array_names_its_rows_by_number():
    losses, benchmark = rows(better=0.5)
    found = superior(np.column_stack(list(losses.values())), benchmark, samples=200)
    assert found.better == ("2",)


@pytest.mark.parametrize(("scale", "level"), [(1e-160, 0.0), (1e200, 0.0), (1e-6, 1.0)])
def test_overfitting_depends_on_no_unit_and_survives_a_high_level(scale, level):
    returns = np.random.default_rng(4).normal(size=(203, 5)) + level / scale
    assert probability_of_backtest_overfitting(returns * scale, 8) == pytest.approx(slow_pbo(returns, 8))


def test_rows_with_the_same_losses_share_their_fate():
    losses, benchmark = rows(better=0.5)
    doubled = {**losses, "again": losses["row 2"], "idle": losses["row 0"], "held": benchmark}
    found, alone = superior(doubled, benchmark), superior(losses, benchmark)
    assert found.better == (*alone.better, "again") == ("row 2", "again")
    assert found.confidence_set == ("row 2", "again")
    assert superior({"a": losses["row 2"], "b": losses["row 2"]}, benchmark).confidence_set == ("a", "b")


def test_rows_that_differ_by_a_constant_are_decided_by_it():
    losses, benchmark = rows(better=0.5)
    dearer = losses["row 2"] + 1e-6  # the same row, after a fee
    found = superior({**losses, "dearer": dearer}, benchmark, samples=300)
    assert found.confidence_set == ("row 2",)
    assert found.better == ("row 2", "dearer")
    cheaper = superior({"a": benchmark + 0.1, "b": benchmark - 0.1, "c": benchmark}, benchmark)
    assert (cheaper.p_value, cheaper.better, cheaper.confidence_set) == (0.0, ("b",), ("b",))
    fees = {str(fee): benchmark + fee for fee in (0.0, 0.1, 0.2)}
    assert superior(fees, benchmark).confidence_set == ("0.0", "benchmark")
    assert superior({"a": benchmark + 0.1}, benchmark).p_value == 1.0


def test_a_constant_ahead_of_the_benchmark_counts_beside_rows_that_move():
    losses, benchmark = rows()
    found = superior({**losses, "ahead": benchmark - 0.01}, benchmark, samples=200)
    assert "ahead" in found.better
    assert (found.p_lower, found.p_value, found.p_upper) == (0.0, 0.0, 0.0)
    assert "benchmark" not in found.confidence_set
