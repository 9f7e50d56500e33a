"""Bars: the columns of a market and their checks. T = bars.

Each check raises naming the field, the value and the row's timestamp. Valid data costs a few passes over the arrays
and no float64 temporaries; only a failure searches for its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, integer, number
from trading_env.data.metadata import FrozenDict, frozen, json_copy
from trading_env.data.times import as_times, bars_per_year, check_times, row_label
from trading_env.data.zones import Times

Floats = NDArray[np.float64]

PRICES = ("open", "high", "low", "close")
BAR_COLUMNS = (*PRICES, "volume")
ON_MISSING = ("raise", "drop", "ffill")
ROUNDING = 1e-8  # relative: adjusted prices are products, so prices that differ by less count as equal
_FLOAT32 = 2.0 * float(np.finfo(np.float32).eps)  # the same tolerance for prices that were float32


class Bars(NamedTuple):
    """Everything a Market is built from; the fields are those of `Market`."""

    close: Floats
    open: Floats | None = None
    high: Floats | None = None
    low: Floats | None = None
    volume: Floats | None = None
    time: Times | None = None
    columns: Mapping[str, Floats] = {}
    name: str = "market"
    metadata: Mapping[str, Any] = {}
    first: int = 0
    bars_per_year: float | None = None


def checked_bars(given: Bars, *, copy: bool = True) -> Bars:
    """The bars as validated read-only arrays; with ``copy=False`` the given arrays themselves where possible.

    Raises:
        TypeError: a field has a wrong type or dtype.
        ValueError: a field has a wrong value, length or shape.
    """
    if not isinstance(given.name, str) or not given.name:
        raise TypeError(f"name must be a non-empty string, got {brief(given.name)}")
    if given.close is None:
        raise TypeError("close must be an array of prices, got None")
    present = {key: values for key in BAR_COLUMNS if (values := getattr(given, key)) is not None}
    bars = {key: as_column(key, values, copy=copy) for key, values in present.items()}
    time = None if given.time is None else as_times(given.time, copy=copy)
    columns = {key: as_column(f"column {key!r}", values, copy=copy) for key, values in _named(given.columns).items()}
    _check_lengths({**bars, **({} if time is None else {"time": time}), **columns})
    if time is not None:
        check_times(time)
    check_bars(bars, time)
    for key, values in columns.items():
        check_leading_nan(key, values, time)
    rate = given.bars_per_year
    return Bars(
        **bars,
        time=time,
        columns=FrozenDict(columns),
        name=given.name,
        metadata=frozen(json_copy(given.metadata)),
        first=integer("first", given.first, 0, len(bars["close"]) - 1),
        bars_per_year=bars_per_year(time) if rate is None else number("bars_per_year", rate, above=0.0),
    )


def as_column(name: str, values: Any, *, copy: bool = True) -> Floats:
    """``values`` as a read-only contiguous float64 array (T,), a copy unless ``copy`` is False.

    Raises:
        TypeError: the values are not real numbers (strings, objects, booleans, complex numbers).
        ValueError: the values are not one-dimensional, or there are none.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, got a masked one: fill it first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must be one-dimensional, got rows of different lengths") from error
    if array.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must have at least one row, got none")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be real numbers, got {brief(array[0])} of dtype {array.dtype}")
    column: Floats = np.array(array, dtype=np.float64, order="C", copy=True if copy else None).view()
    column.flags.writeable = False
    return column


def finite_column(name: str, values: Any) -> Floats:
    """``values`` as a read-only array (T,) of finite numbers, without copying where possible.

    Raises:
        TypeError, ValueError: as `as_column`, or a value is not finite.
    """
    column = as_column(name, values, copy=False)
    good = np.isfinite(column)
    if not good.all():
        row = int(good.argmin())
        raise ValueError(f"{name} must be finite, got {column[row]} at {row}")
    return column


