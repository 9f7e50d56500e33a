"""The shape of returns: moments, quantiles, best and worst. Independent functions of returns (T,), NumPy only."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trading_env._checks import number, within_float64
from trading_env.analysis.metrics import ROUNDING, curve_of, drawdowns
from trading_env.data.bars import finite_column

Floats = npt.NDArray[np.float64]


@within_float64("returns")
def skewness(returns: npt.ArrayLike) -> float:
    """Third standardised moment (divisor T); NaN without volatility."""
    return _moment(returns, 3)


@within_float64("returns")
def kurtosis(returns: npt.ArrayLike) -> float:
    """Fourth standardised moment (divisor T), 3 for a normal distribution; NaN without volatility."""
    return _moment(returns, 4)


def value_at_risk(returns: npt.ArrayLike, level: float = 0.95) -> float:
    """Loss of a bar that is exceeded with probability 1 - level, from the returns' own quantile; positive for a loss.

    The quantile is the k-th smallest return with k = ceil((1 - level) T), not interpolated.
    """
    values = np.sort(finite_column("returns", returns))
    return float(-values[_count(values, level) - 1])


def expected_shortfall(returns: npt.ArrayLike, level: float = 0.95) -> float:
    """Mean loss of the bars that lose at least `value_at_risk`; positive for a loss."""
    values = np.sort(finite_column("returns", returns))
    return float(-values[: _count(values, level)].mean())


def best(returns: npt.ArrayLike) -> float:
    """Largest return."""
    return float(finite_column("returns", returns).max())


def worst(returns: npt.ArrayLike) -> float:
    """Smallest return."""
    return float(finite_column("returns", returns).min())


@within_float64("values")
def profit_factor(values: npt.ArrayLike) -> float:
    """Sum of the gains over the sum of the losses; NaN without a loss."""
    found = finite_column("values", values)
    losses = -float(found[found < 0.0].sum())
    return float(found[found > 0.0].sum()) / losses if losses > 0.0 else math.nan


@within_float64("equity")
def ulcer_index(equity: npt.ArrayLike) -> float:
    """Root of the mean squared drawdown (T+1,), a fraction.

    Source:
        Martin and McCann (1989), The Investor's Guide to Fidelity Funds.
    """
    return float(np.sqrt(np.mean(drawdowns(curve_of(equity)) ** 2)))


def _moment(returns: npt.ArrayLike, power: int) -> float:
    values = finite_column("returns", returns)
    centred = values - values.mean()
    deviation = math.sqrt(float(np.mean(centred**2)))
    return float(np.mean((centred / deviation) ** power)) if deviation > ROUNDING else math.nan


def _count(values: Floats, level: float) -> int:
    """Number of values in the tail, at least 1."""
    number("level", level, above=0.0, most=0.999999)
    return max(math.ceil(round((1.0 - level) * values.size, 9)), 1)
