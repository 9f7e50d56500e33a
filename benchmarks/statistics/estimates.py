"""Means with intervals that hold at small samples: over dependent bars, over seeds, and over both.

Source:
    Lazarus, Lewis, Stock and Watson (2018), HAR Inference: Recommendations for Practice, section 5, for the variance of
    a mean over dependent bars; Zou and Donner (2008) for the interval of a sum of variances.

Axis letters: S seeds, K paths, T bars.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft, optimize, stats

from benchmarks.statistics.intervals import Floats, numbers
from trading_env._checks import integer, number


class Variance(NamedTuple):
    """The estimated variance of a mean, and its degrees of freedom."""

    value: float
    freedom: float


class Estimate(NamedTuple):
    """A number and the independent parts of its variance, from which intervals and tests are made.

    The half-width of an interval is the root of the sum of the parts' squared half-widths, each by Student's t with its
    own degrees of freedom. If a part has one or two degrees of freedom, intervals by Satterthwaite's formula contain
    the true number less often.
    """

    value: float
    parts: tuple[Variance, ...]

    @property
    def standard_error(self) -> float:
        """Root of the sum of the variances; NaN where one is unknown."""
        return math.sqrt(sum(part.value for part in self.parts))

    def reach(self, level: float) -> float:
        """Half the width of the two-sided interval at this level; NaN where a variance is unknown."""
        squares = (stats.t.ppf(0.5 + level / 2.0, part.freedom) ** 2 * part.value for part in self.parts)
        return math.sqrt(sum(squares))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """The two-sided interval at this level; NaN where a variance is unknown."""
        number("level", level, above=0.0, most=0.999999)
        return self.value - self.reach(level), self.value + self.reach(level)

    @property
    def p_value(self) -> float:
        """Two-sided p-value of the hypothesis that the true number is 0; NaN if the standard error is 0 or NaN."""
        if not self.standard_error > 0.0:
            return math.nan
        most = 1.0 - 1e-9
        if self.reach(most) <= abs(self.value):
            return 1.0 - most
        return 1.0 - float(optimize.brentq(lambda level: self.reach(level) - abs(self.value), 0.0, most))

    def detectable(self, power: float = 0.8, level: float = 0.95) -> float:
        """The smallest true size that a two-sided test at 1 - level detects with probability ``power``, above 0.5."""
        number("power", power, above=0.5, most=0.999999)
        number("level", level, above=0.0, most=0.999999)
        return self.reach(level) + self.reach(2.0 * power - 1.0)


def _finite(values: npt.ArrayLike, dimensions: int) -> Floats:
    array = numbers("values", values, dimensions)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"values must be finite and at least one number, got shape {array.shape}")
    return array


def estimate(value: float, *parts: Variance) -> Estimate:
    """``value`` with independent parts of its variance; a negative estimate of a part counts as 0."""
    return Estimate(float(value), tuple(part for part in parts if not part.value <= 0.0))


def time_variance(series: npt.ArrayLike) -> Variance:
    """Variance of the mean of a dependent series [T], by the mean square of its lowest cosine transforms (EWC).

    It uses 0.41 T^(2/3) transforms, which is the number of degrees of freedom, so Student's t accounts for the noise of
    the variance itself. Percentile intervals of a block bootstrap contain the truth less often: see
    ``python -m benchmarks coverage``.
    """
    values = numbers("series", series, 1)
    return Variance(float(_time_variances(values[None])[0]), _frequencies(values.size))


def _frequencies(T: int) -> int:
    return max(1, min(math.ceil(0.41 * T ** (2.0 / 3.0)), T - 1))


def _time_variances(rows: Floats) -> Floats:
    """The variances of the means [N] of series [N, T]; NaN with fewer than two bars."""
    T = rows.shape[1]
    if T < 2:
        return np.full(len(rows), np.nan)
    transforms = fft.dct(rows - rows.mean(1, keepdims=True), norm="ortho")[:, 1 : _frequencies(T) + 1]
    return np.asarray((transforms**2).mean(1) / T)


def seed_variance(values: npt.ArrayLike) -> Variance:
    """Variance of the mean of independent seeds [S]; unknown for a single seed."""
    array = numbers("values", values, 1)
    if array.size < 2:
        return Variance(math.nan, math.nan)
    return Variance(float(array.var(ddof=1)) / array.size, array.size - 1)


def mean_over_seeds(values: npt.ArrayLike) -> Estimate:
    """Mean of one value per seed [S], with Student's interval."""
    array = _finite(values, 1)
    return estimate(float(array.mean()), seed_variance(array))


