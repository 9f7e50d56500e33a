"""Schedules: functions of the remaining progress, from 1 to 0, as in Stable-Baselines3."""

from collections.abc import Callable

from agents.common.checks import check_float

Schedule = Callable[[float], float]


def constant(value: float) -> Schedule:
    """A schedule that is always `value`."""
    return lambda remaining: value


def linear(start: float, end: float = 0.0, fraction: float = 1.0) -> Schedule:
    """A straight line from `start` to `end` over the first `fraction` of training, then `end`."""

    def value(remaining: float) -> float:
        done = 1.0 - remaining
        return end if done >= fraction else start + (end - start) * done / fraction

    return value


def exponential(start: float, end: float, decay: float, begin: int) -> Callable[[int], float]:
    """A function of the steps taken: `start` up to step `begin`, then times `decay` at each step, down to `end`."""

    def value(steps: int) -> float:
        return max(end, start * decay ** max(steps - begin, 0))

    return value


def checked(schedule: Schedule, field: str) -> Schedule:
    """The same schedule, which raises if a value is negative or not finite."""
    return lambda remaining: check_float(field, schedule(remaining), 0.0)


def as_schedule(value: float | str | Schedule, field: str, zero: bool = False) -> Schedule:
    """`value` as a schedule: a positive number, "lin_1e-3" (linear to zero), or a function of the remaining progress.

    Args:
        value: The number, text or function.
        field: Name of the argument, for errors.
        zero: Whether the number may be 0 too.

    Raises:
        TypeError: If it is none of these.
        ValueError: If the number is not positive and finite, or the text has another form; later, if a function
            returns a value that is negative or not finite.
    """
    if callable(value):
        return checked(value, field)
    if isinstance(value, str):
        kind, _, start = value.partition("_")
        if kind != "lin":
            raise ValueError(f'{field} as text must look like "lin_1e-3", got {value!r}')
        return linear(check_float(field, _number(start, field), 0.0, above=True))
    return constant(check_float(field, value, 0.0, above=not zero))


def _number(text: str, field: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f'{field} as text must look like "lin_1e-3", got "lin_{text}"') from None
