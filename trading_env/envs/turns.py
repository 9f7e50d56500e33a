"""One step at a time: another thread waits outside, and after a step that was broken off a reset comes first.

A turn is a list with one item. A step takes the item out, which is one indivisible operation and faster than a lock,
and puts it back when all that it changes fits together again. An interrupt or an error in between leaves the turn
empty, and so it stays: a reset makes a new one, which no step of the old episode can put anything into.
"""

from __future__ import annotations

from gymnasium.error import ResetNeeded

Turn = list[bool]


def new_turn() -> Turn:
    """A turn that a step may take."""
    return [True]


def take(turn: Turn, needed: str) -> None:
    """Takes the turn for a step.

    Args:
        turn: that of the running episodes.
        needed: what is missing where none was ever given.

    Raises:
        ResetNeeded: another step has it, or a step never put it back.
    """
    try:
        turn.pop()
    except IndexError:
        raise refusal(needed) from None


def refusal(needed: str) -> ResetNeeded:
    """The error of a call that finds no turn."""
    return ResetNeeded(
        f"call reset before step: {needed}, or a step was broken off by an interrupt or an error, or another thread "
        f"is inside one"
    )


def beyond_float64(bar: int, equity: float) -> Exception:
    """The error of a step whose equity or reward float64 cannot hold, or that led out of the data (bar -1)."""
    if bar < 0:
        return refusal("the data ends here")
    return ValueError(f"equity or reward left the range of float64 at bar {bar}: equity {equity}")
