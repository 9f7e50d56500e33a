"""Times of bars from numbers, text and dates as files have them, read in one way or refused. T = rows."""

from __future__ import annotations

import datetime as dt
import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, brief_text
from trading_env.data.times import has_offset, iso_dates, kind_of
from trading_env.data.zones import Times

if TYPE_CHECKING:
    import pandas as pd

_NANOSECONDS = {"D": 86_400 * 10**9, "h": 3_600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
UNITS = tuple(_NANOSECONDS)
_EPOCH = (94_694_400, 4_102_444_800)  # seconds of 1973 and of 2100: within them s, ms, us and ns cannot be confused
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_ISO = re.compile(r"\d{4}-\d\d(-\d\d)?([T ].*)?$|\d{8}T\d+")
_CLOCK = r"(?P<clock>[ T,]+\d{1,2}:\d\d(?P<seconds>:\d\d(?P<part>\.\d+)?)?(?P<half> ?[AaPp][Mm])?)?"
_NUMBERS = re.compile(r"(?P<a>\d{1,4})(?P<sep>[-./])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{1,4})" + _CLOCK + r"(?P<zone> GMT)?")
_WORDS = (  # a date with the month's English name, and its format
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{4}" + _CLOCK + "$"), "%d-%b-%Y"),
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{2}" + _CLOCK + "$"), "%d-%b-%y"),
    (re.compile(r"\d{1,2} [A-Za-z]{3} \d{4}" + _CLOCK + "$"), "%d %b %Y"),
    (re.compile(r"\d{1,2} [A-Za-z]{4,} \d{4}" + _CLOCK + "$"), "%d %B %Y"),
    (re.compile(r"[A-Za-z]{3} \d{1,2}, \d{4}" + _CLOCK + "$"), "%b %d, %Y"),
    (re.compile(r"[A-Za-z]{4,} \d{1,2}, \d{4}" + _CLOCK + "$"), "%B %d, %Y"),
)


def read_times(
    values: pd.Index[Any], label: Any, *, unit: str | None = None, format: str | None = None, tz: Any = None
) -> pd.Index[Any]:
    """``values`` (T,) as dates, or as the ISO 8601 text and the other kinds that `times.as_times` reads.

    Args:
        values: datetimes, text, or numbers: since 1970, or with the digits of a date (20200131).
        label: the column's name, for messages.
        unit: what the numbers count since 1970 in UTC: D, h, m, s, ms, us or ns; by default read off their size.
        format: of text, or of the digits of numbers, as strptime takes it; by default the one that all rows fit.
        tz: the time zone of times that say none; those with one are converted to it.

    Raises:
        TypeError, ValueError: there is no reading, or more than one; the message names the keyword that decides.
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
    """A column's values as an index: categories as what they are of, whole numbers that are objects as such."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.dtype.categories.dtype)
    elif column.dtype == np.float16:
        column = column.astype(np.float64)
    return plain_kind(pd.Index(column, dtype=column.dtype))


def plain_kind(values: pd.Index[Any]) -> pd.Index[Any]:
    """Whole numbers that are objects as such, periods as their beginnings, all else as it is."""
    import pandas as pd

    if isinstance(values, pd.PeriodIndex):
        return values.to_timestamp()
    if values.dtype == object and kind_of(values) in ("integer", "floating", "mixed-integer-float"):
        large = max((abs(value) for value in values.dropna()), default=0)
        return pd.Index(values.astype(np.float64)) if large < 2**63 and values.hasnans else values.infer_objects()
    return values


def is_epoch(numbers: NDArray[Any]) -> bool:
    """Whether all numbers may be times: counted since 1970 in one unit from s to ns, or the digits of dates."""
    known = np.asarray(numbers, np.float64)
    known = known[~np.isnan(known)]
    return known.size > 0 and (_unit_of(known) is not None or _date_digits(known) is not None)


def looks_like_text_dates(text: pd.Index[Any]) -> bool:
    """Whether the first rows that are there all have the form of a date."""
    head = [str(value).strip() for value in text[:1000].dropna()[:50]]
    return bool(head) and all(_ISO.match(v) or _formats(v) or re.fullmatch(r"(19|20)\d{6}( \d{4,6})?", v) for v in head)


def joined(dates: pd.Series[Any], clocks: pd.Series[Any], digits: int | None = None) -> pd.Index[Any]:
    """Text "date time" (T,) from a column of dates and one of times of the day.

    Times are text with colons, or digits HHMMSS or HHMM; ``digits``: 6 or 4 where that is known.

    Raises:
        ValueError: digits that may be both: 930 is 09:30:00 or 00:09:30.
    """
    import pandas as pd

    days = dates.dt.strftime("%Y-%m-%d") if pd.api.types.is_datetime64_any_dtype(dates.dtype) else dates
    if pd.api.types.is_numeric_dtype(days.dtype):
        days = pd.Series(_digits(pd.Index(days)))
    parts = pd.Series(_clock_text(clocks, digits), dtype=object)
    return pd.Index(days.reset_index(drop=True).astype(str).str.strip() + " " + parts)


def _check_options(unit: Any, format: Any) -> None:
    if unit is not None and unit not in UNITS:
        raise ValueError(f"unit must be one of {UNITS}, got {brief(unit)}")
    if format is not None and (not isinstance(format, str) or "%" not in format):
        raise ValueError(f"format must be one of strptime's, like '%d/%m/%Y', got {brief(format)}")
    if unit is not None and format is not None:
        raise ValueError(f"unit={unit!r} and format={format!r}: give one, a number of seconds has no format")


def _clock_text(clocks: pd.Series[Any], digits: int | None) -> list[str]:
    """Times of the day as text with colons."""
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
    """Whole numbers as text; what is missing stays missing."""
    import pandas as pd

    return pd.Index(
        [None if pd.isna(v) else str(int(v)) if np.isfinite(v) and v == int(v) else str(v) for v in values],
        dtype=object,
    )


def _from_numbers(values: pd.Index[Any], label: Any, unit: str | None) -> tuple[pd.Index[Any], bool]:
    """Dates from numbers, and whether they count from 1970 in UTC."""
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
    """The error for numbers of no unit, or of more than one."""
    units = [_unit_of(numbers[i : i + 1]) for i in range(min(numbers.size, 1))]
    if units and units[0] is not None:
        row = int(np.argmax([_unit_of(number[None]) not in (units[0], "any") for number in numbers]))
        return ValueError(
            f"time: column {label!r} counts {units[0]} since 1970 in row 0 ({numbers[0]:.0f}), but row {row} holds "
            f"{numbers[row]:.0f}: bring them to one unit, or say load(..., unit=...)"
        )
    first = values[0] if len(values) else None
    return TypeError(
        f"time must be dates or ISO 8601 strings, got {brief(first)} of dtype {values.dtype} in column {label!r}: "
        f"numbers need load(..., unit=...), one of {UNITS}, or format=, like '%Y%m%d'"
    )


def _unit_of(known: NDArray[np.float64]) -> str | None:
    """The unit in which all numbers lie between 1973 and 2100; "any" for NaN alone."""
    if np.isnan(known).all():
        return "any"
    low, high = known.min(), known.max()
    for unit in ("s", "ms", "us", "ns"):
        scale = 10**9 // _NANOSECONDS[unit]
        if _EPOCH[0] * scale <= low and high <= _EPOCH[1] * scale:
            return unit
    return None


def _date_digits(known: NDArray[np.float64]) -> str | None:
    """The format whose digits all numbers are, with a year from 1900 to 2099."""
    for width, format in _DIGITS.items():
        unit = 10 ** (width - 4)
        if known.min() >= 1900 * unit and known.max() < 2100 * unit and (known == np.floor(known)).all():
            return format if _are_dates(known, width) else None
    return None


def _are_dates(known: NDArray[np.float64], width: int) -> bool:
    """Whether numbers of ``width`` digits are YYYYMMDD and then HHMM or HHMMSS."""
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
    """datetime64[ns] from numbers of ``unit`` since 1970; whole numbers exactly."""
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
    """Dates from text, and whether they count from 1970 in UTC; ISO 8601 text comes back as it is."""
    import pandas as pd

    known = text.dropna()
    if format is not None:
        return _formatted(text, label, format), False
    if len(known) and known.str.fullmatch(r"-?\d{1,19}(\.\d+)?").all():
        return _from_numbers(pd.Index(pd.to_numeric(pd.Series(text))), label, unit)
    if unit is not None:
        raise ValueError(f"unit= is for times that are numbers, column {label!r} holds {brief(known[0])}")
    first = known[0] if len(known) else ""
    if _ISO.match(first) or not _formats(first):
        return text, False
    return _only_reading(text, label, _formats(first)), False


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


def _only_reading(text: pd.Index[Any], label: Any, formats: list[str]) -> pd.Index[Any]:
    """Dates by the one format that all rows fit."""
    import pandas as pd

    fits: list[tuple[str, pd.DatetimeIndex]] = []
    reads = np.zeros(len(text), np.bool_)
    for format in formats:
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
            f"the rows before are like {formats[0]!r}: load(..., format=...) says how to read them"
        )
    differs = np.asarray(fits[0][1] != fits[1][1]) & np.asarray(text.notna())
    row = int(differs.argmax())
    readings = " or ".join(f"{read[row]:%Y-%m-%d} (format={format!r})" for format, read in fits)
    raise ValueError(
        f"time must be dates or ISO 8601 strings: {brief(text[row])} in row {row} of column {label!r} may be "
        f"{readings}, and no row of the column decides: say which by load(..., format=...)"
    )


