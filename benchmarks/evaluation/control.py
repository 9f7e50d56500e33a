"""The outcome of a control."""

from __future__ import annotations

from dataclasses import dataclass


class ControlFailedError(AssertionError):
    """A control failed."""


@dataclass(frozen=True)
class Control:
    """The outcome of a control.

    Attributes:
        name: of the control.
        edge: mean log growth per bar.
        interval: its 95% interval, over seeds and time.
        expected: the condition, in words.
        passed: True if it holds.
    """

    name: str
    edge: float
    interval: tuple[float, float]
    expected: str
    passed: bool

    def require(self) -> None:
        """Raises unless the control passed.

        Raises:
            ControlFailedError: it failed.
        """
        if not self.passed:
            low, high = self.interval
            raise ControlFailedError(
                f"{self.name}: the edge is {self.edge:.3g} [{low:.3g}, {high:.3g}] a bar, but {self.expected}"
            )