def check_bars(bars: Mapping[str, Floats], time: Times | None) -> None:
    """Raises ValueError at an impossible bar: a wrong price or volume, a low above or a high below another price.

    Adjusted prices are products, so a price may lie outside its bar by rounding: at most 1e-8 of the price.
    """
    prices = [name for name in bars if name != "volume"]
    for name in prices:
        check_finite(name, bars[name], time, above=0.0, strict=True)
    if "volume" in bars:
        without = f"; load(..., columns={prices}) leaves the volume out"
        check_finite("volume", bars["volume"], time, above=0.0, strict=False, advice=without)
    for name in ("open", "close", "high"):
        if name in bars and "low" in bars:
            check_ordered("low", name, bars, time)
    for name in ("open", "close"):
        if name in bars and "high" in bars:
            check_ordered(name, "high", bars, time)


def check_finite(
    name: str, values: Floats, time: Times | None, *, above: float, strict: bool, advice: str = ""
) -> None:
    """Raises ValueError unless all values are finite and at least ``above`` (with ``strict``, greater than it).

    ``advice`` is appended to the message.
    """
    low, high = values.min(), values.max()
    if high < np.inf and (low > above or (low == above and not strict)):
        return  # NaN fails both comparisons
    good = np.isfinite(values) & ((values > above) if strict else (values >= above))
    row = int(good.argmin())
    what = "finite and positive" if strict else "finite and not negative"
    hint = "; load(..., on_missing='drop' or 'ffill') repairs missing values" if np.isnan(values[row]) else ""
    if strict and values[row] == 0.0:
        hint = "; if 0 means a missing price, frame.replace(0, float('nan')) lets on_missing see it"
    raise ValueError(f"{name} must be {what}, got {values[row]} at {row_label(time, row)}{hint}{advice}")


def check_ordered(low: str, high: str, bars: Mapping[str, Floats], time: Times | None) -> None:
    """Raises ValueError unless ``bars[low] <= bars[high]`` in every row, up to rounding."""
    wrong = bars[low] > bars[high]
    if wrong.any():
        wrong[wrong] = ~_equal_up_to_rounding(bars[high][wrong], bars[low][wrong])
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{low} must not exceed {high}, got {low}={bars[low][row]} and {high}={bars[high][row]} "
            f"at {row_label(time, row)}"
        )


def _equal_up_to_rounding(lower: Floats, upper: Floats) -> NDArray[np.bool_]:
    """True where two prices (n,) differ by rounding only: of float32 if both are float32 numbers, else of float64."""
    with np.errstate(over="ignore"):  # a number beyond the range of float32 is not one
        single = (lower == lower.astype(np.float32)) & (upper == upper.astype(np.float32))
    close: NDArray[np.bool_] = upper - lower <= np.where(single, _FLOAT32, ROUNDING) * upper
    return close


def check_leading_nan(name: str, values: Floats, time: Times | None) -> None:
    """Raises ValueError unless the column is finite after leading NaN."""
    _, bad = leading_nan(values)
    if bad is not None:
        raise ValueError(
            f"column {name!r} must be finite (NaN in leading rows excepted), "
            f"got {values[bad]} at {row_label(time, bad)}"
        )


def leading_nan(values: NDArray[Any]) -> tuple[int, int | None]:
    """The number of leading NaN in a column (T,), and the first row that is infinite or NaN after them, if any."""
    good = np.isfinite(values)
    if good.all():
        return 0, None
    lead = int(good.argmax()) if good.any() else values.size
    bad = ~good
    bad[:lead] = np.isinf(values[:lead])
    return lead, int(bad.argmax()) if bad.any() else None


def _named(columns: Any) -> dict[str, Any]:
    """``columns`` as a dict with checked names."""
    if not isinstance(columns, Mapping):
        raise TypeError(f"columns must be a mapping of names to arrays, got {brief(columns)}")
    for name in columns:
        if not isinstance(name, str) or not name:
            raise TypeError(f"columns must be named by non-empty strings, got {brief(name)}")
        if name.lower() in (*BAR_COLUMNS, "time"):
            raise ValueError(f"columns must not be named {name!r}: give it as {name.lower()}=")
    return dict(columns)


def _check_lengths(arrays: Mapping[str, Any]) -> None:
    """Raises ValueError unless every array has as many rows as close."""
    rows = len(arrays["close"])
    for name, values in arrays.items():
        if len(values) != rows:
            raise ValueError(f"{name} must have as many rows as close ({rows}), got {len(values)}")
