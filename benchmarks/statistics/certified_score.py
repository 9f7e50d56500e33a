"""Scores of agents as a share of the optimal policy's reward on the same paths.

Axis letters: S seeds, K paths.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.estimates import Estimate, mean_over_seeds_and_paths
from benchmarks.statistics.intervals import numbers


def score(rewards: npt.ArrayLike, optimal: npt.ArrayLike, *, difference: bool = False) -> float:
    """Mean reward [S, K] divided by the optimal policy's [K], or the difference of the two."""
    ours, best = float(np.mean(rewards)), float(np.mean(optimal))
    if best == 0.0 and not difference:
        raise ValueError("optimal must have a nonzero mean to divide by: use difference=True")
    return ours - best if difference else ours / best


def score_estimate(rewards: npt.ArrayLike, optimal: npt.ArrayLike, *, difference: bool = False) -> Estimate:
    """`score` with its uncertainty, over seeds and over paths that both policies share.

    The ratio's variance is that of the mean of (reward - ratio * optimal) / mean(optimal), its influence function.
    """
    ours, best = numbers("rewards", rewards, 2), numbers("optimal", optimal, 1)
    if not ours.size or ours.shape[1] != best.size:
        raise ValueError(f"rewards must be [S, {best.size}], one column per optimal path, got shape {ours.shape}")
    value = score(ours, best, difference=difference)
    gaps = ours - best if difference else (ours - value * best) / best.mean()
    return mean_over_seeds_and_paths(gaps)._replace(value=value)
