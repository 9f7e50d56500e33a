"""Checks of bars: each raises naming the field, the value and the row's timestamp. T = bars.

The good case costs a few passes over the arrays and no float64 temporaries; only a failure looks for its row.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, brief_text, number
from trading_env.data.zones import Zone, go_by_dates, local_time, name_of, zone_of, zoned

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]

PRICES = ("open", "high", "low", "close")
BAR_COLUMNS = (*PRICES, "volume")
ON_MISSING = ("raise", "drop", "ffill")
ROUNDING = 1e-8  # relative: prices that differ by less are equal, as those times one factor are
_FLOAT32 = 2.0 * float(np.finfo(np.float32).eps)  # the same for prices that were float32
_OFFSET = r"(?:[zZ]|[+-]\d\d(?::?\d\d)?)$"  # of an ISO 8601 time from UTC


def row_label(time: Times | None, row: int, number: int | None = None) -> str:
    """``row``'s local timestamp and number, for messages: "2008-09-15 (row 3)", without timestamps "row 3"."""
    number = row if number is None else number
    if time is None:
        return f"row {number}"
    stamp = local_time(time[row : row + 1])[0]
    if np.isnat(stamp):
        return f"NaT (row {number})"
    return f"{np.datetime_as_string(stamp, unit='auto')} (row {number})"


def as_column(name: str, values: Any, *, copy: bool = True) -> Floats:
    """``values`` as a read-only contiguous float64 array (T,), a copy unless ``copy`` is False.

    Raises:
        TypeError: the values are no real numbers (strings, objects, booleans, complex numbers).
        ValueError: they are not one-dimensional, or there are none.
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


def as_times(values: Any, *, copy: bool = True, dates: bool = True) -> Times:
    """``values`` as a read-only contiguous datetime64[ns] array (T,); with a time zone, in UTC, and they know it.

    Accepts datetime64 arrays, a DatetimeIndex or Series of dates, sequences of datetimes or ISO 8601 strings.
    Midnights of their time zone are dates, as daily bars have them, and stay the dates they are, unless ``dates`` is
    False: all of them, or at least half where no day has two timestamps. Then the others keep their local time.

    Raises:
        TypeError: the values are no dates.
        ValueError: they are not one-dimensional, have a time zone in part, or lie outside the years 1678 to 2261
            that datetime64[ns] holds.
    """
    array, zone = parse_times(values, dates)
    if array.ndim != 1:
        raise ValueError(f"time must be one-dimensional, got shape {array.shape}")
    years = array.astype("datetime64[Y]").astype(np.int64)[~np.isnat(array)] + 1970
    if years.size and (years.min() < 1678 or years.max() > 2261):
        raise ValueError(f"time must lie in the years 1678 to 2261, got {years.min()} to {years.max()}")
    times: Times = np.array(array, dtype="datetime64[ns]", order="C", copy=True if copy else None).view()
    times.flags.writeable = False
    return times if zone is None or zone.name == "UTC" else zoned(times, zone)


def parse_times(values: Any, dates: bool) -> tuple[Times, Zone | None]:
    """Timestamps of any kind, and their time zone: in UTC with one, as they are without."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return np.asarray(values), zone_of(values)
    import pandas as pd

    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise TypeError(f"time must be a sequence of dates, got {brief(values)}")
    index = pd.Index(values)
    if not isinstance(index, pd.DatetimeIndex):
        if kind_of(index) not in ("string", "datetime", "datetime64", "date"):
            first = index[0] if len(index) else None
            raise TypeError(f"time must be dates or ISO 8601 strings, got {brief(first)} of dtype {index.dtype}")
        try:
            index = iso_dates(index)
        except ValueError:  # no dates, or several offsets from UTC
            return _parse_offsets(index, dates)
    return (index.to_numpy(), None) if index.tz is None else _in_zone(index, index.tz, dates)


def _in_zone(index: pd.DatetimeIndex, tz: tzinfo, dates: bool) -> tuple[Times, Zone | None]:
    """Instants in UTC and their zone; or local dates, if they may be dates and are beginnings of days."""
    local = index.tz_localize(None)
    days = local.normalize()
    first = days.tz_localize(tz, nonexistent="shift_forward", ambiguous=np.ones(len(days), np.bool_))
    begins = np.asarray((first == index) | index.isna())  # some zones skip a midnight in spring
    if dates and go_by_dates(days.to_numpy(), begins):
        return days.where(begins, local).to_numpy(), None
    instants = index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[ns]")
    return instants, Zone.of(instants, local.to_numpy().astype("datetime64[ns]"), name_of(tz))


