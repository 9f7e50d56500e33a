"""Timestamps of bars: datetime64[ns], in UTC where they have a time zone, strictly increasing. T = timestamps."""

from __future__ import annotations

import re
import warnings
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, brief_text
from trading_env.data.zones import Times, Zone, go_by_dates, local_time, name_of, zone_of, zoned

if TYPE_CHECKING:
    import pandas as pd

_OFFSET = r"(?:[zZ]|[+-]\d\d(?::?\d\d)?)$"  # offset from UTC at the end of an ISO 8601 time


def as_times(values: Any, *, copy: bool = True, dates: bool = True) -> Times:
    """``values`` as a read-only contiguous datetime64[ns] array (T,); with a time zone, a `ZonedTimes` in UTC.

    Accepts datetime64 arrays, a DatetimeIndex or Series of dates, sequences of datetimes, and ISO 8601 strings.

    Daily bars are stamped with the local midnight. If all timestamps are midnights of their time zone, or at least
    half of them are and no day occurs twice, they are kept as plain local times without a zone, unless ``dates`` is
    False.

    Raises:
        TypeError: the values are not dates.
        ValueError: the values are not one-dimensional, only some of them have a time zone, or one lies outside the
            years 1678 to 2261 of datetime64[ns].
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
    """Timestamps and their time zone: instants in UTC, or local times and None without a zone."""
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
        except ValueError:  # not dates, or several offsets from UTC
            return _parse_offsets(index, dates)
    return (index.to_numpy(), None) if index.tz is None else _in_zone(index, index.tz, dates)


def _in_zone(index: pd.DatetimeIndex, tz: tzinfo, dates: bool) -> tuple[Times, Zone | None]:
    """Instants in UTC and their zone; or local dates and None where ``dates`` allows and the times are dates."""
    local = index.tz_localize(None)
    days = local.normalize()
    first = days.tz_localize(tz, nonexistent="shift_forward", ambiguous=np.ones(len(days), np.bool_))
    begins = np.asarray((first == index) | index.isna())  # some zones skip a midnight in spring
    if dates and go_by_dates(days.to_numpy(), begins):
        return days.where(begins, local).to_numpy(), None
    instants = _nanoseconds(index.tz_convert("UTC").tz_localize(None))
    return instants, Zone.of(instants, _nanoseconds(local), name_of(tz))


def _parse_offsets(index: pd.Index[Any], dates: bool) -> tuple[Times, Zone | None]:
    """As `parse_times`, for datetimes or strings with several offsets from UTC, such as summer and winter time."""
    import pandas as pd

    try:
        instants = _nanoseconds(pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601", utc=True)).tz_localize(None))
    except ValueError as error:
        reason = brief_text(str(error).split(". You might")[0])
        raise ValueError(f"time must be dates or ISO 8601 strings: {reason}") from error
    known = has_offset(index)
    if not known.all():
        row = int(np.argmin(known))
        raise ValueError(f"time must have a time zone in every row or in none, got {brief(index[row])} in row {row}")
    local = _without_offset(index)
    days, wall = local.normalize(), _nanoseconds(local)
    if dates and go_by_dates(days.to_numpy(), np.asarray((local == days) | local.isna())):
        return wall, None
    return instants, Zone.of(instants, wall, None)


def has_offset(index: pd.Index[Any]) -> NDArray[np.bool_]:
    """True where a datetime or an ISO 8601 string states its offset from UTC, or is missing (T,)."""
    import pandas as pd

    pattern = r"\d[T ]\d.*" + _OFFSET
    if kind_of(index) == "string":
        return np.asarray(index.str.contains(pattern, na=True), np.bool_)

    def known(stamp: Any) -> bool:
        if isinstance(stamp, str):
            return re.search(pattern, stamp) is not None
        return bool(pd.isna(stamp)) or getattr(stamp, "tzinfo", None) is not None

    return np.array([known(stamp) for stamp in index], np.bool_)


def _without_offset(index: pd.Index[Any]) -> pd.DatetimeIndex:
    """The local times of datetimes or strings that state their offsets from UTC."""
    import pandas as pd

    if kind_of(index) == "string":
        return pd.DatetimeIndex(pd.to_datetime(index.str.replace(_OFFSET, "", regex=True), format="ISO8601"))
    return pd.DatetimeIndex([pd.NaT if pd.isna(stamp) else stamp.replace(tzinfo=None) for stamp in index])


def _nanoseconds(index: pd.DatetimeIndex) -> Times:
    return index.to_numpy().astype("datetime64[ns]")


def kind_of(index: pd.Index[Any]) -> str:
    """The kind of an index's values, missing ones aside: "string", "datetime", "date", "integer", ..."""
    import pandas as pd

    return pd.api.types.infer_dtype(index, skipna=True)


def iso_dates(index: pd.Index[Any]) -> pd.DatetimeIndex:
    """Dates from ISO 8601 text, or from datetimes with one offset from UTC.

    Raises:
        ValueError: the values are not dates, or their offsets differ (where pandas 2 only warns).
    """
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        try:
            return pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601"))
        except FutureWarning as warning:
            raise ValueError(str(warning)) from warning


def check_times(time: Times, numbers: NDArray[np.intp] | None = None) -> None:
    """Raises ValueError unless all timestamps are present and strictly increase.

    ``numbers``: the row numbers to report (T,), by default 0, 1, 2, ...
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
        what, hint = "duplicate timestamp", ""
        if time[row] != time[row - 1]:
            whole = "the rows come newest first: " if late.all() else ""
            what, hint = "unsorted timestamps", f"; {whole}load(..., sort=True) brings them into order"
        raise ValueError(f"time must strictly increase, got {what}: {after} follows {before}{hint}")


def row_label(time: Times | None, row: int, number: int | None = None) -> str:
    """The local timestamp and number of ``row``, for messages: "2008-09-15 (row 3)", or "row 3" without timestamps."""
    number = row if number is None else number
    if time is None:
        return f"row {number}"
    stamp = local_time(time[row : row + 1])[0]
    if np.isnat(stamp):
        return f"NaT (row {number})"
    return f"{np.datetime_as_string(stamp, unit='auto')} (row {number})"


def bars_per_year(time: Times | None) -> float | None:
    """Bars per year by the timestamps: 252 business days, 365 days, 52 weeks, 12 months, 4 quarters, 1 year.

    Intraday: the median number of bars on a local day with bars, times 365 if the market is open on both Saturday and
    Sunday, else times 252. Other spacings: 365.25 days over the median gap. None without timestamps or with a
    single bar.
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
