"""Scores of independent runs: interquartile means, profiles, and intervals that hold at few seeds.

Axis letters: S seeds, M tasks, P points.

Source:
    Agarwal et al. (2021), Deep Reinforcement Learning at the Edge of the Statistical Precipice.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.statistics.estimates import Estimate, Variance, estimate
from benchmarks.statistics.intervals import Floats, numbers
from trading_env._checks import integer, number, within_float64


@within_float64("scores")
def iqm(scores: npt.ArrayLike, axis: int | None = None) -> Floats:
    """Interquartile mean: drops the lowest and the highest quarter, each rounded down; NaN if any score is NaN.

    Args:
        scores: Any shape, [S] or [S, M] for instance.
        axis: Axis along which it is taken; None takes all scores together.
    """
    array = numbers("scores", scores, *range(1, 8))
    if axis is None:
        array, axis = array.ravel(), 0
    axis = integer("axis", axis, -array.ndim, array.ndim - 1)
    if not array.shape[axis]:
        raise ValueError(f"scores must have at least one entry along axis {axis}, got shape {array.shape}")
    ordered = np.sort(array, axis=axis)
    cut = ordered.shape[axis] // 4
    middle = np.take(ordered, range(cut, ordered.shape[axis] - cut), axis=axis)
    undefined = np.isnan(np.take(ordered, -1, axis=axis))  # NaN sorts last, so it would be dropped with the best
    return np.asarray(np.where(undefined, np.nan, middle.mean(axis=axis)))


@within_float64("scores")
def iqm_estimate(scores: npt.ArrayLike) -> Estimate:
    """Interquartile mean over seeds of scores [S], with the interval of a trimmed mean.

    Its variance is the winsorised scores' sum of squared deviations over h (h - 1), with h - 1 degrees of freedom,
    where h is the number of scores kept. With fewer than four seeds it is the mean with Student's interval.

    Source:
        Tukey and McLaughlin (1963); Yuen (1974).
    """
    values = np.sort(_seeds(scores))
    S = values.size
    cut = S // 4
    kept = S - 2 * cut
    middle = float(iqm(values))
    if S < 2:
        return Estimate(middle, (Variance(math.nan, math.nan),))
    winsorised = np.clip(values, values[cut], values[S - 1 - cut])
    spread = float(((winsorised - winsorised.mean()) ** 2).sum()) / (kept - 1)
    return estimate(middle, Variance(spread / kept, kept - 1))


def iqm_gap(a: npt.ArrayLike, b: npt.ArrayLike) -> Estimate:
    """Interquartile mean of a [S] less that of b [S'], of independent seeds."""
    one, other = iqm_estimate(a), iqm_estimate(b)
    return Estimate(one.value - other.value, one.parts + other.parts)


def probability_of_improvement(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Probability that a run of a beats a run of b on the same task, equal scores counting half; mean over tasks.

    Args:
        a: Scores, [S] or [S, M].
        b: Scores on the same tasks, [S'] or [S', M].
    """
    one, other = _tasks("a", a), _tasks("b", b)
    if one.shape[1] != other.shape[1]:
        raise ValueError(f"a and b must have the same tasks, got {one.shape[1]} and {other.shape[1]}")
    ours, theirs = one[:, None, :], other[None, :, :]
    return float((ours > theirs).mean() + 0.5 * (ours == theirs).mean())


def performance_profile(scores: npt.ArrayLike, thresholds: npt.ArrayLike) -> Floats:
    """Share of runs [P] whose score exceeds each threshold [P], over all seeds and tasks of scores [S] or [S, M]."""
    array, limits = _tasks("scores", scores), numbers("thresholds", thresholds, 1)
    if np.isnan(limits).any():
        raise ValueError(f"thresholds must not be NaN, got {int(np.isnan(limits).argmax())} as the first index of one")
    return np.asarray((array[..., None] > limits).mean((0, 1)))


@within_float64("scores")
def tolerance_interval(
    scores: npt.ArrayLike, content: float = 0.9, level: float = 0.95, method: str = "order"
) -> tuple[float, float]:
    """Limits that contain a share ``content`` of all future runs, with confidence ``level``, from scores [S].

    Args:
        scores: One score per seed.
        content: Share of runs to contain.
        level: Confidence.
        method: "order" takes order statistics and holds for any distribution; its limits are infinite if there are too
            few seeds for any to have the confidence (fewer than 46 for .9 and .95). "normal" assumes normal scores.

    Source:
        Patterson et al. (2024), Empirical Design in Reinforcement Learning; Wilks (1941); Howe (1969) for "normal".
    """
    values = np.sort(_seeds(scores))
    number("content", content, above=0.0, most=0.999999)
    number("level", level, above=0.0, most=0.999999)
    if method not in ("order", "normal"):
        raise ValueError(f"method must be one of ('order', 'normal'), got {method!r}")
    S = values.size
    if method == "normal":
        if S < 2:
            return -math.inf, math.inf
        quantile = stats.norm.ppf(0.5 + content / 2.0)
        factor = float(quantile * math.sqrt((S - 1) * (1.0 + 1.0 / S) / stats.chi2.ppf(1.0 - level, S - 1)))
        reach = factor * float(values.std(ddof=1))
        return float(values.mean()) - reach, float(values.mean()) + reach
    # the share between the k-th and the last but k-th score is Beta(S + 1 - 2k, 2k), k counted from 1
    k = np.arange(1, S // 2 + 1)
    holds = stats.beta.sf(content, S + 1 - 2 * k, 2 * k) >= level
    if not holds.any():
        return -math.inf, math.inf
    drop = int(k[holds].max())
    return float(values[drop - 1]), float(values[S - drop])


def _seeds(scores: npt.ArrayLike) -> Floats:
    values = numbers("scores", scores, 1)
    if not values.size:
        raise ValueError("scores must have at least one seed, got none")
    if not np.isfinite(values).all():
        raise ValueError("scores must be finite")
    return values


def _tasks(name: str, scores: npt.ArrayLike) -> Floats:
    array = numbers(name, scores, 1, 2)
    if not array.size or np.isnan(array).any():
        raise ValueError(f"{name} must have at least one seed and task, and no NaN, got shape {array.shape}")
    return array[:, None] if array.ndim == 1 else array
