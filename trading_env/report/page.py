"""One self-contained HTML page: sections of charts and tables, plotly's script once, no network.

Names and data are text everywhere: Jinja2 escapes them in the markup, `embedded` in the script, `literal` in charts.
"""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from trading_env._extras import optional
from trading_env.report.arrays import Arrays
from trading_env.report.colours import THEMES

Figure = Mapping[str, Any]
EXTRA, PURPOSE = "report", "a report"


@dataclass(frozen=True)
class Cell:
    """A cell of a table: what is shown, and the number behind it, by which columns are sorted; None if undefined."""

    text: str
    value: float | None = None

    @property
    def data(self) -> float | str | None:
        """The number as the page's script reads it."""
        if self.value is None or math.isfinite(self.value):
            return self.value
        return None if math.isnan(self.value) else "Infinity" if self.value > 0 else "-Infinity"


@dataclass(frozen=True)
class Chart:
    """A chart, of which the choices of the page show one figure.

    Attributes:
        name: unique on the page.
        title: above the chart.
        help: definition and units, one click away.
        figures: plotly figures, by the indices of the options chosen, as "2/0"; "" for one that has no choice. Each has
            an entry alt, its content in words.
        by: names of the choices that it follows.
        height: in pixels.
        zoom: True for buttons that move along the time axis.
        half: True to stand beside another one where there is room.
        marks: name of a choice: traces whose meta is the number of its option are drawn bold, with their bands.
    """

    name: str
    title: str
    help: str
    figures: Mapping[str, Figure]
    by: Sequence[str] = ()
    height: int = 320
    zoom: bool = False
    half: bool = False
    marks: str = ""
    kind: str = "chart"


@dataclass(frozen=True)
class Table:
    """A table, of which the choices of the page show one set of rows.

    Attributes:
        name, title, help, by, half: as of a chart.
        headings: pairs of a column's heading and its definition.
        rows: cells, by the indices of the options chosen.
        sortable: True for buttons that sort.
    """

    name: str
    title: str
    help: str
    headings: Sequence[tuple[str, str]]
    rows: Mapping[str, Sequence[Sequence[Cell]]]
    by: Sequence[str] = ()
    sortable: bool = False
    half: bool = False
    kind: str = "table"


@dataclass(frozen=True)
class Words:
    """Paragraphs, facts and code.

    Attributes:
        paragraphs: of text.
        facts: a term, its text, and its meaning, which a click shows.
        code: shown as it is.
        folded: the line behind which the code is folded; "" to show it.
    """

    paragraphs: Sequence[str] = ()
    facts: Sequence[tuple[str, str, str]] = ()
    code: str = ""
    folded: str = ""
    kind: str = "words"


@dataclass(frozen=True)
class Choice:
    """A list of options in the bar at the top of the page."""

    name: str
    label: str
    options: Sequence[str]
    chosen: int = 0
    of: str = ""
    """Another choice, on which the number of options depends."""
    counts: Sequence[int] = ()
    """Number of options for each option of that choice."""


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    title: str
    blocks: Sequence[Chart | Table | Words]
    lead: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page.

    Attributes:
        title: of the document.
        sentence: what is to be concluded, first on the page.
        sections: in order.
        choices: in the bar at the top.
        arrays: to which the figures refer.
        shared: entries that several trading charts have in common, by name; a chart names them as its entry shared.
        numbers: any further numbers that the page embeds, as JSON values.
        notes: small print at the end.
    """

    title: str
    sentence: str
    sections: Sequence[Section]
    arrays: Arrays
    choices: Sequence[Choice] = ()
    shared: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def html(self) -> str:
        """The page as one document.

        Raises:
            ImportError: Jinja2 or plotly is missing; the message names the extra.
        """
        jinja2 = optional("jinja2", EXTRA, PURPOSE)
        plotly = optional("plotly.offline", EXTRA, PURPOSE)
        here = files(__package__)
        scripts = [plotly.get_plotlyjs(), (here / "page.js").read_text(encoding="utf-8")]
        scripts = [script.replace("\r\n", "\n").replace("\r", "\n") for script in scripts]
        env = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        template = env.from_string((here / "page.html").read_text(encoding="utf-8"))
        text: str = template.render(
            page=self,
            style=(here / "page.css").read_text(encoding="utf-8"),
            scripts=scripts,
            policy=_policy(scripts),
            data=embedded(self._data()),
        )
        return text.encode("utf-8", "replace").decode()  # halves of surrogate pairs have no UTF-8

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Writes the page, whole or not at all, and returns its path; its folder is made if there is none.

        Raises:
            OSError: it cannot be written there; the message names the path.
        """
        target, content = Path(path), self.html().encode()
        try:
            _write(target, content)
        except OSError as error:
            reason = error.strerror or str(error)
            raise type(error)(error.errno or 5, f"the page cannot be written: {reason}", str(target)) from error
        return target

    def _data(self) -> dict[str, Any]:
        blocks = [block for section in self.sections for block in section.blocks]
        charts = [block for block in blocks if isinstance(block, Chart)]
        tables = [block for block in blocks if isinstance(block, Table)]
        names = [one.name for one in charts] + [one.name for one in tables]
        assert len(set(names)) == len(names), names
        return {
            "arrays": self.arrays.kept,
            "charts": {
                one.name: {"by": list(one.by), "marks": one.marks, "height": one.height, "figures": one.figures}
                for one in charts
            },
            "tables": {one.name: {"by": list(one.by), "rows": _rows(one)} for one in tables if one.by},
            "choices": {one.name: {"of": one.of, "counts": list(one.counts)} for one in self.choices if one.of},
            "shared": self.shared,
            "themes": THEMES,
            "numbers": self.numbers,
        }


def embedded(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def literal(name: object) -> str:
    """A name as plotly shows it literally: plotly reads a few tags and entities in its texts."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())
    return html.escape(text, quote=False)


def literals(names: Sequence[object]) -> list[str]:
    """The names as plotly shows them literally, all different: categories of an axis."""
    return numbered([literal(name) for name in names])


def numbered(names: Sequence[str], key: Callable[[str], str] = str) -> list[str]:
    """The names, all different by ``key``: those that occur again get a number, as "name (2)"."""
    found: dict[str, str] = {}
    for name in names:
        tries = (name if i == 1 else f"{name} ({i})" for i in itertools.count(1))
        one = next(one for one in tries if key(one) not in found)
        found[key(one)] = one
    return list(found.values())


def _rows(table: Table) -> dict[str, Any]:
    return {key: [[[cell.text, cell.data] for cell in row] for row in rows] for key, rows in table.rows.items()}


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: no network, and no script but these."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return f"default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src {allowed}"


def _write(target: Path, content: bytes) -> None:
    """Writes under a temporary name, which is moved to the target at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=target.parent, prefix=".page.", suffix=".part")
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
