"""Times from numbers, text and dates as found in files; ambiguous ones are refused. T = rows."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, brief_text, choice
from trading_env.data.readers.date_formats import ISO, formats
from trading_env.data.times import has_offset, iso_dates, kind_of
from trading_env.data.zones import Times

if TYPE_CHECKING:
    import pandas as pd

_NANOSECONDS = {"D": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNITS = tuple(_NANOSECONDS)
_EPOCH = (94_694_400, 4_102_444_800)  # seconds of 1973 and of 2100: within them s, ms, us and ns cannot be confused
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def read_times(
    values: pd.Index[Any], label: Any, *, unit: str | None = None, format: str | None = None, tz: Any = None
) -> pd.Index[Any]:
    """``values`` (T,) as dates, or unchanged if `times.as_times` can read them, such as ISO 8601 text.

    Args:
        values: datetimes, text, or numbers: since 1970, or with the digits of a date (20200131).
        label: the column's name, for messages.
        unit: unit of numbers since 1970 in UTC: D, h, m, s, ms, us or ns; by default inferred from their size.
        format: strptime format of text, or of the digits of numbers; by default the one that fits all rows.
        tz: time zone of times that do not state one; times that do are converted to it.

    Raises:
        TypeError, ValueError: the values are not times, or are ambiguous; the message names the keyword that decides.
    """
    import pandas as pd

    _check_options(unit, format)
    values = plain_kind(values)
    numeric = pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype)
    utc = False
    if numeric and format is None:
        values, utc = _from_numbers(values, label, unit)
    elif numeric or kind_of(values) == "string":
        text = _digits(values) if numeric else values.str.strip()
        values, utc = _from_text(text, label, unit, format)
    elif unit is not None or format is not None:
        keyword, what = ("unit", "numbers") if unit is not None else ("format", "text")
        raise ValueError(f"{keyword}= is for times that are {what}, column {label!r} holds {values.dtype}")
    return values if tz is None else _in_zone(values, tz, utc)


def index_of(column: pd.Series[Any]) -> pd.Index[Any]:
    """A column's values as an index, with categories and objects converted to plain dtypes."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    elif column.dtype == np.float16:
        column = column.astype(np.float64)
    return plain_kind(pd.Index(column, dtype=column.dtype))


def plain_kind(values: pd.Index[Any]) -> pd.Index[Any]:
    """The index with periods replaced by their beginnings and objects that are numbers by numbers."""
    import pandas as pd

    if isinstance(values, pd.PeriodIndex):
        return values.to_timestamp()
    if values.dtype == object and kind_of(values) in ("integer", "floating", "mixed-integer-float"):
        large = max((abs(value) for value in values.dropna()), default=0)
        return pd.Index(values.astype(np.float64)) if large < 2**63 and values.hasnans else values.infer_objects()
    return values


def is_epoch(numbers: NDArray[Any]) -> bool:
    """True if all numbers are plausible times: since 1970 in one unit from s to ns, or the digits of dates."""
    known = np.asarray(numbers, np.float64)
    known = known[~np.isnan(known)]
    return known.size > 0 and (_unit_of(known) is not None or _date_digits(known) is not None)


def joined(dates: pd.Series[Any], clocks: pd.Series[Any], digits: int | None = None) -> pd.Index[Any]:
    """Text "date time" (T,) from a column of dates and a column of times of day.

    Times are text with colons, or digits HHMMSS or HHMM; ``digits`` is 6 or 4 if known.

    Raises:
        ValueError: the digits are ambiguous: 930 is 09:30:00 or 00:09:30.
    """
    import pandas as pd

    days = dates.dt.strftime("%Y-%m-%d") if pd.api.types.is_datetime64_any_dtype(dates.dtype) else dates
    if pd.api.types.is_numeric_dtype(days.dtype):
        days = pd.Series(_digits(pd.Index(days)))
    parts = pd.Series(_clock_text(clocks, digits), dtype=object)
    return pd.Index(days.reset_index(drop=True).astype(str).str.strip() + " " + parts)


