"""Figures that notebooks show: pyplot does not hold ours, so IPython would print only their size."""

from __future__ import annotations

import functools
import io
from typing import Any, TypeVar

F = TypeVar("F")


def shown_in_notebooks(figure: F) -> F:
    """The same matplotlib figure, which shows itself as a PNG where it is the last value of a cell."""
    figure._repr_png_ = functools.partial(_png, figure)  # type: ignore[attr-defined]  # IPython looks for it
    return figure


def _png(figure: Any) -> bytes:
    """The figure as the bytes of a PNG."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
