"""Jobs: one contender with a block of seeds on one fold of one dataset, or on one task.

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

import gymnasium as gym
import numpy as np

from benchmarks.contenders.named import Contender, Ready
from benchmarks.evaluation.instruments import Instruments, env_id_of, load_dataset, tested
from benchmarks.evaluation.stress import growth_of, stressed
from benchmarks.evaluation.tracks import measures
from benchmarks.evaluation.world_scores import world_scores
from benchmarks.statistics.intervals import Floats
from benchmarks.statistics.sharpe import mean_ratio
from benchmarks.study import provenance
from benchmarks.study.folds import Fold, folds_of
from benchmarks.study.ledger import OPENED, SCORED
from benchmarks.study.rows import CURVES, Row
from benchmarks.study.suite import Suite
from benchmarks.tasks.worlds import WORLDS
from trading_env import FeatureScaler, __version__


@dataclass(frozen=True)
class Job:
    """One contender with a block of seeds on one fold of one dataset, or on a task, which has one fold.

    Attributes:
        suite, dataset, fold, contender, seeds: which; the dataset may be a task.
        counted: whether the test is an attempt, and its configuration one of the N of the ledger.
    """

    suite: Suite
    dataset: str
    fold: int
    contender: str
    seeds: tuple[int, ...]
    counted: bool = True

    @property
    def name(self) -> str:
        """In words, for messages."""
        seeds = f"{self.seeds[0]}-{self.seeds[-1]}" if len(self.seeds) > 1 else str(self.seeds[0])
        fold = "" if self.suite.tasks else f", fold {self.fold}"
        return f"{self.contender} on {self.dataset}{fold}, seeds {seeds}"

    @property
    def by(self) -> Contender:
        """The contender."""
        return self.suite.contender(self.contender, self.dataset)

    @cached_property
    def id(self) -> str:
        """Hash of everything that the row depends on; it goes along to other processes."""
        suite, contender = self.suite, described(self.by)
        if suite.tasks:
            world = asdict(WORLDS[self.dataset])
            return hash_of([suite.points, suite.episodes, contender, self.dataset, world, self.seeds, __version__])
        kept = {key: suite.description()[key] for key in ("env", "episode_length", "points", "scale")}
        plan = _given(asdict(suite.walk_forward))
        whole = [{**kept, "walk_forward": plan}, contender, self.dataset, data(self.dataset).fingerprint]
        return hash_of([*whole, self.fold, self.seeds, __version__])

    @property
    def config(self) -> str:
        """Hash of the configuration that is tried, whatever the data, fold and seeds."""
        return config_of(self.suite, self.by)

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
    return hash_of([kept, {**described(contender), "name": "", "seeds": None}])


def jobs_of(suite: Suite, counted: bool = True) -> Iterator[Job]:
    """All jobs of a suite: by dataset or task, fold, contender, and block of seeds; ``counted`` as `Job` has it."""
    for place in suite.places:
        for fold in range(1 if suite.tasks else suite.walk_forward.folds):
            for contender in suite.contenders_on(place):
                seeds, block = range(contender.runs(suite.seeds)), contender.block or suite.block
                for first in range(0, len(seeds), block):
                    yield Job(suite, place, fold, contender.name, tuple(seeds[first : first + block]), counted)


def described(contender: Contender) -> dict[str, Any]:
    """What results of the contender depend on; seeds per job and tasks are elsewhere."""
    return _given({**asdict(contender), "block": None, "tasks": None})


_LATER = ("split", "forecast", "block", "tasks")


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """The values, without those of `_LATER` that are None: rows that were kept before there were these stay valid."""
    return {name: value for name, value in values.items() if not (name in _LATER and value is None)}


_LOADED: dict[str, Instruments] = {}


def data(dataset: str) -> Any:
    """The dataset's Market or Panel, loaded once per process."""
    if dataset not in _LOADED:
        _LOADED[dataset] = load_dataset(dataset)
    return _LOADED[dataset]


def provide(dataset: str, traded: Instruments) -> None:
    """Spares this process the loading of a dataset."""
    _LOADED.setdefault(dataset, traded)


def fold_of(job: Job) -> Fold:
    """The stretches of the job."""
    return folds_of(data(job.dataset), job.suite.walk_forward, job.suite.purge)[job.fold]


