"""``python -m benchmarks forecast``: can the next returns be forecast, and does trading on that pay its costs?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import tyro
from tqdm import tqdm

from agents.base import commands
from agents.base.commands import checking, printable
from agents.common.files import check_folder
from agents.common.folders import write_folder
from benchmarks.contenders.forecast_trader import choose_margin, forecast_trader, round_trip_cost
from benchmarks.evaluation.tracks import ENV_ID, PerSeed, Tracks, evaluate
from benchmarks.forecasting import forecasters
from benchmarks.forecasting.windows import Fold, Windows, folds
from benchmarks.reports import figures
from benchmarks.reports import forecast as forecast_report
from benchmarks.reports.compare import json_bytes
from benchmarks.statistics.intervals import check_block
from benchmarks.tasks.checks import check_counts, check_distinct, check_name
from trading_env import Market, load
from trading_env.analysis import strategies
from trading_env.analysis.strategies import StrategyPolicy

STOCKS = ("us-stocks/AAPL", "us-stocks/GOOG", "us-stocks/IBM", "us-stocks/MSFT")  # FB's 196 bars are too few
INDICES = ("sp500", "nasdaq")
PROGRAM = "python -m benchmarks forecast"
BASELINES = ("buy_and_hold", "flat")
Floats = npt.NDArray[np.float64]

DESCRIPTION = """\
Walks forward through each market: forecasters learn from the past, choose what they must on a later stretch, and
forecast the next one. Prints their errors and their skill against "the price stays where it is", with intervals,
and what a trader who follows them is left with after costs, beside buying and holding and staying out. Writes
results.json and forecast.png to FOLDER/NAME."""


@dataclass(frozen=True)
class ForecastSettings:
    """Options of ``python -m benchmarks forecast``."""

    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """A few seconds in all: shows that everything runs. Other options still count."""
    name: str = "forecast"
    """Folder under --folder that the results go to."""
    folder: Path = Path("results")
    """Where results are kept."""
    data: tuple[str, ...] = field(default_factory=lambda: (*STOCKS, *(INDICES if find_spec("arch") else ())))
    """Datasets: names, or paths of CSV or Parquet files."""
    window: int = 20
    """Bars that a forecaster sees."""
    horizon: int = 5
    """Bars whose return is forecast."""
    folds: int = 4
    """Test stretches, before each of which everybody learns anew."""
    first_test: float = 0.5
    """Where the first of them begins, as a fraction of the market."""
    validation: int = 250
    """Bars before each test stretch to choose by."""
    seeds: int = 5
    """Seeds 0..n-1 of the LSTM."""
    epochs: int = 10
    """Most passes of the LSTM over its windows."""
    trees: int = 500
    """Trees of the forest."""
    rounds: int = 100
    """Rounds of boosting."""
    margins: tuple[float, ...] = (0.0, 0.0025, 0.005, 0.01)
    """By how much a forecast must beat the costs of a round trip; the validation chooses."""
    commission: float = 5e-4
    """Rate on the traded notional (5e-4 is 5 bps)."""
    slippage: float = 5e-4
    """Adverse move of each fill, as a fraction of the price."""
    bootstrap_samples: int = 2_000
    """Resamples behind the intervals."""
    mean_block: float = 20.0
    """Mean length of the resampled blocks of bars."""
    jobs: int | None = None
    """Processes for the forest; one unless given."""
    progress: bool = True
    """Whether to show a progress bar."""

    def __post_init__(self) -> None:
        counts = ("window", "horizon", "folds", "validation", "seeds", "epochs", "trees", "rounds", "bootstrap_samples")
        check_counts(self, (*counts, "jobs"))
        check_block(self.mean_block)
        check_name(self.name)
        check_distinct("data", self.data)
        if self.window < 20:
            raise ValueError(f"window must be at least 20, for the mean of the last 20 returns, got {self.window}")
        if not 0.0 < self.first_test < 1.0:
            raise ValueError(f"first_test must be in (0, 1), got {self.first_test}")
        if not self.margins or not all(0.0 <= margin < math.inf for margin in self.margins):
            raise ValueError(f"margins must be at least one, finite and not negative, got {self.margins}")

    @property
    def purge(self) -> int:
        """Rows left out between parts, so that none shares a bar with another."""
        return self.window + self.horizon

    @property
    def keywords(self) -> dict[str, Any]:
        """Of TradingEnv; what it observes does not matter to who follows forecasts."""
        return {"window": 1, "costs": {"commission": self.commission, "slippage": self.slippage}}

    def makers(self) -> Mapping[str, Any]:
        """New forecasters by name."""
        sizes = (self.seeds, self.epochs, self.trees, self.rounds, self.jobs)
        return forecasters.makers(self.horizon, *sizes)


QUICK: dict[str, Any] = {
    "name": "quick",
    "data": ("us-stocks/GOOG",),
    "folds": 2,
    "seeds": 2,
    "epochs": 1,
    "trees": 10,
    "rounds": 10,
    "bootstrap_samples": 200,
}


@dataclass(frozen=True)
class Study:
    """What came of one market.

    Attributes:
        market: the test period, what lies before serving as history.
        time: of the forecasts (n,).
        truth: returns that followed (n,).
        forecasts: name -> [S, n].
        margins: name -> the margin that each fold's validation chose.
        tracks: name of a forecaster or baseline -> its trades.
    """

    market: Market
    time: npt.NDArray[Any] | None
    truth: Floats
    forecasts: Mapping[str, Floats]
    margins: Mapping[str, list[float]]
    tracks: Mapping[str, Tracks]


def main(arguments: Sequence[str]) -> None:
    """Runs the study that the command line describes."""
    settings = parse(arguments)
    folder = settings.folder / settings.name
    with checking(PROGRAM):
        check_folder(folder, "folder")
        for name in settings.data:
            check_market(name, load(name), settings)
    studies = run(settings)
    results = forecast_report.results(settings, studies)
    picture = figures.picture(forecast_report.drawn(results, studies), folder / "forecast.png")
    write_folder(folder, {"results.json": json_bytes(results), "forecast.png": picture})
    forecast_report.show(results)
    print(printable(f"written: {folder}/results.json, forecast.png"))


def parse(arguments: Sequence[str]) -> ForecastSettings:
    """The settings that the command line asks for; ``--quick`` changes the defaults of the others."""
    default = ForecastSettings(**QUICK) if "--quick" in arguments else ForecastSettings()
    options = {"default": default, "description": DESCRIPTION}
    found: ForecastSettings = commands.parse(PROGRAM, ForecastSettings, arguments, **options)
    return found


def check_market(name: str, market: Market, settings: ForecastSettings) -> None:
    """Raises where a study of the market would fail: ValueError naming what is wrong."""
    try:
        if market.bars_per_year is None:
            raise ValueError("it has no timestamps that tell its bars per year")
        windows = Windows.of(market, settings.window, settings.horizon)
        parts_of(windows, settings)
        gym.make(ENV_ID, data=market, **settings.keywords)
    except ValueError as error:
        raise ValueError(f"data {name!r}: {error}") from error


def parts_of(windows: Windows, settings: ForecastSettings) -> list[Fold]:
    """The folds that the settings ask for, of the windows whose returns are known."""
    known = int(np.isfinite(windows.y).sum())
    first = round(settings.first_test * known)
    if settings.folds > known - first:
        raise ValueError(f"folds must be at most the {known - first} rows to test, got {settings.folds}")
    return folds(known, first, settings.folds, settings.validation, settings.purge)


def run(settings: ForecastSettings) -> dict[str, Study]:
    """The study of each market, by its name."""
    import torch

    torch.set_num_threads(1)  # networks this small only lose by a second thread
    total = len(settings.data) * settings.folds * len(settings.makers())
    with tqdm(total=total, unit="fit", desc="forecast", disable=not settings.progress) as bar:
        return {name: study(load(name), settings, bar.update) for name in settings.data}


def study(market: Market, settings: ForecastSettings, tick: Any = lambda: None) -> Study:
    """Walks one market forward."""
    windows = Windows.of(market, settings.window, settings.horizon)
    known = int(np.isfinite(windows.y).sum())
    parts = parts_of(windows, settings)
    forecast_by, margin_by, tracks = {}, {}, {}
    begin, end = windows.bar[parts[0].test.start], windows.bar[known - 1] + 1
    tested = between(market, begin, end)
    for name, maker in settings.makers().items():
        bars, thresholds, margins = [], [], []
        for fold in parts:
            forecast, margin = walked(maker(), windows, fold, market, settings.margins, settings.keywords)
            bars.append(forecast)
            margins.append(margin)
            thresholds.append(np.full(forecast.shape[1], margin))
            tick()
        forecast_by[name], margin_by[name] = np.concatenate(bars, axis=1), margins
        least = round_trip_cost(settings.keywords["costs"]) + np.concatenate(thresholds)
        tracks[name] = traded(forecast_by[name], least, tested, settings.keywords)
    for name in BASELINES:
        env = gym.make(ENV_ID, data=tested, **settings.keywords)
        tracks[name] = evaluate(StrategyPolicy(getattr(strategies, name)(tested), env), tested, **settings.keywords)
    time = None if market.local_time is None else market.local_time[begin:end]
    truth = windows.y[parts[0].test.start : known]
    return Study(tested, time, truth, forecast_by, margin_by, tracks)


def walked(
    forecaster: Any,
    windows: Windows,
    fold: Fold,
    market: Market,
    margins: Sequence[float],
    keywords: Mapping[str, Any],
) -> tuple[Floats, float]:
    """The forecasts of a fold's test rows [S, n], and the margin that its validation chose."""
    validation = windows.part(fold.validation)
    forecaster.fit(*windows.part(fold.train), validation=validation)
    first, last = windows.bar[fold.validation][[0, -1]]
    period = between(market, first, last + 1)
    margin = choose_margin(aligned(forecaster.predict(validation[0]), period), period, margins, keywords)
    return forecaster.predict(windows.X[fold.test]), margin


def traded(forecasts: Floats, thresholds: Floats, market: Market, keywords: Mapping[str, Any]) -> Tracks:
    """What following each seed's forecasts [S, n] of the market's own bars does to its account."""
    env = gym.make(ENV_ID, data=market, **keywords)
    least = aligned(thresholds[None], market)[0]
    traders = [forecast_trader(row, env, np.nan_to_num(least)) for row in aligned(forecasts, market)]
    return evaluate(PerSeed(traders), market, len(traders), **keywords)


def between(market: Market, first: int, stop: int) -> Market:
    """The market's bars from ``first`` up to ``stop``, what lies before serving as history."""
    bars = len(market) - market.first
    cuts = [(bar - market.first) / bars for bar in (first, stop) if bar < len(market)]
    return market.split(*map(float, cuts))[1]


def aligned(values: Floats, market: Market) -> Floats:
    """Values [S, n] of the market's own bars at all of its bars [S, T], NaN before."""
    result = np.full((len(values), len(market)), np.nan)
    result[:, market.first :] = values
    return result
