"""Processes that train a block of seeds each, all for the same number of steps.

The processes share a `Meter`, so that all of them can be stopped after the same step, at any time. A worker receives
its agent by a pipe, trains when it is told to, sends reports meanwhile, and sends the agent back when it is asked for.

Axis letters: S seeds of a block.
"""

import multiprocessing
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.context import SpawnContext
from types import TracebackType
from typing import Any, NamedTuple, Self

import cloudpickle
import numpy as np
import numpy.typing as npt

from agents.common.processes import end_with_parent, interrupts_blocked, interrupts_noted, one_thread_each

_POLL = 0.1  # seconds between two looks at the progress
_PATIENCE = 10.0  # seconds that a worker has for its end


class Report(NamedTuple):
    """What a block of seeds has to report."""

    num_timesteps: int
    metrics: dict[str, npt.NDArray[Any]]  # key -> [S]
    returns: list[list[float]]  # of each seed's last episodes
    lengths: list[list[int]]


Watch = Callable[[int, Mapping[int, Report]], Any]
"""Called ten times a second with the steps of the slowest block, and new reports by the number of their block."""


class Meter:
    """The steps of all blocks, and the step at which they stop, in memory that the processes share.

    A block that goes on from step t stands at t + 1 here. It may take several steps at once, but all blocks pass the
    same numbers, so all of them stop at the same one.
    """

    def __init__(self, context: SpawnContext, n_blocks: int) -> None:
        self._lock = context.Lock()
        self._steps: Any = context.RawArray("q", n_blocks + 1)  # the last one is the step at which to stop

    def goes_on(self, block: int, step: int) -> bool:
        """Records the step that the block has reached; True if it should take another one."""
        with self._lock:
            more = step < self._steps[-1]
            self._steps[block] = step + more
        return bool(more)

    def begin(self, step: int, stop: int) -> None:
        """Sets all blocks to `step`, and the step at which they stop."""
        self._steps[:] = [step] * (len(self._steps) - 1) + [stop]

    def halt(self) -> None:
        """Lets all blocks stop at the same step, as soon as possible."""
        locked = self._lock.acquire(timeout=_PATIENCE)  # a worker that was killed may have it
        self._steps[-1] = max(self._steps[:-1])
        if locked:
            self._lock.release()

    @property
    def slowest(self) -> int:
        """Steps of the block that has taken fewest."""
        return int(min(self._steps[:-1]))


class Worker:
    """A process that trains a block of seeds, seen from the process that started it."""

    def __init__(self, context: SpawnContext, meter: Meter, number: int, every: int | None) -> None:
        self.seeds: tuple[int, ...] = ()
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, meter, number, every), name=f"agents-{number}")
        self._process.start()
        theirs.close()

    def send(self, message: Any) -> None:
        """Sends an agent, or a request; raises if the worker has ended."""
        try:
            self.pipe.send_bytes(cloudpickle.dumps(message))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._ended() from error

    def receive(self) -> Any:
        """The next message: a report, an agent, or None for the end of a run.

        Raises:
            Exception: The one that was raised in the worker.
            RuntimeError: If the worker has ended.
        """
        try:
            message = pickle.loads(self.pipe.recv_bytes())
        except (EOFError, ConnectionResetError) as error:
            raise self._ended() from error
        if isinstance(message, _Failure):
            message.error.add_note(f"\nIn the process that trains the seeds {self._named()}:\n{message.trace}")
            raise message.error
        return message

    def close(self, kill: bool) -> None:
        """Ends the process."""
        self.pipe.close()
        if kill:
            self._process.terminate()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._process.close()

    def _named(self) -> str:
        return ", ".join(map(str, self.seeds))

    def _ended(self) -> RuntimeError:
        """The error that says how the process ended."""
        self._process.join(_PATIENCE)
        code = self._process.exitcode
        how = f"was killed by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
        hint = "" if code != 1 else "; a script that trains in processes needs `if __name__ == '__main__':`"
        return RuntimeError(f"the process that trains the seeds {self._named()} {how}{hint}")


