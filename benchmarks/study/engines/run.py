"""Runs the jobs of a study: each row is kept as soon as it is whole, and none is computed twice.

If a study is killed at any moment, the next run continues it. Several programs may work on one study at once, on one
machine or in a shared folder with locks: each skips the jobs that another program is running.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from benchmarks.study.engines.place import BUSY, KEPT, Engine, Place, Work
from benchmarks.study.job import Job
from benchmarks.study.rows import Row

W = TypeVar("W", bound=Work)
_PAUSE = 1.0  # seconds before jobs of other programs are looked at again


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
    jobs: Sequence[W],
    place: Place,
    engine: Engine,
    tell: Callable[[W, str], None] | None = None,
) -> dict[str, str]:
    """Runs the jobs whose rows are missing; returns the state of each job by its id.

    Args:
        jobs: of the study.
        place: of its rows.
        engine: `local` or `on_ray`.
        tell: called with each job and its state as it ends.

    Raises:
        OSError: a row or the ledger cannot be written; what is done is kept.
    """
    states: dict[str, str] = {}

    def note(job: W, state: str) -> None:
        states[job.id] = state
        if tell is not None and state != BUSY:
            tell(job, state)

    for job in jobs:
        if place.row(job).exists():
            note(job, KEPT)
    open_ = [job for job in jobs if job.id not in states]
    if not open_:
        return states
    with engine as run_each:
        while open_:
            for job, state in run_each(open_, place):
                note(job, state)
            open_ = [job for job in open_ if states[job.id] == BUSY]
            time.sleep(_PAUSE if open_ else 0.0)
    return states


def rows_of(jobs: Sequence[Job], place: Place) -> list[Row]:
    """The rows that are there, in the order of the jobs; KeptError if one is damaged."""
    return [Row.read(place.row(job)) for job in jobs if place.row(job).exists()]
