"""Performance metrics of an equity curve: return, risk, drawdown, trading. Independent functions, NumPy only.

Fractions and years: a return of 0.1 is 10%, rates and ratios are per year. T = bars of the curve.

    equity      (T+1,) account value, the initial one first
    returns     (T,) simple returns of the bars: equity[1:] / equity[:-1] - 1
    turnover    (T,) traded notional of each bar over the equity before it, as in the env's `info`

A ratio with denominator 0 (no volatility, no drawdown, no trade) is NaN, never 0 or infinity.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trading_env._checks import choice, integer, number, within_float64
from trading_env.data.bars import finite_column

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-14  # returns are quotients near 1, minus 1: smaller deviations are rounding


@within_float64("equity")
def simple_returns(equity: npt.ArrayLike) -> Floats:
    """Return of each bar (T,): equity[t+1] / equity[t] - 1.

    Raises:
        ValueError: equity has another shape, is not finite, or is not positive before its last value.
    """
    curve = curve_of(equity)
    result: Floats = curve[1:] / curve[:-1] - 1.0
    return result


# -- return ----------------------------------------------------------------------------------------------------


@within_float64("equity")
def total_return(equity: npt.ArrayLike) -> float:
    """Return over the whole curve: last value over first value, minus 1."""
    curve = curve_of(equity)
    return float(curve[-1] / curve[0] - 1.0)


@within_float64("equity")
def annual_return(equity: npt.ArrayLike, bars_per_year: float) -> float:
    """Growth per year, compounded: (1 + total return)^(bars_per_year / T) - 1; -1 if nothing is left.

    Infinite if it exceeds float64, which a few short bars may cause.
    """
    growth = max(1.0 + total_return(equity), 0.0)
    try:
        return float(growth ** (_rate(bars_per_year) / (np.size(equity) - 1)) - 1.0)
    except OverflowError:
        return math.inf


def hit_rate(returns: npt.ArrayLike) -> float:
    """Share of bars with a gain among bars with a gain or a loss; NaN if there are none."""
    values = finite_column("returns", returns)
    moved = np.count_nonzero(np.abs(values) > ROUNDING)
    return float(np.count_nonzero(values > ROUNDING) / moved) if moved else math.nan


# -- risk ------------------------------------------------------------------------------------------------------


@within_float64("returns")
def annual_volatility(returns: npt.ArrayLike, bars_per_year: float) -> float:
    """Standard deviation of the returns (divisor T - 1) times sqrt(bars_per_year); NaN for a single bar."""
    return float(_deviation(finite_column("returns", returns)) * math.sqrt(_rate(bars_per_year)))


@within_float64("returns")
def sharpe_ratio(returns: npt.ArrayLike, bars_per_year: float, risk_free: float = 0.0) -> float:
    """Annual Sharpe ratio: mean excess return over standard deviation (divisor T - 1), times sqrt(bars_per_year).

    Args:
        returns: (T,).
        bars_per_year: annualises the ratio per bar.
        risk_free: rate per year, divided evenly among the bars.

    Returns:
        The ratio; NaN without volatility.
    """
    values, rate = finite_column("returns", returns), _rate(bars_per_year)
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
    """Standard error of `sharpe_ratio`, annualised like the ratio.

    With SR the ratio per bar, "iid" is sqrt((1 + SR^2 / 2) / T), for independent normal returns. "gmm" is valid for
    dependent returns of any distribution: sqrt(g' V g / T), with V the long-run covariance of the moments
    (Newey-West) and g the gradient of the ratio. Both are multiplied by sqrt(bars_per_year).

    Args:
        returns: (T,).
        bars_per_year: annualises the ratio per bar.
        risk_free: rate per year, divided evenly among the bars.
        method: "iid" or "gmm".
        lags: number of autocorrelation lags for "gmm"; None for floor(4 (T / 100)^(2/9)).

    Returns:
        The standard error; NaN without volatility.

    Source:
        Lo (2002), The Statistics of Sharpe Ratios, Financial Analysts Journal 58(4), equation 9 and appendix A;
        default lags from Newey and West (1994).
    """
    choice("method", method, ("iid", "gmm"))
    values, rate = finite_column("returns", returns), _rate(bars_per_year)
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
    """Newey-West covariance (K, K) of centred moments (T, K): weights 1 - lag / (lags + 1), divisor T."""
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

    ``target`` is a rate per year, divided evenly among the bars. NaN if no bar falls short of it.

    Source:
        Sortino and Price (1994), Performance Measurement in a Downside Risk Framework.
    """
    values, rate = finite_column("returns", returns), _rate(bars_per_year)
    above = values - number("target", target) / rate
    downside = math.sqrt(float(np.mean(np.minimum(above, 0.0) ** 2)))
    return _ratio(float(above.mean()), downside if downside > ROUNDING else 0.0) * math.sqrt(rate)


# -- drawdown --------------------------------------------------------------------------------------------------


@within_float64("equity")
def max_drawdown(equity: npt.ArrayLike) -> float:
    """Largest loss from an earlier peak, as a positive fraction of the peak: 0.25 is a loss of a quarter."""
    return float(drawdowns(curve_of(equity)).max())


@within_float64("equity")
def max_drawdown_length(equity: npt.ArrayLike) -> int:
    """Bars from the peak before the largest drawdown to its recovery, or to the end; 0 without a drawdown."""
    curve = curve_of(equity)
    losses = drawdowns(curve)
    trough = int(losses.argmax())
    if losses[trough] == 0.0:
        return 0
    peak = trough - int(curve[trough::-1].argmax())  # the last bar at that height
    back = np.flatnonzero(curve[trough:] >= curve[peak])
    return (trough + int(back[0]) if back.size else curve.size - 1) - peak


@within_float64("equity")
def calmar_ratio(equity: npt.ArrayLike, bars_per_year: float) -> float:
    """Annual return over the largest drawdown; NaN without a drawdown."""
    return _ratio(annual_return(equity, bars_per_year), max_drawdown(equity))


# -- trading ---------------------------------------------------------------------------------------------------


@within_float64("turnover")
def annual_turnover(turnover: npt.ArrayLike, bars_per_year: float) -> float:
    """Traded notional per year, in units of equity: one purchase and one sale of everything per year is 2."""
    return float(finite_column("turnover", turnover).mean() * _rate(bars_per_year))


@within_float64("exposure")
def mean_exposure(exposure: npt.ArrayLike) -> float:
    """Mean exposure (T,): 1 is always fully invested, negative is short."""
    return float(finite_column("exposure", exposure).mean())


@within_float64("commission", "slippage")
def cost_paid(commission: npt.ArrayLike, slippage: npt.ArrayLike) -> float:
    """Total commission and slippage of all bars (T,), currency."""
    paid, slipped = finite_column("commission", commission), finite_column("slippage", slippage)
    if paid.size != slipped.size:
        raise ValueError(f"slippage must have {paid.size} bars as commission has, got {slipped.size}")
    return float(paid.sum() + slipped.sum())


@within_float64("equity", "turnover", "costs")
def break_even_cost(equity: npt.ArrayLike, turnover: npt.ArrayLike, costs: npt.ArrayLike) -> float:
    """The cost per traded notional at which the same trades would have broken even.

    Profit before costs over traded notional. This is a first-order approximation, since at another cost the same
    exposures would trade other amounts. Negative if money was lost before costs.

    Args:
        equity: (T+1,).
        turnover: (T,).
        costs: commission and slippage of each bar (T,), currency.

    Returns:
        A fraction of the notional (5e-4 is 5 bps), comparable with the rate charged; NaN without a trade.
    """
    curve, traded, paid = curve_of(equity), finite_column("turnover", turnover), finite_column("costs", costs)
    for name, values in (("turnover", traded), ("costs", paid)):
        if values.size != curve.size - 1:
            raise ValueError(f"{name} must have {curve.size - 1} bars as equity has, got {values.size}")
    profit = float(curve[-1] - curve[0] + paid.sum())
    return _ratio(profit, float(traded @ curve[:-1]))


# -- shared -------------------------------------------------------------------------------------------


def curve_of(equity: npt.ArrayLike) -> Floats:
    """A checked equity curve (T+1,), of two values or more, positive before the last."""
    curve = finite_column("equity", equity)
    if curve.size < 2:
        raise ValueError(f"equity must have at least two values, got {curve.size}")
    if not (curve[:-1] > 0.0).all():
        bar = int(np.flatnonzero(curve[:-1] <= 0.0)[0])
        raise ValueError(f"equity must be positive before its last value, got {curve[bar]} at {bar}")
    return curve


def _rate(bars_per_year: float) -> float:
    return number("bars_per_year", bars_per_year, above=0.0)


def _deviation(values: Floats) -> float:
    """Standard deviation (divisor T - 1); NaN for a single value, exactly 0 for values equal up to rounding."""
    if values.size < 2:
        return math.nan
    deviation = float(values.std(ddof=1))
    return deviation if deviation > ROUNDING else 0.0


def drawdowns(curve: Floats) -> Floats:
    """Loss from the running peak (T+1,), as a fraction of the peak; 0 if it is only rounding."""
    losses = 1.0 - curve / np.maximum.accumulate(curve)
    return np.where(losses > ROUNDING, losses, 0.0)


def _ratio(above: float, below: float) -> float:
    """The ratio above / below; NaN if ``below`` is 0 or NaN."""
    return above / below if below > 0.0 else math.nan
