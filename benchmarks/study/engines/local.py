"""Jobs in processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from benchmarks.study.engines.place import FAILED, Keeper, Pass, Place, Work, work
from benchmarks.study.engines.workers import DiedError, workers


@contextmanager
def local(processes: int | None = None) -> Iterator[Pass]:
    """Runs jobs in processes; one per core unless given, 0 for this one."""
    with workers(processes) as share:

        def run_each(jobs: Sequence[Work], place: Place) -> Iterator[tuple[Work, str]]:
            for job, outcome in share(partial(_work, place), jobs):
                yield job, _state(outcome, job, place)

        yield run_each


def _work(place: Place, job: Work) -> str:
    return work(job, Keeper(place))


def _state(outcome: str | Exception, job: Work, place: Place) -> str:
    """The state of a job that has ended; a process that died of it is a failure."""
    if isinstance(outcome, DiedError):
        Keeper(place).fail(job, str(outcome), "")
        return FAILED
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
