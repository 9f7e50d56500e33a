"""The controls of a study: one of its contenders on data for which the right answer is known. S seeds, T bars."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from benchmarks.evaluation.control import Control
from benchmarks.evaluation.controls import run_controls
from benchmarks.evaluation.track_controls import hindsight_control
from benchmarks.statistics.intervals import Floats
from benchmarks.study.analysis import bound_of
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data, described, hash_of, keywords_of, validated
from benchmarks.study.suite import Suite
from trading_env import Market, __version__, backtest


def controls_of(suite: Suite, contender: str, seeds: int, draws: int = 8) -> list[Control]:
    """The controls of a contender on the first dataset's last fold, which has the longest training stretch.

    The edge is that of timing: growth less what the market gives at the run's mean exposure so far. An agent that knows
    nothing and holds on average half has none, whichever way the market goes.

    Args:
        suite: of the study.
        contender: name of one that learns.
        seeds: to train.
        draws: null markets, and orders of the training bars.

    Raises:
        ValueError: the contender does not learn, or is not in the suite; or the suite's data are panels.
    """
    check_learns(suite, contender)
    fold = folds_of(data(suite.data[0]), suite.walk_forward, suite.purge)[-1]
    train, _, test = fold.markets(data(suite.data[0]))
    features, runs = suite.env.get("features", "default"), tuple(range(seeds))
    growth, exposure = grown(train, test, features, suite, contender, runs)
    study = partial(timing, suite=suite, contender=contender, seeds=runs)
    honest = timed(growth, exposure, test)
    controls = run_controls(study, train, test, features, shuffles=draws, honest=honest)
    keywords, _ = keywords_of(suite, train)
    bounded = bound_of(test, keywords) is not None
    return [*controls, *([hindsight_control(growth, test, **keywords)] if bounded else [])]


def identity(suite: Suite, contender: str) -> str:
    """Hash of what the controls of a contender depend on: data, env, folds, seeds, its settings, and version."""
    kept = {key: suite.description()[key] for key in ("env", "walk_forward", "episode_length", "scale", "seeds")}
    first = suite.data[0]
    return hash_of([kept, described(suite.contender(contender)), first, data(first).fingerprint, __version__])


def check_learns(suite: Suite, contender: str) -> None:
    """Raises ValueError unless the suite has a contender of this name that learns, on a market of one instrument."""
    if suite.panels:
        raise ValueError(f"controls are of markets of one instrument, got the panel {suite.data[0]!r}")
    known = [one.name for one in suite.contenders if one.learns or one.make is not None]
    if contender not in known:
        raise ValueError(f"controls must name a contender that learns, {known}, got {contender!r}")


def timing(train: Market, test: Market, features: Any, suite: Suite, contender: str, seeds: tuple[int, ...]) -> Floats:
    """`timed` of the contender, trained on ``train``, on ``test``."""
    return timed(*grown(train, test, features, suite, contender, seeds), test)


def timed(growth: Floats, exposure: Floats, test: Market) -> Floats:
    """Log growth per bar [S, T] less the run's mean exposure so far times the market's."""
    market = np.log(test.close[1:] / test.close[:-1])[-growth.shape[1] :]
    usual = np.cumsum(exposure, axis=1) / np.arange(1, exposure.shape[1] + 1)  # of no later bar, unlike the mean
    return growth - usual * market


def grown(
    train: Market, test: Market, features: Any, suite: Suite, contender: str, seeds: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Log growth and exposure per bar [S, T] of the contender, trained on ``train``, on ``test``."""
    keywords, episodes = keywords_of(replace(suite, env={**suite.env, "features": features}), train)
    judge = partial(validated, market=train, keywords=keywords)
    ready = suite.contender(contender).ready(train, train, test, keywords, seeds, episodes, judge, 0)
    tracks = backtest(ready.policy, test, check_env=False, **ready.keywords).tracks
    return np.diff(np.log(tracks.equity), axis=1), tracks.exposure