def _check_options(unit: Any, format: Any) -> None:
    if unit is not None:
        choice("unit", unit, UNITS)
    if format is not None and (not isinstance(format, str) or "%" not in format):
        raise ValueError(f"format must be a strptime format, like '%d/%m/%Y', got {brief(format)}")
    if unit is not None and format is not None:
        raise ValueError(f"unit={unit!r} and format={format!r}: give only one of them")


def _clock_text(clocks: pd.Series[Any], digits: int | None) -> list[str]:
    """Times of day as text with colons."""
    text = [str(value).strip() for value in clocks]
    if not all(re.fullmatch(r"\d{1,6}", value) for value in text):
        return text
    if digits is not None:
        text = [value.zfill(digits) for value in text]
    widths = {len(value) for value in text}
    if widths != {4} and widths != {6}:  # numbers have lost their leading zeros
        if max(map(int, text)) < 2400 and any(map(int, text)):
            value = next(v for v in text if int(v))
            raise ValueError(
                f"column {clocks.name!r} holds times of the day like {value!r}, which may be HHMM or HHMMSS: "
                "keep them as text with their leading zeros, or with colons"
            )
        text = [value.zfill(6) for value in text]
    return [":".join(re.findall("..", value)) for value in text]


def _digits(values: pd.Index[Any]) -> pd.Index[Any]:
    """Integers as text; missing values stay missing."""
    import pandas as pd

    return pd.Index(
        [None if pd.isna(v) else str(int(v)) if np.isfinite(v) and v == int(v) else str(v) for v in values],
        dtype=object,
    )


def _from_numbers(values: pd.Index[Any], label: Any, unit: str | None) -> tuple[pd.Index[Any], bool]:
    """Dates from numbers, and True if these count from 1970 in UTC."""
    import pandas as pd

    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    known = numbers[~np.isnan(numbers)]
    if unit is None:
        digits = None if known.size == 0 else _date_digits(known)
        found = None if known.size == 0 else _unit_of(known)
        if digits is not None and found is not None:
            raise ValueError(
                f"time: column {label!r} holds {known[0]:.0f}, which may be digits {digits} or {found} since 1970: "
                f"load(..., format={digits!r}) or unit={found!r} decides"
            )
        if digits is not None:
            return pd.DatetimeIndex(pd.to_datetime(_digits(values), format=digits)), False
        if found is None:
            raise _no_unit(values, numbers, label)
        unit = found
    return pd.DatetimeIndex(_instants(values, numbers, unit, label)), True


def _no_unit(values: pd.Index[Any], numbers: NDArray[np.float64], label: Any) -> Exception:
    """The error for numbers that fit no unit, or several."""
    units = [_unit_of(numbers[i : i + 1]) for i in range(min(numbers.size, 1))]
    if units and units[0] is not None:
        row = int(np.argmax([_unit_of(number[None]) not in (units[0], "any") for number in numbers]))
        return ValueError(
            f"time: column {label!r} counts {units[0]} since 1970 in row 0 ({numbers[0]:.0f}), but row {row} holds "
            f"{numbers[row]:.0f}: convert them to one unit, or give load(..., unit=...)"
        )
    first = values[0] if len(values) else None
    return TypeError(
        f"time must be dates or ISO 8601 strings, got {brief(first)} of dtype {values.dtype} in column {label!r}: "
        f"numbers need load(..., unit=...), one of {UNITS}, or format=, like '%Y%m%d'"
    )


def _unit_of(known: NDArray[np.float64]) -> str | None:
    """The unit in which all numbers lie between 1973 and 2100, "any" if all are NaN, or None."""
    if np.isnan(known).all():
        return "any"
    low, high = known.min(), known.max()
    for unit in ("s", "ms", "us", "ns"):
        scale = 10**9 // _NANOSECONDS[unit]
        if _EPOCH[0] * scale <= low and high <= _EPOCH[1] * scale:
            return unit
    return None


