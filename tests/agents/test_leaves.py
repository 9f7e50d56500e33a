"""Tests of the small leaves: streams, schedules, targets, arguments."""

import numpy as np
import pytest
import torch

from agents.common.checks import check_float, check_int, check_seeds
from agents.common.returns import td_target
from agents.common.schedules import as_schedule, constant, linear
from agents.common.streams import PURPOSES, Streams, generator


def test_a_stream_is_the_same_alone_and_among_others_and_past_the_block():
    among, alone = Streams((5, 3, 9), "explore", 4, block=8), Streams((3,), "explore", 4, block=8)
    drawn = [among.draw()[1].copy() for _ in range(20)]
    assert np.array_equal(drawn, [alone.draw()[0].copy() for _ in range(20)])
    assert len(np.unique(drawn)) == 80
    assert min(map(np.min, drawn)) >= 0
    assert max(map(np.max, drawn)) < 1


def test_streams_of_seeds_and_purposes_differ():
    first = {generator(seed, purpose).random() for seed in range(20) for purpose in PURPOSES}
    assert len(first) == 20 * len(PURPOSES)


def test_linear_runs_from_start_to_end_over_the_fraction():
    schedule = linear(1.0, 0.1, fraction=0.5)
    assert [schedule(remaining) for remaining in (1.0, 0.75, 0.5, 0.0)] == pytest.approx([1.0, 0.55, 0.1, 0.1])
    assert linear(1.0, 0.1, fraction=0.0)(1.0) == 0.1
    assert constant(3.0)(0.2) == 3.0


def test_a_learning_rate_is_a_number_a_text_or_a_function():
    assert as_schedule(2e-3, "learning_rate")(0.3) == 2e-3
    assert as_schedule("lin_2e-3", "learning_rate")(0.25) == pytest.approx(5e-4)
    assert as_schedule(lambda remaining: remaining, "learning_rate")(0.7) == 0.7


@pytest.mark.parametrize("bad", ["2e-3", "lin_x", "lin_-1", "exp_1", 0.0, -1.0, float("nan"), float("inf")])
def test_a_bad_learning_rate_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="learning_rate"):
        as_schedule(bad, "learning_rate")


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_function_that_gives_a_bad_learning_rate_is_refused_when_it_does(bad):
    schedule = as_schedule(lambda remaining: bad if remaining < 0.5 else 1e-3, "learning_rate")
    assert schedule(1.0) == 1e-3
    with pytest.raises(ValueError, match="learning_rate must be"):
        schedule(0.4)


@pytest.mark.parametrize("bad", [None, True, [1e-3]])
def test_a_learning_rate_of_a_wrong_type_is_refused_by_name(bad):
    with pytest.raises(TypeError, match="learning_rate"):
        as_schedule(bad, "learning_rate")


def test_td_target_by_hand():
    reward, continues = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]])
    assert td_target(reward, continues, torch.tensor([[10.0, 10.0]]), 0.5).tolist() == [[6.0, 2.0]]


def test_seeds_are_a_number_of_them_or_themselves():
    assert check_seeds(3) == (0, 1, 2)
    assert check_seeds([4, 2]) == (4, 2)
    assert check_seeds(range(2)) == (0, 1)
    assert check_seeds(np.int64(2)) == (0, 1)
    assert check_seeds(np.array([7])) == (7,)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        *[(bad, ValueError) for bad in (0, -1, [], [1, 1], [-1])],
        *[(bad, TypeError) for bad in (1.5, "12", None, [1.5], True)],
    ],
)
def test_bad_seeds_are_refused_by_name(bad, error):
    with pytest.raises(error, match="seeds"):
        check_seeds(bad)


def test_numbers_out_of_range_or_of_wrong_type_are_refused_by_name():
    assert check_float("x", 1, 0.0, 1.0) == 1.0
    for bad in (-0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"x must be in \[0.0, 1.0\], got"):
            check_float("x", bad, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"x must be in \(0.0"):
        check_float("x", 0.0, 0.0, above=True)
    with pytest.raises(TypeError, match="x must be a number, got '1'"):
        check_float("x", "1", 0.0)
    with pytest.raises(TypeError, match=r"x must be an int, got 1\.0"):
        check_int("x", 1.0, 0)
