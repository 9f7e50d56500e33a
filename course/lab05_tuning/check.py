"""Checks of lab 5."""

from typing import Any

import numpy as np

from benchmarks.statistics.sharpe import expected_maximum_sharpe
from course.checking import Checks, Wrong, agree

CHECKS = Checks()


class Recorder:
    """Stands in for Optuna's trial, and notes what is asked."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng, self.asked = rng, {}  # type: ignore[var-annotated]

    def suggest_float(self, name: str, low: float, high: float, *, step: Any = None, log: bool = False) -> float:
        """A number of the range."""
        self.asked[name] = ("float", low, high, log)
        return float(self.rng.uniform(low, high))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number of the range."""
        self.asked[name] = ("int", low, high)
        return int(self.rng.integers(low, high + 1))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        """One of the choices."""
        self.asked[name] = ("categorical", *choices)
        return choices[int(self.rng.integers(len(choices)))]


@CHECKS.add("suggest", "three hyperparameters from their ranges", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    trial = Recorder(rng)
    found = student.suggest(trial)
    names = {"learning_rate", "gamma", "target_update_interval"}
    if not isinstance(found, dict) or set(found) != names:
        raise Wrong(f"suggest must return a dict of {sorted(names)}, got {found!r}"[:150])
    missing = sorted(names - set(trial.asked))
    if missing:
        raise Wrong(f"{missing[0]} is not drawn by the trial: Optuna must know what was tried")
    kind, *rest = trial.asked["learning_rate"]
    if kind != "float" or not rest[2]:
        raise Wrong("the learning rate is drawn on a linear scale: nine tenths would be above 0.001; use log=True")
    agree("the range of the learning rate", rest[:2], [1e-4, 1e-2], rtol=1e-9)
    if sorted(trial.asked["gamma"][1:]) != [0.9, 0.95, 0.99]:
        raise Wrong("gamma must be one of 0.9, 0.95, 0.99: suggest_categorical")
    if trial.asked["target_update_interval"] != ("int", 50, 500):
        raise Wrong("target_update_interval must be an int from 50 to 500: suggest_int")


@CHECKS.add("score", "the median over seeds, NaN as 0", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    rewards = np.append(rng.uniform(50.0, 500.0, 5), [rng.uniform(600.0, 900.0)])
    mistakes = {
        "the best seed is taken: the median is wanted": rewards.max(),
        "the mean is taken: the median is wanted": rewards.mean(),
        "the worst seed is taken: the median is wanted": rewards.min(),
    }
    agree("the score", student.score(rewards.copy()), np.median(rewards), mistakes, rtol=1e-9)
    broken = np.append(rng.uniform(50.0, 500.0, 4), [np.nan, np.nan, np.nan])
    mistakes = {
        "seeds that broke down are forgotten: they count as 0": np.nanmedian(broken),
        "a seed that broke down makes the score NaN: count it as 0": np.nan,
    }
    agree("the score with broken seeds", student.score(broken.copy()), np.sort(np.nan_to_num(broken))[3], mistakes)


@CHECKS.add("best_of_noise", "as the project's formula expects", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    n, days = int(rng.integers(12, 25)), 252
    got = student.best_of_noise(n, days, 400, rng)
    if got is None or np.ndim(got):
        raise Wrong("best_of_noise must return one number")
    right = expected_maximum_sharpe(n, 252 / days)  # the variance of an annualised ratio over a year is 1
    close = {
        "the ratios are not annualised: multiply by the root of 252": right / np.sqrt(252),
        "annualised by 252, not by its root": right * np.sqrt(252),
        "the mean of all agents is taken, not of the best": 0.0,
        "the worst agent is taken": -right,
        "the largest of all repeats is taken: the mean over repeats of the largest is wanted": expected_maximum_sharpe(
            400 * n, 1.0
        ),
    }
    if abs(got - right) < 0.12:
        return
    for sentence, value in close.items():
        if abs(got - value) < max(0.08 * abs(value), 0.06):
            raise Wrong(sentence)
    raise Wrong(f"the mean of the best of {n} must be about {right:.2f}, got {float(got):.2f}")