def run(job: Job, ledger: Lines) -> Row:
    """Trains, opens the test, and returns the row; on a task, trains and scores."""
    import torch

    torch.set_num_threads(1)
    if job.suite.tasks:
        return learn(job)
    fold, suite = fold_of(job), job.suite
    train, validation, test = fold.markets(data(job.dataset))
    keywords, episodes = keywords_of(suite, train)
    judge = partial(validated, market=validation, keywords=keywords)
    learnt, chosen = fold.apart(data(job.dataset), *job.by.reach) if job.by.chooses else (train, validation)
    ready = job.by.ready(learnt, chosen, test, keywords, job.seeds, episodes, judge, suite.points)
    return open_test(job, ready, test, ledger)


def keywords_of(suite: Suite, train: Instruments) -> tuple[dict[str, Any], dict[str, Any]]:
    """Keywords of the env on a fold, and those of training episodes alone."""
    features = suite.env.get("features", "default")
    scaler = {"scaler": FeatureScaler().fit(train, features)} if suite.scale else {}
    keywords = {**suite.env, **scaler}
    first = gym.make(env_id_of(train), data=train, **keywords).unwrapped.task.firsts[
        0
    ]  # with a window and features behind it
    return keywords, {"random_start": True, "episode_length": min(suite.episode_length, len(train) - 1 - first)}


def learn(job: Job) -> Row:
    """The learning curve on a task: greedy episodes, the same for all contenders."""
    suite, world = job.suite, WORLDS[job.dataset]
    judge = partial(world_scores, world=world, episodes=suite.episodes)
    trained = job.by.train(world.spec(), job.seeds, judge, suite.points)
    assert trained.points is not None
    return Row(
        dataset=job.dataset,
        fold=job.fold,
        contender=job.contender,
        seeds=job.seeds,
        time=np.zeros(0),
        bars_per_year=math.nan,
        curves={},
        metrics={"score": trained.points.scores[-1]},
        stress={},
        learning=trained.points._asdict(),
        steps=job.by.steps,
        seconds=trained.seconds,
        facts=facts_of(job, {"study": suite.name, "job": job.id}),
    )


def facts_of(job: Job, line: Mapping[str, Any]) -> dict[str, Any]:
    """The line of the ledger, the contender's settings, and the provenance."""
    return {**line, "contender_settings": described(job.by), **provenance.made()}


def validated(policy: Any, *, runs: int, market: Instruments, keywords: Mapping[str, Any]) -> Floats:
    """Mean log growth per bar of each of the policy's runs on the validation stretch."""
    return growth_of(policy, market, **keywords)


def open_test(job: Job, ready: Ready, test: Instruments, ledger: Lines) -> Row:
    """The only function that shows a test stretch to a policy; it writes to the ledger before anything is scored."""
    fold, market = fold_of(job), data(job.dataset)
    stretch = {"first": market.time_of(fold.test[0]), "last": market.time_of(fold.test[1] - 1)}
    facts = {"study": job.suite.name, "job": job.id, "contender": job.contender, "dataset": job.dataset, **stretch}
    line = {**facts, "config": job.config, "data": market.fingerprint, "code": provenance.commit() or __version__}
    line |= {} if job.counted else {"counted": False}
    ledger.append(event=OPENED, **line)
    found = tested(ready.policy, test, ready.keywords)
    tracks = found.tracks
    ledger.append(event=SCORED, sharpe_per_bar=mean_ratio(tracks.returns), **line)
    curves = {name: values for name in CURVES if (values := getattr(tracks, name)) is not None}
    time = np.arange(curves["equity"].shape[1]) if tracks.time is None else np.asarray(tracks.time)
    return Row(
        dataset=job.dataset,
        fold=job.fold,
        contender=job.contender,
        seeds=job.seeds,
        time=time,
        bars_per_year=tracks.bars_per_year or math.nan,
        curves=curves,
        metrics=measures(tracks),
        stress=stressed(ready.policy, len(found), test, ready.keywords),
        learning=None if ready.points is None else ready.points._asdict(),
        steps=ready.steps,
        seconds=ready.seconds,
        facts=facts_of(job, line),
        forecasts={} if ready.forecasts is None else ready.forecasts(test),
    )


def hash_of(parts: Any) -> str:
    """Of JSON values, tuples, and functions, which count by their names, the same in every process."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_named).encode()).hexdigest()[:16]


def _named(value: Any) -> Any:
    """What stands for a value that JSON lacks, without the address at which it happens to lie."""
    if isinstance(value, partial):
        return [_named(value.func), value.args, value.keywords]
    if hasattr(value, "__qualname__"):
        return value.__qualname__
    plain = type(value).__repr__ is not object.__repr__ or type(value).__str__ is not object.__str__
    return str(value) if plain else [type(value).__qualname__, getattr(value, "__dict__", {})]
