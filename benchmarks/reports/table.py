"""Tables in the terminal and as Markdown: nothing is truncated, and no name is interpreted as markup.

A table wider than the terminal is printed in parts, one below the other, each with the name columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agents.base.commands import printable

ANY = 100_000  # characters: no bound on the width
BROKEN = 40  # characters: the least width of a column of sentences


@dataclass
class Columns:
    """A table's content.

    Attributes:
        title: printed above the table.
        names: headings of the left-aligned columns that every part repeats.
        numbers: headings of the other columns.
        rows: the cells of each row, names first; None draws a line.
        left: headings among ``numbers`` whose columns are left-aligned.
        wrapped: headings among ``numbers`` whose cells may be wrapped.
    """

    title: str
    names: Sequence[str]
    numbers: Sequence[str]
    rows: list[Sequence[str] | None] = field(default_factory=list)
    left: Sequence[str] = ()
    wrapped: Sequence[str] = ()


def console_of(console: Console | None = None) -> Console:
    """The console, or a new one that does not interpret markup."""
    return console or Console(markup=False, emoji=False, highlight=False)


def show(columns: Columns, console: Console) -> None:
    """Prints the table, in as many parts as the terminal's width requires, or whole if the output is no terminal."""
    parts = parts_of(columns, console)
    for i, part in enumerate(parts):
        table = table_of(columns, part, title=i == 0)
        whole = console.measure(table, options=console.options.update(max_width=ANY)).maximum
        _print(table, least_width(columns, part, console) if console.is_terminal else whole, console)


def say(lines: Iterable[object], console: Console) -> None:
    """Prints each line unchanged; a terminal may wrap it."""
    for line in lines:
        console.print(Text(printable(line)), soft_wrap=True)


def markdown(columns: Columns) -> list[str]:
    """The table as lines of Markdown, with its title as a heading."""
    headings = [*columns.names, *columns.numbers]
    rows = ([for_markdown(cell) for cell in row] for row in columns.rows if row is not None)
    lines = ("| " + " | ".join(line) + " |" for line in (headings, ["---"] * len(headings), *rows))
    return [f"## {for_markdown(columns.title)}", "", *lines]


def for_markdown(text: object) -> str:
    """The text with all characters escaped that Markdown would interpret."""
    return re.sub(r"([\\`*_{}\[\]<>|$~#])", r"\\\1", printable(text))


def parts_of(columns: Columns, console: Console) -> list[list[str]]:
    """The number headings of each part: as many as fit beside the names, at least one."""
    if not console.is_terminal:
        return [list(columns.numbers)]
    parts: list[list[str]] = [[]]
    for heading in columns.numbers:
        if parts[-1] and least_width(columns, [*parts[-1], heading], console) > console.width:
            parts.append([])
        parts[-1].append(heading)
    return parts


def least_width(columns: Columns, part: Sequence[str], console: Console) -> int:
    """The least width of a part in which nothing is truncated, with its sentences wrapped."""
    table = table_of(columns, part, title=False, broken=BROKEN)
    return console.measure(table, options=console.options.update(max_width=ANY)).maximum


def table_of(columns: Columns, part: Sequence[str], title: bool, broken: int | None = None) -> Table:
    """The table of the names and this part; wrapped columns are at most ``broken`` characters wide."""
    table = Table(title=Text(printable(columns.title)) if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    headings = [*columns.names, *columns.numbers]
    places = [i for i, heading in enumerate(headings) if i < len(columns.names) or heading in part]
    for i in places:
        wrapped = headings[i] in columns.wrapped
        left = wrapped or i < len(columns.names) or headings[i] in columns.left
        most = broken if wrapped else None
        table.add_column(_text(headings[i]), justify="left" if left else "right", no_wrap=not wrapped, max_width=most)
    for row in columns.rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*(Text(printable(row[i])) if i < len(columns.names) else _text(row[i]) for i in places))
    return table


def _print(table: Table, needed: int, console: Console) -> None:
    """Prints a table at the width that it needs, even if the terminal is narrower."""
    width = console.width
    try:
        console.width = max(width, needed)
        console.print(table, crop=False)
    finally:
        console.width = width


def _text(value: Any) -> Text:
    """The value as text, each of its lines printable."""
    return Text("\n".join(printable(line) for line in str(value).split("\n")))
