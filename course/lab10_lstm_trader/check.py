"""Checks of lab 10."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import forecast_trader as project
from benchmarks.forecasting.windows import Windows
from course.checking import Checks, Wrong, agree, same
from trading_env import Costs
from trading_env.data.simulators import gbm
from trading_env.features.build import feature_table

CHECKS = Checks()


def drawn_windows(rng: np.random.Generator) -> tuple[Any, Any, Windows]:
    """Values, closes and the project's windows of a drawn market."""
    market = gbm(int(rng.integers(60, 90)), int(rng.integers(1000)))
    table = feature_table(market)
    window, horizon = int(rng.integers(3, 8)), int(rng.integers(2, 6))
    found = Windows.of(market, window, horizon)
    own = replace(found, X=found.X[..., : table.values.shape[1]])  # without the calendar
    return table.values[table.warmup :], market.close[table.warmup :], own


def parts_of(student: Any, values: Any, close: Any, windows: Windows) -> tuple[Any, Any]:
    """The student's X and y."""
    got = student.make_windows(values, close, windows.window, windows.horizon)
    if got is None:
        raise Wrong("make_windows returns None: is there a return?")
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("make_windows must return two arrays, X and y")
    return got


@CHECKS.add("make_windows", "the last W rows up to bar t, oldest first", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    values, close, windows = drawn_windows(rng)
    X = parts_of(student, values, close, windows)[0]
    right = windows.X[np.isfinite(windows.y)]
    later = windows.X[1:][: len(right)]
    mistakes = {
        "the windows reach to bar t + 1, the first bar of the return to forecast: they know the future": later,
        "the windows end at bar t - 1: the last close is known and left out": windows.X[: len(right) - 1],
        "the newest row comes first: the oldest must": right[:, ::-1],
        "the axes are [n, F, W]: swap the last two": right.swapaxes(1, 2),
        "the last windows have no known return: leave them out": windows.X,
    }
    agree("X", X, right, mistakes)


@CHECKS.add("make_windows", "the return of the next H bars", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    values, close, windows = drawn_windows(rng)
    y, horizon = parts_of(student, values, close, windows)[1], windows.horizon
    right = windows.y[np.isfinite(windows.y)]
    last = np.arange(windows.window - 1, len(close) - horizon)
    later = np.minimum(last + 1 + horizon, len(close) - 1)
    mistakes = {
        "y is the return of one bar, not of H": close[last + 1] / close[last] - 1.0,
        "y is a return of the past: it must begin at bar t": close[last] / close[np.maximum(last - horizon, 0)] - 1.0,
        "y begins at bar t + 1: the trader acts at the close of bar t": close[later] / close[last + 1] - 1.0,
        "y is a log return: the threshold is compared with a simple one": np.log1p(right),
        "y is a price: it must be a return": close[last + horizon],
        "1 is missing: the return is a ratio less 1": right + 1.0,
    }
    agree("y", y, right, mistakes, rtol=1e-6)


@CHECKS.add("scaled", "both stretches by the training rows' mean and deviation", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    train = rng.normal(rng.uniform(1, 2, 3), rng.uniform(1, 3, 3), (30, 5, 3))
    later = rng.normal(rng.uniform(3, 5, 3), rng.uniform(1, 3, 3), (20, 5, 3))
    got = student.scaled(train, later)
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Wrong("scaled must return two arrays: training and later windows")

    def by(rows: Any, axes: Any = (0, 1)) -> Any:
        return (later - rows.mean(axes)) / rows.std(axes)

    both = np.concatenate([train, later])
    own = (train - train.mean((0, 1))) / train.std((0, 1))
    mistakes = {
        "each stretch is scaled by itself: the later rows need the training rows' numbers": by(later),
        "mean and deviation come from all rows: the training rows would know the later ones": by(both),
        "all features share one mean and deviation: take the mean over windows and bars only": by(train, None),
        "each bar of the window has its own mean and deviation": by(train, 0),
        "the deviation is missing": later - train.mean((0, 1)),
        "divided by the variance, not by the deviation": (later - train.mean((0, 1))) / train.var((0, 1)),
    }
    agree("the later windows", got[1], by(train), mistakes)
    agree("the training windows", got[0], own)


@CHECKS.add("Forecaster.forward", "a linear layer on the hidden state of the last bar", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    torch.manual_seed(int(rng.integers(1000)))
    model, x = student.Forecaster(3), torch.as_tensor(rng.normal(size=(6, 7, 3))).float()
    states, (_, cell) = model.lstm(x)
    with torch.no_grad():
        model.head.weight *= 5.0
        model.head.bias -= model.head(states[:, -1]).mean()  # rises and falls
    turned = model.lstm(x.transpose(0, 1))[0]  # bars taken for windows
    right = model.head(states[:, -1])[:, 0]
    mistakes = {
        "the state of the first bar is used: it has seen one bar only": model.head(states[:, 0])[:, 0],
        "the mean of all states is used: take the last one": model.head(states.mean(1))[:, 0],
        "the cell is used in place of the hidden state": model.head(cell[0])[:, 0],
        "the shape is [B, 1]: drop the last axis": model.head(states[:, -1]),
        "there is a forecast for every bar, [B, W]: take the last one": model.head(states)[..., 0],
        "the last window is taken, not the last bar: x is [B, W, F]": model.head(states[-1])[:, 0],
        "bars and windows are confused: the LSTM has batch_first=True": model.head(turned[-1])[:, 0],
        "an activation follows the linear layer: forecasts may be of any size": torch.tanh(right),
        "ReLU follows the linear layer: falls could not be forecast": torch.relu(right),
    }
    agree("the forecast", model(x), right, mistakes)


@CHECKS.add("round_trip_cost", "the project's", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    c, s = rng.uniform(0.001, 0.02, 2)
    mistakes = {
        "only the purchase is counted: a round trip pays twice": 1.0 - 1.0 / ((1.0 + s) * (1.0 + c)),
        "only the sale is counted: a round trip pays twice": 1.0 - (1.0 - s) * (1.0 - c),
        "slippage is missing": 1.0 - (1.0 - c) / (1.0 + c),
        "the commission is missing": 1.0 - (1.0 - s) / (1.0 + s),
        "costs are added once: they are paid twice, and multiply": c + s,
        "costs are added: they multiply": 2.0 * (c + s),
        "this is what remains: the cost is 1 less it": (1.0 - s) * (1.0 - c) / ((1.0 + s) * (1.0 + c)),
    }
    right = project.round_trip_cost(Costs(commission=c, slippage=s))
    agree("the cost", student.round_trip_cost(c, s), right, mistakes, rtol=1e-9)


@CHECKS.add("positions", "in above the threshold, out below minus it, else as before", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    threshold = float(rng.uniform(0.5, 0.9))
    forecast = rng.normal(size=200)
    forecast[:5] = [0.1, -0.1, np.nan, -2.0, 0.0]
    forecast[rng.integers(10, 200, 8)] = np.nan
    got = student.positions(forecast.copy(), threshold)
    right = project.forecast_exposures(forecast, threshold)
    kept = project.forecast_exposures(forecast, threshold, short=True)
    mistakes = {
        "between the thresholds the position must be kept, not closed": (forecast > threshold).astype(float),
        "the position is kept between 0 and the threshold only: sell below minus it": carried(forecast, threshold, 0.0),
        "the threshold is ignored": project.forecast_exposures(forecast, 0.0),
        "sell below minus the threshold, not below the threshold": carried(forecast, threshold, threshold),
        "a sale leads to 0, out of the market, not to -1": kept,
        "the threshold is ignored, and a sale leads to 0, not to -1": np.sign(np.nan_to_num(forecast)),
        "the position lags a bar behind: the env fills the order later by itself": np.concatenate([[0.0], right[:-1]]),
        "buying and selling are exchanged": project.forecast_exposures(-forecast, threshold),
    }
    agree("positions", got, right, mistakes)
    if not same(student.positions(forecast[:50].copy(), threshold), right[:50]):
        raise Wrong("positions of the first bars change with later forecasts: they look ahead")


def carried(forecast: Any, buy: float, sell: float) -> Any:
    """Positions that are kept, with sales below `sell`."""
    held, result = 0.0, []
    for value in forecast:
        held = 1.0 if value > buy else 0.0 if value < sell else held
        result.append(held)
    return np.array(result)
