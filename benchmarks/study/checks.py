"""What can be known of a suite before anything is trained: data, folds, envs, and contenders that cannot begin."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gymnasium as gym

from benchmarks.contenders.named import Contender
from benchmarks.evaluation.instruments import env_id_of
from benchmarks.study.engines.place import FAILED, Keeper, Place, work
from benchmarks.study.folds import folds_of
from benchmarks.study.job import Job, data, keywords_of
from benchmarks.study.suite import Suite
from benchmarks.tasks.worlds import WORLDS


def check(suite: Suite) -> None:
    """Makes the envs of all first folds, and one seed of each agent.

    Raises:
        ValueError: a dataset cannot be loaded or is too short, or an env or contender cannot be; names the key.
    """
    for i, contender in enumerate(suite.contenders):
        for task in contender.tasks or suite.tasks:
            with naming(i, contender):
                contender.check(WORLDS[task].spec())
    for number, dataset in enumerate(suite.data):
        with prefixed("data"):
            market = data(dataset)
        with prefixed("walk_forward"):
            fold = folds_of(market, suite.walk_forward, suite.purge)[0]
        train, validation, test = fold.markets(market)
        with prefixed("env"):
            keywords, episodes = keywords_of(suite, train)
            for stretch in (validation, test):
                gym.make(env_id_of(stretch), data=stretch, **keywords)
            env = gym.make(env_id_of(train), data=train, **episodes, **keywords)
        for i, contender in enumerate(suite.contenders):
            with naming(i, contender):
                if number == 0:
                    contender.check(env)
                contender.check_rules(*fold.apart(market, *contender.reach))


def try_own(jobs: Sequence[Job], place: Place) -> None:
    """Runs the first job of each function of the user's own, since only that shows if it works; its row is kept.

    Raises:
        ValueError: the function fails, or what it returns is no policy; names the contender.
    """
    tried = set()
    for job in jobs:
        if job.by.make is None or job.contender in tried:
            continue
        tried.add(job.contender)
        if work(job, Keeper(place)) == FAILED:
            report = json.loads(place.failure(job).read_text(encoding="utf-8"))
            with naming(job.suite.contenders.index(job.by), job.by):
                raise ValueError(f"make fails on {job.dataset}: {report['error']}; see {place.failure(job)}")


@contextmanager
def naming(number: int, contender: Contender) -> Iterator[None]:
    """Puts the contender's place in the suite before an error."""
    with prefixed(f"contenders[{number}] ({contender.name})"):
        yield


@contextmanager
def prefixed(key: str) -> Iterator[None]:
    """Raises any error of the kinds that wrong settings cause as a ValueError that begins with this key."""
    try:
        yield
    except (AssertionError, ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{key}: {error}") from error
