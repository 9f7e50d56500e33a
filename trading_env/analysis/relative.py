"""A strategy beside a benchmark: functions of the returns of both on the same bars (T,), NumPy only.

Bars on which the benchmark is unknown (NaN) are left out of these numbers, and of no other.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trading_env._checks import number, within_float64
from trading_env.analysis.metrics import ROUNDING
from trading_env.data.bars import finite_column

Floats = npt.NDArray[np.float64]


@within_float64("returns")
def beta(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float:
    """Slope of the regression of returns on the benchmark's; NaN if the benchmark never moves."""
    ours, theirs = _pair(returns, benchmark)
    return _slope(ours, theirs)


@within_float64("returns")
def alpha(returns: npt.ArrayLike, benchmark: npt.ArrayLike, bars_per_year: float) -> float:
    """Intercept of that regression per bar, times bars_per_year (no compounding, no risk-free rate)."""
    ours, theirs = _pair(returns, benchmark)
    rate = number("bars_per_year", bars_per_year, above=0.0)
    return float(ours.mean() - _slope(ours, theirs) * theirs.mean()) * rate if ours.size else math.nan


@within_float64("returns")
def correlation(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> float:
    """Pearson's correlation; NaN if one of the two never moves."""
    ours, theirs = _pair(returns, benchmark)
    if ours.size < 2 or min(ours.std(), theirs.std()) <= ROUNDING:
        return math.nan
    return float(np.mean((ours - ours.mean()) * (theirs - theirs.mean())) / (ours.std() * theirs.std()))


@within_float64("returns")
def tracking_error(returns: npt.ArrayLike, benchmark: npt.ArrayLike, bars_per_year: float) -> float:
    """Standard deviation (divisor T - 1) of the difference of the returns, times sqrt(bars_per_year)."""
    ours, theirs = _pair(returns, benchmark)
    rate = number("bars_per_year", bars_per_year, above=0.0)
    return float((ours - theirs).std(ddof=1)) * math.sqrt(rate) if ours.size > 1 else math.nan


@within_float64("returns")
def information_ratio(returns: npt.ArrayLike, benchmark: npt.ArrayLike, bars_per_year: float) -> float:
    """Mean difference of the returns over its standard deviation, times sqrt(bars_per_year); NaN if it is constant."""
    ours, theirs = _pair(returns, benchmark)
    deviation = tracking_error(ours, theirs, bars_per_year)
    if not deviation > ROUNDING:
        return math.nan
    return float((ours - theirs).mean()) * bars_per_year / deviation


def _pair(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Both on the bars on which the benchmark is known."""
    ours, theirs = finite_column("returns", returns), np.asarray(benchmark, np.float64)
    if theirs.shape != ours.shape:
        raise ValueError(f"benchmark must have {ours.size} bars as returns has, got shape {theirs.shape}")
    known = ~np.isnan(theirs)
    return ours[known], theirs[known]


def _slope(ours: Floats, theirs: Floats) -> float:
    if theirs.size < 2 or theirs.std() <= ROUNDING:
        return math.nan
    centred = theirs - theirs.mean()
    return float(np.mean((ours - ours.mean()) * centred) / np.mean(centred**2))
