"""Runs the jobs of a study: a process per core, each row kept as soon as it is whole, and none computed twice.

If a study is killed at any moment, the next run continues it. Several programs may work on one study at once, on one
machine or in a shared folder with locks: each skips the jobs that another program is running.
"""

from __future__ import annotations

import multiprocessing
import shlex
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from agents.common import files
from agents.common.locks import InUseError, Lock
from agents.common.processes import usable_cores
from benchmarks.contenders.sb3 import set_up_worker
from benchmarks.study.job import Job, run
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import json_bytes
from benchmarks.study.rows import Row

DONE, KEPT, FAILED, BUSY = "done", "kept", "failed", "busy"
_PAUSE = 1.0  # seconds before jobs of other programs are looked at again


class EngineError(RuntimeError):
    """A worker ended without a result."""


@dataclass(frozen=True)
class Place:
    """The files of a study.

    Attributes:
        folder: of the study.
        ledger: the file of all test openings, shared by studies.
        suite: as the command line names it, for the command that runs a failed job alone.
    """

    folder: Path
    ledger: Path
    suite: str

    def row(self, job: Job) -> Path:
        """The file of the job's row."""
        return self.folder / "rows" / f"{job.id}.npz"

    def failure(self, job: Job) -> Path:
        """The file with the error of a failed job."""
        return self.folder / "failed" / f"{job.id}.json"

    def command(self, job: Job) -> str:
        """The command that runs the job alone."""
        return f"python -m benchmarks run {shlex.quote(self.suite)} --job {job.id}"


def shard_of(jobs: Sequence[Job], shard: str) -> list[Job]:
    """The i-th of n parts of the jobs, ``shard`` being "i/n" with i from 1 to n.

    Raises:
        ValueError: it has another form.
    """
    first, _, count = shard.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise ValueError(f"shard must be i/n with i from 1 to n, got {shard!r}")
    return list(jobs[int(first) - 1 :: int(count)])


def run_all(
    jobs: Sequence[Job], place: Place, processes: int | None = None, tell: Callable[[Job, str], None] | None = None
) -> dict[str, str]:
    """Runs the jobs whose rows are missing; returns the state of each job by its id.

    Args:
        jobs: of the study.
        place: of its rows.
        processes: how many; one per core unless given, 0 for this one.
        tell: called with each job and its state as it ends.

    Raises:
        EngineError: a worker was killed; what is done is kept.
        OSError: a row cannot be written.
    """
    states: dict[str, str] = {}
    open_ = list(jobs)
    while open_:
        for job, state in _pass(open_, place, usable_cores() if processes is None else processes):
            states[job.id] = state
            if tell is not None and state != BUSY:
                tell(job, state)
        open_ = [job for job in open_ if states[job.id] == BUSY]
        if open_:
            time.sleep(_PAUSE)
    return states


def _pass(jobs: Sequence[Job], place: Place, processes: int) -> Iterator[tuple[Job, str]]:
    """Each job once, with its state."""
    missing = []
    for job in jobs:
        if place.row(job).exists():
            yield job, KEPT
        else:
            missing.append(job)
    if processes == 0 or not missing:
        yield from ((job, work(job, place)) for job in missing)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(processes, len(missing)), context, set_up_worker) as pool:
        futures: dict[Future[str], Job] = {pool.submit(work, job, place): job for job in missing}
        pending = set(futures)
        while pending:
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                try:
                    yield futures[future], future.result()
                except BrokenProcessPool as error:
                    raise EngineError("a worker process ended abruptly; run the study again to go on") from error


def work(job: Job, place: Place) -> str:
    """Runs one job and keeps its row; a failure is kept with its error and does not raise.

    Raises:
        OSError: the row or the report of the failure cannot be written.
    """
    path = place.row(job)
    files.make_folder(path.parent)
    held = Lock(path)
    try:
        held.acquire()
    except InUseError:
        return BUSY
    try:
        if path.exists():
            return KEPT
        try:
            row = run(job, Ledger(place.ledger))
        except Exception as error:  # the other rows go on
            report = {"job": job.name, "error": f"{type(error).__name__}: {error}", "command": place.command(job)}
            files.write(place.failure(job), json_bytes({**report, "traceback": traceback.format_exc()}))
            return FAILED
        row.write(path)
        place.failure(job).unlink(missing_ok=True)
        return DONE
    finally:
        held.release()


def rows_of(jobs: Sequence[Job], place: Place) -> list[Row]:
    """The rows that are there, in the order of the jobs; KeptError if one is damaged."""
    return [Row.read(place.row(job)) for job in jobs if place.row(job).exists()]
