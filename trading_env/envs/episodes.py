"""Episodes: where an episode on one of several datasets may start, and the drawing of its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from trading_env._checks import integer, number
from trading_env.config import Margin

LONGEST_BAR = 1e-3  # in bars per year


class Dataset(Protocol):
    """The part of a Market or a Panel that an episode depends on."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    @property
    def bars_per_year(self) -> float | None:
        """The number of bars in a year; None if unknown."""

    def __len__(self) -> int:
        """The number of bars."""


class Episodes:
    """Base of a task: the drawing of episodes on its datasets.

    Attributes:
        markets: the datasets, one of which an episode runs on.
        firsts: first decision bar of each market, an index into it.
        offsets: first row of each market in the stacked arrays.
        window: rows of history in an observation.
        episode_length: steps until truncation, or None.
        random_start: True if the first decision bar is drawn.
    """

    markets: Sequence[Any]
    firsts: list[int]
    offsets: list[int]
    window: int
    episode_length: int | None
    random_start: bool
    margin: Margin

    def _place(self, firsts: Sequence[int]) -> None:
        """Sets the first decision bars and the offsets, given the first bar with a whole window of each market."""
        self.firsts = list(firsts)
        for market, first in zip(self.markets, self.firsts, strict=True):
            self._check_length(market, first)
        lengths = [len(market) for market in self.markets]
        self.offsets = [sum(lengths[:i]) for i in range(len(lengths))]

    def _check_length(self, market: Any, first: int) -> None:
        """Raises ValueError unless an episode of the given length fits after the first decision bar."""
        steps = self.episode_length or 1
        if len(market) < self.window + 2 or first + steps > len(market) - 1:
            needed = max(first + 1 + steps, self.window + 2)
            raise ValueError(
                f"{market.name!r} has {len(market)} rows, too few: features and window={self.window} put the first "
                f"decision at bar {first}, and episode_length={self.episode_length} needs {needed} rows"
            )

    def _bar_years(self, market: Dataset, bars_per_year: float | None) -> float:
        """Length of a bar in years; 0 if no rate is charged, since it does not matter then."""
        if bars_per_year is not None:
            return 1.0 / bars_per_year
        if self.margin.free:
            return 0.0
        if market.bars_per_year is None:
            raise ValueError(f"bars_per_year must be given: {market.name!r} has no timestamps to infer it from")
        return 1.0 / number("bars_per_year", market.bars_per_year, least=LONGEST_BAR)

    @property
    def n_rows(self) -> int:
        """Number of rows of the stacked arrays."""
        return self.offsets[-1] + len(self.markets[-1])

    @property
    def drawn(self) -> bool:
        """True if episodes are drawn: with a random start or several datasets."""
        return self.random_start or len(self.markets) > 1

    def asked(self, data: Any, start: Any) -> tuple[int | None, int | None]:
        """Options of a reset, checked before anything is drawn; None stays None.

        Raises:
            TypeError: data or start is no integer.
            ValueError: data or start is out of range; without data, start must fit every market that may be drawn.
        """
        if data is not None:
            data = integer("options['data']", data, 0, len(self.markets) - 1)
        if start is not None:
            rows = range(len(self.markets)) if data is None else (data,)
            first, end = max(self.firsts[i] for i in rows), min(len(self.markets[i]) for i in rows) - 1
            name = "options['start']" if len(rows) == 1 else "options['start'] of whichever data is drawn"
            try:
                start = integer(name, start, first, end - 1)
            except ValueError as error:
                why = "a step needs a next bar" if start >= end else f"the first {first} bars are history for a window"
                raise ValueError(f"{error}: {why}") from None
        return data, start

    def draw(self, rng: np.random.Generator, data: int | None = None, start: int | None = None) -> tuple[int, int]:
        """Market index and first decision bar of a new episode; whatever is None is drawn."""
        i = data
        if i is None:
            i = int(rng.integers(len(self.markets))) if len(self.markets) > 1 else 0
        if start is not None:
            return i, start
        first, end = self.firsts[i], len(self.markets[i]) - 1
        if self.random_start:
            return i, int(rng.integers(first, end - (self.episode_length or 1) + 1))
        return i, first

    def clock(self, i: int, start: int) -> list[int]:
        """Clock at the start of an episode on market i from bar ``start``."""
        end = len(self.markets[i]) - 1
        last = end if self.episode_length is None else min(start + self.episode_length, end)
        offset = self.offsets[i]
        return [offset + start, offset + last, offset, -1]
