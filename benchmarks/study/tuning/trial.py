"""Trials of a tuning: a contender with hyperparameters of its own, scored on validation stretches alone.

All validation stretches but a dataset's first lie within the test stretch of the fold before, and markets move
together. A trial therefore sees the first fold only, of the datasets on which this ends before any dataset's first test
begins: what is chosen by it has seen no day of any test.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks.contenders.named import Contender
from benchmarks.evaluation.instruments import Instruments
from benchmarks.study import provenance
from benchmarks.study.folds import Fold, folds_of, stretch
from benchmarks.study.job import config_of, data, keywords_of, validated
from benchmarks.study.suite import Suite
from trading_env import __version__


@dataclass(frozen=True)
class Trial:
    """A contender with the hyperparameters of a trial, in a suite."""

    number: int
    suite: Suite
    contender: Contender

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the training, all in one pass where the agent is ours."""
        return tuple(range(self.contender.runs(self.suite.seeds)))

    def lines(self) -> Iterator[dict[str, Any]]:
        """What the ledger says of it before it is scored, a line for each dataset."""
        for dataset in untested(self.suite):
            market, fold = first_fold(self.suite, dataset)
            yield {
                "study": self.suite.name,
                "contender": self.contender.name,
                "dataset": dataset,
                "trial": self.number,
                "first": market.time_of(fold.validation[0]),
                "last": market.time_of(fold.validation[1] - 1),
                "config": config_of(self.suite, self.contender),
                "data": market.fingerprint,
                "code": provenance.commit() or __version__,
            }

    def scores(self, dataset: str) -> list[float]:
        """Mean log growth per bar of each seed on the validation stretch, with the last weights."""
        market, fold = first_fold(self.suite, dataset)
        train, validation = stretch(market, *fold.train), stretch(market, *fold.validation)
        keywords, episodes = keywords_of(self.suite, train)
        judge = partial(validated, market=validation, keywords=keywords)
        ready = self.contender.ready(train, validation, validation, keywords, self.seeds, episodes, judge, 1)
        assert ready.points is not None
        scores: list[float] = ready.points.scores[-1].tolist()
        return scores


def first_fold(suite: Suite, dataset: str) -> tuple[Instruments, Fold]:
    """The market, and the fold whose validation stretch lies before all of its tests."""
    market = data(dataset)
    return market, folds_of(market, suite.walk_forward, suite.purge)[0]


def untested(suite: Suite) -> list[str]:
    """The datasets whose first validation stretch ends before the earliest test of all datasets begins.

    Datasets without timestamps share no clock with others: each counts for itself.
    """
    folds = {dataset: first_fold(suite, dataset) for dataset in suite.data}
    tests = [market.time[fold.test[0]] for market, fold in folds.values() if market.time is not None]
    return [
        dataset
        for dataset, (market, fold) in folds.items()
        if market.time is None or market.time[fold.validation[1] - 1] < min(tests)
    ]


def result_of(trial: Trial) -> dict[str, Any]:
    """Scores by dataset and their mean, or the error of the training; with hyperparameters and provenance."""
    import torch

    torch.set_num_threads(1)
    said = {"trial": trial.number, "hyperparameters": dict(trial.contender.hyperparameters), **provenance.made()}
    try:
        scores = {dataset: trial.scores(dataset) for dataset in untested(trial.suite)}
    except Exception as error:  # a trial may be one that cannot be trained
        return {**said, "error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()}
    score = float(np.mean([np.mean(values) for values in scores.values()]))
    if not math.isfinite(score):
        return {**said, "error": f"a seed was ruined on validation: the score is {score}", "scores": scores}
    return {**said, "score": score, "scores": scores}
