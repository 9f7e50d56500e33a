"""Learning curves with intervals over seeds. Axis letters: S seeds, P points of a curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import first_point_that_stays
from benchmarks.statistics.scores import iqm, iqm_estimate, iqm_gap
from benchmarks.study.rows import Row

Floats = npt.NDArray[np.float64]
SB3 = "SB3 "  # begins the name of Stable-Baselines3's side of an algorithm


@dataclass(frozen=True)
class Curve:
    """The learning curve of an algorithm of one side.

    Attributes:
        steps: of each seed at each point [P].
        seconds: that all seeds together have trained, on one core [P].
        scores: [S, P].
        made: commit, versions and processor.
    """

    steps: Floats
    seconds: Floats
    scores: Floats
    made: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Curve:
        """The curve of all seeds of these rows, which are blocks of one contender on one task."""
        parts = [row.learning for row in rows if row.learning is not None]
        seconds = np.sum([part["seconds"] for part in parts], axis=0)
        scores = np.concatenate([part["scores"] for part in parts], axis=1).T
        return cls(parts[0]["steps"], seconds, scores, rows[0].facts)

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
"""By task, algorithm and side, "ours" or "sb3"."""


def curves_of(rows: Sequence[Row]) -> Curves:
    """The curves of a suite of tasks; "SB3 X" is the other side of X, if there is one."""
    ours = {(row.dataset, row.contender) for row in rows if row.facts["contender_settings"]["agent"] is not None}
    parts: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        name, side = row.contender, "ours" if (row.dataset, row.contender) in ours else "sb3"
        paired = side == "sb3" and (row.dataset, name.removeprefix(SB3)) in ours
        parts.setdefault((row.dataset, name.removeprefix(SB3) if paired else name, side), []).append(row)
    return {key: Curve.of(found) for key, found in parts.items()}


def difference(one: Curve, other: Curve) -> tuple[float, float]:
    """95% interval of one curve's last interquartile mean minus the other's; over independent seeds."""
    return iqm_gap(one.scores[:, -1], other.scores[:, -1]).interval()
