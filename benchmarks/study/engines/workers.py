"""Processes that do one task after the other, each with one thread. One that dies costs its own task only."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import connection
from typing import Any

from agents.common.processes import interrupts_blocked, one_thread_each, usable_cores
from benchmarks.contenders.sb3 import set_up_worker

Share = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[tuple[Any, Any]]]
"""Applies a function to tasks; yields each task with the result, or the exception, as it ends. A task is taken when a
process is free. The function must be picklable."""


_PATIENCE = 10.0  # seconds that an idle process may take to end


class DiedError(RuntimeError):
    """The process of a task ended abruptly."""


@contextmanager
def workers(processes: int | None = None) -> Iterator[Share]:
    """Shares tasks among processes; one per core unless given, 0 for this one. All of them are stopped at the end."""
    count = usable_cores() if processes is None else processes
    started: list[Worker] = []

    def share(function: Callable[[Any], Any], tasks: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        if count == 0:
            yield from ((task, _outcome(function, task)) for task in tasks)
        else:
            yield from _shared(function, iter(tasks), started, count)

    try:
        yield share
    finally:
        for worker in started:
            worker.pipe.close()  # those that are idle end by themselves, all at once
        for worker in started:
            worker.stop()


def _shared(
    function: Callable[[Any], Any], tasks: Iterator[Any], started: list[Worker], count: int
) -> Iterator[tuple[Any, Any]]:
    """Gives each worker a task, and the next one whenever it has ended; starts no more workers than needed."""
    idle = list(started)
    busy: dict[Any, tuple[Worker, Any]] = {}
    while True:
        while len(busy) < count and (task := next(tasks, None)) is not None:
            if not idle:
                started.append(Worker())
                idle.append(started[-1])
            worker = idle.pop()
            worker.start(function, task)
            busy[worker.pipe] = worker, task
        if not busy:
            return
        for pipe in connection.wait(list(busy)):
            worker, task = busy.pop(pipe)
            idle.append(worker)
            yield task, worker.outcome()


class Worker:
    """A process that does tasks, one after the other, with one thread; it ends with this program at the latest."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._busy = False
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,))
        with one_thread_each(), interrupts_blocked():
            self._process.start()
        theirs.close()

    def start(self, function: Callable[[Any], Any], task: Any) -> None:
        """Starts a task, in a new process if this one was killed meanwhile."""
        if not self._process.is_alive():
            self.stop()
            self._begin()
        self.pipe.send((function, task))
        self._busy = True

    def outcome(self) -> Any:
        """What the task returned or raised; DiedError if the process has ended, which the next task replaces."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            return DiedError(f"the process ended abruptly with code {code}: killed, or out of memory")
        finally:
            self._busy = False

    def stop(self) -> None:
        """Ends the process: one at work is killed, an idle one may put its things away."""
        self.pipe.close()
        self._process.join(0.0 if self._busy else _PATIENCE)
        self._process.kill()
        self._process.join()


def _serve(pipe: Any) -> None:
    """Does the tasks that come through the pipe."""
    set_up_worker()
    while True:
        try:
            function, task = pipe.recv()
        except EOFError:  # there are no more
            return
        pipe.send(_outcome(function, task))


def _outcome(function: Callable[[Any], Any], task: Any) -> Any:
    """What the function returns, or the exception that it raises."""
    try:
        return function(task)
    except Exception as error:
        return error
