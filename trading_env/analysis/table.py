"""Summary: a small table that prints itself, in at most 80 columns, and shows itself in notebooks."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trading_env._checks import printable

WIDTH = 80  # columns of a terminal
GAP = "  "


@dataclass(frozen=True)
class Summary:
    """A table of text.

    Attributes:
        title: above the table.
        headings: of the columns, that of the names first; the last ones are left out where they do not fit.
        rows: cells, the name of the row first.
        notes: below the table.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        lines = [printable(self.title), "", *self._lines(), ""]
        lines += [printable(note) for note in self.notes]
        return "\n".join(part for line in lines for part in (_wrapped(line) if len(line) > WIDTH else [line]))

    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        """The headings and the rows, in columns."""
        table = [[printable(cell) for cell in row] for row in (self.headings, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        while len(widths) > 2 and sum(widths) + len(GAP) * (len(widths) - 1) > WIDTH:
            widths.pop()
        for name, *cells in table:
            numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=False))
            yield GAP.join([name.ljust(widths[0]), *numbers]).rstrip()

    def _repr_html_(self) -> str:
        """The table for notebooks, with all columns."""
        heads = "".join(f"<th>{html.escape(heading)}</th>" for heading in self.headings)
        rows = "".join(
            "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for tag, cell in _tagged(row)) + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<br>{html.escape(note)}" for note in self.notes)
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
        return (
            f"<div><strong>{html.escape(self.title)}</strong>{table}<small>{notes.removeprefix('<br>')}</small></div>"
        )


def _tagged(row: Sequence[str]) -> list[tuple[str, str]]:
    return [("td" if i else "th", cell) for i, cell in enumerate(row)]


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH)
