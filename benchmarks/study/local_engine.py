"""Jobs in processes of this machine, a job at a time in each. A process that ends abruptly costs its own job only."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from agents.common.processes import interrupts_blocked, one_thread_each, usable_cores
from benchmarks.contenders.sb3 import set_up_worker
from benchmarks.study.job import Job
from benchmarks.study.place import FAILED, Keeper, Pass, Place, work


@contextmanager
def local(processes: int | None = None) -> Iterator[Pass]:
    """Runs jobs in processes; one per core unless given, 0 for this one. All of them are stopped at the end."""
    count = usable_cores() if processes is None else processes
    workers: list[Worker] = []

    def run_each(jobs: Sequence[Job], place: Place) -> Iterator[tuple[Job, str]]:
        if count == 0:
            yield from ((job, work(job, Keeper(place))) for job in jobs)
            return
        while len(workers) < min(count, len(jobs)):
            workers.append(Worker())
        yield from _share(jobs, place, workers)

    try:
        yield run_each
    finally:
        for worker in workers:
            worker.stop()


def _share(jobs: Sequence[Job], place: Place, workers: list[Worker]) -> Iterator[tuple[Job, str]]:
    """Gives each worker a job, and the next one whenever it has ended."""
    waiting = list(reversed(jobs))
    busy: dict[Any, tuple[Worker, Job]] = {}
    idle = list(workers)
    while waiting or busy:
        while waiting and idle:
            worker, job = idle.pop(), waiting.pop()
            worker.start(job, place)
            busy[worker.pipe] = worker, job
        for pipe in connection.wait(list(busy)):
            worker, job = busy.pop(pipe)
            yield job, worker.result(job, place)
            idle.append(worker)


class Worker:
    """A process that runs jobs, one after the other, with one thread; it ends with this program at the latest."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with one_thread_each(), interrupts_blocked():
            self._process.start()
        theirs.close()

    def start(self, job: Job, place: Place) -> None:
        """Starts a job, in a new process if this one was killed meanwhile."""
        if not self._process.is_alive():
            self.stop()
            self._begin()
        self.pipe.send((job, place))

    def result(self, job: Job, place: Place) -> str:
        """The state of the job that has ended; a new process takes over if this one has died of it.

        Raises:
            OSError: a file cannot be written.
        """
        try:
            state, error = self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            self._begin()
            Keeper(place).fail(job, f"the process ended abruptly with code {code}: killed, or out of memory", "")
            return FAILED
        if error is not None:
            raise error
        return str(state)

    def stop(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _serve(pipe: Any) -> None:
    """Runs the jobs that come through the pipe."""
    set_up_worker()
    while True:
        job, place = pipe.recv()
        try:
            answer = work(job, Keeper(place)), None
        except Exception as error:
            answer = None, error
        pipe.send(answer)