def _date_digits(known: NDArray[np.float64]) -> str | None:
    """The date format whose digits all numbers are, with years from 1900 to 2099, or None."""
    for width, format in _DIGITS.items():
        unit = 10 ** (width - 4)
        if known.min() >= 1900 * unit and known.max() < 2100 * unit and (known == np.floor(known)).all():
            return format if _are_dates(known, width) else None
    return None


def _are_dates(known: NDArray[np.float64], width: int) -> bool:
    """True if numbers of ``width`` digits are YYYYMMDD, followed by HHMM or HHMMSS or nothing."""
    days = known.astype(np.int64) // 10 ** (width - 8)
    month, day, year = days // 100 % 100, days % 100, days // 10_000
    if not ((month >= 1) & (month <= 12) & (day >= 1)).all():
        return False
    months = ((year - 1970) * 12 + month - 1).astype("datetime64[M]")
    lengths = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    clock = known.astype(np.int64) % 10 ** (width - 8) * 10 ** (14 - width)
    hour, minute, second = clock // 10_000, clock // 100 % 100, clock % 100
    return bool(((day <= lengths) & (hour < 24) & (minute < 60) & (second < 60)).all())


def _instants(values: pd.Index[Any], numbers: NDArray[np.float64], unit: str, label: Any) -> Times:
    """datetime64[ns] from numbers of ``unit`` since 1970, exact for integers."""
    scale = _NANOSECONDS[unit]
    wrong = np.abs(numbers) * scale >= 2.0**63
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"time: column {label!r} holds {numbers[row]:g} in row {row}, as unit={unit!r} that is beyond the years "
            "1678 to 2261"
        )
    missing = np.isnan(numbers)
    if values.dtype.kind in "iu":
        whole = values.to_numpy(dtype=np.int64, na_value=0) if missing.any() else values.to_numpy(dtype=np.int64)
        return np.where(missing, np.datetime64("NaT"), (whole * scale).view("datetime64[ns]"))
    filled = np.where(missing, 0.0, numbers)
    whole = np.floor(filled).astype(np.int64)
    rest = np.round((filled - np.floor(filled)) * scale).astype(np.int64)
    return np.where(missing, np.datetime64("NaT"), (whole * scale + rest).view("datetime64[ns]"))


def _from_text(text: pd.Index[Any], label: Any, unit: str | None, format: str | None) -> tuple[pd.Index[Any], bool]:
    """Dates from text, and True if it counts from 1970 in UTC; ISO 8601 text is returned unchanged."""
    import pandas as pd

    known = text.dropna()
    if format is not None:
        return _formatted(text, label, format), False
    if len(known) and known.str.fullmatch(r"-?\d{1,19}(\.\d+)?").all():
        return _from_numbers(pd.Index(pd.to_numeric(pd.Series(text))), label, unit)
    if unit is not None:
        raise ValueError(f"unit= is for times that are numbers, column {label!r} holds {brief(known[0])}")
    first = known[0] if len(known) else ""
    if ISO.match(first) or not formats(first):
        return text, False
    return _only_reading(text, label, formats(first)), False


def _formatted(text: pd.Index[Any], label: Any, format: str) -> pd.Index[Any]:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # pandas 2 only warns of several offsets
            return pd.Index(pd.to_datetime(text, format=format))
    except (ValueError, FutureWarning) as error:
        read = pd.to_datetime(text, format=format, errors="coerce", utc=True)
        wrong: NDArray[np.bool_] = np.asarray(read.isna()) & np.asarray(text.notna())
        if not wrong.any() and "%z" in format:  # several offsets from UTC
            return pd.Index(
                [None if pd.isna(value) else dt.datetime.strptime(value, format) for value in text], dtype=object
            )
        if not wrong.any():
            raise ValueError(f"time: column {label!r} with format={format!r}: {brief_text(str(error))}") from error
        row = int(wrong.argmax())
        raise ValueError(
            f"time: {brief(text[row])} in row {row} of column {label!r} is not of format={format!r}"
        ) from error


