"""The files of a study: rows, failures, and the ledger; each job is claimed by one program at a time."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from agents.common import files
from agents.common.locks import InUseError, Lock
from benchmarks.study.job import Lines
from benchmarks.study.ledger import Ledger, LedgerError
from benchmarks.study.results import json_bytes
from benchmarks.study.rows import Row

DONE, KEPT, FAILED, BUSY = "done", "kept", "failed", "busy"


class Work(Protocol):
    """A job, as places and engines see it; picklable."""

    @property
    def id(self) -> str:
        """Hash of everything that the row depends on, which names its files."""

    @property
    def name(self) -> str:
        """In words, for messages."""

    def run(self, ledger: Lines) -> Row:
        """Does the work; the row depends on the job's description alone."""


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

    def row(self, job: Work) -> Path:
        """The file of the job's row."""
        return self.folder / "rows" / f"{job.id}.npz"

    def failure(self, job: Work) -> Path:
        """The file with the error of a failed job."""
        return self.folder / "failed" / f"{job.id}.json"

    def command(self, job: Work) -> str:
        """The command that runs the job alone."""
        folder = shlex.quote(str(self.folder.parent))
        return f"python -m benchmarks run {shlex.quote(self.suite)} --folder {folder} --job {job.id}"


class LinePlace(Place):
    """The files of a command other than ``run``; ``suite`` is its whole line."""

    def command(self, job: Work) -> str:
        """The same line: it runs the missing jobs, of which this is one."""
        return self.suite


Pass = Callable[[Sequence[Any], Place], Iterator[tuple[Any, str]]]
"""Runs each job once, and yields it with its state as it ends."""
Engine = AbstractContextManager[Pass]
"""Workers that live as long as the context."""


class Keeping(Protocol):
    """What a worker needs of a place, which may be on another machine."""

    def claim(self, job: Work) -> str | None:
        """`KEPT`, `BUSY`, or None if the job is the caller's now."""

    def append(self, **line: Any) -> None:
        """Appends a line to the ledger."""

    def keep(self, job: Work, row: Row) -> None:
        """Writes the row."""

    def fail(self, job: Work, error: str, trace: str) -> None:
        """Writes the error of a failed job."""

    def release(self, job: Work) -> None:
        """Gives up the claim."""


class Keeper:
    """Claims jobs, and writes their rows, failures and lines of the ledger.

    Args:
        place: The files.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._held: dict[str, Lock] = {}

    def claim(self, job: Work) -> str | None:
        """`KEPT` if the row is there, `BUSY` if another program runs the job; else None, and the job is the caller's.

        Raises:
            OSError: the folder cannot be written.
        """
        path = self.place.row(job)
        if path.exists():
            return KEPT
        files.make_folder(path.parent)
        held = self._held.setdefault(job.id, Lock(path))
        try:
            held.acquire()  # at once if an earlier attempt at the job, on a machine that was lost, has acquired it
        except InUseError:
            del self._held[job.id]
            return BUSY
        if path.exists():
            self.release(job)
            return KEPT
        return None

    def append(self, **line: Any) -> None:
        """Appends a line to the ledger; LedgerError if it cannot be written."""
        Ledger(self.place.ledger).append(**line)

    def keep(self, job: Work, row: Row) -> None:
        """Writes the row, unless another attempt at the job has written it; OSError if it cannot be written."""
        if not self.place.row(job).exists():
            row.write(self.place.row(job))
        self.place.failure(job).unlink(missing_ok=True)

    def fail(self, job: Work, error: str, trace: str) -> None:
        """Writes the error of the job and the command that runs it alone; OSError if it cannot be written."""
        report = {"job": job.name, "error": error, "command": self.place.command(job), "traceback": trace}
        files.write(self.place.failure(job), json_bytes(report))

    def release(self, job: Work) -> None:
        """Gives up the claim, if there is one."""
        held = self._held.pop(job.id, None)
        if held is not None:
            held.release()


def work(job: Work, keeper: Keeping) -> str:
    """Runs one job and keeps its row; a failure is kept with its error and does not raise.

    Raises:
        OSError: row, ledger, or the report of the failure cannot be written.
    """
    state = keeper.claim(job)
    if state is not None:
        return state
    try:
        try:
            row = job.run(keeper)
        except LedgerError:
            raise
        except Exception as error:  # the other rows go on
            keeper.fail(job, f"{type(error).__name__}: {error}", traceback.format_exc())
            return FAILED
        keeper.keep(job, row)
        return DONE
    finally:
        keeper.release(job)
