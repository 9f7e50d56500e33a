"""``python -m benchmarks compare``: our DQN and Stable-Baselines3's on real prices, beside simple baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.base.commands import checking, printable
from agents.common.files import check_folder
from agents.common.folders import write_folder
from benchmarks.contenders import ours, own, rules, sb3
from benchmarks.contenders.settings import folder_of, parse
from benchmarks.contenders.setup import Row, Setup
from benchmarks.evaluation.tracks import measures
from benchmarks.forecasting.windows import Fold, Windows, folds
from benchmarks.reports import compare as report
from benchmarks.reports import figures
from benchmarks.statistics.intervals import median_and_range
from benchmarks.study.results import json_bytes, parquet_bytes
from trading_env import Market, load

PROGRAM = "python -m benchmarks compare"
ROWS = (*rules.STRATEGIES, "random", "forecast", "dqn", "sb3_dqn")
FORECAST = {"window": 20, "horizon": 5}  # bars seen and bars forecast, as in `python -m benchmarks forecast`
VALIDATION = 250  # bars, or a quarter of those to learn from if that is less


def main(arguments: Sequence[str]) -> None:
    """Runs the comparison that the command line describes, on one dataset after the other."""
    settings = parse(list(arguments), PROGRAM)
    root = settings.folder / settings.name
    with checking(PROGRAM):
        makers = {name: own.function_of(name) for name in settings.contender}
        setups = [Setup.of(settings, data) for data in settings.data]
        for setup in setups:
            check(setup)
        folders = [root if len(setups) == 1 else root / folder_of(setup.data) for setup in setups]
        for folder in folders:
            check_folder(folder, "folder")
    found = [written(setup, makers, folder) for setup, folder in zip(setups, folders, strict=True)]
    if len(found) > 1:
        report.print_together(found, wide=settings.wide)


def written(setup: Setup, makers: Mapping[str, own.Make], folder: Path) -> dict[str, Any]:
    """The results on one dataset, printed and written to the folder."""
    rows = compare(setup, makers)
    results = report.results(setup, rows)
    contents = {
        "results.json": json_bytes(results),
        "equity.parquet": parquet_bytes(report.equity_frame(rows)),
        "equity.png": figures.picture(figures.equity_figure(rows, results), folder / "equity.png"),
    }
    write_folder(folder, contents)
    report.print_comparison(results, wide=setup.settings.wide)
    print(printable(f"written: {folder}/results.json, equity.parquet, equity.png"))
    return results


def check(setup: Setup) -> None:
    """Raises ValueError or TypeError for a mistake that would otherwise show only after training."""
    agent = ours.agent_class("DQN")
    agent(setup.training_env(), seeds=1, device="cpu", **setup.settings.dqn.for_ours())
    for name in rules.STRATEGIES:
        rules.strategy_env(setup, name)
    fold_of(setup)


def compare(setup: Setup, makers: Mapping[str, own.Make]) -> dict[str, Row]:
    """The rows of the table, by name, in the order of `ROWS`, and then the contenders of the user."""
    mine = {name: own.row(name, make, setup) for name, make in makers.items()}  # first: they may fail
    dqn, sb3_dqn = train_dqn(setup), train_sb3_dqn(setup)
    baselines = {name: rules.strategy(setup, name) for name in rules.STRATEGIES}
    turnover = median_and_range(measures(dqn.tracks)["turnover"]).median
    chance = rules.random_traders(setup, turnover)
    learners = {"forecast": forecast_trader(setup), "dqn": dqn, "sb3_dqn": sb3_dqn}
    return {**baselines, "random": chance, **learners, **mine}


def train_dqn(setup: Setup) -> Row:
    """Our DQN: a process per core, each of which trains a block of seeds in one pass."""
    import torch

    torch.set_num_threads(1)  # a second thread only slows networks this small
    settings = setup.settings
    budget = (settings.seeds, settings.total_timesteps)
    used = {"processes": settings.processes or "auto", "progress_bar": settings.progress}
    options = {**used, **settings.dqn.for_ours()}
    trained = ours.train("DQN", setup.training_env(), *budget, **options)
    return Row(setup.tested(trained.agent), trained.steps_per_second, trained.seconds)


def train_sb3_dqn(setup: Setup) -> Row:
    """Stable-Baselines3's DQN: a process per core, one seed at a time in each."""
    settings = setup.settings
    budget = (settings.seeds, settings.total_timesteps)
    options = {"processes": settings.processes, "progress_bar": settings.progress, **settings.dqn.for_sb3()}
    trained = sb3.train("DQN", setup.training_env(), *budget, **options)
    return Row(setup.tested(trained.agent), trained.steps_per_second, trained.seconds)


def forecast_trader(setup: Setup) -> Row:
    """A trader that follows ridge forecasts; fit and margin above costs are chosen on the training period alone."""
    from benchmarks.contenders.forecast_trader import round_trip_cost, traded
    from benchmarks.forecasting.forecasters import ridge
    from benchmarks.study.forecast_settings import ForecastSettings
    from benchmarks.study.walk_forward import walked

    keywords = {**setup.settings.env_keywords(), "allow_short": False, "window": 1}
    market, windows, fold = fold_of(setup)
    forecasts, margin = walked(ridge(), windows, fold, market, ForecastSettings.margins, keywords)
    thresholds = np.full(forecasts.shape[1], round_trip_cost(keywords["costs"]) + margin)
    return Row(traded(forecasts, thresholds, setup.test, keywords))


def fold_of(setup: Setup) -> tuple[Market, Windows, Fold]:
    """The whole market, its windows, and their split into rows to fit, to choose by and to test."""
    market = load(setup.data)
    windows = Windows.of(market, **FORECAST)
    learnt = setup.test.first - int(windows.bar[0])  # windows whose last bar lies before the test period
    try:
        found = folds(len(windows.bar), learnt, 1, min(VALIDATION, learnt // 4), sum(FORECAST.values()))
    except ValueError as error:
        bars = setup.test.first
        raise ValueError(f"split must leave bars enough to learn forecasts from, it leaves {bars}: {error}") from error
    return market, windows, found[0]
