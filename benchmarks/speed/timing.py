"""Rates measured side by side: contenders take turns, so a busy machine slows all of them.

A ratio is the median over rounds of the quotient within a round. Unlike a quotient of two rates measured one after the
other, it hardly changes when the machine is busy now and then.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.reports.table import Columns

Chunk = Callable[[], int]
"""Does some work and returns the number of steps."""


@dataclass(frozen=True)
class Goal:
    """A ratio of two contenders' rates, and the value that it should reach.

    Attributes:
        name: of the comparison, for printing.
        contender, peer: names of the two.
        at_least: the ratio to reach; None where it is only reported.
    """

    name: str
    contender: str
    peer: str
    at_least: float | None = None


@dataclass(frozen=True)
class Measured:
    """A measured value beside its goal.

    Attributes:
        name: of the measurement.
        value: the ratio or the seconds; NaN where a contender is missing.
        goal: the value to reach; None without one.
        unit: "x" for a ratio, which should be at least the goal; "s" or "GiB" for a value that should be at most it.
    """

    name: str
    value: float
    goal: float | None
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """True if the goal is reached; None without a goal or a value."""
        if self.goal is None or math.isnan(self.value):
            return None
        return self.value >= self.goal if self.unit == "x" else self.value <= self.goal


@dataclass(frozen=True)
class Part:
    """The results of one part: steps per second of each contender in each round, measured values, and remarks.

    A part may have a table of its own, which is printed in place of its rates and values.
    """

    rates: Mapping[str, list[float]]
    measured: list[Measured]
    remarks: list[str]
    setting: Mapping[str, Any]
    table: Columns | None = None


def interleave(
    chunks: Mapping[str, Chunk],
    rounds: int,
    tick: Callable[[], Any] = lambda: None,
    clock: Callable[[], float] | None = None,
) -> dict[str, list[float]]:
    """Steps per second of each contender in each round: name -> [rounds], after one chunk each to warm up.

    The order is reversed in every other round. ``tick`` is called after each chunk. Seconds are those of the wall
    clock, or of another ``clock``, such as `time.process_time`, which stands still while other processes run.
    """
    now = clock or time.perf_counter
    rates: dict[str, list[float]] = {name: [] for name in chunks}
    for number in range(rounds + 1):
        names = list(chunks)[:: 1 if number % 2 else -1]
        for name in names:
            start = now()
            steps = chunks[name]()
            seconds = now() - start
            if number:
                rates[name].append(steps / seconds)
            tick()
    return rates


def chunk_of(seconds: float, block: Chunk) -> Chunk:
    """A chunk that repeats the block for about this many seconds."""

    def chunk() -> int:
        steps, end = 0, time.perf_counter() + seconds
        while True:
            steps += block()
            if time.perf_counter() >= end:
                return steps

    return chunk


def ratios(rates: Mapping[str, list[float]], goals: list[Goal]) -> Iterator[Measured]:
    """The ratio of each goal; NaN where one of the two was not measured."""
    for goal in goals:
        pairs = zip(rates.get(goal.contender, []), rates.get(goal.peer, []), strict=False)
        quotients = [contender / peer for contender, peer in pairs]
        yield Measured(goal.name, statistics.median(quotients) if quotients else math.nan, goal.at_least)
