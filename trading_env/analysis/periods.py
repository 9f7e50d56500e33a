"""Returns of calendar periods, the worst drawdowns, and metrics over a moving window. T = bars, P = periods.

equity      (T+1,) account value, the initial one first
time        (T+1,) of its closes, datetime64
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env._checks import choice, integer
from trading_env.analysis.metrics import curve_of, drawdowns
from trading_env.data.bars import finite_column

Floats = npt.NDArray[np.float64]
UNITS = {"day": "D", "week": "W", "month": "M", "quarter": "3M", "year": "Y"}


class Periods(NamedTuple):
    """Returns of calendar periods."""

    start: npt.NDArray[np.datetime64]
    """First day of each period that has a bar (P,)."""
    returns: Floats
    """From the last close before the period to its last close (P,)."""


def period_returns(equity: npt.ArrayLike, time: npt.ArrayLike, unit: str) -> Periods:
    """Return of each calendar period, compounded; the product over all periods is the return of the whole curve.

    A bar belongs to the period of its timestamp, so the first period begins at the first close and the last one may be
    unfinished. Periods without a bar are left out. Local time may stand still or go back where clocks are put back.

    Args:
        equity: (T+1,).
        time: of its closes (T+1,), local.
        unit: "day", "week" (from Thursday on, as numpy counts them), "month", "quarter" or "year".

    Raises:
        ValueError: time has another length, or goes back by a day or more.
    """
    curve, when = curve_of(equity), np.asarray(time, "datetime64[ns]")
    choice("unit", unit, tuple(UNITS))
    if when.shape != curve.shape:
        raise ValueError(f"time must have {curve.size} values as equity has, got shape {when.shape}")
    if (np.diff(when) <= -np.timedelta64(1, "D")).any():
        raise ValueError("time must increase, but for the hour when clocks are put back")
    code: Any = UNITS[unit]
    periods = np.maximum.accumulate(when)[1:].astype(f"datetime64[{code}]")
    last = np.flatnonzero(np.append(periods[1:] != periods[:-1], True)) + 1  # of each period, in the curve
    ends = curve[np.concatenate([[0], last])]
    before = ends[:-1]
    returns = np.divide(ends[1:], before, out=np.ones_like(before), where=before > 0.0) - 1.0
    return Periods(periods[last - 1], returns)


class Drawdown(NamedTuple):
    """A fall of equity from a peak, as indices into the curve."""

    peak: int
    trough: int
    end: int | None
    """First value as high as the peak again; None if the curve ends before."""
    depth: float
    """Loss at the trough, as a positive fraction of the peak."""


def worst_drawdowns(equity: npt.ArrayLike, most: int = 10) -> list[Drawdown]:
    """The deepest drawdowns, deepest first; each lasts from a peak until equity is as high again, so none overlap."""
    curve = curve_of(equity)
    integer("most", most, 1)
    losses = drawdowns(curve)
    below = np.flatnonzero(losses > 0.0)
    if not below.size:
        return []
    breaks = np.flatnonzero(np.diff(below) > 1)
    starts, stops = below[np.concatenate([[0], breaks + 1])], below[np.concatenate([breaks, [below.size - 1]])] + 1
    found = []
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        trough = start + int(losses[start:stop].argmax())
        found.append(Drawdown(start - 1, trough, stop if stop < curve.size else None, float(losses[trough])))
    return sorted(found, key=lambda one: -one.depth)[:most]


def moving(
    values: npt.ArrayLike, window: int, ends: npt.ArrayLike, measure: Callable[..., float], *more: npt.ArrayLike
) -> Floats:
    """The measure of the ``window`` values before each end: measure(values[end - window : end]).

    Args:
        values: (T,).
        window: number of values, at most T.
        ends: indices from ``window`` to T.
        measure: a function of one array, or of several.
        *more: further series (T,), whose windows are passed to the measure, too.
    """
    series = [finite_column("values", values), *(np.asarray(one, np.float64) for one in more)]
    integer("window", window, 1, series[0].size)
    stops = np.asarray(ends, np.int64)
    if stops.size and not window <= stops.min() <= stops.max() <= series[0].size:
        raise ValueError(f"ends must be from {window} to {series[0].size}, got {stops.min()} to {stops.max()}")
    return np.array([measure(*(one[stop - window : stop] for one in series)) for stop in stops.tolist()], np.float64)
