"""What an equity curve is worth: return, risk, drawdown, trading. Each function stands alone, numpy only.

Fractions and years: a return of 0.1 is 10%, rates and ratios are per year. T = bars of the curve.

    equity      (T+1,) account value, the initial one first
    returns     (T,) simple returns of the bars: equity[1:] / equity[:-1] - 1
    turnover    (T,) traded notional of each bar over the equity before it, as `info` of the env has it

A ratio whose denominator is 0 (no volatility, no drawdown, no trade) is undefined: NaN, never 0 or infinity.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import choice, integer, number, within_float64
from trading_env.data.bars import as_column

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-14  # returns are quotients near 1, less 1: smaller deviations are those of rounding


@within_float64("equity")
def simple_returns(equity: npt.ArrayLike) -> Floats:
    """Return of each bar (T,): equity[t+1] / equity[t] - 1.

    Raises:
        ValueError: equity has another shape, is not finite, or is not positive before its last value.
    """
    curve = _curve(equity)
    result: Floats = curve[1:] / curve[:-1] - 1.0
    return result


# -- return ----------------------------------------------------------------------------------------------------


@within_float64("equity")
def total_return(equity: npt.ArrayLike) -> float:
    """What was gained over the whole curve: last value over the first, minus 1."""
    curve = _curve(equity)
    return float(curve[-1] / curve[0] - 1.0)


@within_float64("equity")
def annual_return(equity: npt.ArrayLike, bars_per_year: float) -> float:
    """Growth per year, compounded: (1 + total return)^(bars_per_year / T) - 1; -1 where nothing is left.

    Of a few short bars it may be more than float64 holds, and is infinite then.
    """
    growth = max(1.0 + total_return(equity), 0.0)
    try:
        return float(growth ** (_rate(bars_per_year) / (np.size(equity) - 1)) - 1.0)
    except OverflowError:
        return math.inf


def hit_rate(returns: npt.ArrayLike) -> float:
    """Share of the bars with a gain among those with a gain or a loss; NaN where there are none."""
    values = _series("returns", returns)
    moved = np.count_nonzero(np.abs(values) > ROUNDING)
    return float(np.count_nonzero(values > ROUNDING) / moved) if moved else math.nan


# -- risk ------------------------------------------------------------------------------------------------------


@within_float64("returns")
def annual_volatility(returns: npt.ArrayLike, bars_per_year: float) -> float:
    """Standard deviation of the returns (divisor T - 1) times sqrt(bars_per_year); NaN for a single bar."""
    return float(_deviation(_series("returns", returns)) * math.sqrt(_rate(bars_per_year)))


@within_float64("returns")
def sharpe_ratio(returns: npt.ArrayLike, bars_per_year: float, risk_free: float = 0.0) -> float:
    """Annual Sharpe ratio: mean excess return over standard deviation (divisor T - 1), times sqrt(bars_per_year).

    Args:
        returns: (T,).
        bars_per_year: scales the ratio of a bar to a year.
        risk_free: rate per year, spread evenly over the bars.

    Returns:
        The ratio; NaN without volatility.
    """
    values, rate = _series("returns", returns), _rate(bars_per_year)
    excess = float(values.mean()) - number("risk_free", risk_free) / rate
    return _ratio(excess, _deviation(values)) * math.sqrt(rate)


@within_float64("returns")
def sharpe_standard_error(
    returns: npt.ArrayLike,
    bars_per_year: float,
    risk_free: float = 0.0,
    method: str = "iid",
    lags: int | None = None,
) -> float:
    """Standard error of `sharpe_ratio`, annual as it is.

    With SR the ratio of a bar, "iid" is sqrt((1 + SR^2 / 2) / T), for independent normal returns. "gmm" holds for
    returns of any distribution that depend on one another: sqrt(g' V g / T) with the moments' long-run covariance
    V (Newey-West) and g the ratio's gradient. Both times sqrt(bars_per_year).

    Args:
        returns: (T,).
        bars_per_year: scales the ratio of a bar to a year.
        risk_free: rate per year, spread evenly over the bars.
        method: "iid" or "gmm".
        lags: of autocorrelation that "gmm" allows for; None takes floor(4 (T / 100)^(2/9)).

    Returns:
        The standard error; NaN without volatility.

    Source:
        Lo (2002), The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), equation 9 and appendix A;
        the lags by Newey and West (1994).
    """
    choice("method", method, ("iid", "gmm"))
    values, rate = _series("returns", returns), _rate(bars_per_year)
    T, deviation = values.size, _deviation(values)
    excess = float(values.mean()) - number("risk_free", risk_free) / rate
    ratio = _ratio(excess, deviation)
    if math.isnan(ratio):
        return math.nan
    if method == "iid":
        variance = 1.0 + 0.5 * ratio**2
    else:
        lags = math.floor(4.0 * (T / 100.0) ** (2.0 / 9.0)) if lags is None else integer("lags", lags, 0, T - 1)
        centred = values - values.mean()
        moments = np.stack([centred, centred**2 - np.mean(centred**2)], axis=1)  # [T, 2]
        gradient = np.array([1.0 / deviation, -excess / (2.0 * deviation**3)])
        variance = float(gradient @ long_run_covariance(moments, min(lags, T - 1)) @ gradient)
    return math.sqrt(variance / T * rate)


@within_float64("moments")
def long_run_covariance(moments: npt.ArrayLike, lags: int) -> Floats:
    """Newey and West's covariance (K, K) of centred moments (T, K): weights 1 - lag / (lags + 1), divisor T."""
    try:
        values = np.asarray(moments)
    except ValueError as error:
        raise ValueError("moments must be real numbers (T, K), got rows of different lengths") from error
    if values.dtype.kind not in "iuf" or values.ndim != 2:
        raise TypeError(f"moments must be real numbers (T, K), got {values.dtype} of shape {values.shape}")
    values = values.astype(np.float64)
    if not values.size or not np.isfinite(values).all():
        raise ValueError(f"moments must be finite, of one bar at least, got shape {values.shape}")
    covariance = values.T @ values
    for lag in range(1, integer("lags", lags, 0) + 1):
        product = values[lag:].T @ values[:-lag]
        covariance += (1.0 - lag / (lags + 1.0)) * (product + product.T)
    result: Floats = covariance / len(values)
    return result


