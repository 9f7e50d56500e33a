"""What checks are made of: a lab's list of them, comparison with the expected value, and diagnosis of known mistakes.

A lab's `check.py` has functions of the student's module and a random generator, which raise `Wrong` with a sentence for
the student. A hole's result is compared with the result of the project's own function on the same drawn input; if it
differs, it is compared with what common mistakes would give, and the one that matches is named.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

Test = Callable[[ModuleType, np.random.Generator], None]


class Hole(NotImplementedError):  # noqa: N818, students read `raise course.Hole("lab 4: write act")`
    """A part of a lab that the student has not written yet; notebooks show its message alone."""

    def _render_traceback_(self) -> list[str]:
        return [f"Hole: {self}"]


class Wrong(Exception):  # noqa: N818
    """A sentence that says what is wrong with a solution."""


@dataclass(frozen=True)
class Check:
    """One check of a lab.

    Attributes:
        hole: What the student writes, such as "act" or "Memory.sample".
        title: What must hold of it.
        points: What it is worth.
        test: Raises Wrong if it does not hold.
    """

    hole: str
    title: str
    points: int
    test: Test

    @property
    def name(self) -> str:
        """Hole and title."""
        return f"{self.hole}: {self.title}"


class Checks(list[Check]):
    """The checks of a lab, in order.

    Examples:
        >>> CHECKS = Checks()
        >>> @CHECKS.add("td_error", "0 where the value is right", points=1)
        ... def _(student, rng): ...
    """

    def add(self, hole: str, title: str, points: int) -> Callable[[Test], Test]:
        """A decorator that appends a check."""

        def decorator(test: Test) -> Test:
            self.append(Check(hole, title, points, test))
            return test

        return decorator


def agree(what: str, got: Any, expected: Any, mistakes: Mapping[str, Any] | None = None, rtol: float = 1e-4) -> None:
    """Compares a result with the expected one.

    Args:
        what: Names the result in the message.
        got: The student's number, array or tensor.
        expected: The right one.
        mistakes: Sentences, each with the result that its mistake gives on the same input.
        rtol: Relative tolerance, of the largest expected number.

    Raises:
        Wrong: They differ; the message is the first mistake whose result this is, or says how they differ.
    """
    if same(got, expected, rtol):
        return
    for sentence, result in (mistakes or {}).items():
        if same(got, result, rtol):
            raise Wrong(sentence)
    if got is None:
        raise Wrong(f"{what} is None: is there a return?")
    given, right = numbers(got), numbers(expected)
    if given is None:
        raise Wrong(f"{what} must be numbers, got {type(got).__name__}")
    if given.shape != right.shape:
        raise Wrong(f"{what} must have shape {right.shape}, got {given.shape}")
    if np.isnan(given).any() and not np.isnan(right).any():
        raise Wrong(f"{what} is NaN where a number is expected")
    place = np.unravel_index(np.argmax(np.abs(given - right)), right.shape)
    at = f" at {[int(i) for i in place]}" if place else ""
    raise Wrong(f"{what} must be {right[place]:.6g}{at}, got {given[place]:.6g}")


def same(got: Any, expected: Any, rtol: float = 1e-4) -> bool:
    """Whether two results have the same shape and the same numbers, up to rounding."""
    given, right = numbers(got), numbers(expected)
    if given is None or right is None or given.shape != right.shape:
        return False
    scale = np.abs(right[np.isfinite(right)]).max(initial=1e-12)
    return np.allclose(given, right, rtol=0.0, atol=rtol * scale, equal_nan=True)


def numbers(value: Any) -> Any:
    """A number, array or tensor as float64, or None if it is something else."""
    value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None
