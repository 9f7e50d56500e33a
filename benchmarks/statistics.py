"""Statistics of runs as pure functions: medians, ranges, and bootstraps over seeds and time.

All seeds of all agents are tested on one and the same path of prices, so seeds alone do not show how much a result
would differ on another path. The bootstrap here therefore draws time anew, jointly for all agents, and seeds.

Axis letters: S seeds, T bars, B bootstrap samples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Summary(NamedTuple):
    """Median and range over the seeds whose value is defined, and how many those are."""

    median: float
    low: float
    high: float
    defined: int


def median_and_range(values: npt.ArrayLike) -> Summary:
    """Summary of one value per seed (S,), NaN where undefined; all NaN without a defined one."""
    defined = np.asarray(values, np.float64)
    defined = defined[~np.isnan(defined)]
    if defined.size == 0:
        return Summary(math.nan, math.nan, math.nan, 0)
    return Summary(float(np.median(defined)), float(defined.min()), float(defined.max()), int(defined.size))


def percentile_interval(samples: npt.ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The middle ``level`` of bootstrap samples (B,); NaN where half of them or more are undefined."""
    values = np.asarray(samples, np.float64)
    defined = values[~np.isnan(values)]
    if 2 * defined.size <= values.size:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def iqm(values: npt.ArrayLike, axis: int = 0) -> Floats:
    """Interquartile mean along an axis: without the lowest and the highest quarter, each rounded down; NaN of NaN.

    Source:
        Agarwal et al. (2021), Deep Reinforcement Learning at the Edge of the Statistical Precipice.
    """
    ordered = np.sort(np.asarray(values, np.float64), axis=axis)
    cut = ordered.shape[axis] // 4
    middle = np.take(ordered, range(cut, ordered.shape[axis] - cut), axis=axis)
    undefined = np.isnan(np.take(ordered, -1, axis=axis))  # NaN is sorted last, and would be cut off as the best
    return np.asarray(np.where(undefined, np.nan, middle.mean(axis=axis)))


def bootstrap_iqm(values: npt.ArrayLike, samples: int = 2000, seed: int = 0) -> Floats:
    """Interquartile means [B, ...] of seeds drawn with replacement, of scores [S, ...]; a draw takes a seed whole."""
    scores = np.asarray(values, np.float64)
    drawn = np.random.default_rng(seed).integers(len(scores), size=(samples, len(scores)))
    return iqm(scores[drawn], axis=1)


def check_block(mean_block: float) -> None:
    """Raises ValueError unless the mean length of a block is finite and at least 1 bar."""
    if not 1.0 <= mean_block < math.inf:
        raise ValueError(f"mean_block must be finite and at least 1 bar, got {mean_block}")


def stationary_bootstrap(bars: int, mean_block: float, samples: int, rng: np.random.Generator) -> Ints:
    """Bars [B, T] drawn in blocks of geometric length, wrapping round at the end.

    Source:
        Politis and Romano (1994), The Stationary Bootstrap.
    """
    check_block(mean_block)
    begins = rng.random((samples, bars)) < 1.0 / mean_block  # [B, T]
    begins[:, 0] = True
    last = np.maximum.accumulate(np.where(begins, np.arange(bars), 0), axis=1)  # where the block began
    starts = np.take_along_axis(rng.integers(bars, size=(samples, bars)), last, axis=1)
    return (starts + np.arange(bars) - last) % bars


def resampled_sharpe(returns: npt.ArrayLike, drawn: Ints, bars_per_year: float) -> Floats:
    """Annual Sharpe ratio [B, S] of each seed's returns [S, T] over the drawn bars [B, T]; NaN if they are equal."""
    values = np.asarray(returns, np.float64)
    bars = values.shape[1]
    counts = np.stack([np.bincount(row, minlength=bars) for row in drawn]).astype(np.float64)  # [B, T]
    mean = counts @ values.T / bars  # [B, S]
    centre = values.mean(axis=1)
    variance = counts @ (values - centre[:, None]).T ** 2 / bars - (mean - centre) ** 2
    deviation = np.sqrt(np.maximum(variance, 0.0) * bars / max(bars - 1, 1))
    moves = deviation > 1e-7 * np.abs(values).max(initial=0.0)  # less is rounding of equal numbers
    ratio = np.divide(mean, deviation, out=np.full_like(mean, np.nan), where=moves)
    result: Floats = ratio * math.sqrt(bars_per_year)
    return result


def bootstrap_median_sharpe(
    returns: Mapping[str, Floats],
    bars_per_year: float,
    samples: int = 2000,
    mean_block: float = 20.0,
    seed: int = 0,
) -> dict[str, Floats]:
    """The median over seeds of the annual Sharpe ratio, on resampled bars and seeds: name -> [B].

    Sample b has the same bars for every name, so that differences of two names are paired; the seeds of each name
    are drawn with replacement on their own.

    Args:
        returns: name -> returns of its seeds on one path [S, T]; T is the same for all.
        bars_per_year: scales the ratios.
        samples: B.
        mean_block: mean length of the blocks of bars, within which what depends on the past stays as it is.
        seed: of the draws.
    """
    lengths = {values.shape[1] for values in returns.values()}
    if len(lengths) != 1:
        raise ValueError(f"returns must have one number of bars, got {sorted(lengths)}")
    rng = np.random.default_rng(seed)
    drawn = stationary_bootstrap(lengths.pop(), mean_block, samples, rng)
    medians = {}
    for name, values in returns.items():
        ratios = resampled_sharpe(values, drawn, bars_per_year)  # [B, S]
        seeds = rng.integers(len(values), size=ratios.shape)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
            medians[name] = np.nanmedian(np.take_along_axis(ratios, seeds, axis=1), axis=1)
    return medians
