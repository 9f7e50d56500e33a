"""Processes that train a block of seeds each, as the one that starts them sees them.

All of them take the same number of steps in a run. How they are started is decided by `quickest_context`.
"""

import multiprocessing
import sys
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.context import BaseContext
from types import TracebackType
from typing import Any, Literal, Self

import cloudpickle
import torch
from tqdm import TMonitor

from agents.base.processes.worker import PATIENCE, Failure, Meter, Report, Run, receive, work
from agents.common.processes import interrupts_blocked, interrupts_noted, one_thread_each

_POLL = 0.1  # seconds between two looks at the progress

Watch = Callable[[int, Mapping[int, Report]], Any]
"""Called ten times a second with the steps of the slowest block, and new reports by the number of their block."""


def quickest_context() -> BaseContext:
    """The way to start processes that train: `fork` where that is safe, else `spawn`.

    A fork starts at once, since it has all that this process has imported and compiled; a spawned process needs
    seconds for that. But of the threads of this process it has only one, and locks that another one held stay locked.
    So processes are forked on Linux only, beside no other thread of Python's, and where there is no accelerator, whose
    drivers do not survive it. After `multiprocessing.set_start_method("spawn")` none is.
    """
    others = set(threading.enumerate()) - {threading.current_thread()}
    alone = all(isinstance(thread, TMonitor) for thread in others)  # a progress bar's, which looks at the clock
    unwanted = multiprocessing.get_start_method(allow_none=True) == "spawn" or torch.accelerator.is_available()
    return multiprocessing.get_context("fork" if sys.platform == "linux" and alone and not unwanted else "spawn")


class Worker:
    """A process that trains a block of seeds, seen from the process that started it."""

    def __init__(self, context: Any, meter: Meter, number: int) -> None:
        self.seeds: tuple[int, ...] = ()
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, meter, number), name=f"agents-{number}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: torch's own are idle
            self._process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        """Sends an agent, a request, or None for the end; raises if the worker has ended."""
        try:
            self.pipe.send_bytes(cloudpickle.dumps(message))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._ended() from error

    def receive(self) -> Any:
        """The next message: a report, an answer, or None for the end of a run.

        Raises:
            Exception: The one that was raised in the worker.
            RuntimeError: If the worker has ended.
        """
        try:
            message = receive(self.pipe)
        except (EOFError, ConnectionResetError) as error:
            raise self._ended() from error
        if isinstance(message, Failure):
            message.error.add_note(f"\nIn the process that trains the seeds {self._named()}:\n{message.trace}")
            raise message.error
        return message

    def close(self, kill: bool) -> None:
        """Ends the process."""
        with suppress(RuntimeError):  # if it has ended
            self._process.terminate() if kill else self.send(None)
        self.pipe.close()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()

    def _named(self) -> str:
        return ", ".join(map(str, self.seeds))

    def _ended(self) -> RuntimeError:
        """The error that says how the process ended."""
        self._process.join(PATIENCE)
        code = self._process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        hint = "" if code != 1 else "; a script that trains in processes needs `if __name__ == '__main__':`"
        return RuntimeError(f"the process that trains the seeds {self._named()} {how}{hint}")


class Workers:
    """One worker for each block of seeds; a context manager, which ends them.

    Args:
        blocks: Functions that return the block's agent.
    """

    def __init__(self, blocks: Sequence[Callable[[], Any]]) -> None:
        context = quickest_context()
        self.meter = Meter(context, len(blocks))
        self._workers: list[Worker] = []
        try:
            with interrupts_blocked(), one_thread_each():
                for number in range(len(blocks)):
                    self._workers.append(Worker(context, self.meter, number))
            for worker, make in zip(self._workers, blocks, strict=True):
                agent = make()
                worker.seeds = agent.seeds
                worker.send(agent)
        except BaseException:
            self.close(kill=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(kill=error is not None)

    def close(self, kill: bool) -> None:
        """Ends all workers."""
        for worker in self._workers:
            worker.close(kill)

    def run(self, step: int, stop: int, every: int | None, watch: Watch) -> bool:
        """Trains all blocks from `step` to `stop`; True if Ctrl-C ended it earlier, all blocks at the same step.

        Args:
            step: Steps per seed taken so far.
            stop: At least so many are taken in all.
            every: Timesteps between reports; None for no reports.
            watch: See `Watch`.
        """
        self.meter.begin(step, stop)
        with interrupts_noted() as interrupted:
            running = dict(enumerate(self._workers))
            for worker in self._workers:
                worker.send(Run(every))
            while running:
                reports = {}
                ready = connection.wait([worker.pipe for worker in running.values()], _POLL)
                for number in [number for number, worker in running.items() if worker.pipe in ready]:
                    if (report := running[number].receive()) is None:
                        del running[number]
                    else:
                        reports[number] = report
                if interrupted:
                    self.meter.halt()
                watch(self.meter.slowest, reports)
            return bool(interrupted)

    def ask(self, what: Literal["learnt", "rest"]) -> list[Any]:
        """What all blocks have learnt, or the rest of their state."""
        with interrupts_noted():
            for worker in self._workers:
                worker.send(what)
            return [worker.receive() for worker in self._workers]
