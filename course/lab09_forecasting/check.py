"""Checks of lab 9."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.forecasting import metrics
from course.checking import Checks, Wrong, agree, same
from trading_env.features.calendars import calendar_features
from trading_env.features.windows import sliding_windows

CHECKS = Checks()


@CHECKS.add("windows", "past values, oldest first, and their labels", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    series, window, horizon = rng.normal(size=30), int(rng.integers(3, 7)), int(rng.integers(2, 5))
    table = sliding_windows(series, window, horizon).to_numpy()
    X, y = table[:, :-1], table[:, -1]
    found = student.windows(series.copy(), window, horizon)
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise Wrong("windows must return two arrays, X and y")
    n, every = len(y), np.lib.stride_tricks.sliding_window_view(series, window)
    mistakes = {
        "the newest value comes first: the oldest must": X[:, ::-1],
        "windows without a label are left in: drop the last `horizon`": every,
        "the windows begin one step late: they reach closer to the label": every[1 : n + 1],
        "each window includes its label: the answer stands in the question": np.column_stack([X, y]),
    }
    agree("X", found[0], X, mistakes)
    mistakes = {
        "the label is the next value, whatever the horizon": series[window : window + n],
        "the label is the last value of the window": X[:, -1],
        "the labels are one step late": np.append(y[1:], np.nan),
    }
    agree("y", found[1], y, mistakes)


@CHECKS.add("date_features", "those of the project", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    day = pd.Timestamp("2010-01-04") + pd.Timedelta(days=int(rng.integers(2_000)))
    dates = pd.bdate_range(day, periods=300)
    found, right = student.date_features(dates), calendar_features(dates)
    if not isinstance(found, pd.DataFrame) or not {"doy", "dom", "month", "year"} <= set(found.columns):
        raise Wrong("date_features must return a DataFrame with the columns doy, dom, month, year")
    wrong = {"doy": dates.day, "dom": dates.day_of_week, "month": dates.month - 1, "year": dates.year % 100}
    names = {
        "doy": "doy is the day of the year, not of the month",
        "dom": "dom is the day of the month, not of the week",
        "month": "months are counted from 1",
        "year": "the year has four digits",
    }
    for name, values in wrong.items():
        agree(name, found[name], right[name], {names[name]: values})


@CHECKS.add("split", "in order, with gaps, and nothing lost", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    n, gap = int(rng.integers(300, 500)), int(rng.integers(5, 20))
    parts = student.split(n, 0.6, 0.2, gap)
    if not isinstance(parts, tuple | list) or len(parts) != 3 or not all(isinstance(part, slice) for part in parts):
        raise Wrong("split must return three slices")
    bounds = [part.indices(n)[:2] for part in parts]
    first, second = int(0.6 * n), int(0.2 * n)
    right = [(0, first), (first + gap, first + gap + second), (first + second + 2 * gap, n)]
    mistakes = {
        "there is no gap: windows of one part reach into the next": [
            (0, first),
            (first, first + second),
            (first + second, n),
        ],
        "the gap before the test is missing": [*right[:2], (first + gap + second, n)],
        "the gap before the validation is missing": [(0, first), (first, first + second), (first + second + gap, n)],
        "the gaps are taken from the parts, which become shorter": [
            (0, first - gap),
            (first, first + second - gap),
            (first + second, n),
        ],
    }
    agree("the bounds of the slices", bounds, right, mistakes, rtol=1e-9)


def pair(rng: np.random.Generator) -> tuple[Any, Any]:
    """Forecasts and true returns."""
    return rng.normal(0.0, 0.05, 40), rng.normal(0.0, 0.05, 40)


@CHECKS.add("rmse", "root mean squared error", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    forecast, truth = pair(rng)
    error = forecast - truth
    mistakes = {
        "the root is missing": np.mean(error**2),
        "the sum is taken, not the mean": np.sqrt(np.sum(error**2)),
        "the mean of the errors is squared: square first": np.sqrt(np.mean(error) ** 2),
        "this is the mean absolute error": np.mean(np.abs(error)),
        "the mean is subtracted: this is the deviation of the errors": error.std(),
    }
    agree("RMSE", student.rmse(forecast, truth), metrics.rmse(forecast, truth), mistakes, rtol=1e-9)


@CHECKS.add("mae", "mean absolute error", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    forecast, truth = pair(rng)
    error = forecast - truth
    mistakes = {
        "errors of opposite signs cancel: take absolute values before the mean": np.mean(error),
        "errors of opposite signs cancel: take absolute values first, then the mean": np.abs(np.mean(error)),
        "absolute values are compared, not the returns": np.mean(np.abs(np.abs(forecast) - np.abs(truth))),
        "the median is taken, not the mean": np.median(np.abs(error)),
        "the sum is taken, not the mean": np.sum(np.abs(error)),
    }
    agree("MAE", student.mae(forecast, truth), metrics.mae(forecast, truth), mistakes, rtol=1e-9)


@CHECKS.add("malr", "mean absolute log ratio", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    forecast, truth = pair(rng)
    ratio = np.log1p(forecast) - np.log1p(truth)
    if np.isnan(np.asarray(student.malr(forecast, truth), float)).any():
        raise Wrong("a log of a negative number: the ratio is of growth factors, 1 + return")
    mistakes = {
        "errors of opposite signs cancel: take absolute values before the mean": np.mean(ratio),
        "errors of opposite signs cancel: take absolute values first, then the mean": np.abs(np.mean(ratio)),
        "the logarithm is missing": np.mean(np.abs((1 + forecast) / (1 + truth))),
        "the logarithm has base 10": np.mean(np.abs(ratio)) / np.log(10.0),
    }
    agree("MALR", student.malr(forecast, truth), metrics.malr(forecast, truth), mistakes, rtol=1e-9)


@CHECKS.add("classes", "down, stay, up", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    band = float(rng.uniform(0.01, 0.02))
    returns = np.append(rng.normal(0.0, 0.03, 60), [band, -band, 0.0])
    right = 1 + (returns > band).astype(int) - (returns < -band)
    inclusive = 1 + (returns >= band).astype(int) - (returns <= -band)
    mistakes = {
        "up and down are exchanged": 2 - right,
        "the classes are -1, 0, 1: count from 0": right - 1,
        "a return of exactly the band stays": inclusive,
        "the band is ignored": np.sign(returns) + 1,
        "stay is missing: these are two classes": np.where(returns > 0, 2, 0),
    }
    found = student.classes(returns.copy(), band)
    agree("the classes", found, right, mistakes)
    if np.asarray(found).dtype.kind not in "iu":
        raise Wrong(f"classes must be ints, got {np.asarray(found).dtype}")


@CHECKS.add("majority_accuracy", "of the class most frequent in training", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    train = rng.permutation(np.repeat([0, 1, 2], [30, 25, 45]))
    test = rng.permutation(np.repeat([0, 1, 2], [50, 20, 31]))
    mistakes = {
        "the majority of the test is not known: take that of training": 50 / 101,
        "this is the majority's share of the training": 0.45,
        "this is the class, not its share": 2,
        "this is a number of rows: divide by all": 31,
        "this is the share of guesses at random": 1 / 3,
    }
    agree("the share", student.majority_accuracy(train, test), np.mean(test == 2), mistakes, rtol=1e-9)
    if not same(student.majority_accuracy(np.zeros(3, int), test), 50 / 101):
        raise Wrong("with one class in training, this class is the majority")
