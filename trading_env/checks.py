"""Checks of single arguments: each names the argument and the value that it refuses."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """``value``, one of the options; ValueError otherwise."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {options}, got {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool; TypeError otherwise."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a bool, got {value!r}")
    return bool(value)


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """``value`` as an int in [least, most]; TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if whole < least or (most is not None and whole > most):
        limits = f"at least {least}" if most is None else f"in [{least}, {most}]"
        raise ValueError(f"{name} must be {limits}, got {value!r}")
    return whole


def number(
    name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> float:
    """``value`` as a finite float in [least, most] and above ``above``; TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        real = float(value)
    except OverflowError:  # an int that no float is large enough for
        real = math.nan
    if not math.isfinite(real) or not least <= real <= most or real <= above:
        bound = f" above {above:g}" if above > -math.inf else f" >= {least:g}" if least > -math.inf else ""
        bound += f" and at most {most:g}" if most < math.inf else ""
        raise ValueError(f"{name} must be a finite number{bound}, got {value!r}")
    return real
