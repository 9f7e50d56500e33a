"""Checks of arguments; their errors name the field and the value."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_SEEDS = 2**20


def check_int(field: str, value: Any, minimum: int, below: int | None = None) -> int:
    """`value` as an int of at least `minimum`, and less than `below`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{field} must be an int, got {value!r}")
    if value < minimum:
        raise ValueError(f"{field} must be at least {minimum}, got {value!r}")
    if below is not None and value >= below:
        raise ValueError(f"{field} must be less than {below:,}, got {short(value)}")
    return int(value)


def check_float(field: str, value: Any, low: float, high: float = math.inf, above: bool = False) -> float:
    """`value` as a float in [low, high], or in (low, high] if `above`; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
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
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{field} must be one of {', '.join(options)}, got {value!r}")
    return str(value)


def check_widths(field: str, value: Any) -> tuple[int, ...]:
    """`value`, a sequence of ints of at least 1, as a tuple; TypeError or ValueError otherwise."""
    if isinstance(value, str | bytes | bytearray) or not isinstance(value, Sequence):
        raise TypeError(f"{field} must be a sequence of ints, got {value!r}")
    return tuple(check_int(field, width, 1) for width in value)


def keep_plain(config: Any) -> None:
    """Replaces NumPy values by plain Python ones in every field of a frozen dataclass, before they are checked.

    JSON has no `np.int64`, and torch does not accept one as a size.
    """
    for field in dataclasses.fields(config):
        object.__setattr__(config, field.name, plain(getattr(config, field.name)))


def plain(value: Any) -> Any:
    """A NumPy scalar as a Python number or text, an array or a list as a tuple; any other value itself."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    for kind, numpys in ((int, np.integer), (float, np.floating), (str, np.str_)):
        if isinstance(value, kind | numpys):
            return kind(value)
    raw = isinstance(value, bytes | bytearray)
    if (isinstance(value, Sequence) and not raw) or (isinstance(value, np.ndarray) and value.ndim):
        return tuple(plain(part) for part in value)
    return value


def short(value: Any) -> str:
    """The value as text for a message, shortened if it is long."""
    if isinstance(value, int) and abs(value) >= 10**40:
        return "an int of more than 40 digits"
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def check_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds as a tuple: n means 0..n-1, a sequence means its elements.

    Raises:
        TypeError: If a seed is not an int.
        ValueError: If there is none, one is negative, or one occurs twice.
    """
    if isinstance(seeds, int | np.integer):
        number = check_int("seeds", seeds, 1)
        if number > MOST_SEEDS:
            raise ValueError(f"seeds must be at most {MOST_SEEDS:,} runs, got {number:,}")
        return tuple(range(number))
    if isinstance(seeds, str | bytes | bytearray) or not isinstance(seeds, Sequence | np.ndarray):
        raise TypeError(f"seeds must be an int or a sequence of ints, got {seeds!r}")
    checked = tuple(check_int("seeds", seed, 0) for seed in seeds)
    if not checked or len(set(checked)) < len(checked):
        raise ValueError(f"seeds must be distinct and at least one, got {seeds!r}")
    return checked
