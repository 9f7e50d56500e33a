"""Rates measured side by side: contenders take turns, so that what slows the machine slows them all.

A ratio is the median over rounds of the quotient within a round, which a machine that is busy now and then hardly
moves, as it would a quotient of two rates measured one after the other.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Chunk = Callable[[], int]
"""Does a piece of work and returns how many steps it was."""


@dataclass(frozen=True)
class Goal:
    """A ratio of two contenders' rates, and what it should reach.

    Attributes:
        name: what is compared, for a reader.
        contender, peer: names of the two.
        at_least: the ratio to reach; None where it is only reported.
    """

    name: str
    contender: str
    peer: str
    at_least: float | None = None


@dataclass(frozen=True)
class Measured:
    """A goal, or a limit in seconds, and what came out.

    Attributes:
        name: what was measured.
        value: the ratio or the seconds; NaN where a contender is missing.
        goal: what to reach; None where there is none.
        unit: "x" for a ratio, which should be at least the goal; "s" or "GiB", which should be at most.
    """

    name: str
    value: float
    goal: float | None
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal or a value."""
        if self.goal is None or math.isnan(self.value):
            return None
        return self.value >= self.goal if self.unit == "x" else self.value <= self.goal


@dataclass(frozen=True)
class Part:
    """What a part of the speed run found: steps per second of each contender and round, goals, remarks."""

    rates: Mapping[str, list[float]]
    measured: list[Measured]
    remarks: list[str]
    setting: Mapping[str, Any]


def interleave(
    chunks: Mapping[str, Chunk], rounds: int, tick: Callable[[], Any] = lambda: None
) -> dict[str, list[float]]:
    """Steps per second of each contender in each round: name -> [rounds], after one chunk each to warm up.

    Every other round goes the other way round. ``tick`` is called after each chunk.
    """
    rates: dict[str, list[float]] = {name: [] for name in chunks}
    for number in range(rounds + 1):
        names = list(chunks)[:: 1 if number % 2 else -1]
        for name in names:
            start = time.perf_counter()
            steps = chunks[name]()
            seconds = time.perf_counter() - start
            if number:
                rates[name].append(steps / seconds)
            tick()
    return rates


def chunk_of(seconds: float, block: Chunk) -> Chunk:
    """A chunk that repeats the block for about that long."""

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
