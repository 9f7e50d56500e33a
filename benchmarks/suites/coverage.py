"""``python -m benchmarks coverage``: how often the intervals and tests that the tables print are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import tyro

from agents.base import commands
from agents.base.commands import checking, printable
from agents.common import files
from agents.common.files import check_folder
from benchmarks.reports import table as tables
from benchmarks.study import provenance
from benchmarks.study.results import json_bytes
from benchmarks.study.simulations import Case, cases
from benchmarks.tasks.checks import check_counts

PROGRAM = "python -m benchmarks coverage"
COLUMNS = ("share", "± s.e.", "wanted", "right")

DESCRIPTION = """\
Draws data whose truth is known, and counts how often the project's intervals contain it and how often its tests err.
A share is right if it lies in the wanted range, or within two of its standard errors."""


@dataclass(frozen=True)
class CoverageSettings:
    """Options of ``python -m benchmarks coverage``."""

    samples: int = 2000
    """Data sets drawn for each row."""
    seed: int = 0
    """Seed of the draws."""
    folder: Path = Path("results/coverage")
    """Where the table is written, coverage.md and coverage.json."""
    docs: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the page of the documentation, docs/coverage.md, too."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the table, however wide that is."""
    processes: int | None = None
    """Processes; one per core unless given."""

    def __post_init__(self) -> None:
        check_counts(self, ("samples", "processes"))
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")


@dataclass(frozen=True)
class Counted:
    """The share of a simulation's answers."""

    case: Case
    share: float
    samples: int

    @property
    def error(self) -> float:
        """Standard error of the share."""
        return math.sqrt(max(self.share * (1.0 - self.share), 0.25 / self.samples) / self.samples)

    @property
    def right(self) -> bool:
        """True if the share is in the wanted range, or within two standard errors of it."""
        return self.case.low - 2.0 * self.error <= self.share <= self.case.high + 2.0 * self.error


def main(arguments: Sequence[str]) -> None:
    """Simulates, prints and writes the table."""
    settings: CoverageSettings = commands.parse(
        PROGRAM, CoverageSettings, list(arguments), default=CoverageSettings(), description=DESCRIPTION
    )
    with checking(PROGRAM):
        check_folder(settings.folder, "folder")
    counted = simulate(settings)
    columns = table_of(counted)
    console = tables.console_of()
    tables.show(columns, console, settings.wide)
    made = provenance.made()
    tables.say([f"Made at {provenance.in_words(made)}."], console)
    page = page_of(columns, settings, provenance.in_words(made)).encode()
    rows = [{"what": one.case.what, "case": one.case.case, "share": one.share} for one in counted]
    files.write(settings.folder / "coverage.md", page)
    files.write(settings.folder / "coverage.json", json_bytes({"samples": settings.samples, **made, "rows": rows}))
    if settings.docs:
        files.write(Path("docs/coverage.md"), page)
    print(printable(f"written: {settings.folder}/coverage.md, coverage.json"))


def simulate(settings: CoverageSettings) -> list[Counted]:
    """Each row's share, the same for any number of processes."""
    jobs = [(row, settings.samples, settings.seed) for row in range(len(list(cases())))]
    if settings.processes == 1:
        return [count(*job) for job in jobs]
    with ProcessPoolExecutor(settings.processes, get_context("spawn")) as pool:
        shares = list(pool.map(_share, jobs))
    return [Counted(case, share, settings.samples) for case, share in zip(cases(), shares, strict=True)]


def _share(job: tuple[int, int, int]) -> float:
    return count(*job).share


def count(row: int, samples: int, seed: int) -> Counted:
    """One row of the table, its draws from a stream of its own."""
    case, rng = list(cases())[row], np.random.default_rng([seed, row])
    return Counted(case, sum(case.hit(rng) for _ in range(samples)) / samples, samples)


def table_of(counted: Sequence[Counted]) -> tables.Columns:
    """The rows, in percent."""
    columns = tables.Columns(
        "How often intervals and tests are right, in %", ("what", "case"), COLUMNS, spare=COLUMNS[1:2]
    )
    before = ""
    for one in counted:
        wanted = "" if one.case.high - one.case.low == 1.0 else f"{100 * one.case.low:.0f} to {100 * one.case.high:.0f}"
        verdict = "" if not wanted else "yes" if one.right else "NO"
        numbers = [f"{100 * one.share:.1f}", f"{100 * one.error:.1f}", wanted, verdict]
        columns.rows.append(["" if one.case.what == before else one.case.what, one.case.case, *numbers])
        before = one.case.what
    return columns


def page_of(columns: tables.Columns, settings: CoverageSettings, made: str) -> str:
    """The table with its command, as Markdown."""
    lines = [
        "# Coverage",
        "",
        f"`{PROGRAM} --samples {settings.samples}` draws data whose truth is known, and counts how often the",
        "intervals of `benchmarks/statistics/` contain it and how often the tests err. The processes are in",
        f"`benchmarks/study/simulations.py`. Made at {made}.",
        "",
        *tables.markdown(columns),
    ]
    return "\n".join(lines) + "\n"