def kind_of(index: pd.Index[Any]) -> str:
    """What an index holds beside missing values: "string", "datetime", "date", "integer", ..."""
    import pandas as pd

    return pd.api.types.infer_dtype(index, skipna=True)


def iso_dates(index: pd.Index[Any]) -> pd.DatetimeIndex:
    """Dates from ISO 8601 text or from datetimes of one offset from UTC.

    Raises:
        ValueError: they are none, or their offsets differ, of which pandas 2 only warns.
    """
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            return pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601"))
        except FutureWarning as warning:
            raise ValueError(str(warning)) from warning


def _parse_offsets(index: Any, dates: bool) -> tuple[Times, Zone | None]:
    """Datetimes or strings with several offsets from UTC, as those of summer and winter are."""
    import pandas as pd

    try:
        instants = pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601", utc=True)).tz_localize(None)
    except ValueError as error:
        reason = brief_text(str(error).split(". You might")[0])
        raise ValueError(f"time must be dates or ISO 8601 strings: {reason}") from error
    if kind_of(index) == "string":
        has_zone = index.str.contains(r"\d[T ]\d.*" + _OFFSET, na=True)
    else:
        has_zone = np.array([pd.isna(stamp) or getattr(stamp, "tzinfo", None) is not None for stamp in index])
    if not np.all(has_zone):
        row = int(np.argmin(has_zone))
        raise ValueError(f"time must have a time zone in every row or in none, got {brief(index[row])} in row {row}")
    if kind_of(index) == "string":
        local = pd.DatetimeIndex(pd.to_datetime(index.str.replace(_OFFSET, "", regex=True), format="ISO8601"))
    else:
        local = pd.DatetimeIndex([pd.NaT if pd.isna(stamp) else stamp.replace(tzinfo=None) for stamp in index])
    days, wall = local.normalize(), local.to_numpy().astype("datetime64[ns]")
    if dates and go_by_dates(days.to_numpy(), np.asarray((local == days) | local.isna())):
        return wall, None
    array = instants.to_numpy().astype("datetime64[ns]")
    return array, Zone.of(array, wall, None)


def check_times(time: Times, numbers: NDArray[np.intp] | None = None) -> None:
    """Raises ValueError unless the timestamps are there and strictly increase.

    ``numbers``: what to call the rows (T,), by default 0, 1, 2, ...
    """
    numbers = np.arange(time.size) if numbers is None else numbers
    missing = np.isnat(time)
    if missing.any():
        row = int(missing.argmax())
        raise ValueError(f"time must have no missing timestamps, got {row_label(time, row, numbers[row])}")
    late = time[1:] <= time[:-1]
    if late.any():
        row = int(late.argmax()) + 1
        before, after = (row_label(time, i, numbers[i]) for i in (row - 1, row))
        what = "duplicate timestamp" if time[row] == time[row - 1] else "unsorted timestamps"
        hint = ""
        if time[row] != time[row - 1]:
            whole = "the rows come newest first: " if late.all() else ""
            hint = f"; {whole}load(..., sort=True) brings them into order"
        raise ValueError(f"time must strictly increase, got {what}: {after} follows {before}{hint}")


def check_finite(
    name: str, values: Floats, time: Times | None, *, above: float, strict: bool, advice: str = ""
) -> None:
    """Raises ValueError unless all values are finite, and above (``strict``) or not below ``above``.

    ``advice`` ends the message.
    """
    low, high = values.min(), values.max()
    if high < np.inf and (low > above or (low == above and not strict)):
        return  # NaN fails both comparisons
    good = np.isfinite(values) & ((values > above) if strict else (values >= above))
    row = int(good.argmin())
    what = "finite and positive" if strict else "finite and not negative"
    hint = "; load(..., on_missing='drop' or 'ffill') repairs missing values" if np.isnan(values[row]) else ""
    if strict and values[row] == 0.0:
        hint = "; where 0 stands for a missing price, frame.replace(0, float('nan')) lets on_missing see it"
    raise ValueError(f"{name} must be {what}, got {values[row]} at {row_label(time, row)}{hint}{advice}")