def _only_reading(text: pd.Index[Any], label: Any, candidates: list[str]) -> pd.Index[Any]:
    """Dates by the only format that fits all rows."""
    import pandas as pd

    fits: list[tuple[str, pd.DatetimeIndex]] = []
    reads = np.zeros(len(text), np.bool_)
    for format in candidates:
        read = pd.DatetimeIndex(pd.to_datetime(text, format=format, errors="coerce", utc="%z" in format))
        fit: NDArray[np.bool_] = np.asarray(read.notna()) | np.asarray(text.isna())
        reads |= fit
        if fit.all() and not any(read.equals(other) for _, other in fits):
            fits.append((format, read))
    if len(fits) == 1:
        return _formatted(text, label, fits[0][0]) if "%z" in fits[0][0] else fits[0][1]
    row = int(np.argmin(reads))
    if not fits:
        known = text.notna()
        row = row if not reads.all() else int(np.argmax(known))
        raise ValueError(
            f"time must be dates or ISO 8601 strings, got {brief(text[row])} in row {row} of column {label!r}, where "
            f"the rows before are like {candidates[0]!r}: load(..., format=...) tells how to read them"
        )
    differs = np.asarray(fits[0][1] != fits[1][1]) & np.asarray(text.notna())
    row = int(differs.argmax())
    readings = " or ".join(f"{read[row]:%Y-%m-%d} (format={format!r})" for format, read in fits)
    raise ValueError(
        f"time must be dates or ISO 8601 strings: {brief(text[row])} in row {row} of column {label!r} may be "
        f"{readings}, and no row of the column decides: choose with load(..., format=...)"
    )


def _in_zone(values: pd.Index[Any], tz: Any, utc: bool) -> pd.Index[Any]:
    """``values`` in the zone; those without a zone are its local times, or UTC if ``utc``."""
    import pandas as pd

    zone = checked_zone(tz)
    if not isinstance(values, pd.DatetimeIndex):
        try:
            values = iso_dates(values)
        except ValueError:  # several offsets, or not dates, which as_times reports
            values = _by_offsets(values)
            if not isinstance(values, pd.DatetimeIndex):
                return values
    if values.tz is not None:
        return values.tz_convert(zone)
    if utc:
        return values.tz_localize("UTC").tz_convert(zone)
    try:
        days = bool((values == values.normalize()).all())
        return values.tz_localize(zone, ambiguous="infer", nonexistent="shift_forward" if days else "raise")
    except Exception as error:  # pandas 3 raises a ValueError, pandas 2 pytz's own
        raise ValueError(
            f"time: local times that tz={str(tz)!r} has twice or not at all: {brief_text(str(error))}"
        ) from error


def _by_offsets(values: pd.Index[Any]) -> pd.Index[Any]:
    """Instants, where all datetimes or strings state their offset from UTC; otherwise the values unchanged."""
    import pandas as pd

    if not has_offset(values).all():
        return values
    try:
        return pd.DatetimeIndex(pd.to_datetime(values, format="ISO8601", utc=True))
    except ValueError:
        return values


def checked_zone(tz: Any) -> Any:
    """The time zone ``tz`` as pandas represents it.

    Raises:
        ValueError: there is no such time zone.
    """
    import pandas as pd

    try:
        return pd.DatetimeIndex(["2020-01-01"]).tz_localize(tz).tz
    except (LookupError, ValueError, TypeError, AttributeError, OSError) as error:  # zoneinfo's, pytz's, dateutil's
        raise ValueError(f"tz: unknown time zone {brief(tz)}, it must be one like 'America/New_York'") from error