def mean_over_seeds_and_paths(values: npt.ArrayLike) -> Estimate:
    """Mean of values [S, K] of S seeds, each on the same K independent paths; seeds and paths are both random.

    The variance of the mean is (MS_seeds + MS_paths - MS_rest) / (S K), with the mean squares of the two-way layout.
    With one seed only paths vary, and with one path only seeds do.
    """
    array = _finite(values, 2)
    S, K = array.shape
    seeds, paths = array.mean(1), array.mean(0)
    mean = float(array.mean())
    if K == 1 or S == 1:
        return mean_over_seeds(paths if S == 1 else seeds)
    rest = array - seeds[:, None] - paths + mean
    squares = float((rest**2).sum()) / ((S - 1) * (K - 1))
    noise = squares / (S * K)
    parts = seed_variance(seeds), seed_variance(paths)
    most = int(K > S)  # both parts contain the rest's variance: the one with more degrees of freedom gives it up
    less = [part._replace(value=part.value - noise * (i == most)) for i, part in enumerate(parts)]
    return estimate(mean, *less)


def mean_over_seeds_and_bars(values: npt.ArrayLike) -> Estimate:
    """Mean of values [S, T] of S seeds on the same T dependent bars; seeds and time are both random."""
    array = _finite(values, 2)
    return centred_estimate(array.mean(1), array - array.mean(1, keepdims=True))


def centred_estimate(statistics: Floats, influence: Floats) -> Estimate:
    """Mean over seeds of a statistic [S], each computed from the same T bars, given its influence functions [S, T].

    Time contributes the long-run variance of the mean influence. Seeds differ by the chance of their training and by
    that of their own bars: only the former is added, because the variance over time contains the latter.
    """
    return estimate(float(statistics.mean()), time_variance(influence.mean(0)), *seed_parts(statistics, influence))


def seed_parts(statistics: Floats, influence: Floats) -> tuple[Variance, ...]:
    """The variance of the mean of a statistic [S] by training alone, given its influence [S, T]; none of one seed."""
    S = len(statistics)
    if S == 1:
        return ()
    own = float(_time_variances(influence - influence.mean(0)).mean()) * S / (S - 1)
    seeds = seed_variance(statistics)
    return (seeds._replace(value=seeds.value - own / S),)


def gap_over_seeds_and_bars(a: npt.ArrayLike, b: npt.ArrayLike) -> Estimate:
    """Mean of a [S, T] less that of b [S', T] on the same T dependent bars; their seeds are independent."""
    pair = [_finite(values, 2) for values in (a, b)]
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(f"a and b must have the same bars, got {pair[0].shape[1]} and {pair[1].shape[1]}")
    means = [values.mean(1) for values in pair]
    moves = [values - own[:, None] for values, own in zip(pair, means, strict=True)]
    seeds = [part for own, moved in zip(means, moves, strict=True) for part in seed_parts(own, moved)]
    over_time = time_variance(moves[0].mean(0) - moves[1].mean(0))
    return estimate(float(means[0].mean() - means[1].mean()), over_time, *seeds)


def failure_rate(failures: int, runs: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of the probability of failure after ``failures`` of ``runs`` independent runs failed.

    Source:
        Clopper and Pearson (1934).
    """
    runs = integer("runs", runs, 1)
    failures = integer("failures", failures, 0, runs)
    number("level", level, above=0.0, most=1.0)
    interval = stats.binomtest(failures, runs).proportion_ci(level, method="exact")
    return float(interval.low), float(interval.high)
