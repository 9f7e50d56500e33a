"""The column of time in a table, found by name, else by values; a column that may be time is never dropped silently."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief
from trading_env.data.readers.date_formats import looks_like_text_dates
from trading_env.data.readers.layouts import TIME_NAMES, plain
from trading_env.data.readers.time_values import index_of, is_epoch

if TYPE_CHECKING:
    import pandas as pd

INDEX = -1
_OPENS = (
    *("opentime", "opentimestamp", "opendate", "starttime", "start", "begin", "barstart", "windowstart", "bartime"),
    *("gmttime", "utctime", "utcdate", "utc", "localtime", "gmt", "timegmt", "timeutc", "timeeet", "timestamputc"),
    *("tradedate", "tradingdate", "tradingday", "tradedatetime", "tradetime", "tradingtime", "quotedate"),
    *("pricedate", "unix", "unixtime", "unixtimestamp", "unixms", "epoch", "epochtime", "epochms", "timestampms"),
    *("timems", "t", "ts", "dt", "day", "dtyyyymmdd", "datum", "zeit", "datumzeit", "fecha", "data", "日期", "时间"),
    *("交易日期", "eventtime", "perioddate", "sessiondate", "calendardate", "asof", "asofdate", "timeopen"),
    *("timeperiodstart", "jour"),
)
_CLOSES = (
    *("closetime", "closetimestamp", "closedate", "endtime", "end", "barend"),
    *("windowend", "timeclose", "timeperiodend"),
)


def find_time(frame: pd.DataFrame, time: Any, bars: Sequence[int]) -> list[int]:
    """Positions of the column of time, or of those of date and time of day; [INDEX] for the index, [] for none.

    Args:
        frame: one instrument's rows.
        time: the caller's name or names of columns, None to find them, False for rows without time.
        bars: positions of the prices and the volume, which cannot be times.

    Raises:
        ValueError: several columns could be the time, or one looks like time but its name does not say so.
    """
    if time is False:
        return []
    if time is not None:
        return _named(frame, time)
    rest = [i for i in range(frame.shape[1]) if i not in bars]
    exact = [i for i in rest if plain(frame.columns[i]) in TIME_NAMES]
    if exact:
        return _one_or_pair(frame, exact)
    if not _counts(frame.index) and not _is_integer(frame.index) and _holds_dates(frame.index):
        return [INDEX]
    for names in ((*TIME_NAMES, *_OPENS), _CLOSES):
        found = [i for i in rest if _is_one_of(frame.columns[i], names) and _may_be_time(frame.iloc[:, i])]
        if found:
            return _one_or_pair(frame, found)
    if _counts(frame.index):
        _check_none_lost(frame, rest)
        return []
    if _is_integer(frame.index) and not _may_be_times(frame.index):
        _check_none_lost(frame, rest)
        raise _no_time(frame.index)
    return [INDEX]


def _is_one_of(label: Any, names: Sequence[str]) -> bool:
    """True if a column's name is one of the names, with or without a time zone before or after it."""
    name = plain(label)
    return name in names or re.sub("^(utc|gmt|local)|(utc|gmt|est|cet|local)$", "", name) in names


def _named(frame: pd.DataFrame, time: Any) -> list[int]:
    """Positions of the columns named by the caller."""
    names = [time] if isinstance(time, (str, int)) and not isinstance(time, bool) else time
    if not isinstance(names, (list, tuple)) or not 1 <= len(names) <= 2:
        raise TypeError(
            f"time must be the name of a column, two names [date, time of the day], or False, got {brief(time)}"
        )
    return [_position(frame, name) for name in names]


def _position(frame: pd.DataFrame, name: Any) -> int:
    for same in (lambda label: label == name, lambda label: str(label).strip().lower() == str(name).strip().lower()):
        found = [i for i, label in enumerate(frame.columns) if same(label)]
        if len(found) == 1:
            return found[0]
        if not found and same(frame.index.name):
            return INDEX
    raise ValueError(f"time={brief(name)} is not a column of the frame, which has {brief(list(frame.columns), 400)}")


