"""Summaries of runs, and checks of the arguments of statistics. Axis letters: S seeds, P points."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env._checks import number

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


def median_and_range(values: npt.ArrayLike) -> Summary:
    """Summary of one value per seed (S,), NaN where undefined; all NaN if none is defined."""
    defined = numbers("values", values, 1)
    defined = defined[~np.isnan(defined)]
    if defined.size == 0:
        return Summary(math.nan, math.nan, math.nan, 0)
    ordered = np.sort(defined)
    middle = 0.5 * ordered[(defined.size - 1) // 2] + 0.5 * ordered[defined.size // 2]  # no sum, which may overflow
    return Summary(float(middle), float(defined.min()), float(defined.max()), int(defined.size))


def first_point_that_stays(values: Floats, threshold: float) -> int | None:
    """The first index from which on no value [P] is below the threshold; None if the last one is."""
    below = np.flatnonzero(values < threshold)
    point = int(below[-1]) + 1 if below.size else 0
    return point if point < len(values) else None


def check_bars_per_year(bars_per_year: float) -> None:
    """Raises TypeError or ValueError unless positive and finite, or NaN, which makes every ratio undefined."""
    if not (isinstance(bars_per_year, float) and math.isnan(bars_per_year)):
        number("bars_per_year", bars_per_year, above=0.0)
