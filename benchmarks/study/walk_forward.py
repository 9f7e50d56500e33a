"""Walk-forward studies: in each fold, forecasters fit on the past, choose on a later stretch and forecast the next.

Axis letters: S seeds, n forecasts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from benchmarks.contenders.forecast_trader import aligned, choose_margin, round_trip_cost, traded
from benchmarks.forecasting.windows import Fold, Windows, folds
from benchmarks.study.folds import stretch
from benchmarks.study.forecast_settings import ForecastSettings
from trading_env import Market, backtest, load
from trading_env.analysis import strategies
from trading_env.analysis.tracks import Tracks

BASELINES = ("buy_and_hold", "flat")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """The outcome of a walk-forward study on one market.

    Attributes:
        market: the test period; earlier rows serve as history.
        time: of the forecasts (n,).
        truth: the returns that followed (n,).
        forecasts: name -> [S, n].
        margins: name -> the margin chosen in each fold.
        tracks: name of a forecaster or baseline -> its account.
    """

    market: Market
    time: npt.NDArray[Any] | None
    truth: Floats
    forecasts: Mapping[str, Floats]
    margins: Mapping[str, list[float]]
    tracks: Mapping[str, Tracks]


def parts_of(windows: Windows, settings: ForecastSettings) -> list[Fold]:
    """The folds of the windows whose returns are known."""
    known = int(np.isfinite(windows.y).sum())
    first = round(settings.first_test * known)
    if settings.folds > known - first:
        raise ValueError(f"folds must be at most the {known - first} rows to test, got {settings.folds}")
    return folds(known, first, settings.folds, settings.validation, settings.purge)


def run(settings: ForecastSettings) -> dict[str, Study]:
    """The study of each market, by its name."""
    import torch

    torch.set_num_threads(1)  # a second thread only slows networks this small
    total = len(settings.data) * settings.folds * len(settings.makers())
    with tqdm(total=total, unit="fit", desc="forecast", disable=not settings.progress) as bar:
        return {name: study(load(name), settings, bar.update) for name in settings.data}


def study(market: Market, settings: ForecastSettings, tick: Callable[[], Any] = lambda: None) -> Study:
    """The study of one market; ``tick`` is called after each fit."""
    windows = Windows.of(market, settings.window, settings.horizon)
    parts = parts_of(windows, settings)
    tests = slice(parts[0].test.start, parts[-1].test.stop)
    begin, end = windows.bar[tests][[0, -1]] + [0, 1]
    tested = stretch(market, begin, end)
    forecasts, margins, tracks = {}, {}, {}
    for name, maker in settings.makers().items():
        forecasts[name], margins[name] = _all_folds(maker, windows, parts, market, settings, tick)
        lengths = [part.test.stop - part.test.start for part in parts]
        thresholds = round_trip_cost(settings.keywords["costs"]) + np.repeat(margins[name], lengths)
        tracks[name] = traded(forecasts[name], thresholds, tested, settings.keywords)
    for name in BASELINES:
        tracks[name] = backtest(getattr(strategies, name), tested, **settings.keywords).tracks
    time = None if market.local_time is None else market.local_time[begin:end]
    return Study(tested, time, windows.y[tests], forecasts, margins, tracks)


def _all_folds(
    maker: Callable[[], Any],
    windows: Windows,
    parts: Sequence[Fold],
    market: Market,
    settings: ForecastSettings,
    tick: Callable[[], Any],
) -> tuple[Floats, list[float]]:
    """Forecasts [S, n] of all test rows by a new forecaster in each fold, and the margin that each fold chose."""
    forecasts, margins = [], []
    for fold in parts:
        forecast, margin = walked(maker(), windows, fold, market, settings.margins, settings.keywords)
        forecasts.append(forecast)
        margins.append(margin)
        tick()
    return np.concatenate(forecasts, axis=1), margins


def walked(
    forecaster: Any,
    windows: Windows,
    fold: Fold,
    market: Market,
    margins: Sequence[float],
    keywords: Mapping[str, Any],
) -> tuple[Floats, float]:
    """The forecasts of a fold's test rows [S, n], and the margin chosen on its validation rows."""
    validation = windows.part(fold.validation)
    forecaster.fit(*windows.part(fold.train), validation=validation)
    first, last = windows.bar[fold.validation][[0, -1]]
    period = stretch(market, first, last + 1)
    margin = choose_margin(aligned(forecaster.predict(validation[0]), period), period, margins, keywords)
    return forecaster.predict(windows.X[fold.test]), margin
