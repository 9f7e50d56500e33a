"""Checks of arguments, whose errors name the field and the value."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def check_int(field: str, value: Any, minimum: int) -> int:
    """`value` as an int of at least `minimum`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{field} must be an int, got {value!r}")
    if value < minimum:
        raise ValueError(f"{field} must be at least {minimum}, got {value!r}")
    return int(value)


def check_float(field: str, value: Any, low: float, high: float = math.inf, above: bool = False) -> float:
    """`value` as a float in [low, high], or in (low, high] if `above`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise TypeError(f"{field} must be a number, got {value!r}")
    if not low <= value <= high or math.isinf(value) or (above and value == low):
        raise ValueError(f"{field} must be in {'(' if above else '['}{low}, {high}], got {value!r}")
    return float(value)


def check_flag(field: str, value: Any) -> bool:
    """`value` if it is True or False; TypeError otherwise."""
    if not isinstance(value, bool):
        raise TypeError(f"{field} must be True or False, got {value!r}")
    return value


def check_choice(field: str, value: Any, options: Sequence[str]) -> str:
    """`value` if it is one of the options; ValueError otherwise."""
    if value not in options:
        raise ValueError(f"{field} must be one of {', '.join(options)}, got {value!r}")
    return str(value)


def check_widths(field: str, value: Any) -> tuple[int, ...]:
    """`value`, a sequence of ints of at least 1, as a tuple; TypeError or ValueError otherwise."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{field} must be a sequence of ints, got {value!r}")
    return tuple(check_int(field, width, 1) for width in value)


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds meant: n means 0..n-1, a sequence means itself.

    Raises:
        TypeError: If a seed is not an int.
        ValueError: If there is none, one is negative, or one occurs twice.
    """
    if isinstance(seeds, int | np.integer):
        return tuple(range(check_int("seeds", seeds, 1)))
    if isinstance(seeds, str) or not isinstance(seeds, Sequence | np.ndarray):
        raise TypeError(f"seeds must be an int or a sequence of ints, got {seeds!r}")
    checked = tuple(check_int("seeds", seed, 0) for seed in seeds)
    if not checked or len(set(checked)) < len(checked):
        raise ValueError(f"seeds must be distinct and at least one, got {seeds!r}")
    return checked
