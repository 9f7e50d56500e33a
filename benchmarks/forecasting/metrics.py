"""Accuracy of return forecasts, as pure functions of forecasts (n,) or (S, n) and the truth (n,).

With several seeds, each metric is the mean over seeds. S seeds, n forecasts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import check_sampling, numbers, percentile_interval, stationary_bootstrap
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


def skill_interval(
    forecast: npt.ArrayLike,
    naive: npt.ArrayLike,
    truth: npt.ArrayLike,
    samples: int = 2000,
    mean_block: float = 20.0,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Interval of `skill` by the stationary bootstrap, with both forecasts on the same resampled blocks of time."""
    check_sampling(samples, seed, level)
    squares = [_squares(values, truth).reshape(-1, np.size(truth)).mean(axis=0) for values in (forecast, naive)]  # [n]
    drawn = stationary_bootstrap(np.size(truth), mean_block, samples, np.random.default_rng(seed))  # [B, n]
    ours, theirs = (values[drawn].mean(axis=1) for values in squares)
    ratio = np.divide(ours, theirs, out=np.full_like(ours, np.nan), where=theirs > 0.0)
    return percentile_interval(1.0 - ratio, level)


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
