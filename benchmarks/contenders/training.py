"""Records of a training, ours or Stable-Baselines3's, with scores on the way. S seeds, P scored points."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Judge(Protocol):
    """Scores a model in training; picklable, since it goes to other processes."""

    def __call__(self, policy: Any, *, runs: int) -> Floats:
        """The scores of each of the policy's ``runs`` seeds [runs, ...]."""


class Mark(NamedTuple):
    """The score of a model at one point of its training.

    Attributes:
        step: timesteps so far.
        seconds: of training so far, scoring not included.
        score: the judge's result.
    """

    step: int
    seconds: float
    score: Any


class Points(NamedTuple):
    """The scored points of a training.

    Attributes:
        steps: of each seed so far [P].
        seconds: that all seeds together have trained, on all processes used [P].
        scores: [P, S, ...].
    """

    steps: Floats
    seconds: Floats
    scores: Floats

    @classmethod
    def of(cls, marks: Sequence[Sequence[Mark]], processes: int = 1) -> Points:
        """The points of several trainings of one or more seeds each, which ran on this number of processes."""
        steps = np.array([mark.step for mark in marks[0]], np.float64)
        seconds = np.array([[mark.seconds for mark in training] for training in marks]).sum(0) / processes
        scores = [np.array([mark.score for mark in training], np.float64) for training in marks]  # [P, s, ...]
        return cls(steps, seconds, np.concatenate(scores, axis=1))


@dataclass(frozen=True)
class Trained:
    """Models of several seeds, and the time that their training took.

    Attributes:
        agent: the models as one policy with a row per seed; ``agent[s]`` is the model of the s-th seed.
        seconds: from the first step of the first seed to the last step of the last, without the start of processes.
        steps_per_second: steps of all seeds together over those seconds.
        processes: how many ran side by side.
        points: the scored points; None without a judge.
    """

    agent: Any
    seconds: float
    steps_per_second: float
    processes: int
    points: Points | None


class Marking:
    """Scores a model while it trains, on a clock that stands still meanwhile.

    Args:
        judge: scores models; None for no marks.
        every: steps between marks.
        total_timesteps: of the training, after which `mark` scores the last weights.
    """

    def __init__(self, judge: Callable[[Any], Any] | None, every: int, total_timesteps: int) -> None:
        self.judge, self.every, self.total_timesteps = judge, every, total_timesteps
        self.marks: list[Mark] = []
        self._next = every
        self._seconds, self._since = 0.0, time.perf_counter()

    def tick(self, model: Any) -> None:
        """Scores the model if a mark is due; to be called after each step."""
        if self.judge is not None and self._next <= model.num_timesteps < self.total_timesteps:
            self.mark(model)
            self._next += self.every

    def mark(self, model: Any) -> None:
        """Scores the model now."""
        if self.judge is not None:
            self._seconds += time.perf_counter() - self._since if self.marks else 0.0
            self.marks.append(Mark(model.num_timesteps, self._seconds, self.judge(model)))
            self._since = time.perf_counter()
