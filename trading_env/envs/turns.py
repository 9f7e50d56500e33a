"""One step at a time: a second thread is refused, and an interrupted step must be followed by a reset.

A turn is a list with one item. A step pops the item, which is atomic and faster than a lock, and puts it back when the
env is consistent again. An interrupt or an error in between leaves the list empty for good: a reset makes a new turn,
which no step of the old episode can refill.
"""

from __future__ import annotations

from gymnasium.error import ResetNeeded

Turn = list[bool]


def new_turn() -> Turn:
    """A turn that the next step may take."""
    return [True]


def take(turn: Turn, needed: str) -> None:
    """Takes the turn.

    Args:
        turn: of the running episodes.
        needed: the reason to name if no episode was ever started.

    Raises:
        ResetNeeded: another step holds it, or was interrupted.
    """
    try:
        turn.pop()
    except IndexError:
        raise refusal(needed) from None


def refusal(needed: str) -> ResetNeeded:
    """The error for a call that finds no turn."""
    return ResetNeeded(
        f"call reset before step: {needed}, or a step was broken off by an interrupt or an error, or another thread "
        f"is inside one"
    )


def beyond_float64(bar: int, equity: float) -> Exception:
    """The error for a step whose equity or reward exceeds float64, or that left the data (bar -1)."""
    if bar < 0:
        return refusal("the data ends here")
    return ValueError(f"equity or reward left the range of float64 at bar {bar}: equity {equity}")