def _one_or_pair(frame: pd.DataFrame, found: list[int]) -> list[int]:
    """The single position found, or the positions of a column of dates and a column of times of day."""
    if len(found) == 1:
        return found
    if len(found) == 2:
        clocks = [i for i in found if _is_clock(frame.iloc[:, i])]
        if len(clocks) == 1:
            return [next(i for i in found if i != clocks[0]), clocks[0]]
    names = [frame.columns[i] for i in found]
    raise ValueError(f"several columns could be the time: {names}; choose with load(..., time={names[0]!r})")


def _is_clock(column: pd.Series[Any]) -> bool:
    """True if the first rows hold times of day."""
    head = column.iloc[:1000].dropna().iloc[:20].astype(str).str.strip()
    digits = plain(column.name) == "time" and head.str.fullmatch(r"\d{1,6}").all()
    return len(head) > 0 and bool(digits or head.str.fullmatch(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?( ?[AaPp][Mm])?").all())


def _is_integer(index: pd.Index[Any]) -> bool:
    import pandas as pd

    return pd.api.types.is_integer_dtype(index.dtype) and not isinstance(index, pd.MultiIndex)


def _counts(index: pd.Index[Any]) -> bool:
    """True if the index is the row number 0, 1, 2, ..."""
    return _is_integer(index) and np.array_equal(index.to_numpy(), np.arange(len(index)))


def _holds_dates(index: pd.Index[Any]) -> bool:
    import pandas as pd

    if isinstance(index, (pd.DatetimeIndex, pd.PeriodIndex)):
        return True
    return looks_like_time(pd.Series(index, dtype=index.dtype)) is not None


def looks_like_time(column: pd.Series[Any]) -> str | None:
    """The reason why a column looks like time, for messages, or None.

    Numbers look like times if all are plausible times and they are strictly monotonic.
    """
    import pandas as pd

    index = index_of(column)
    column = pd.Series(index, dtype=index.dtype)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return "it holds dates"
    if pd.api.types.is_bool_dtype(column.dtype):
        return None
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if numbers.size < 2 or not is_epoch(numbers[: 1 + numbers.size // 2]) or not is_epoch(numbers):
            return None
        steps = np.diff(numbers[~np.isnan(numbers)])
        return "its numbers may be times" if (steps > 0).all() or (steps < 0).all() else None
    kind = pd.Index(column.iloc[:1000].dropna()).inferred_type
    if kind == "string" and column.iloc[:1000].dropna().str.fullmatch(r"\s*\d{8,19}\s*").all():
        return looks_like_time(pd.to_numeric(column, errors="coerce"))
    if kind in ("datetime", "datetime64", "date"):
        return "it holds dates"
    return "its text has the form of dates" if kind == "string" and looks_like_text_dates(pd.Index(column)) else None


def _may_be_time(column: pd.Series[Any]) -> bool:
    """True if a column named like a time can be one: numbers must be plausible times."""
    import pandas as pd

    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return looks_like_time(column) is not None or not pd.api.types.is_numeric_dtype(column.dtype)
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    falls = numbers.size > 1 and bool((np.diff(numbers) < 0).all())
    return is_epoch(numbers) or falls or float(np.nanmax(np.abs(numbers), initial=0.0)) >= 10**8


def _check_none_lost(frame: pd.DataFrame, rest: Sequence[int]) -> None:
    """Raises ValueError if a column looks like time in a frame about to be read without timestamps."""
    for i in rest:
        reason = looks_like_time(frame.iloc[:, i])
        if reason is not None:
            label = frame.columns[i]
            raise ValueError(
                f"the frame has no column named time, date, datetime or timestamp, but {label!r} looks like one "
                f"({reason}): load(..., time={label!r}) takes it, time=False says that the rows have no time"
            )


def _may_be_times(index: pd.Index[Any]) -> bool:
    """True if integers in the index are times, by its name or their values."""
    return _is_one_of(index.name, (*TIME_NAMES, *_OPENS, *_CLOSES)) or is_epoch(index.to_numpy())


def _no_time(index: pd.Index[Any]) -> ValueError:
    """The error for integers in the index that are neither row numbers nor times."""
    falls = len(index) > 1 and bool((np.diff(index.to_numpy()) < 0).all())
    hint = "the rows may come newest first; " if falls else ""
    return ValueError(
        f"the index must be dates, or count rows 0, 1, 2, ...; got {list(index[:4])}: {hint}name the column of time by "
        "load(..., time=...), or say time=False: the rows have none and are in order"
    )
