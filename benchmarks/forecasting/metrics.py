"""Accuracy of return forecasts, as pure functions of forecasts (n,) or (S, n) and the truth (n,).

With several seeds, each metric is the mean over seeds. S seeds, n forecasts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.estimates import Estimate, centred_estimate, mean_over_seeds_and_bars
from benchmarks.statistics.intervals import numbers
from trading_env._checks import within_float64

Floats = npt.NDArray[np.float64]


def rmse(forecast: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Root mean squared error."""
    return float(np.sqrt(_squares(forecast, truth).mean(axis=-1)).mean())


def mae(forecast: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean absolute error."""
    forecasts, true = _pair(forecast, truth)
    return float(np.abs(forecasts - true).mean())


def malr(forecast: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Mean absolute log ratio, |log((1 + forecast) / (1 + truth))|: a factor up and the same factor down count alike.

    Raises:
        ValueError: a return is -1 or less, a total loss.
    """
    given = _pair(forecast, truth)
    if min(values.min() for values in given) <= -1.0:
        raise ValueError("returns must be above -1")
    return float(np.abs(np.log1p(given[0]) - np.log1p(given[1])).mean())


def directional_accuracy(forecast: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """Fraction of forecasts with the sign of the truth, among those where neither is 0; NaN without any."""
    signs, true = np.broadcast_arrays(*(np.sign(values) for values in _pair(forecast, truth)))
    said = (signs != 0) & (true != 0)
    return float((signs == true)[said].mean()) if said.any() else float("nan")


def skill(forecast: npt.ArrayLike, naive: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """1 - MSE / MSE of the naive forecast: 1 is perfect, 0 no better than naive; NaN if the naive one is perfect."""
    least = float(_squares(naive, truth).mean())
    return 1.0 - float(_squares(forecast, truth).mean()) / least if least > 0.0 else float("nan")


def skill_estimate(forecast: npt.ArrayLike, naive: npt.ArrayLike, truth: npt.ArrayLike) -> Estimate:
    """`skill` with the uncertainty of dependent bars and, for forecasts (S, n), of seeds.

    Errors of overlapping forecasts are dependent, which the long-run variance of the skill's influence function allows.
    """
    ours = np.atleast_2d(_squares(forecast, truth))  # [S, n]
    theirs = np.atleast_2d(_squares(naive, truth)).mean(0)  # [n]
    least = float(theirs.mean())
    if least == 0.0:
        return Estimate(float("nan"), ())
    ratios = ours.mean(1) / least  # [S]
    influence = (ratios[:, None] * theirs - ours) / least  # [S, n]
    return centred_estimate(1.0 - ratios, influence)


def clark_west(forecast: npt.ArrayLike, naive: npt.ArrayLike, truth: npt.ArrayLike) -> float:
    """One-sided p-value of "the naive model is true" against a larger model that contains it; mean over seeds first.

    The squared error of the larger model is corrected by (forecast - naive)^2, the noise of its parameters, by which it
    loses if the naive model is true. NaN if the forecasts are the same.

    Source:
        Clark and West (2007), Approximately Normal Tests for Equal Predictive Accuracy in Nested Models.
    """
    forecasts = np.atleast_2d(_pair(forecast, truth)[0])
    base = np.atleast_2d(_pair(naive, truth)[0]).mean(0)
    gains = _squares(base, truth) - np.atleast_2d(_squares(forecast, truth)) + (forecasts - base) ** 2  # [S, n]
    gain = mean_over_seeds_and_bars(gains.mean(0)[None])
    if not gain.standard_error > 0.0:
        return float("nan")
    return gain.p_value / 2.0 if gain.value > 0.0 else 1.0 - gain.p_value / 2.0


@within_float64("forecast", "truth")
def _squares(forecast: npt.ArrayLike, truth: npt.ArrayLike) -> Floats:
    """Squared errors in the shape of the forecasts."""
    forecasts, true = _pair(forecast, truth)
    result: Floats = np.square(forecasts - true)
    return result


def _pair(forecast: npt.ArrayLike, truth: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Forecasts (n,) or (S, n) and the truth (n,) as arrays.

    Raises:
        ValueError: other shapes, such as (n, 1), which NumPy would broadcast as n seeds of one forecast.
    """
    forecasts, true = numbers("forecast", forecast, *range(8)), numbers("truth", truth, *range(8))
    if true.ndim != 1 or not true.size or forecasts.ndim not in (1, 2) or forecasts.shape[-1:] != true.shape:
        shapes = f"{forecasts.shape} and {true.shape}"
        raise ValueError(f"forecast must be (n,) or (S, n) and the truth (n,), got {shapes}")
    return forecasts, true
