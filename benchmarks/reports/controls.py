"""The table of controls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.evaluation.control import Control
from benchmarks.reports import table as tables

CONTROL_COLUMNS = ("control", "edge", "95%", "passed", "requirement")
BASIS_POINT = 1e-4


def kept_controls(rows: Sequence[Mapping[str, Any]]) -> list[Control]:
    """Controls from a file, which has null for NaN."""
    return [
        Control(**{**row, "edge": _number(row["edge"]), "interval": (*map(_number, row["interval"]),)}) for row in rows
    ]


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def control_cells(control: Control) -> list[str]:
    """A row of the controls' table, in basis points a bar."""
    low, high = (f"{end / BASIS_POINT:z.2f}" for end in control.interval)
    verdict = "yes" if control.passed else "NO"
    return [control.name, f"{control.edge / BASIS_POINT:z.2f}", f"{low} to {high}", verdict, control.expected]


def controls_table(controls: Sequence[Control], of: str = "") -> list[tables.Columns]:
    """The table of controls; no table without any."""
    rows: list[Sequence[str] | None] = [control_cells(control) for control in controls]
    layout = {"left": CONTROL_COLUMNS[3:4], "wrapped": CONTROL_COLUMNS[4:]}
    title = f"Controls{of and f' of {of}'}, basis points a bar"
    return [tables.Columns(title, CONTROL_COLUMNS[:1], CONTROL_COLUMNS[1:], rows, **layout)] if rows else []