@within_float64("returns")
def sortino_ratio(returns: npt.ArrayLike, bars_per_year: float, target: float = 0.0) -> float:
    """Annual mean return above ``target`` over the downside deviation sqrt(mean(min(return - target, 0)^2)).

    ``target`` is a rate per year, spread evenly over the bars. NaN where no bar falls short of it.

    Source:
        Sortino and Price (1994), Performance Measurement in a Downside Risk Framework.
    """
    values, rate = _series("returns", returns), _rate(bars_per_year)
    above = values - number("target", target) / rate
    downside = math.sqrt(float(np.mean(np.minimum(above, 0.0) ** 2)))
    return _ratio(float(above.mean()), downside if downside > ROUNDING else 0.0) * math.sqrt(rate)


# -- drawdown --------------------------------------------------------------------------------------------------


@within_float64("equity")
def max_drawdown(equity: npt.ArrayLike) -> float:
    """Largest loss from an earlier peak, as a positive fraction of that peak: 0.25 is a fall by a quarter."""
    return float(_drawdowns(_curve(equity)).max())


@within_float64("equity")
def max_drawdown_length(equity: npt.ArrayLike) -> int:
    """Bars from the peak before the largest drawdown until it is reached again, or to the end; 0 without one."""
    curve = _curve(equity)
    drawdowns = _drawdowns(curve)
    trough = int(drawdowns.argmax())
    if drawdowns[trough] == 0.0:
        return 0
    peak = trough - int(curve[trough::-1].argmax())  # the last bar at that height
    back = np.flatnonzero(curve[trough:] >= curve[peak])
    return (trough + int(back[0]) if back.size else curve.size - 1) - peak


