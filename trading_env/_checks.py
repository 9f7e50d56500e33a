"""Checks of single arguments; the error names the argument and its value."""

from __future__ import annotations

import difflib
import functools
import math
import operator
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 400
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = _SHORT.maxset = _SHORT.maxarray = 12


class RenderModes(list[str]):
    """The render modes in an env's metadata, which `gym.make` checks before the env is made.

    For an unknown mode Gymnasium formats a warning that fails if the mode is not a string or contains "%". Such modes
    count as known here, so that they reach the env, which refuses them by name.
    """

    def __contains__(self, mode: object) -> bool:
        return not isinstance(mode, str) or "%" in mode or super().__contains__(mode)


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """``value`` if it is one of the options; ValueError otherwise."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {options}, got {brief(value)}")
    return value


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool; TypeError if it is not one."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a bool, got {brief(value)}")
    return bool(value)


def integer(name: str, value: Any, least: int, most: int | None = None) -> int:
    """``value`` as an int in [least, most]; TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {brief(value)}")
    try:
        whole = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {brief(value)}") from None
    if whole < least or (most is not None and whole > most):
        limits = f"at least {least}" if most is None else f"in [{least}, {most}]"
        raise ValueError(f"{name} must be {limits}, got {brief(value)}")
    return whole


def number(
    name: str, value: Any, *, least: float = -math.inf, above: float = -math.inf, most: float = math.inf
) -> float:
    """``value`` as a finite float in [least, most] and above ``above``; TypeError or ValueError otherwise."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be a number, got {brief(value)}")
    try:
        real = float(value)
    except OverflowError:  # an int beyond float64
        real = math.nan
    if not math.isfinite(real) or not least <= real <= most or real <= above:
        bound = f" above {above:g}" if above > -math.inf else f" >= {least:g}" if least > -math.inf else ""
        if most < math.inf:
            bound = f" in [{least:g}, {most:g}]" if least > -math.inf else f"{bound} and at most {most:g}"
        raise ValueError(f"{name} must be a finite number{bound}, got {brief(value)}")
    return real


def brief(value: Any, width: int = 120) -> str:
    """The repr of ``value`` on one line, for messages, shortened in the middle; large containers are abbreviated."""
    if isinstance(value, int) and value.bit_length() > 4000:  # Python refuses to write more digits
        return f"an int of {value.bit_length()} bits"
    return brief_text(_SHORT.repr(value), width)


def brief_text(text: str, width: int = 300) -> str:
    """``text`` on one line, shortened in the middle if longer than ``width``."""
    text = " ".join(text.split())
    return text if len(text) <= width else f"{text[: width - 30]}...{text[-25:]}"


def did_you_mean(name: Any, known: Iterable[str]) -> str:
    """The end of a message, such as "; did you mean 'window'?", if a known name is close to ``name``; else ""."""
    close = difflib.get_close_matches(str(name), list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def printable(text: str) -> str:
    """The text with control characters, surrogates and the like escaped, so that it cannot control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def within_float64(*names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that raises ValueError naming these first arguments if the computation overflows float64."""

    def wrap(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def checked(*args: P.args, **keywords: P.kwargs) -> R:
            try:
                with np.errstate(over="raise"):
                    return function(*args, **keywords)
            except (FloatingPointError, OverflowError):
                given = dict(zip(names, args, strict=False)) | {k: v for k, v in keywords.items() if k in names}
                sizes = [f"{name} up to {_size(value):g} in size" for name, value in given.items()]
                raise ValueError(
                    f"{', '.join(names)} must not make the computation overflow float64, got {', '.join(sizes)}"
                ) from None

        return checked

    return wrap


def _size(values: Any) -> float:
    """The largest absolute value in a series, or in all series of a mapping."""
    parts = list(values.values()) if isinstance(values, Mapping) else [values]
    return max(float(np.abs(np.asarray(part, np.float64)).max(initial=0.0)) for part in parts)
