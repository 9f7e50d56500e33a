"""``python -m benchmarks stress SUITE``: learners trained at each cost, and the controls of one of them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder, write
from benchmarks.reports import beside, table
from benchmarks.study import retrained, study_controls
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import LinePlace
from benchmarks.study.engines.run import rows_of
from benchmarks.study.provenance import made
from benchmarks.study.results import KeptError, json_bytes
from benchmarks.suites.run import finish, prepared
from benchmarks.tasks.checks import check_counts, check_processes

PROGRAM = "python -m benchmarks stress"

DESCRIPTION = """\
Trains the learners of a study again at each cost from 0 to 50 bps, which multiplies its training by five, and with
--controls runs one of them on markets without an edge and with the future shown. Rows are kept with those of the study;
`python -m benchmarks run SUITE` prints both beside its table from then on."""


@dataclass(frozen=True)
class StressSettings:
    """Options of ``python -m benchmarks stress``."""

    suite: Annotated[str, tyro.conf.Positional]
    """A built-in suite, or a TOML file."""
    folder: Path = Path("results")
    """Where studies and the ledger are kept."""
    retrain: bool = True
    """Train at each cost."""
    controls: str | None = None
    """The learner whose controls are run; none unless given."""
    draws: int = 8
    """Null markets, and orders of the training bars, of the controls."""
    seeds: int | None = None
    """Seeds of each learner, in place of the suite's."""
    processes: int | None = None
    """Processes; one per core unless given, 0 for none beside this one."""
    progress: bool = True
    """Print a line for each job."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds",))
        check_processes(self.processes)
        if self.draws < 2:
            raise ValueError(f"draws must be at least 2, got {self.draws}")


def main(arguments: Sequence[str]) -> int:
    """Trains what is missing, and writes stress.json into the study's folder; 1 if a job failed."""
    settings: StressSettings = commands.parse(PROGRAM, StressSettings, list(arguments), description=DESCRIPTION)
    with checking(PROGRAM):
        suite, own, _ = prepared(settings.suite, settings.folder, settings.seeds)
        if suite.tasks:
            raise ValueError(f"suite must be of data: {settings.suite!r} has tasks, which have no costs")
        if settings.controls is not None:
            study_controls.check_learns(suite, settings.controls)
        at_costs = retrained.jobs_at_costs(suite) if settings.retrain else {}
        check_folder(own.folder, "folder")
    place = LinePlace(own.folder, own.ledger, shlex.join([*PROGRAM.split(), *arguments]))
    path, jobs = place.folder / beside.FILE, [job for ones in at_costs.values() for job in ones]

    with refusing(PROGRAM, (KeptError, OSError)):
        found = beside.read(path)
        failed = finish(jobs, place, local(settings.processes), settings.progress)
        if jobs:
            rows = {cost: rows_of(ones, place) for cost, ones in at_costs.items()}
            found["retrained"] = {**retrained.retrained_curves(suite, rows), "of": retrained.identity(suite), **made()}
    if settings.controls is not None:
        with checking(PROGRAM):
            controls = study_controls.controls_of(suite, settings.controls, suite.seeds, settings.draws)
        said = {"contender": settings.controls, "of": study_controls.identity(suite, settings.controls), **made()}
        found["controls"] = {"rows": [asdict(one) for one in controls], **said}
    write(path, json_bytes(found))
    console = table.console_of()
    for one in beside.tables_of(found):
        table.show(one, console)
    print(printable(f"written: {path}"))
    return failed
