"""Statistics of runs as pure functions: medians, ranges, and bootstraps over seeds and time.

All seeds of all agents are tested on the same path of prices, so seeds alone do not show how much a result would differ
on another path. The bootstrap therefore resamples time, jointly for all agents, as well as seeds.

Axis letters: S seeds, T bars, B bootstrap samples.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env._checks import integer, number, within_float64

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Summary(NamedTuple):
    """Median and range over the seeds with a defined value, and the number of these seeds."""

    median: float
    low: float
    high: float
    defined: int


def numbers(name: str, values: Any, *dimensions: int) -> Floats:
    """``values`` as an array of float64; TypeError or ValueError unless they are real, with one of these dimensions."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, got rows of different lengths") from error
    if array.dtype.kind not in "iuf" and array.size:
        raise TypeError(f"{name} must be real numbers, got {array.dtype} of shape {array.shape}")
    if array.ndim not in dimensions:
        allowed = " or ".join(map(str, sorted({dimensions[0], dimensions[-1]})))
        raise ValueError(f"{name} must have {allowed} dimensions, got shape {array.shape}")
    return array.astype(np.float64)


def check_sampling(samples: Any, seed: Any, level: float = 0.95) -> None:
    """Raises TypeError or ValueError unless samples is at least 1, seed at least 0, and level in (0, 1]."""
    integer("samples", samples, 1)
    integer("seed", seed, 0)
    number("level", level, above=0.0, most=1.0)


def median_and_range(values: npt.ArrayLike) -> Summary:
    """Summary of one value per seed (S,), NaN where undefined; all NaN if none is defined."""
    defined = numbers("values", values, 1)
    defined = defined[~np.isnan(defined)]
    if defined.size == 0:
        return Summary(math.nan, math.nan, math.nan, 0)
    ordered = np.sort(defined)
    middle = 0.5 * ordered[(defined.size - 1) // 2] + 0.5 * ordered[defined.size // 2]  # no sum, which may overflow
    return Summary(float(middle), float(defined.min()), float(defined.max()), int(defined.size))


@within_float64("samples")
def percentile_interval(samples: npt.ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """The central interval of bootstrap samples (B,) at this level; NaN where half of them or more are undefined."""
    values = numbers("samples", samples, 1)
    number("level", level, above=0.0, most=1.0)
    defined = values[~np.isnan(values)]
    if 2 * defined.size <= values.size:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def first_point_that_stays(values: Floats, threshold: float) -> int | None:
    """The first index from which on no value [P] is below the threshold; None if the last one is."""
    below = np.flatnonzero(values < threshold)
    point = int(below[-1]) + 1 if below.size else 0
    return point if point < len(values) else None


def check_block(mean_block: float) -> None:
    """Raises TypeError or ValueError unless the mean block length is finite and at least 1 bar."""
    if isinstance(mean_block, bool) or not isinstance(mean_block, int | float | np.number):
        raise TypeError(f"mean_block must be a number of bars, got {mean_block!r}")
    if not 1.0 <= mean_block < math.inf:
        raise ValueError(f"mean_block must be finite and at least 1 bar, got {mean_block}")


def check_bars_per_year(bars_per_year: float) -> None:
    """Raises TypeError or ValueError unless positive and finite, or NaN, which makes every ratio undefined."""
    if not (isinstance(bars_per_year, float) and math.isnan(bars_per_year)):
        number("bars_per_year", bars_per_year, above=0.0)


def stationary_bootstrap(bars: int, mean_block: float, samples: int, rng: np.random.Generator) -> Ints:
    """Bars [B, T] drawn in blocks of geometric length that wrap around at the end.

    Source:
        Politis and Romano (1994), The Stationary Bootstrap.
    """
    check_block(mean_block)
    integer("bars", bars, 1)
    integer("samples", samples, 1)
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng must be a numpy Generator, got {rng!r}")
    begins = rng.random((samples, bars)) < 1.0 / mean_block  # [B, T]
    begins[:, 0] = True
    last = np.maximum.accumulate(np.where(begins, np.arange(bars), 0), axis=1)  # start of the block
    starts = np.take_along_axis(rng.integers(bars, size=(samples, bars)), last, axis=1)
    return (starts + np.arange(bars) - last) % bars


def counts(drawn: Ints, n: int) -> Floats:
    """How often each of n was drawn in each sample [B, n]."""
    return np.stack([np.bincount(row, minlength=n) for row in drawn]).astype(np.float64)


@within_float64("returns")
def resampled_sharpe(returns: npt.ArrayLike, drawn: Ints, bars_per_year: float) -> Floats:
    """Annual Sharpe ratio [B, S] of each seed's returns [S, T] over the drawn bars [B, T]; NaN if all are equal."""
    values = numbers("returns", returns, 2)
    bars = values.shape[1]
    rows = np.asarray(drawn)
    if rows.ndim != 2 or rows.dtype.kind not in "iu" or (rows.size and not (rows.min() >= 0 and rows.max() < bars)):
        raise ValueError(f"drawn must be bars [B, T] of 0 to {bars - 1}, got {rows.dtype} of shape {rows.shape}")
    check_bars_per_year(bars_per_year)
    weights = counts(rows, bars)  # [B, T]
    mean = weights @ values.T / bars  # [B, S]
    centre = values.mean(axis=1)
    variance = weights @ (values - centre[:, None]).T ** 2 / bars - (mean - centre) ** 2
    deviation = np.sqrt(np.maximum(variance, 0.0) * bars / max(bars - 1, 1))
    moves = deviation > 1e-7 * np.abs(values).max(initial=0.0)  # smaller values are rounding errors of equal returns
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

    Sample b uses the same bars for every name, so differences between names are paired. The seeds of each name are
    drawn independently, with replacement.

    Args:
        returns: name -> returns of its seeds on one path [S, T]; T is the same for all.
        bars_per_year: scales the ratios.
        samples: B.
        mean_block: mean length of the blocks of bars, within which serial dependence is preserved.
        seed: of the draws.
    """
    if not isinstance(returns, Mapping):
        raise TypeError(f"returns must be a mapping of names to arrays [S, T], got {type(returns).__name__}")
    returns = {name: numbers(f"returns of {name!r}", values, 2) for name, values in returns.items()}
    lengths = {values.shape[1] for values in returns.values()}
    if len(lengths) != 1:
        raise ValueError(f"returns must have one number of bars, got {sorted(lengths)}")
    idle = [name for name, values in returns.items() if not values.size]
    if idle:
        raise ValueError(f"returns must have at least one seed and one bar, {idle} have none")
    check_sampling(samples, seed)
    check_bars_per_year(bars_per_year)
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
