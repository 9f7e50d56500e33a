"""Checks of lab 13."""

from typing import Any

import numpy as np

from benchmarks.statistics.sharpe import expected_maximum_sharpe
from course.checking import Checks, Wrong, agree

CHECKS = Checks()


@CHECKS.add("late", "exposures of the bar before", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    exposures = rng.integers(1, 5, 20).astype(float)
    right = np.concatenate([[0.0], exposures[:-1]])
    mistakes = {
        "they come a bar early: this looks ahead": np.append(exposures[1:], 0.0),
        "the last exposure goes round to the first bar": np.roll(exposures, 1),
        "one bar is missing: the first is 0": exposures[:-1],
        "nothing is shifted": exposures,
    }
    agree("the exposures", student.late(exposures.copy()), right, mistakes)


def mean_of_last(market: Any) -> Any:
    """A causal rule."""
    means = np.convolve(market.close, np.ones(5) / 5)[: len(market)]
    return (market.close > means).astype(float)


def tomorrow(market: Any) -> Any:
    """A rule that knows one bar of the future."""
    return np.append(np.diff(market.close) > 0.0, 0.0).astype(float)


def below_mean(market: Any) -> Any:
    """A rule that knows the mean of all."""
    return (market.close < market.close.mean()).astype(float)


@CHECKS.add("looks_ahead", "clears rules of the past, and convicts the others", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    def convicted(rule: Any) -> list[bool]:
        verdicts = []
        for _ in range(12):
            close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, 300)))
            kept = close.copy()
            verdict = student.looks_ahead(rule, close, 150, rng)
            if not np.array_equal(close, kept):
                raise Wrong("the closes that were given are changed: work on a copy")
            if verdict is None or np.ndim(verdict):
                raise Wrong(f"looks_ahead must return True or False, got {verdict!r}")
            verdicts.append(bool(verdict))
        return verdicts

    if any(convicted(mean_of_last)):
        raise Wrong(
            "a rule that knows the past only is convicted: change bars after the bar, compare exposures up to it"
        )
    if not any(convicted(below_mean)):
        raise Wrong("a rule that knows the mean of all closes is cleared")
    if not any(convicted(tomorrow)):
        raise Wrong("a rule that knows one bar of the future is cleared: compare the bar itself, and change the next")


@CHECKS.add("break_even", "returns per turnover", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    returns, turnover = rng.normal(0.001, 0.01, 50), rng.uniform(0.0, 2.0, 50)
    right = returns.sum() / turnover.sum()
    mistakes = {
        "it is the other way round: returns over turnover": 1 / right,
        "the mean of the ratios of single days is no ratio of sums": np.mean(returns / turnover),
        "the mean return is divided by the whole turnover": returns.mean() / turnover.sum(),
        "turnover is ignored": returns.mean(),
    }
    agree("the cost", student.break_even(returns, turnover), right, mistakes, rtol=1e-9)


@CHECKS.add("best_of_noise", "the project's", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    n, deviation = int(rng.integers(20, 200)), float(rng.uniform(1.5, 4.0))
    right = expected_maximum_sharpe(n, deviation**2)
    mistakes = {
        "the deviation is missing": right / deviation,
        "the variance takes the place of the deviation": right * deviation,
        "the mean of noise is 0, its largest is not": 0.0,
        "this bound for large n is above the mean of the largest": deviation * np.sqrt(2 * np.log(n)),
        "it does not depend on n: this is one deviation": deviation,
    }
    agree("the largest", student.best_of_noise(n, deviation), right, mistakes)


@CHECKS.add("flaw", "all five named", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    right = {"a": "no costs", "b": "survivors", "c": "same close", "d": "best seed", "e": "leak"}
    found = {study: student.flaw(study) for study in right}
    unknown = sorted({str(word) for word in found.values()} - set(right.values()))
    if unknown:
        raise Wrong(f"a flaw must be one of {sorted(right.values())}, got {unknown[0]!r}")
    wrong = [study for study in right if found[study] != right[study]]
    if wrong:
        raise Wrong(f"{5 - len(wrong)} of 5 are right; look again at study {wrong[0]}")