@within_float64("equity")
def calmar_ratio(equity: npt.ArrayLike, bars_per_year: float) -> float:
    """Annual return over the largest drawdown; NaN without one."""
    return _ratio(annual_return(equity, bars_per_year), max_drawdown(equity))


# -- trading ---------------------------------------------------------------------------------------------------


@within_float64("turnover")
def annual_turnover(turnover: npt.ArrayLike, bars_per_year: float) -> float:
    """Traded notional per year, in units of equity: buying once and selling once in a year is 2."""
    return float(_series("turnover", turnover).mean() * _rate(bars_per_year))


@within_float64("exposure")
def mean_exposure(exposure: npt.ArrayLike) -> float:
    """Mean of the exposures (T,): 1 is always fully invested, negative is short."""
    return float(_series("exposure", exposure).mean())


@within_float64("commission", "slippage")
def cost_paid(commission: npt.ArrayLike, slippage: npt.ArrayLike) -> float:
    """Commission and slippage of all bars (T,) together, currency."""
    paid, slipped = _series("commission", commission), _series("slippage", slippage)
    if paid.size != slipped.size:
        raise ValueError(f"slippage must have {paid.size} bars as commission has, got {slipped.size}")
    return float(paid.sum() + slipped.sum())


@within_float64("equity", "turnover", "costs")
def break_even_cost(equity: npt.ArrayLike, turnover: npt.ArrayLike, costs: npt.ArrayLike) -> float:
    """The cost per traded notional at which nothing would have been gained, the trades being what they were.

    Profit before costs over the traded notional. To first order: with another cost the same exposures would
    have traded other amounts. Negative where money was lost even before costs.

    Args:
        equity: (T+1,).
        turnover: (T,).
        costs: commission and slippage of each bar (T,), currency.

    Returns:
        A fraction of the notional (5e-4 is 5 bps), to compare with the rate that was charged; NaN without a trade.
    """
    curve, traded, paid = _curve(equity), _series("turnover", turnover), _series("costs", costs)
    for name, values in (("turnover", traded), ("costs", paid)):
        if values.size != curve.size - 1:
            raise ValueError(f"{name} must have {curve.size - 1} bars as equity has, got {values.size}")
    profit = float(curve[-1] - curve[0] + paid.sum())
    return _ratio(profit, float(traded @ curve[:-1]))


# -- what they share -------------------------------------------------------------------------------------------


def _curve(equity: npt.ArrayLike) -> Floats:
    """An equity curve (T+1,), checked."""
    curve = _series("equity", equity)
    if curve.size < 2:
        raise ValueError(f"equity must have at least two values, got {curve.size}")
    if not (curve[:-1] > 0.0).all():
        bar = int(np.flatnonzero(curve[:-1] <= 0.0)[0])
        raise ValueError(f"equity must be positive before its last value, got {curve[bar]} at {bar}")
    return curve


def _series(name: str, values: Any) -> Floats:
    """A series (T,) of finite numbers, checked."""
    series = as_column(name, values, copy=False)
    if not np.isfinite(series).all():
        bar = int(np.isfinite(series).argmin())
        raise ValueError(f"{name} must be finite, got {series[bar]} at {bar}")
    return series


def _rate(bars_per_year: float) -> float:
    return number("bars_per_year", bars_per_year, above=0.0)


def _deviation(values: Floats) -> float:
    """Standard deviation with divisor T - 1; NaN for a single value, exactly 0 for values equal but for rounding."""
    if values.size < 2:
        return math.nan
    deviation = float(values.std(ddof=1))
    return deviation if deviation > ROUNDING else 0.0


def _drawdowns(curve: Floats) -> Floats:
    """Loss from the running peak (T+1,), a fraction of it; 0 where it is but rounding."""
    losses = 1.0 - curve / np.maximum.accumulate(curve)
    return np.where(losses > ROUNDING, losses, 0.0)


def _ratio(above: float, below: float) -> float:
    """The quotient; NaN where ``below`` is 0 or NaN."""
    return above / below if below > 0.0 else math.nan
