"""Learning curves with intervals over seeds. Axis letters: S seeds, P points of a curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import first_point_that_stays
from benchmarks.statistics.scores import iqm, iqm_estimate, iqm_gap

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The learning curve of an algorithm of one side.

    Attributes:
        steps: of each seed at each point [P].
        seconds: that all seeds together have trained, on all processes used [P].
        scores: [S, P].
        processes: that ran side by side.
        made: commit, versions and processor; None where they were not kept.
    """

    steps: Floats
    seconds: Floats
    scores: Floats
    processes: int
    made: Mapping[str, Any] | None = None

    def middle(self) -> Floats:
        """Interquartile mean over seeds [P]."""
        return iqm(self.scores, axis=0)

    def interval(self) -> Floats:
        """Its 95% interval [2, P]."""
        return np.array([iqm_estimate(scores).interval() for scores in self.scores.T]).T

    def reached(self, threshold: float) -> tuple[float, float] | None:
        """Steps and seconds from which on the interquartile mean stays at or above the threshold; None if never."""
        point = first_point_that_stays(self.middle(), threshold)
        return None if point is None else (float(self.steps[point]), float(self.seconds[point]))


Curves = dict[tuple[str, str, str], Curve]
"""By env, algorithm and side."""


def difference(one: Curve, other: Curve) -> tuple[float, float]:
    """95% interval of one curve's last interquartile mean minus the other's; over independent seeds."""
    return iqm_gap(one.scores[:, -1], other.scores[:, -1]).interval()