class Workers:
    """One worker for each block of seeds; a context manager, which ends them.

    Args:
        blocks: Functions that return the block's agent.
        every: Timesteps between reports; None for no reports.
    """

    def __init__(self, blocks: Sequence[Callable[[], Any]], every: int | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.meter = Meter(context, len(blocks))
        self._workers: list[Worker] = []
        try:
            with interrupts_blocked(), one_thread_each():
                for number in range(len(blocks)):
                    self._workers.append(Worker(context, self.meter, number, every))
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

    def run(self, step: int, stop: int, watch: Watch) -> bool:
        """Trains all blocks from `step` to `stop`; True if Ctrl-C ended it earlier, all blocks at the same step.

        Args:
            step: Steps per seed taken so far.
            stop: At least so many are taken in all.
            watch: See `Watch`.
        """
        self.meter.begin(step, stop)
        with interrupts_noted() as interrupted:
            running = dict(enumerate(self._workers))
            for worker in self._workers:
                worker.send("run")
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

    def agents(self) -> list[Any]:
        """The agents of all blocks as they are now."""
        with interrupts_noted():
            for worker in self._workers:
                worker.send("agent")
            return [worker.receive() for worker in self._workers]


class _Failure(NamedTuple):
    error: BaseException
    trace: str


def _work(pipe: Any, meter: Meter, number: int, every: int | None) -> None:
    """Runs in the worker until the other end of the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    try:
        if (agent := _received(pipe)) is not None:
            block = _Block(agent, pipe, meter, number, every)
            while (request := _received(pipe)) is not None:
                block.answer(request)
    except BaseException as error:
        with suppress(OSError):  # the other process no longer listens
            pipe.send_bytes(_failure(error))


def _received(pipe: Any) -> Any:
    """The next message; None if the other end of the pipe is closed."""
    try:
        message = pipe.recv_bytes()
    except (EOFError, ConnectionResetError):
        return None
    return pickle.loads(message)


class _Block:
    """The agent of a worker, and its part of the conversation."""

    def __init__(self, agent: Any, pipe: Any, meter: Meter, number: int, every: int | None) -> None:
        self._agent, self._pipe, self._meter, self._number, self._every = agent, pipe, meter, number, every
        self._next_report = agent.num_timesteps + (every or 0)
        agent.threads = 1

    def answer(self, request: str) -> None:
        """Trains until the meter says stop, or sends the agent."""
        if request == "run":
            if self._meter.goes_on(self._number, self._agent.num_timesteps):
                self._agent.resume(self._step)
            self._send(None)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # of envs that no pickle holds: see `Blocks.take_up`
                self._send(self._agent)

    def _step(self, agent: Any) -> bool:
        """The callback of training."""
        if self._every is not None and agent.num_timesteps >= self._next_report:
            self._next_report += self._every
            self._send(_report(agent))
        return self._meter.goes_on(self._number, agent.num_timesteps)

    def _send(self, message: Any) -> None:
        self._pipe.send_bytes(cloudpickle.dumps(message))


def _report(agent: Any) -> Report:
    """What the agent has to report now."""
    S, envs = len(agent.seeds), agent._envs
    metrics = {key: np.broadcast_to(np.asarray(value), S) for key, value in agent._metrics().items()}
    return Report(agent.num_timesteps, metrics, [list(r) for r in envs.returns], [list(n) for n in envs.lengths])


def _failure(error: BaseException) -> bytes:
    """The error and its traceback as a message; one that no pickle holds as a RuntimeError of the same text."""
    trace = "".join(traceback.format_exception(error))
    try:
        message = cloudpickle.dumps(_Failure(error, trace))
        pickle.loads(message)
    except Exception:  # a stranger's error may raise anything
        return bytes(cloudpickle.dumps(_Failure(RuntimeError(f"{type(error).__name__}: {error}"), trace)))
    return bytes(message)
