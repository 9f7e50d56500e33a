"""Callbacks of `learn` and `resume`: checkpoints, evaluation, early stopping."""

import os
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from agents.base.agent import SeedAgent
from agents.base.evaluating import CheckpointCallback, EvalCallback, StopTrainingOnRewardThreshold
from agents.common.checkpoints import check_writable, with_suffix
from agents.common.checks import check_int
from agents.common.locks import Lock

__all__ = ["Checkpoint", "CheckpointCallback", "EvalCallback", "StopTrainingOnRewardThreshold"]


class Checkpoint:
    """Writes an agent with the state of its training at intervals and at the end, so that a killed run can be resumed.

    The file is replaced atomically: a program killed while writing leaves the previous one. If it cannot be written,
    for example on a full disk, a warning says so and training continues. A file that cannot be written at all is
    refused before training (OSError), and so is one that another running training writes (`InUseError`).

    Examples:
        >>> DQN("CartPole-v1").learn(100_000, callback=Checkpoint("run.safetensors", every=10_000))
        >>> DQN.load("run.safetensors", env="CartPole-v1").resume(callback=Checkpoint("run.safetensors", 10_000))

    Args:
        path: The file; ".safetensors" is added if there is no suffix.
        every: Timesteps per seed between files.
    """

    def __init__(self, path: str | os.PathLike[str], every: int) -> None:
        self.path = with_suffix(path)
        self.every = check_int("every", every, 1)
        self._before: int | None = None  # timesteps at the last call
        self._lock, self._entered = Lock(self.path), 0
        weakref.finalize(self, self._lock.release)

    @contextmanager
    def during_training(self) -> Iterator[None]:
        """Locks the file while the training that called this runs.

        Raises:
            InUseError: If another training holds the lock.
            OSError: If it cannot be written.
        """
        self._lock.acquire()
        self._entered += 1
        try:
            check_writable(self.path, "checkpoint")
            yield
        finally:
            self._entered -= 1
            if not self._entered:
                self._lock.release()

    def next_call(self, agent: SeedAgent) -> int:
        """Timesteps at which the next file is due."""
        return (agent.num_timesteps // self.every + 1) * self.every

    def __call__(self, agent: SeedAgent) -> None:
        """Writes the file if it is due."""
        steps = agent.num_timesteps
        before = self._before if self._before is not None and self._before < steps else steps - agent.n_envs
        self._before = steps
        if steps // self.every > before // self.every or steps >= agent.goal:
            self._write(agent)

    def _write(self, agent: SeedAgent) -> None:
        """Writes the file, called by `learn` itself or by another callback, which skips `during_training`."""
        self._lock.acquire(firmly=bool(self._entered))
        try:
            agent.save(self.path, training=True)
        except OSError as error:
            text = f"{self.path} could not be written at step {agent.num_timesteps:,}, training goes on: {error}"
            warnings.warn(text, stacklevel=3)
        if not self._entered and agent.num_timesteps >= agent.goal:
            self._lock.release()
