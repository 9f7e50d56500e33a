"""Formats of dates as text: the strptime formats that a text may have, ambiguous ones included."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ISO = re.compile(r"\d{4}-\d\d(-\d\d)?([T ].*)?$|\d{8}T\d+")
_CLOCK = r"(?P<clock>[ T,]+\d{1,2}:\d\d(?P<seconds>:\d\d(?P<part>\.\d+)?)?(?P<half> ?[AaPp][Mm])?)?"
_NUMBERS = re.compile(r"(?P<a>\d{1,4})(?P<sep>[-./])(?P<b>\d{1,2})(?P=sep)(?P<c>\d{1,4})" + _CLOCK + r"(?P<zone> GMT)?")
_WORDS = (  # a date with an English month name, and its format
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{4}" + _CLOCK + "$"), "%d-%b-%Y"),
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{2}" + _CLOCK + "$"), "%d-%b-%y"),
    (re.compile(r"\d{1,2} [A-Za-z]{3} \d{4}" + _CLOCK + "$"), "%d %b %Y"),
    (re.compile(r"\d{1,2} [A-Za-z]{4,} \d{4}" + _CLOCK + "$"), "%d %B %Y"),
    (re.compile(r"[A-Za-z]{3} \d{1,2}, \d{4}" + _CLOCK + "$"), "%b %d, %Y"),
    (re.compile(r"[A-Za-z]{4,} \d{1,2}, \d{4}" + _CLOCK + "$"), "%B %d, %Y"),
)


def looks_like_text_dates(text: pd.Index[Any]) -> bool:
    """True if the first rows, missing ones aside, all have the form of a date."""
    head = [str(value).strip() for value in text[:1000].dropna()[:50]]
    return bool(head) and all(ISO.match(v) or formats(v) or re.fullmatch(r"(19|20)\d{6}( \d{4,6})?", v) for v in head)


def formats(value: str) -> list[str]:
    """The strptime formats that fit a date's form, as day or month first; none for other text."""
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
    """The format of the time of day after a date."""
    if not found["clock"]:
        return ""
    lead = re.match("[ T,]+", found["clock"])
    text = (lead[0] if lead else " ") + ("%I" if found["half"] else "%H") + ":%M"
    text += (":%S" if found["seconds"] else "") + (".%f" if found["part"] else "")
    half = found["half"] or ""
    return text + (" %p" if half.startswith(" ") else "%p" if half else "")
