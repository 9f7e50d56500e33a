"""Simulations with known truth: how often the printed intervals contain it, and how often tests err.

Each function draws one data set and says whether an interval held or a test rejected; `python -m benchmarks coverage`
counts. Seeds, paths and bars vary as in the studies: learners share the market's returns and add their own.

Axis letters: S seeds, K paths, T bars.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.forecasting.metrics import skill_estimate
from benchmarks.statistics.estimates import failure_rate, mean_over_seeds_and_paths
from benchmarks.statistics.intervals import Floats
from benchmarks.statistics.ledoit_wolf import sharpe_difference
from benchmarks.statistics.scores import iqm_estimate
from benchmarks.statistics.sharpe import mean_sharpe, sharpe_gap

SHARPE = 0.04  # per bar: 0.63 a year of daily bars
DRIFT_GAP = 0.5 / 252**0.5  # per bar: a difference of 0.5 a year


class Case(NamedTuple):
    """One simulation: it draws a data set, and its answer is right or wrong."""

    what: str
    case: str
    low: float
    """Least acceptable share."""
    high: float
    """Most acceptable share."""
    hit: Callable[[np.random.Generator], bool]


def cases() -> Iterator[Case]:
    """All simulations, in the order of the table."""
    for T in (250, 800, 2500):
        for name, draw in PROCESSES.items():
            yield Case("Sharpe ratio, one series: interval holds", f"{name}, T = {T}", 0.93, 0.97, _one_series(draw, T))
    for S in (5, 10, 20):
        for T in (250, 800, 2500):
            for name in ("independent", "AR(1) .2"):
                case = f"{name}, S = {S}, T = {T}"
                yield Case("Sharpe ratio, mean over seeds: interval holds", case, 0.93, 0.97, _learners(name, S, T))
    for T in (250, 800):
        for tendency in (0.0, 0.03):
            case = f"seeds differ by {tendency:g} a bar, T = {T}"
            yield Case("two equal learners of 5 seeds: called different", case, 0.03, 0.07, _pair(5, T, tendency, 0.0))
    yield Case("true difference .5 a year, T = 797: shown", "5 seeds each", 0.0, 1.0, _pair(5, 797, 0.03, DRIFT_GAP))
    for T in (250, 800):
        for name in ("independent", "AR(1) .2"):
            yield Case("Ledoit and Wolf, equal ratios: rejected", f"{name}, T = {T}", 0.03, 0.07, _ledoit_wolf(name, T))
    for S in (2, 3, 5, 10):
        yield Case("certified score: interval holds", f"normal seeds, S = {S}", 0.93, 0.98, _scores(S))
    for S in (2, 3, 5, 10):
        yield Case("at the optimum: called above it (99%)", f"S = {S}", 0.0, 0.01, _above(S))
    for S in (5, 10, 30):
        yield Case("rate of failing seeds, one in ten: interval holds", f"S = {S}", 0.95, 1.0, _failures(S))
    for S in (3, 5, 10, 20):
        yield Case("interquartile mean: interval holds", f"normal scores, S = {S}", 0.93, 0.97, _iqm(S))
    for T in (800, 2500):
        for horizon in (1, 5):
            yield Case("skill of a forecast: interval holds", f"h = {horizon}, T = {T}", 0.93, 0.97, _skill(T, horizon))


# -- returns -----------------------------------------------------------------------------------------------------


def independent(rng: np.random.Generator, T: int) -> Floats:
    """Standard normal returns [T]."""
    return rng.standard_normal(T)


def autoregressive(rng: np.random.Generator, T: int, root: float = 0.2) -> Floats:
    """Returns [T] of variance 1 with an autocorrelation of ``root``."""
    noise, series = rng.standard_normal(T + 50), np.zeros(T + 50)
    for t in range(1, T + 50):
        series[t] = root * series[t - 1] + noise[t]
    return series[50:] * (1.0 - root**2) ** 0.5


def garch(rng: np.random.Generator, T: int, alpha: float = 0.08, beta: float = 0.9) -> Floats:
    """GARCH(1, 1) returns [T] of variance 1."""
    noise, series, variance = rng.standard_normal(T + 250), np.zeros(T + 250), 1.0
    for t in range(T + 250):
        series[t] = variance**0.5 * noise[t]
        variance = 1.0 - alpha - beta + alpha * series[t] ** 2 + beta * variance
    return series[250:]


PROCESSES = {"independent": independent, "GARCH": garch, "AR(1) .2": autoregressive}


def _contains(interval: tuple[float, float], truth: float) -> bool:
    return interval[0] <= truth <= interval[1]


def _one_series(draw: Callable[[np.random.Generator, int], Floats], T: int) -> Callable[[np.random.Generator], bool]:
    return lambda rng: _contains(mean_sharpe(draw(rng, T)[None] + SHARPE, 1.0).interval(), SHARPE)


def learners(rng: np.random.Generator, market: Floats, S: int, tendency: float, sharpe: float) -> Floats:
    """Returns [S, T] of variance about 1: half of it the market's, half their own, and each seed's own mean."""
    own, means = rng.standard_normal((S, market.size)), tendency * rng.standard_normal((S, 1))
    return np.asarray(0.5**0.5 * (market + own) + means + sharpe)


def _learners(name: str, S: int, T: int) -> Callable[[np.random.Generator], bool]:
    def hit(rng: np.random.Generator) -> bool:
        returns = learners(rng, PROCESSES[name](rng, T), S, 0.03, SHARPE)
        return _contains(mean_sharpe(returns, 1.0).interval(), SHARPE)

    return hit


def _pair(S: int, T: int, tendency: float, gap: float) -> Callable[[np.random.Generator], bool]:
    def hit(rng: np.random.Generator) -> bool:
        market = independent(rng, T)
        one, other = (learners(rng, market, S, tendency, SHARPE + more) for more in (gap, 0.0))
        return not _contains(sharpe_gap(one, other, 1.0).interval(), 0.0)

    return hit


def _ledoit_wolf(name: str, T: int) -> Callable[[np.random.Generator], bool]:
    def hit(rng: np.random.Generator) -> bool:
        one, other = learners(rng, PROCESSES[name](rng, T), 2, 0.0, SHARPE)
        return sharpe_difference(one, other, samples=499, seed=int(rng.integers(2**31))).p_value <= 0.05

    return hit


# -- scores ------------------------------------------------------------------------------------------------------


def _scored(rng: np.random.Generator, S: int, K: int = 20) -> Floats:
    """Scores [S, K] with mean 0: effects of seeds, of paths, and residuals."""
    return np.asarray(rng.standard_normal((S, 1)) + rng.standard_normal((1, K)) + rng.standard_normal((S, K)))


def _scores(S: int) -> Callable[[np.random.Generator], bool]:
    return lambda rng: _contains(mean_over_seeds_and_paths(_scored(rng, S)).interval(), 0.0)


def _above(S: int) -> Callable[[np.random.Generator], bool]:
    return lambda rng: mean_over_seeds_and_paths(_scored(rng, S)).interval(0.99)[0] > 0.0


def _failures(S: int) -> Callable[[np.random.Generator], bool]:
    return lambda rng: _contains(failure_rate(int(rng.binomial(S, 0.1)), S), 0.1)


def _iqm(S: int) -> Callable[[np.random.Generator], bool]:
    return lambda rng: _contains(iqm_estimate(rng.standard_normal(S)).interval(), 0.0)


def _skill(T: int, horizon: int) -> Callable[[np.random.Generator], bool]:
    """A forecast that knows a tenth of the variance of overlapping returns, against the forecast 0."""

    def hit(rng: np.random.Generator) -> bool:
        known, rest = 0.1**0.5 * rng.standard_normal(T + horizon), 0.9**0.5 * rng.standard_normal(T + horizon)
        window = np.ones(horizon)
        forecast = np.convolve(known, window, "valid")[:T]
        truth = forecast + np.convolve(rest, window, "valid")[:T]
        return _contains(skill_estimate(forecast, np.zeros(T), truth).interval(), 0.1)

    return hit
