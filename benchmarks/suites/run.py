"""``python -m benchmarks run SUITE``: runs the missing jobs of a study, and prints what its rows say."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder, write
from benchmarks.reports import beside
from benchmarks.reports import curves as curves_report
from benchmarks.reports import study as report
from benchmarks.study.checks import check, try_own
from benchmarks.study.engines.local import local
from benchmarks.study.engines.on_ray import EngineError, on_ray
from benchmarks.study.engines.place import FAILED, Engine, Place, Work
from benchmarks.study.engines.run import rows_of, run_all, shard_of
from benchmarks.study.job import Job, jobs_of
from benchmarks.study.learning_curves import curves_of
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import KeptError, json_bytes
from benchmarks.study.suite import Suite, SuiteError, path_of
from benchmarks.tasks.checks import check_counts, check_processes

PROGRAM = "python -m benchmarks run"
ERRORS = (EngineError, KeptError, OSError)  # that end a study in one line

DESCRIPTION = """\
Runs a study: a job for every contender on every fold of every dataset, or on every task. Prints the table of all rows
that are there. Rows are kept in FOLDER/NAME/rows and never computed twice; killed at any moment, the study goes on
where it was. Each look at a test stretch is a line in FOLDER/ledger.jsonl."""


@dataclass(frozen=True)
class RunSettings:
    """Options of ``python -m benchmarks run``."""

    suite: Annotated[str, tyro.conf.Positional]
    """A built-in suite (see ``python -m benchmarks list``), or a TOML file."""
    folder: Path = Path("results")
    """Where studies and the ledger are kept."""
    engine: Literal["local", "ray"] = "local"
    """Runs jobs in processes of this machine, or as tasks of a Ray cluster."""
    address: str | None = None
    """Ray cluster, as host:port or auto; the one that runs here unless given, or else a new one of all cores."""
    processes: int | None = None
    """Processes of this machine; one per core unless given, 0 for none beside this one."""
    shard: str = "1/1"
    """i/n runs the i-th of n parts of the jobs."""
    job: str | None = None
    """Runs the job of this id alone."""
    seeds: int | None = None
    """Seeds of each learner, in place of the suite's."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the table, however wide that is."""
    progress: bool = True
    """Print a line for each job."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds",))
        check_processes(self.processes)
        other = {"local": "address", "ray": "processes"}[self.engine]
        if getattr(self, other) is not None:
            raise ValueError(f"{other} cannot be given for the engine {self.engine}, got {getattr(self, other)!r}")


def main(arguments: Sequence[str]) -> int:
    """Runs the study; 1 if a job failed."""
    settings: RunSettings = commands.parse(PROGRAM, RunSettings, list(arguments), description=DESCRIPTION)
    with checking(PROGRAM):
        suite, place, jobs = prepared(settings.suite, settings.folder, settings.seeds)
        chosen = chosen_of(jobs, settings)
        engine = on_ray(settings.address) if settings.engine == "ray" else local(settings.processes)
        with in_file(settings.suite):
            begin(suite, place, chosen if settings.job is None else ())
    with refusing(PROGRAM, ERRORS):
        code = finish(chosen, place, engine, settings.progress)
        show(suite, place, jobs, settings.wide)
    return code


def prepared(suite: str, folder: Path, seeds: int | None = None) -> tuple[Suite, Place, list[Job]]:
    """The suite, the place of its rows, and its jobs, checked before anything is trained.

    Raises:
        SuiteError: the suite is wrong, or a dataset too short for its folds; the message names file and key.
    """
    found = opened(suite, folder, seeds)
    with in_file(suite):
        check(found[0])
    return found


@contextmanager
def in_file(suite: str) -> Iterator[None]:
    """Puts the suite's file before an error."""
    try:
        yield
    except ValueError as error:
        raise SuiteError(f"{path_of(suite)}: {error}") from error


def opened(suite: str, folder: Path, seeds: int | None = None) -> tuple[Suite, Place, list[Job]]:
    """As `prepared`, checking the file alone."""
    found = Suite.read(suite)
    found = found if seeds is None else replace(found, seeds=seeds)
    return found, place_of(found, folder), list(jobs_of(found))


def place_of(suite: Suite, folder: Path) -> Place:
    """The files of the suite in the folder of all studies."""
    return Place(folder / suite.name, folder / "ledger.jsonl", str(folder / suite.name / "suite.json"))


def begin(suite: Suite, place: Place, jobs: Sequence[Job]) -> None:
    """Writes the suite beside its rows, and tries the user's own contenders among these jobs.

    Raises:
        OSError: the folder cannot be written.
        ValueError: a contender of the user's own fails.
    """
    check_folder(place.folder, "folder")
    write(place.folder / "suite.json", json_bytes(suite.description()))
    try_own(jobs, place)


def finish(jobs: Sequence[Work], place: Place, engine: Engine, progress: bool = True) -> int:
    """Runs the jobs whose rows are missing, with a line for each on stderr; returns 1 if one failed, which is told."""
    total, done = len(jobs), 0

    def tell(job: Work, state: str) -> None:
        nonlocal done
        done += 1
        if progress:
            print(printable(f"{done}/{total} {state}: {job.name}"), file=sys.stderr, flush=True)

    states = run_all(jobs, place, engine, tell)
    failed = [job for job in jobs if states[job.id] == FAILED]
    for job in failed:
        print(printable(f"failed: {job.name}; see {place.failure(job)}, run alone: {place.command(job)}"))
    return 1 if failed else 0


def chosen_of(jobs: Sequence[Job], settings: RunSettings) -> list[Job]:
    """The jobs that the settings ask for."""
    if settings.job is None:
        return shard_of(jobs, settings.shard)
    found = [job for job in jobs if job.id == settings.job]
    if not found:
        raise ValueError(f"job must be the id of a job of the suite, got {settings.job!r}")
    return found


def show(suite: Suite, place: Place, jobs: Sequence[Job], wide: bool = False) -> None:
    """Prints and writes what the rows say."""
    rows = rows_of(jobs, place)
    if not rows:
        print("no rows yet")
        return
    missing = "" if len(rows) == len(jobs) else f"; {len(jobs) - len(rows)} of {len(jobs)} rows are missing"
    if suite.tasks:
        curves_report.print_curves(curves_of(rows), wide)
        print(printable(f"rows: {place.folder}/rows{missing}"))
        return
    found = report.results(suite, rows, Ledger(place.ledger), beside.read(place.folder / beside.FILE))
    write(place.folder / "results.json", json_bytes(found))
    report.show(found, wide=wide)
    print(printable(f"written: {place.folder}/results.json{missing}"))
