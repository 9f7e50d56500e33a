"""Tables in the terminal and as Markdown: no word is cut, and no name is interpreted as markup.

A table that is wider than the terminal, or than 80 columns if there is none, is printed without its least important
columns, which a line below it names.
"""

from __future__ import annotations

import re
import textwrap
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
NAMED = 24  # characters: the least width of names that are broken
_STYLE: Any = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "pad_edge": False, "show_edge": False}


@dataclass
class Columns:
    """A table's content.

    Attributes:
        title: printed above the table.
        names: headings of the left-aligned columns, which are always shown.
        numbers: headings of the other columns.
        rows: the cells of each row, names first; None draws a line.
        left: headings among ``numbers`` whose columns are left-aligned.
        wrapped: headings among ``numbers`` whose cells may be wrapped.
        spare: headings among ``numbers`` in the order in which they are left out where there is no room; then come
            the others, from the right.
    """

    title: str
    names: Sequence[str]
    numbers: Sequence[str]
    rows: list[Sequence[str] | None] = field(default_factory=list)
    left: Sequence[str] = ()
    wrapped: Sequence[str] = ()
    spare: Sequence[str] = ()


def console_of(console: Console | None = None) -> Console:
    """The console, or a new one that does not interpret markup."""
    return console or Console(markup=False, emoji=False, highlight=False)


def show(columns: Columns, console: Console, wide: bool = False) -> None:
    """Prints the table, with the columns that fit, or all of them if ``wide``."""
    named = None if wide else names_width(columns, console)
    shown = list(columns.numbers) if wide else fitting(columns, console, named)
    _print(table_of(columns, shown, named=named), least_width(columns, shown, console, named), console)
    missing = [heading.replace("\n", " ") for heading in columns.numbers if heading not in shown]
    if missing:
        say([f"Left out for lack of room: {', '.join(missing)}; --wide shows all."], console)
    console.print()


def say(lines: Iterable[object], console: Console) -> None:
    """Prints each line, in a terminal broken between words."""
    for line in lines:
        text = printable(line)
        whole = textwrap.wrap(text, console.width, break_long_words=False, break_on_hyphens=False)
        for part in whole if console.is_terminal and text else [text]:
            console.print(Text(part), soft_wrap=True)


def markdown(columns: Columns) -> list[str]:
    """The table as lines of Markdown, with its title as a heading."""
    headings = [*columns.names, *columns.numbers]
    rows = ([for_markdown(cell) for cell in row] for row in columns.rows if row is not None)
    lines = ("| " + " | ".join(line) + " |" for line in (headings, ["---"] * len(headings), *rows))
    return [f"## {for_markdown(columns.title)}", "", *lines]


def for_markdown(text: object) -> str:
    """The text with all characters escaped that Markdown would interpret."""
    return re.sub(r"([\\`*_{}\[\]<>|$~#])", r"\\\1", printable(text))


def names_width(columns: Columns, console: Console) -> int | None:
    """The width at which names are broken, where they are so long that no number fits beside them; else None."""
    last = _order(columns)[-1:]
    if least_width(columns, last, console) <= console.width:
        return None
    return max(NAMED, console.width * 6 // 10 // len(columns.names))


def fitting(columns: Columns, console: Console, named: int | None = None) -> list[str]:
    """The number headings that fit beside the names."""
    shown = list(columns.numbers)
    for heading in _order(columns):
        if least_width(columns, shown, console, named) <= console.width:
            break
        shown.remove(heading)
    return shown


def _order(columns: Columns) -> list[str]:
    """The number headings in the order in which they are left out."""
    return [*columns.spare, *(heading for heading in reversed(columns.numbers) if heading not in columns.spare)]


def least_width(columns: Columns, shown: Sequence[str], console: Console, named: int | None = None) -> int:
    """The least width in which nothing is cut, with sentences wrapped and without the title."""
    table = table_of(columns, shown, title=False, broken=BROKEN, named=named)
    return console.measure(table, options=console.options.update(max_width=ANY)).maximum


def table_of(
    columns: Columns, shown: Sequence[str], title: bool = True, broken: int | None = None, named: int | None = None
) -> Table:
    """The table of the names and these numbers.

    Args:
        columns: the content.
        shown: headings among the numbers.
        title: True for the title above it.
        broken: largest width of wrapped columns.
        named: largest width of the names, which are broken then; None for whole names.
    """
    table = Table(title=Text(printable(columns.title)) if title else None, title_justify="left", **_STYLE)
    headings = [*columns.names, *columns.numbers]
    places = [i for i, heading in enumerate(headings) if i < len(columns.names) or heading in shown]
    for i in places:
        name, wrapped = i < len(columns.names), headings[i] in columns.wrapped
        table.add_column(
            _text(headings[i]),
            justify="left" if name or wrapped or headings[i] in columns.left else "right",
            no_wrap=named is None if name else not wrapped,
            max_width=named if name else broken if wrapped else None,
            overflow="fold",
        )
    for row in columns.rows:
        if row is None:
            table.add_section()
        else:
            table.add_row(*(Text(printable(row[i])) if i < len(columns.names) else _text(row[i]) for i in places))
    return table


def _print(table: Table, width: int, console: Console) -> None:
    """Prints a table at this width, whatever the terminal's."""
    for line in console.render_lines(table, console.options.update(width=width, max_width=width), pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def _text(value: Any) -> Text:
    """The value as text, each of its lines printable."""
    return Text("\n".join(printable(line) for line in str(value).split("\n")))
