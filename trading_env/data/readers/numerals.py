"""Numbers from text: decimal commas, thousands separators, currency signs, 1.2M; ambiguous numbers are refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief

if TYPE_CHECKING:
    import pandas as pd

_FACTORS = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_NOTHING = ("", "-", "--", "N/A", "n/a")
_READINGS = ((".", ","), (",", "."), (".", "'"), (",", " "))  # decimal mark, thousands separator


def check_marks(decimal: Any, thousands: Any) -> None:
    """Raises ValueError unless the marks are None or two different characters that are not part of a number."""
    for name, mark in (("decimal", decimal), ("thousands", thousands)):
        if mark is not None and (not isinstance(mark, str) or len(mark) != 1 or mark.isalnum() or mark in "+-"):
            raise ValueError(f"{name} must be one character, like ',' or '.', got {brief(mark)}")
    if decimal is not None and decimal == thousands:
        raise ValueError(f"decimal and thousands must be different characters, got {decimal!r} for both")


def cleaned(text: pd.Series[Any]) -> pd.Series[Any]:
    """Text (T,) without currency signs and surrounding spaces; placeholders such as "-" become missing."""
    whole = text.astype(object).where(text.isna(), text.astype(str))
    plain = whole.str.replace(r"[$€£¥\s\u00a0]+(?=[\d.,-])|[\s\u00a0]*[$€£¥%]?[\s\u00a0]*$", "", regex=True)
    return plain.where(~plain.isin(_NOTHING), None)


def marks_of(
    columns: Sequence[pd.Series[Any]], decimal: str | None = None, thousands: str | None = None
) -> tuple[str, str] | None:
    """The decimal mark and the thousands separator with which every cell is a number, or None.

    Raises:
        ValueError: the cells are ambiguous: "1.234" is 1.234 or 1234.
    """
    if decimal is not None or thousands is not None:
        decimal = decimal or ("." if thousands != "." else ",")
        readings = [(decimal, thousands or ("," if decimal == "." else "."))]
    else:
        readings = list(_READINGS)
    cells = np.unique(np.concatenate([np.asarray(c.dropna().map(_number_part), dtype=object) for c in columns]))
    fits = [marks for marks in readings if _all_fit(cells, marks)]
    if len(fits) > 1:
        for cell in cells:
            values = [_value(cell, marks) for marks in fits]
            if len(set(values)) > 1:
                other = next(i for i, value in enumerate(values) if value != values[0])
                label = next(c.name for c in columns if cell in set(c.dropna().map(_number_part)))
                raise ValueError(
                    f"column {label!r}: {cell!r} may be {values[0]:.10g} (decimal={fits[0][0]!r}) "
                    f"or {values[other]:.10g} (decimal={fits[other][0]!r}): choose with load(..., decimal=...)"
                )
    return fits[0] if fits else None


def numbers_of(text: pd.Series[Any], marks: tuple[str, str]) -> pd.Series[Any]:
    """The numbers (T,), float64, in text with the ``marks`` from `marks_of`; NaN where text is missing."""
    decimal, thousands = marks
    factors = text.str.extract(r"([KMBTkmbt])$", expand=False).str.upper().map(_FACTORS).fillna(1.0)
    plain = text.str.replace(r"[KMBTkmbt]$", "", regex=True).str.replace(thousands, "", regex=False)
    points = plain.str.replace(decimal, ".", regex=False)
    return points.map(float, na_action="ignore").astype(np.float64) * factors  # numbers beyond float64 become inf


def _number_part(cell: Any) -> str:
    return str(cell)[:-1] if str(cell)[-1:] in "KMBTkmbt" else str(cell)


def _pattern(marks: tuple[str, str]) -> re.Pattern[str]:
    decimal, thousands = map(re.escape, marks)
    return re.compile(rf"[+-]?(\d{{1,3}}({thousands}\d{{3}})+|\d+)?({decimal}\d*)?([eE][+-]?\d{{1,3}})?")


def _all_fit(cells: Any, marks: tuple[str, str]) -> bool:
    pattern = _pattern(marks)
    return all(pattern.fullmatch(cell) and re.search(r"\d", cell) for cell in cells)


def _value(cell: str, marks: tuple[str, str]) -> float:
    return float(cell.replace(marks[1], "").replace(marks[0], "."))


def read_columns(
    frame: pd.DataFrame, bars: Sequence[int], further: Sequence[int], marks: tuple[str | None, str | None]
) -> dict[int, pd.Series[Any]]:
    """Numbers of the text columns at those positions, by position, except for columns that are not numbers.

    The columns of the bars share their marks; each further column may have its own.
    """
    text = {i: cleaned(frame.iloc[:, i]) for i in (*bars, *further) if _is_text(frame.iloc[:, i])}
    prices = [text[i] for i in bars if i in text]
    found = marks_of(prices, *marks) if prices else None
    if found is None:
        if prices:
            return {}
        found = (marks[0] or ".", marks[1] or ",") if marks[0] != "," else (",", marks[1] or ".")
    return {i: numbers_of(column, found) for i, column in text.items() if i in bars or marks_of([column], *found)}


def _is_text(column: pd.Series[Any]) -> bool:
    """True if a column holds text, apart from missing values and numbers."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    return pd.Index(column.dropna()).inferred_type in ("string", "mixed-integer", "mixed")
