"""Limits of a picture's axes that stay the same for many bars, so that most frames can reuse the axes.

They depend only on the bars seen so far, not on earlier frames, so that an episode always looks the same.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Limits = tuple[float, float]

GROWTH = 1.3  # of the time axis, whenever it is full
LOG_FROM = 10.0  # largest over smallest value from which an axis is logarithmic


def time_limits(first: float, last: float, room: bool) -> Limits:
    """Limits of the time axis, in bars or days, with room for bars to come or without."""
    length = last - first
    if length <= 0.0:
        return first - 0.5, last + 0.5
    return first, first + (GROWTH ** math.ceil(math.log(length) / math.log(GROWTH) - 1e-9) if room else length)


def value_limits(low: float, high: float, log: bool, room: bool) -> Limits:
    """Limits of an axis that shows low to high: a little more, with room up to a round number in that."""
    if log:
        low, high = (math.log10(value) for value in (low, high))
    size = high - low or abs(high) * 0.1 or 1.0
    low, high = low - 0.04 * size, high + 0.04 * size
    if room:
        low, high = _outward(low, high, 4.0 if log else 2.0)
    return (10.0**low, 10.0**high) if log else (low, high)


def drawdown_limits(lowest: float, room: bool) -> Limits:
    """Limits of the drawdown, in percent: from 1% at least to 0."""
    low = min(1.05 * lowest, -1.0)
    return (_outward(low, 0.0)[0] if room else low), 0.0


def exposure_limits(exposure: Floats, room: bool) -> tuple[Limits, str]:
    """Limits of the exposure in percent, and a note on what lies beyond them, "" where nothing does.

    They are 0 to 100, wider where exposures are; a moment near ruin, where equity is almost 0, does not flatten the
    rest.
    """
    low, high = lowest, highest = min(float(exposure.min()), 0.0), max(float(exposure.max()), 0.0)
    if low < -300.0 or high > 300.0:  # else all are usual, which saves the time of sorting
        usual_low, usual_high = (float(x) for x in np.quantile(exposure, (0.005, 0.995)))
        low = low if low >= 3.0 * min(usual_low, -100.0) else 1.5 * min(usual_low, -100.0)
        high = high if high <= 3.0 * max(usual_high, 100.0) else 1.5 * max(usual_high, 100.0)
    high = high if high > 0.0 or low < 0.0 else 100.0
    beyond = lowest < low or highest > high
    if room:  # exposures drift by a little around round numbers
        low, high = (math.copysign(math.ceil(abs(edge) / 25.0 - 0.2) * 25.0, edge) for edge in (low, high))
        high = high if high > low else low + 25.0
    note = f"reaches {exposure[np.abs(exposure).argmax()]:,.0f}" if beyond else ""
    return (low - 0.05 * (high - low), high + 0.05 * (high - low)), note


def _outward(low: float, high: float, parts: float = 2.0) -> Limits:
    """The limits moved outward to multiples of their distance, rounded down to a power of two, over ``parts``."""
    step = 2.0 ** math.floor(math.log2(high - low)) / parts
    return math.floor(low / step) * step, math.ceil(high / step) * step
