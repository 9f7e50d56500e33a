"""``python -m benchmarks rows SUITE``: the rows of a study as a table, CSV or Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import write
from benchmarks.study.engines.run import rows_of
from benchmarks.study.results import KeptError, parquet_bytes
from benchmarks.study.rows import frame_of
from benchmarks.suites.run import opened

PROGRAM = "python -m benchmarks rows"


@dataclass(frozen=True)
class RowsSettings:
    """Options of ``python -m benchmarks rows``."""

    suite: Annotated[str, tyro.conf.Positional]
    """A built-in suite, or a TOML file."""
    folder: Path = Path("results")
    """Where studies are kept."""
    seeds: int | None = None
    """Seeds of each learner, if the study was run with another number than the suite's."""
    csv: Path | None = None
    """File to write as CSV."""
    parquet: Path | None = None
    """File to write as Parquet."""


def main(arguments: Sequence[str]) -> None:
    """Prints the rows, or writes them to the files that are given."""
    settings: RowsSettings = commands.parse(
        PROGRAM, RowsSettings, list(arguments), description="A line for each seed on each fold, with its metrics."
    )
    with checking(PROGRAM):
        _, place, jobs = opened(settings.suite, settings.folder, settings.seeds)
    with refusing(PROGRAM, (KeptError, OSError, ValueError, TypeError)):  # the data may be gone, or changed
        frame = frame_of(rows_of(jobs, place))
        if settings.csv is not None:
            write(settings.csv, frame.to_csv(index=False).encode())
        if settings.parquet is not None:
            write(settings.parquet, parquet_bytes(frame))
    if settings.csv is None and settings.parquet is None:
        print("\n".join(map(printable, frame.to_csv(index=False).splitlines())))