def check_leading_nan(name: str, values: Floats, time: Times | None) -> None:
    """Raises ValueError unless the values are finite, NaN in leading rows excepted."""
    good = np.isfinite(values)
    if good.all():
        return
    bad = ~good
    lead = int(good.argmax()) if good.any() else values.size
    bad[:lead] = np.isinf(values[:lead])
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"column {name!r} must be finite (NaN in leading rows excepted), "
            f"got {values[row]} at {row_label(time, row)}"
        )


def check_ordered(low: str, high: str, bars: dict[str, Floats], time: Times | None) -> None:
    """Raises ValueError unless ``bars[low] <= bars[high]`` in every row, rounding excepted."""
    wrong = bars[low] > bars[high]
    if wrong.any():
        wrong[wrong] = ~_equal_but_for_rounding(bars[high][wrong], bars[low][wrong])
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"{low} must not exceed {high}, got {low}={bars[low][row]} and {high}={bars[high][row]} "
            f"at {row_label(time, row)}"
        )


def _equal_but_for_rounding(lower: Floats, upper: Floats) -> NDArray[np.bool_]:
    """Whether prices (n,) differ by no more than rounding: of float64, or of float32 where both are float32 numbers."""
    with np.errstate(over="ignore"):  # a float64 beyond float32 is none
        single = (lower == lower.astype(np.float32)) & (upper == upper.astype(np.float32))
    close: NDArray[np.bool_] = upper - lower <= np.where(single, _FLOAT32, ROUNDING) * upper
    return close


def check_bars(bars: dict[str, Floats], time: Times | None) -> None:
    """Raises ValueError at a bar that cannot be: a wrong price or volume, low above, high below others.

    Adjusted prices are products, and may leave their bar by a rounding error: no more than 1e-8 of the price.
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


def bars_per_year(time: Times | None) -> float | None:
    """The bars per year the timestamps say: 252 business days, 365 days, 52 weeks, 12 months, 4 quarters, 1 year.

    Intraday: the median number of bars of a local day that has bars, times 252, or 365 where the market is open on
    both Saturday and Sunday. Other spacings: 365.25 days over the median gap. None without timestamps or with
    one bar.
    """
    if time is None or time.size < 2:
        return None
    gap = np.median(np.diff(time)) / np.timedelta64(1, "D")
    for low, high, bars in ((6.5, 7.5, 52.0), (27.5, 31.5, 12.0), (88.0, 93.0, 4.0), (360.0, 370.0, 1.0)):
        if low <= gap <= high:
            return bars
    if gap > 1.5:
        return float(365.25 / gap)
    days = local_time(time).astype("datetime64[D]")
    starts = np.flatnonzero(np.concatenate([[True], days[1:] != days[:-1], [True]]))
    weekday = (days[starts[:-1]].astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    share = np.bincount(weekday, minlength=7)[5:] / weekday.size
    year = 365.0 if share.min() > 1 / 14 else 252.0
    return year if gap >= 20 / 24 else year * float(np.median(np.diff(starts)))


def named(columns: Any) -> dict[str, Any]:
    """``columns`` as a dict, its names checked."""
    if not isinstance(columns, Mapping):
        raise TypeError(f"columns must be a mapping of names to arrays, got {brief(columns)}")
    for name in columns:
        if not isinstance(name, str) or not name:
            raise TypeError(f"columns must be named by non-empty strings, got {brief(name)}")
        if name.lower() in (*BAR_COLUMNS, "time"):
            raise ValueError(f"columns must not be named {name!r}: give it as {name.lower()}=")
    return dict(columns)


def check_lengths(arrays: Mapping[str, Any]) -> None:
    """Raises ValueError unless all arrays have as many rows as close."""
    rows = len(arrays["close"])
    for name, values in arrays.items():
        if len(values) != rows:
            raise ValueError(f"{name} must have as many rows as close ({rows}), got {len(values)}")


def json_copy(metadata: Any) -> dict[str, Any]:
    """A deep copy of ``metadata``, checked to be a mapping of JSON values."""
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, got {brief(metadata)}")
    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(metadata), default=_plain))
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must hold JSON values only: {error}") from error
    return copied


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"got {brief(value)} of type {type(value).__name__}")


def checked_rate(rate: Any, time: Times | None) -> float | None:
    """``rate``, checked to be positive; if None, what the timestamps say."""
    return bars_per_year(time) if rate is None else number("bars_per_year", rate, above=0.0)
