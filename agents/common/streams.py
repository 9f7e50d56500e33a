"""Random streams, one per seed and purpose, drawn in blocks.

Seeds never share a stream: seed 3 draws the same numbers alone and among 64 others. Each purpose (weights,
exploration, replay, environments, ...) has its own stream too, so that drawing more for one does not affect another.

Axis letters: S seeds, K numbers per draw.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from agents.common.checks import check_int
from agents.common.state import State

PURPOSES = ("weights", "explore", "replay", "envs", "predict", "evaluate", "update")


def seed_sequence(seed: int, purpose: str, *more: int) -> np.random.SeedSequence:
    """The entropy for one seed and purpose, independent of all other seeds, purposes, and numbers in `more`."""
    return np.random.SeedSequence((seed, PURPOSES.index(purpose), *more))


def generator(seed: int, purpose: str, *more: int) -> np.random.Generator:
    """A fresh generator for one seed and one purpose, and for numbers in `more` another one."""
    return np.random.Generator(np.random.PCG64(seed_sequence(seed, purpose, *more)))


class Streams:
    """S independent streams, one per seed, of uniform numbers in [0, 1) or of standard normal ones.

    Numbers for `block` calls are drawn at once, because a call of a generator costs more than the numbers.

    Args:
        seeds: One seed per stream.
        purpose: One of `PURPOSES`.
        width: K, numbers per seed and call of `draw`.
        block: Calls to draw ahead.
        normal: Whether numbers are standard normal.
    """

    def __init__(self, seeds: Sequence[int], purpose: str, width: int, block: int = 256, normal: bool = False) -> None:
        self._normal = normal
        self._generators = [generator(seed, purpose) for seed in seeds]
        self._before = self._states()  # where the block ahead was drawn
        self._ahead = np.empty((block, len(seeds), width))  # [block, S, K]
        self._next = block

    def draw(self) -> npt.NDArray[np.float64]:
        """The next numbers of every seed, [S, K]. The array is reused after `block` calls: do not keep it."""
        if self._next == len(self._ahead):
            self._fill()
        drawn: npt.NDArray[np.float64] = self._ahead[self._next]
        self._next += 1
        return drawn

    def _fill(self) -> None:
        self._before, self._next = self._states(), 0
        shape = self._ahead[:, 0].shape
        for s, stream in enumerate(self._generators):
            self._ahead[:, s] = stream.standard_normal(shape) if self._normal else stream.random(shape)

    def _states(self) -> list[Any]:
        return [stream.bit_generator.state for stream in self._generators]

    def get_state(self) -> State:
        """The generators' states before the current block, which can be drawn again, and how much of it is used."""
        if self._next == len(self._ahead):
            return {"before": self._states(), "used": 0}
        return {"before": self._before, "used": self._next}

    def set_state(self, state: State) -> None:
        """Continues after the last number drawn before `get_state`; ValueError if the block had another size."""
        used = check_int("used", state["used"], 0, below=len(self._ahead))
        for stream, before in zip(self._generators, state["before"], strict=True):
            stream.bit_generator.state = before
        self._fill()
        self._next = used
