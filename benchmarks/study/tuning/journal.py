"""Optuna's study in a journal file: how trials are drawn, and locks that end with their programs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agents.common.files import lock
from benchmarks.study.tuning.search_spaces import Range, Space
from trading_env._extras import optional

optuna: Any = optional("optuna", "tune", "tuning")
optuna.logging.set_verbosity(optuna.logging.WARNING)
FAIL, RUNNING = optuna.trial.TrialState.FAIL, optuna.trial.TrialState.RUNNING


def study_in(path: Path) -> Any:
    """Optuna's study in this journal, made if there is none."""
    backend = optuna.storages.journal.JournalFileBackend(os.fspath(path), lock_obj=JournalLock(path))
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name="trials",
        direction="maximize",
        load_if_exists=True,
    )


def distributions_of(space: Space) -> dict[str, Any]:
    """Optuna's distributions of a space; values that are tuples stand as JSON."""
    known = optuna.distributions
    return {
        name: known.FloatDistribution(what.low, what.high, log=what.log)
        if isinstance(what, Range)
        else known.CategoricalDistribution([json.dumps(v) if isinstance(v, tuple) else v for v in what])
        for name, what in space.items()
    }


def begin(study: Any, space: Space) -> int:
    """The number of a new trial, whose hyperparameters are drawn by TPE with that number as the seed.

    It is written to the journal in one line, so a killed program leaves none that is drawn in part. To be called by one
    program at a time.
    """
    known, distributions = study.get_trials(), distributions_of(space)
    copy = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=len(known)))
    copy.add_trials(known)
    params = copy.ask(distributions).params
    study.add_trial(optuna.trial.create_trial(state=RUNNING, params=params, distributions=distributions))
    return len(known)


def drawn_of(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters that a trial has drawn."""
    choices = {name: what for name, what in space.items() if not isinstance(what, Range)}
    sequences = {name for name, what in choices.items() if isinstance(what[0], tuple)}
    return {name: json.loads(params[name]) if name in sequences else params[name] for name in space}


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Waits until no other program is inside for this path."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lock(handle, wait=True)
        yield
    finally:
        os.close(handle)


class JournalLock:
    """A lock on the journal that ends with its program, and removes the line that a killed one has not finished."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def acquire(self) -> bool:
        """Waits for the lock."""
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        lock(self._handle, wait=True)
        size = os.fstat(self._handle).st_size
        if size and os.pread(self._handle, 1, size - 1) != b"\n":
            os.ftruncate(self._handle, os.pread(self._handle, size, 0).rfind(b"\n") + 1)
        return True

    def release(self) -> None:
        """Gives the lock up."""
        os.close(self._handle)
