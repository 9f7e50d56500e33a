"""A process that trains a block of seeds, as it runs there, and its messages.

The processes share a `Meter`, so that all of them can be stopped after the same step, at any time. A worker receives
its agent by a pipe, trains when it is told to, sends reports meanwhile, and what it has learnt when it is asked for.

Axis letters: S seeds of a block.
"""

import pickle
import signal
import traceback
from contextlib import suppress
from functools import partial
from multiprocessing.context import BaseContext
from typing import Any, NamedTuple

import cloudpickle
import numpy as np
import numpy.typing as npt
import torch

from agents.common.processes import end_with_parent

PATIENCE = 10.0  # seconds that a process has for its end


class Report(NamedTuple):
    """What a block of seeds has to report."""

    num_timesteps: int
    metrics: dict[str, npt.NDArray[Any]]  # key -> [S]
    returns: list[list[float]]  # of each seed's last episodes
    lengths: list[list[int]]


class Run(NamedTuple):
    """The request to train until the meter says stop."""

    every: int | None  # timesteps between reports


class Meter:
    """The steps of all blocks, and the step at which they stop, in memory that the processes share.

    A block that goes on from step t stands at t + 1 here. It may take several steps at once, but all blocks pass the
    same numbers, so all of them stop at the same one.
    """

    def __init__(self, context: BaseContext, n_blocks: int) -> None:
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
        locked = self._lock.acquire(timeout=PATIENCE)  # a worker that was killed may have it
        self._steps[-1] = max(self._steps[:-1])
        if locked:
            self._lock.release()

    @property
    def slowest(self) -> int:
        """Steps of the block that has taken fewest."""
        return int(min(self._steps[:-1]))


class Failure(NamedTuple):
    """An error in the worker, and its traceback."""

    error: BaseException
    trace: str


def send(pipe: Any, message: Any) -> None:
    """Sends a message to `receive` at the other end, contiguous arrays without a copy."""
    buffers: list[pickle.PickleBuffer] = []
    head = cloudpickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    pipe.send_bytes(pickle.dumps((head, len(buffers))))
    for buffer in buffers:
        pipe.send_bytes(buffer.raw())


def receive(pipe: Any) -> Any:
    """The next message from `send`, with arrays that cannot be written to."""
    head, n_buffers = pickle.loads(pipe.recv_bytes())
    return pickle.loads(head, buffers=[pipe.recv_bytes() for _ in range(n_buffers)])


def work(pipe: Any, meter: Meter, number: int) -> None:
    """Runs in the worker until it is told to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    np.random.seed()  # noqa: NPY002, envs that use it would draw the same numbers in all forks
    torch.seed()
    try:
        if (agent := _received(pipe)) is not None:
            block = _Block(agent, pipe, meter, number)
            while (request := _received(pipe)) is not None:
                block.answer(request)
    except BaseException as error:
        with suppress(OSError):  # the other process no longer listens
            send(pipe, _failure(error))


def _received(pipe: Any) -> Any:
    return pickle.loads(pipe.recv_bytes())


class _Block:
    """The agent of a worker, and its part of the conversation."""

    def __init__(self, agent: Any, pipe: Any, meter: Meter, number: int) -> None:
        self._agent, self._pipe, self._meter, self._number = agent, pipe, meter, number
        self._reported = agent.num_timesteps
        agent.threads = 1

    def answer(self, request: Any) -> None:
        """Trains until the meter says stop, or sends what is asked for."""
        if isinstance(request, Run):
            if self._meter.goes_on(self._number, self._agent.num_timesteps):
                self._agent.resume(partial(self._step, every=request.every))
            send(self._pipe, None)
        else:
            send(self._pipe, self._agent.learnt() if request == "learnt" else self._agent.rest())

    def _step(self, agent: Any, every: int | None) -> bool:
        """The callback of training."""
        if every is not None and agent.num_timesteps >= self._reported + every:
            self._reported += every
            send(self._pipe, _report(agent))
        return self._meter.goes_on(self._number, agent.num_timesteps)


def _report(agent: Any) -> Report:
    """What the agent has to report now."""
    S, envs = len(agent.seeds), agent._envs
    metrics = {key: np.broadcast_to(np.asarray(value), S) for key, value in agent._metrics().items()}
    return Report(agent.num_timesteps, metrics, [list(r) for r in envs.returns], [list(n) for n in envs.lengths])


def _failure(error: BaseException) -> Failure:
    """The error and its traceback; one that no pickle holds as a RuntimeError of the same text."""
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(cloudpickle.dumps(error))
    except Exception:  # a stranger's error may raise anything
        return Failure(RuntimeError(f"{type(error).__name__}: {error}"), trace)
    return Failure(error, trace)
