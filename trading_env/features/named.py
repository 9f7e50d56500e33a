"""Named features: formulas of a market's columns over a fixed number of bars, in a registry. T = bars.

Each value is computed over a fixed number of bars in a fixed order, so a row is the same to the last bit with or
without later rows, and in a part of a split as in the whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from trading_env.data.bars import Floats


class NamedFeature(NamedTuple):
    """How to compute a feature.

    Attributes:
        needs: names of the market's columns that the formula takes.
        lookback: number of earlier bars that each value needs.
        formula: takes those columns over n bars, returns the last n - lookback values.
    """

    needs: tuple[str, ...]
    lookback: int
    formula: Callable[..., Floats]


def log_return(close: Floats, bars: int) -> Floats:
    """log(c_t / c_{t-bars}) for t = bars, ..., T-1: (T - bars,)."""
    result: Floats = np.log(close[bars:] / close[:-bars])
    return result


def price_range(high: Floats, low: Floats) -> Floats:
    """log(high / low) of each bar (T,)."""
    result: Floats = np.log(high / low)
    return result


def volatility(close: Floats, bars: int) -> Floats:
    """Standard deviation (divisor ``bars``) of the last ``bars`` one-bar log returns: (T - bars,)."""
    returns = log_return(close, 1)
    mean = _trailing_sum(returns, bars) / bars
    squares = np.zeros_like(mean)
    for i in range(bars):
        squares += (returns[i : i + mean.size] - mean) ** 2
    result: Floats = np.sqrt(squares / bars)
    return result


def volume_change(volume: Floats, bars: int) -> Floats:
    """Volume over the mean of the last ``bars`` volumes, including its own, minus 1: (T - bars + 1,).

    0 if the mean is 0.
    """
    with np.errstate(over="ignore"):
        mean = _trailing_sum(volume, bars) / bars
    now, traded = volume[bars - 1 :], mean > 0.0
    change = np.divide(now, mean, out=np.ones_like(mean), where=traded) - 1.0
    if (beyond := np.isinf(mean)).any():  # only the sum overflows, not the mean: count in units of 2 ** 64
        large = np.ldexp(volume, -64)
        change[beyond] = large[bars - 1 :][beyond] / (_trailing_sum(large, bars)[beyond] / bars) - 1.0
    return change


def _trailing_sum(values: Floats, bars: int) -> Floats:
    """Sums of the last ``bars`` values: (T - bars + 1,). A running sum would accumulate rounding errors."""
    total = values[: values.size - bars + 1].copy()
    for i in range(1, bars):
        total += values[i : i + total.size]
    return total


NAMED_FEATURES: dict[str, NamedFeature] = {
    "log_return_1": NamedFeature(("close",), 1, lambda close: log_return(close, 1)),
    "log_return_5": NamedFeature(("close",), 5, lambda close: log_return(close, 5)),
    "log_return_20": NamedFeature(("close",), 20, lambda close: log_return(close, 20)),
    "range": NamedFeature(("high", "low"), 0, price_range),
    "volume_change": NamedFeature(("volume",), 19, lambda volume: volume_change(volume, 20)),
    "volatility_20": NamedFeature(("close",), 20, lambda close: volatility(close, 20)),
}

DEFAULT_FEATURES = ("log_return_1", "log_return_5", "log_return_20", "range", "volume_change", "volatility_20")
