"""Tuning by Optuna: trials in a journal file, which several programs may work on at once, on one machine or many.

A trial is claimed by a lock that ends with its program. One whose program was killed is trained again, under its number
and with its hyperparameters. Each trial draws with its own number as the seed, so programs do not draw alike, and one
program alone draws the same trials each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agents.common.files import make_folder
from agents.common.locks import InUseError, Lock
from benchmarks.contenders.named import Contender
from benchmarks.study.engines.workers import workers
from benchmarks.study.job import data, hash_of
from benchmarks.study.ledger import TRIED, Ledger
from benchmarks.study.results import read_kept, write_json
from benchmarks.study.suite import Suite
from benchmarks.study.tuning.journal import FAIL, RUNNING, alone, begin, drawn_of, study_in
from benchmarks.study.tuning.search_spaces import space_of, tuned, untuned
from benchmarks.study.tuning.trial import Trial, result_of, untested
from trading_env import __version__


class Tuning:
    """The trials of one contender of a suite.

    Args:
        suite: Names the data, the folds and the seeds.
        contender: An agent of the suite.
        folder: Of the study.
        ledger: Counts every trial.

    Raises:
        ValueError: the contender does not learn, or nothing is known to vary of its algorithm.
        OSError: the folder cannot be written.
    """

    def __init__(self, suite: Suite, contender: Contender, folder: Path, ledger: Ledger) -> None:
        self.suite, self.contender, self.ledger = suite, contender, ledger
        self.space = space_of(contender)
        name = re.sub(r"[^\w-]+", "-", contender.name)
        self.folder = folder / "tuning" / f"{name}-{identity(suite, contender)}"
        make_folder(self.folder)
        self.study = study_in(self.folder / "journal.log")
        self._held: dict[int, Lock] = {}

    def run(self, trials: int, processes: int | None = None) -> Iterator[dict[str, Any]]:
        """Trains until there are so many trials, those of other programs included; yields the result of each."""
        with workers(processes) as share:
            for trial, outcome in share(result_of, self._claimed(trials)):
                died = {"trial": trial.number, "hyperparameters": dict(trial.contender.hyperparameters)}
                result = {**died, "error": str(outcome)} if isinstance(outcome, Exception) else outcome
                write_json(result, self._file(trial.number))
                self._finish(trial.number, result)
                yield result

    def trial(self, number: int) -> Trial:
        """The trial of that number; ValueError if there is none."""
        found = [one for one in self._trials() if one.number == number]
        if not found:
            raise ValueError(f"trial must be one of the {len(self._trials())} trials there are, got {number}")
        drawn = drawn_of(self.space, found[0].params)
        return Trial(number, self.suite, replace(self.contender, hyperparameters=tuned(self.contender, drawn)))

    def result(self, number: int) -> dict[str, Any] | None:
        """What was kept of a trial; None while it runs; KeptError if the file is damaged."""
        path = self._file(number)
        return read_kept(path, ("trial", "hyperparameters")) if path.exists() else None

    def results(self) -> list[dict[str, Any]]:
        """All that was kept, best first and failed ones last."""
        kept = [one for one in (self.result(trial.number) for trial in self._trials()) if one is not None]
        return sorted(kept, key=lambda one: -one["score"] if "score" in one else float("inf"))

    def _file(self, number: int) -> Path:
        return self.folder / f"trial-{number}.json"

    def _trials(self) -> list[Any]:
        return list(self.study.get_trials(deepcopy=False))

    def _claimed(self, trials: int) -> Iterator[Trial]:
        """Trials to train, each written to the ledger before."""
        while (number := self._claim(trials)) is not None:
            trial = self.trial(number)
            for line in trial.lines():
                self.ledger.append(event=TRIED, **line)
            yield trial

    def _claim(self, trials: int) -> int | None:
        """The number of a trial that a killed program had begun, or of a new one; None if there are enough."""
        with alone(self.folder / "claims"):
            known = self._trials()
            for trial in known:
                if trial.state == RUNNING and self._acquire(trial.number):
                    kept = self.result(trial.number)
                    if kept is None:
                        return int(trial.number)
                    self._finish(trial.number, kept)
            if len(known) >= trials:
                return None
            number = begin(self.study, self.space)
            self._acquire(number)
            return number

    def _acquire(self, number: int) -> bool:
        """True if the trial is this program's now, and was not before."""
        if number in self._held:
            return False
        held = Lock(self._file(number))
        try:
            held.acquire()
        except InUseError:
            return False
        self._held[number] = held
        return True

    def _finish(self, number: int, result: dict[str, Any]) -> None:
        """Tells Optuna the kept result of a trial, and gives the trial up."""
        if "score" in result:
            self.study.tell(number, result["score"], skip_if_finished=True)
        else:
            self.study.tell(number, state=FAIL, skip_if_finished=True)
        self._held.pop(number).release()


def identity(suite: Suite, contender: Contender) -> str:
    """Hash of everything that the trials depend on; the tuned hyperparameters in the suite are not among it."""
    whole = suite.description()
    kept = {key: whole[key] for key in ("env", "walk_forward", "episode_length", "scale", "data")}
    rest = {**asdict(contender), "name": "", "hyperparameters": untuned(contender)}
    prints = [data(name).fingerprint for name in untested(suite)]
    parts = [kept, rest, contender.runs(suite.seeds), prints, repr(space_of(contender)), __version__]
    return hash_of(parts)
