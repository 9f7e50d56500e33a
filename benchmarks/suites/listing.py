"""``python -m benchmarks list``: the built-in suites, and how far the studies in a folder are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.base import commands
from agents.base.commands import printable
from benchmarks.study.job import jobs_of
from benchmarks.study.suite import Suite, built_in

PROGRAM = "python -m benchmarks list"
DESCRIPTION = "The built-in suites, and how many of their rows are kept."


@dataclass(frozen=True)
class ListSettings:
    """Options of ``python -m benchmarks list``."""

    folder: Path = Path("results")
    """Where studies are kept."""


def main(arguments: Sequence[str]) -> None:
    """Prints a line for each suite."""
    settings: ListSettings = commands.parse(
        PROGRAM,
        ListSettings,
        list(arguments),
        default=ListSettings(),
        description=DESCRIPTION,
    )
    for name in built_in():
        suite = Suite.read(name)
        jobs = len(list(jobs_of(suite)))
        kept = len(list((settings.folder / suite.name / "rows").glob("*.npz")))
        where = f"{len(suite.tasks)} tasks" if suite.tasks else f"{len(suite.data)} datasets"
        folds = "" if suite.tasks else f", {suite.walk_forward.folds} folds"
        shape = f"{where}{folds}, {len(suite.contenders)} contenders, {suite.seeds} seeds"
        print(printable(f"{name:14} {shape}: {jobs} jobs, {kept} rows kept"))