def _formats(value: str) -> list[str]:
    """Formats of strptime that a date of this form may have, none for other text."""
    found = _NUMBERS.match(value)
    if found is None:
        words = [(pattern.match(value), format) for pattern, format in _WORDS]
        return [format + _clock(match) for match, format in words if match is not None]
    rest = value[found.end() :]
    if rest and not (found["zone"] and re.fullmatch(r"[+-]\d{4}", rest)):
        return []
    if len(found["a"]) == 4:
        orders = ["%Y{0}%m{0}%d"]
    elif len(found["c"]) == 4:
        orders = ["%d{0}%m{0}%Y", "%m{0}%d{0}%Y"]
    elif len(found["c"]) == 2 and len(found["a"]) <= 2:
        orders = ["%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d"]
    else:
        return []
    zone = " GMT%z" if found["zone"] else ""
    return [order.format(found["sep"]) + _clock(found) + zone for order in orders]


def _clock(found: re.Match[str]) -> str:
    """The format of the time of the day behind a date."""
    if not found["clock"]:
        return ""
    lead = re.match("[ T,]+", found["clock"])
    text = (lead[0] if lead else " ") + ("%I" if found["half"] else "%H") + ":%M"
    text += (":%S" if found["seconds"] else "") + (".%f" if found["part"] else "")
    half = found["half"] or ""
    return text + (" %p" if half.startswith(" ") else "%p" if half else "")


def _in_zone(values: pd.Index[Any], tz: Any, utc: bool) -> pd.Index[Any]:
    """``values`` as times of the zone: those without one are its local times, or UTC if they count from 1970."""
    import pandas as pd

    zone = checked_zone(tz)
    if not isinstance(values, pd.DatetimeIndex):
        try:
            values = iso_dates(values)
        except ValueError:  # several offsets, or no dates: the latter are named where they are read
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
    """Datetimes or text that each say their offset from UTC, as instants; others as they are."""
    import pandas as pd

    if not has_offset(values).all():
        return values
    try:
        return pd.DatetimeIndex(pd.to_datetime(values, format="ISO8601", utc=True))
    except ValueError:
        return values


def checked_zone(tz: Any) -> Any:
    """``tz`` as pandas takes it.

    Raises:
        ValueError: no such time zone.
    """
    import pandas as pd

    try:
        return pd.DatetimeIndex(["2020-01-01"]).tz_localize(tz).tz
    except (LookupError, ValueError, TypeError, AttributeError, OSError) as error:  # zoneinfo's, pytz's, dateutil's
        raise ValueError(f"tz: unknown time zone {brief(tz)}, it must be one like 'America/New_York'") from error
