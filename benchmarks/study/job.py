"""Jobs: one contender with a block of seeds on one fold of one dataset.

The result of a job depends on its description alone: it uses no clock, no global randomness, and no file except its
row. Its id is the hash of description, data and version.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from benchmarks.contenders.named import Contender, Ready
from benchmarks.evaluation.stress import growth_of, stressed
from benchmarks.evaluation.tracks import measures
from benchmarks.statistics.intervals import Floats
from benchmarks.statistics.sharpe import sharpe_ratios
from benchmarks.study import provenance
from benchmarks.study.folds import Fold, folds_of
from benchmarks.study.ledger import OPENED, SCORED
from benchmarks.study.rows import CURVES, Row
from benchmarks.study.suite import Suite
from trading_env import FeatureScaler, Market, __version__, backtest, load


@dataclass(frozen=True)
class Job:
    """One contender with a block of seeds on one fold of one dataset."""

    suite: Suite
    dataset: str
    fold: int
    contender: str
    seeds: tuple[int, ...]

    @property
    def name(self) -> str:
        """In words, for messages."""
        seeds = f"{self.seeds[0]}-{self.seeds[-1]}" if len(self.seeds) > 1 else str(self.seeds[0])
        return f"{self.contender} on {self.dataset}, fold {self.fold}, seeds {seeds}"

    @cached_property
    def id(self) -> str:
        """Hash of everything that the row depends on; it goes along to other processes."""
        suite = self.suite.description()
        kept = {key: suite[key] for key in ("walk_forward", "env", "episode_length", "points", "scale")}
        contender = asdict(self.suite.contender(self.contender))
        return _hash(
            [kept, contender, self.dataset, data(self.dataset).fingerprint, self.fold, self.seeds, __version__]
        )

    @property
    def config(self) -> str:
        """Hash of the configuration that is tried, whatever the data, fold and seeds."""
        return config_of(self.suite, self.suite.contender(self.contender))

    def run(self, ledger: Lines) -> Row:
        """Trains, opens the test, and returns the row."""
        return run(self, ledger)


class Lines(Protocol):
    """A ledger, or its like on another machine."""

    def append(self, **line: Any) -> None:
        """Appends a line, and returns when it is on disk."""


def config_of(suite: Suite, contender: Contender) -> str:
    """Hash of the configuration of a contender in the suite, whatever the data, fold and seeds."""
    kept = {key: suite.description()[key] for key in ("env", "episode_length", "scale")}
    return _hash([kept, {**asdict(contender), "name": "", "seeds": None}])


def jobs_of(suite: Suite) -> Iterator[Job]:
    """All jobs of a suite: by dataset, fold, contender, and block of seeds."""
    for dataset in suite.data:
        for fold in range(suite.walk_forward.folds):
            for contender in suite.contenders:
                seeds = range(contender.runs(suite.seeds))
                for first in range(0, len(seeds), suite.block):
                    yield Job(suite, dataset, fold, contender.name, tuple(seeds[first : first + suite.block]))


_LOADED: dict[str, Market] = {}


def data(dataset: str) -> Market:
    """The dataset, loaded once per process."""
    if dataset not in _LOADED:
        _LOADED[dataset] = load(dataset)
    return _LOADED[dataset]


def provide(dataset: str, market: Market) -> None:
    """Spares this process the loading of a dataset."""
    _LOADED.setdefault(dataset, market)


def fold_of(job: Job) -> Fold:
    """The stretches of the job."""
    return folds_of(data(job.dataset), job.suite.walk_forward, job.suite.purge)[job.fold]


def run(job: Job, ledger: Lines) -> Row:
    """Trains, opens the test, and returns the row."""
    import torch

    torch.set_num_threads(1)
    suite, fold = job.suite, fold_of(job)
    train, validation, test = fold.markets(data(job.dataset))
    keywords, episodes = keywords_of(suite, train)
    judge = partial(validated, market=validation, keywords=keywords)
    contender = suite.contender(job.contender)
    ready = contender.ready(train, validation, test, keywords, job.seeds, episodes, judge, suite.points)
    return open_test(job, ready, test, ledger)


def keywords_of(suite: Suite, train: Market) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of TradingEnv on a fold, and those of training episodes alone."""
    scaler = {"scaler": FeatureScaler().fit(train)} if suite.scale else {}
    length = min(suite.episode_length, len(train) - train.first - 1)
    return {**suite.env, **scaler}, {"random_start": True, "episode_length": length}


def validated(policy: Any, *, runs: int, market: Market, keywords: Mapping[str, Any]) -> Floats:
    """Mean log growth per bar of each of the policy's runs on the validation stretch."""
    return growth_of(policy, market, **keywords)


def open_test(job: Job, ready: Ready, test: Market, ledger: Lines) -> Row:
    """The only function that shows a test stretch to a policy; it writes to the ledger before anything is scored."""
    fold, market = fold_of(job), data(job.dataset)
    stretch = {"first": market.time_of(fold.test[0]), "last": market.time_of(fold.test[1] - 1)}
    facts = {"study": job.suite.name, "job": job.id, "contender": job.contender, "dataset": job.dataset, **stretch}
    line = {**facts, "config": job.config, "data": market.fingerprint, "code": provenance.commit() or __version__}
    ledger.append(event=OPENED, **line)
    tested = backtest(ready.policy, test, check_env=False, **ready.keywords)
    ratios = sharpe_ratios(tested.tracks.returns).ratio
    sharpe = float(np.mean(ratios[~np.isnan(ratios)])) if (~np.isnan(ratios)).any() else None
    ledger.append(event=SCORED, sharpe_per_bar=sharpe, **line)
    curves = {name: getattr(tested.tracks, name) for name in CURVES}
    time = np.arange(curves["equity"].shape[1]) if tested.time is None else np.asarray(tested.time)
    points = ready.points
    curve = None if points is None else {"steps": points.steps, "seconds": points.seconds, "scores": points.scores}
    return Row(
        dataset=job.dataset,
        fold=job.fold,
        contender=job.contender,
        seeds=job.seeds,
        time=time,
        bars_per_year=tested.bars_per_year or math.nan,
        curves=curves,
        metrics=measures(tested.tracks),
        stress=stressed(ready.policy, len(tested), test, ready.keywords),
        learning=curve,
        steps=ready.steps,
        seconds=ready.seconds,
        facts={**line, "contender_settings": asdict(job.suite.contender(job.contender)), **provenance.made()},
    )


def _hash(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]
