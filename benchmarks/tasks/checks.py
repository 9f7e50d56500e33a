"""Checks of options that experiments share; each error names the option and its value."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from trading_env._checks import brief

MOST_SEEDS, MOST_PROCESSES, MOST_SAMPLES = 10_000, 1_024, 1_000_000
_MOST = {"seeds": MOST_SEEDS, "random_seeds": MOST_SEEDS, "processes": MOST_PROCESSES, "jobs": MOST_PROCESSES}
_LONGEST = 200  # bytes of a name; file systems allow 255
_MOST |= {"samples": MOST_SAMPLES, "points": MOST_SAMPLES}


def check_counts(settings: Any, names: Sequence[str]) -> None:
    """Raises ValueError unless each option is None, or at least 1 and no more than a machine can hold."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
        if value is not None and value > _MOST.get(name, value):
            raise ValueError(f"{name} must be at most {_MOST[name]:,}, got {value}")


def check_processes(processes: int | None) -> None:
    """Raises ValueError unless it is None, 0 for this process alone, or a number that a machine can hold."""
    if processes is not None and not 0 <= processes <= MOST_PROCESSES:
        raise ValueError(f"processes must be in [0, {MOST_PROCESSES}], got {processes}")


def check_name(name: str) -> None:
    """Raises ValueError unless the name is that of a direct subfolder, without a path."""
    plain = (
        isinstance(name, str) and name not in ("", ".", "..") and "\0" not in name and os.path.basename(name) == name
    )
    if not plain or len(name.encode(errors="replace")) > _LONGEST:
        raise ValueError(f"name must be the name of a folder, without a path, got {brief(name)}")


def check_distinct(field: str, values: Sequence[Any]) -> None:
    """Raises ValueError unless there is at least one value, and no value twice."""
    if not values or len(set(values)) < len(values):
        raise ValueError(f"{field} must have at least one value, and none twice, got {brief(list(values))}")
