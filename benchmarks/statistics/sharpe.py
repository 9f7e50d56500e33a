"""Inference about Sharpe ratios: of one row, of the difference of two, and of the best of many.

Ratios are per bar unless a function takes ``bars_per_year``; kurtosis is 3 for the normal distribution.

Axis letters: S seeds, T bars, N trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.statistics.estimates import Estimate, Variance, estimate, seed_parts, time_variance
from benchmarks.statistics.intervals import Floats, check_bars_per_year, numbers
from trading_env._checks import integer, number, within_float64

_FLAT = 1e-7  # a deviation below this share of the largest return is rounding
_EULER = 0.5772156649015329
_MOST_TRIALS = 10**18  # beyond, 1 / N is lost in float64


class Ratios(NamedTuple):
    """Sharpe ratios and their influence functions."""

    ratio: Floats  # [S], per bar; NaN where all returns are equal
    influence: Floats  # [S, T], mean 0


@within_float64("returns")
def sharpe_ratios(returns: npt.ArrayLike) -> Ratios:
    """Sharpe ratios per bar (divisor T - 1) of returns [S, T], and their influence functions.

    With z the standardised returns, the influence of a bar is z - ratio / 2 * (z^2 - 1).
    """
    values = numbers("returns", returns, 2)
    if values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(f"returns must have at least one seed and two bars, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("returns must be finite")
    centred = values - values.mean(1, keepdims=True)
    deviation = values.std(1, ddof=1, keepdims=True)
    moves = deviation > _FLAT * np.abs(values).max(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = np.where(moves, centred / deviation, np.nan)
        ratio = np.where(moves, values.mean(1, keepdims=True) / deviation, np.nan)
    influence = z - ratio / 2.0 * (z**2 - (z**2).mean(1, keepdims=True))
    return Ratios(ratio[:, 0], influence)


def mean_ratio(returns: npt.ArrayLike) -> float | None:
    """Mean over seeds of the Sharpe ratio per bar of returns [S, T]; None if no seed has one."""
    ratios = sharpe_ratios(returns).ratio
    defined = ratios[~np.isnan(ratios)]
    return float(defined.mean()) if defined.size else None


def mean_sharpe(returns: npt.ArrayLike, bars_per_year: float) -> Estimate:
    """Mean over seeds of the annual Sharpe ratio of returns [S, T] on the same bars; seeds and time are both random.

    Seeds whose returns are all equal have no ratio and are left out; if no seed is left, the estimate is NaN.
    """
    return mean_sharpe_over(_one_track(returns, bars_per_year))


def sharpe_gap(a: npt.ArrayLike, b: npt.ArrayLike, bars_per_year: float) -> Estimate:
    """Mean annual Sharpe ratio of a [S, T] less that of b [S', T], on the same bars; the seeds are not paired."""
    one, other = (_one_track(values, bars_per_year) for values in (a, b))
    if one["track"].bars.size != other["track"].bars.size:
        raise ValueError(
            f"a and b must have the same bars, got {one['track'].bars.size} and {other['track'].bars.size}"
        )
    return sharpe_gap_over(one, other)


class Track(NamedTuple):
    """Returns of one contender on one dataset."""

    bars: npt.NDArray[Any]  # [T], timestamps, or numbers, which are the same on datasets with the same clock
    returns: Floats  # [S, T]
    bars_per_year: float


def mean_sharpe_over(tracks: Mapping[str, Track]) -> Estimate:
    """Mean annual Sharpe ratio over datasets and seeds, by dataset; datasets are fixed, seeds and time are random.

    Bars of the same timestamp move together, whatever the dataset; seeds of different datasets are independent.
    """
    found = {name: (track.bars, *_annual(track.returns, track.bars_per_year)) for name, track in tracks.items()}
    if not _defined(found):
        return Estimate(math.nan, ())
    return estimate(_mean(found), time_variance(_moves(found)[1]), *_seeds(found))


def sharpe_gap_over(a: Mapping[str, Track], b: Mapping[str, Track]) -> Estimate:
    """`mean_sharpe_over` of a less that of b, on the same datasets and bars."""
    if a.keys() != b.keys():
        raise ValueError(f"a and b must have the same datasets, got {sorted(a)} and {sorted(b)}")
    found = [{name: (t.bars, *_annual(t.returns, t.bars_per_year)) for name, t in x.items()} for x in (a, b)]
    if not all(map(_defined, found)):
        return Estimate(math.nan, ())
    moves = [_moves(one) for one in found]
    bars = np.union1d(moves[0][0], moves[1][0])
    series = np.zeros(bars.size)
    for sign, (own, values) in zip((1.0, -1.0), moves, strict=True):
        series[np.searchsorted(bars, own)] += sign * values * (bars.size / own.size)
    gap = _mean(found[0]) - _mean(found[1])
    return estimate(gap, time_variance(series), *_seeds(found[0]), *_seeds(found[1]))


Influences = Mapping[str, tuple[npt.NDArray[Any], Floats, Floats]]  # bars [T], annual ratios [S], influence [S, T]


def _defined(found: Influences) -> bool:
    """True if every dataset, of at least one, has a seed with a ratio."""
    return bool(found) and all(len(ratios) for _, ratios, _ in found.values())


def _mean(found: Influences) -> float:
    return float(np.mean([ratios.mean() for _, ratios, _ in found.values()]))


def _seeds(found: Influences) -> list[Variance]:
    """The variances of the mean over datasets by training, which is independent from dataset to dataset."""
    parts = [part for _, ratios, influence in found.values() for part in seed_parts(ratios, influence)]
    return [part._replace(value=part.value / len(found) ** 2) for part in parts]


def _moves(found: Influences) -> tuple[npt.NDArray[Any], Floats]:
    """All bars of the datasets [U], and the influence of each on the mean over datasets and seeds [U]."""
    bars = np.unique(np.concatenate([own for own, _, _ in found.values()]))
    series = np.zeros(bars.size)
    for own, _, influence in found.values():
        series[np.searchsorted(bars, own)] += influence.mean(0) * (bars.size / (own.size * len(found)))
    return bars, series


def _one_track(returns: npt.ArrayLike, bars_per_year: float) -> dict[str, Track]:
    check_bars_per_year(bars_per_year)
    values = numbers("returns", returns, 2)
    return {"track": Track(np.arange(values.shape[1]), values, bars_per_year)}


def _annual(returns: npt.ArrayLike, bars_per_year: float) -> tuple[Floats, Floats]:
    """The defined annual ratios [S] and their influence functions [S, T]."""
    ratio, influence = sharpe_ratios(returns)
    scale, defined = math.sqrt(bars_per_year), ~np.isnan(ratio)
    return ratio[defined] * scale, influence[defined] * scale


# -- one ratio, and the best of many ---------------------------------------------------------------------------


@within_float64("sharpe", "benchmark", "n_bars", "skew", "kurtosis")
def probabilistic_sharpe(sharpe: float, benchmark: float, n_bars: int, skew: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio per bar exceeds ``benchmark``, given the one measured on independent bars.

    Args:
        sharpe: Ratio measured, per bar.
        benchmark: Ratio to exceed, per bar.
        n_bars: T.
        skew: Skewness of the returns.
        kurtosis: Kurtosis of the returns, 3 for normal ones; at least 1 + skew^2.

    Source:
        Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier.
    """
    n_bars = integer("n_bars", n_bars, 2)
    ratio, benchmark = number("sharpe", sharpe), number("benchmark", benchmark)
    variance = _variance_times_bars(ratio, skew, kurtosis)
    distance = (ratio - benchmark) * math.sqrt(n_bars - 1)
    if variance == 0.0:
        return float(np.heaviside(distance, 0.5))
    return float(stats.norm.cdf(distance / math.sqrt(variance)))


def expected_maximum_sharpe(n_trials: int, variance: float) -> float:
    """Expected largest Sharpe ratio of ``n_trials`` independent trials of no skill, whose ratios have this variance.

    The ratio has the unit of the variance's square root. With one trial it is 0, since nothing was selected.

    Source:
        Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio, equation 1.
    """
    n_trials = integer("n_trials", n_trials, 1, _MOST_TRIALS)
    variance = number("variance", variance, least=0.0)
    if n_trials == 1:
        return 0.0
    ends = stats.norm.isf([1.0 / n_trials, 1.0 / (n_trials * math.e)])
    return math.sqrt(variance) * float((1.0 - _EULER) * ends[0] + _EULER * ends[1])


def deflated_sharpe(sharpe: float, n_bars: int, skew: float, kurtosis: float, n_trials: int, variance: float) -> float:
    """`probabilistic_sharpe` against `expected_maximum_sharpe`: is the best of N trials more than the luckiest of N?

    Args:
        sharpe: Ratio of the chosen trial, per bar.
        n_bars: T.
        skew: Skewness of its returns.
        kurtosis: Kurtosis of its returns, 3 for normal ones.
        n_trials: Number N of trials from which it was chosen.
        variance: Variance of the trials' ratios per bar.

    Source:
        Bailey and Lopez de Prado (2014), The Deflated Sharpe Ratio.
    """
    return probabilistic_sharpe(sharpe, expected_maximum_sharpe(n_trials, variance), n_bars, skew, kurtosis)


@within_float64("sharpe", "benchmark", "skew", "kurtosis")
def minimum_track_record(sharpe: float, benchmark: float, skew: float, kurtosis: float, level: float = 0.95) -> float:
    """Bars needed for `probabilistic_sharpe` to reach ``level``; infinite unless the ratio exceeds the benchmark.

    Source:
        Bailey and Lopez de Prado (2012), The Sharpe Ratio Efficient Frontier, equation 11.
    """
    ratio, benchmark = number("sharpe", sharpe), number("benchmark", benchmark)
    number("level", level, above=0.5, most=0.999999)
    variance = _variance_times_bars(ratio, skew, kurtosis)
    if ratio <= benchmark:
        return math.inf
    return 1.0 + variance * (float(stats.norm.ppf(level)) / (ratio - benchmark)) ** 2


def _variance_times_bars(ratio: float, skew: float, kurtosis: float) -> float:
    """T times the variance of the ratio: 1 - skew ratio + (kurtosis - 1) / 4 ratio^2, never negative."""
    skew, kurtosis = number("skew", skew), number("kurtosis", kurtosis)
    if kurtosis < (1.0 + skew**2) * (1.0 - 1e-12):
        raise ValueError(
            f"kurtosis must be at least 1 + skew^2 = {1 + skew**2:g} (3 for normal returns), got {kurtosis}"
        )
    return max(1.0 - skew * ratio + (kurtosis - 1.0) / 4.0 * ratio**2, 0.0)
