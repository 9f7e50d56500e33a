import math

import pytest

from benchmarks.speed import timing
from benchmarks.speed.timing import Goal, Measured


class Clock:
    """A clock that only moves when a contender works."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock.perf_counter)
    return clock


def test_contenders_take_turns_and_the_first_round_only_warms_up(clock):
    calls = []

    def contender(name, seconds):
        def chunk():
            calls.append(name)
            clock.now += seconds
            return 10

        return chunk

    ticked = []
    chunks = {"a": contender("a", 2.0), "b": contender("b", 5.0)}
    assert timing.interleave(chunks, 2, lambda: ticked.append(1)) == {"a": [5.0, 5.0], "b": [2.0, 2.0]}
    assert calls == ["b", "a", "a", "b", "b", "a"]
    assert len(ticked) == 6


def test_another_clock_can_count_the_seconds(clock):
    def chunk():
        clock.now += 100.0
        return 8

    ticks = iter(range(0, 100, 2))
    assert timing.interleave({"a": chunk}, 2, clock=lambda: next(ticks)) == {"a": [4.0, 4.0]}


def test_a_chunk_repeats_its_block_until_the_time_is_up(clock):
    def block():
        clock.now += 0.3
        return 7

    assert timing.chunk_of(1.0, block)() == 4 * 7


def test_a_ratio_is_the_median_of_the_quotients_within_rounds():
    rates = {"a": [10.0, 1.0, 40.0], "b": [5.0, 1.0, 10.0]}
    measured = list(timing.ratios(rates, [Goal("a to b", "a", "b", 2.0), Goal("a to c", "a", "c", 2.0)]))
    assert measured[0] == Measured("a to b", 2.0, 2.0)
    assert measured[0].met is True
    assert math.isnan(measured[1].value)
    assert measured[1].met is None


@pytest.mark.parametrize(
    ("value", "goal", "unit", "met"),
    [
        (1.9, 2.0, "x", False),
        (2.1, 2.0, "x", True),
        (0.4, 0.3, "s", False),
        (0.2, 0.3, "s", True),
        (1.0, None, "x", None),
    ],
)
def test_ratios_should_reach_their_goal_and_times_stay_under_it(value, goal, unit, met):
    assert Measured("it", value, goal, unit).met is met
