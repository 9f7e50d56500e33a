"""``python -m benchmarks report FOLDER``: the page of a study, its table for a paper, or logs for TensorBoard."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder, write
from benchmarks.reports import beside
from benchmarks.reports import study as report
from benchmarks.reports.page.papers import written
from benchmarks.reports.page.study import page_of
from benchmarks.reports.page.tensorboard import write_logs
from benchmarks.study.engines.place import Place
from benchmarks.study.engines.run import rows_of
from benchmarks.study.finished import finished
from benchmarks.study.job import jobs_of
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import KeptError
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite

PROGRAM = "python -m benchmarks report"

DESCRIPTION = """\
Writes what the rows of a study say as one page, FOLDER/index.html, which opens offline. With --format, prints its table
as Markdown, LaTeX or CSV and writes it into the folder, or writes the learning curves as logs for TensorBoard. Only
folds that all contenders have finished are compared."""


@dataclass(frozen=True)
class ReportSettings:
    """Options of ``python -m benchmarks report``."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Of the study, as results/daily-stocks: where `run` keeps its rows."""
    format: Literal["html", "md", "tex", "csv", "tensorboard"] = "html"
    """A page, a table for a paper, or logs."""
    ledger: Path | None = None
    """The ledger of tests, by default ledger.jsonl in the folder above."""


def main(arguments: Sequence[str]) -> None:
    """Writes the report."""
    settings: ReportSettings = commands.parse(PROGRAM, ReportSettings, list(arguments), description=DESCRIPTION)
    folder = settings.folder
    with checking(PROGRAM):
        check_folder(folder, "folder") if folder.is_dir() else None
        suite = Suite.kept(folder)
    with refusing(PROGRAM, (KeptError, OSError, ValueError, ImportError)):
        rows = kept_rows(suite, folder)
        whole, missing = finished(suite, rows)
        if settings.format == "tensorboard":
            count = write_logs(whole, folder / "tensorboard")
            print(printable(f"written: {folder}/tensorboard, {count} logs"))
            return
        ledger = Ledger(settings.ledger or folder.parent / "ledger.jsonl")
        found = report.results(suite, rows, ledger, beside.read(folder / beside.FILE))
        if settings.format == "html":
            page = page_of(suite, whole, found, command_of(suite, folder))
            page.write(folder / "index.html")
            print(printable(f"written: {folder}/index.html" + (f"; {missing}" if missing else "")))
            return
        text = written(found, settings.format)
        write(folder / f"table.{settings.format}", text.encode())
        print("\n".join(map(printable, text.splitlines())))
        if missing:
            print(printable(f"{PROGRAM}: note: {missing}"), file=sys.stderr)


def kept_rows(suite: Suite, folder: Path) -> list[Row]:
    """The rows that are there.

    Raises:
        ValueError: there is no fold that a contender has finished.
    """
    if suite.tasks:
        raise ValueError(f"{folder} has learning curves on tasks: `python -m benchmarks run` prints them")
    jobs = list(jobs_of(suite))
    rows = rows_of(jobs, Place(folder, folder.parent / "ledger.jsonl", suite.name))
    if not finished(suite, rows).rows:
        raise ValueError(f"{folder} has {len(rows)} of {len(jobs)} rows, and no fold that all contenders have finished")
    return rows


def command_of(suite: Suite, folder: Path) -> str:
    """The commands that make the study and its page again, from the suite as it is kept."""
    made = ["run", str(folder / "suite.json"), "--folder", str(folder.parent)]
    shown = ["report", str(folder.parent / suite.name)]
    return "\n".join(shlex.join(["python", "-m", "benchmarks", *line]) for line in (made, shown))
