"""``python -m benchmarks compare``: our DQN beside Stable-Baselines3's on real prices, with the baselines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from agents.base.commands import checking, printable
from agents.common.files import check_folder
from agents.common.folders import write_folder
from benchmarks.contenders import sb3
from benchmarks.contenders.settings import CompareSettings, parse
from benchmarks.evaluation.tracks import ENV_ID, PerSeed, Tracks, evaluate
from benchmarks.evaluation.warm_up import warm_up
from benchmarks.forecasting.windows import Fold, Windows, folds
from benchmarks.reports import compare as report
from benchmarks.reports import figures
from benchmarks.statistics.intervals import median_and_range
from trading_env import FeatureScaler, Market, load
from trading_env.analysis import strategies
from trading_env.analysis.strategies import StrategyPolicy

PROGRAM = "python -m benchmarks compare"
STRATEGIES = ("buy_and_hold", "flat", "volatility_target", "time_series_momentum", "moving_average_crossover")
ROWS = (*STRATEGIES, "random", "forecast", "dqn", "sb3_dqn")
FRACTIONS = {"actions": "continuous", "allow_short": False, "min_trade": 0.05}  # what exposures between 0 and 1 take
FORECAST = {"window": 20, "horizon": 5}  # bars seen and bars forecast, as `python -m benchmarks forecast` has them
VALIDATION = 250  # bars, at most a quarter of those to learn from


@dataclass(frozen=True)
class Setup:
    """The two periods and the env: what every row of the table has in common.

    Attributes:
        settings: the options.
        train, test: the market before and after the split; the test's rows before ``first`` are history.
        keywords: of TradingEnv, with the scaler that was fitted on the training period alone.
    """

    settings: CompareSettings
    train: Market
    test: Market
    keywords: dict[str, Any]

    @classmethod
    def of(cls, settings: CompareSettings) -> Setup:
        """Loads the data, splits it and fits the scaler."""
        market = load(settings.data)
        try:
            train, test = market.split(settings.split)
        except (TypeError, ValueError) as error:
            ends = " to ".join(market.time_of(bar) for bar in (market.first, len(market) - 1))
            raise ValueError(f"split must lie within data {settings.data!r}, {ends}: {error}") from error
        keywords = {**settings.env_keywords(), "scaler": FeatureScaler().fit(train)}
        return cls(settings, train, test, keywords)

    def check(self) -> None:
        """Raises where the comparison would fail only after training: ValueError or TypeError naming what is wrong."""
        from agents.dqn import DQN

        DQN(self.training_env(), seeds=1, device="cpu", **self.settings.dqn.for_ours())
        for name in STRATEGIES:
            strategy_env(self, name)
        fold_of(self)

    def training_env(self) -> gym.Env[Any, Any]:
        """An env on the training period whose episodes start anywhere; learners make copies of it."""
        episodes: dict[str, Any] = {"random_start": True, "episode_length": self.settings.episode_length}
        return gym.make(ENV_ID, data=self.train, **episodes, **self.keywords)

    @property
    def long_or_flat(self) -> dict[str, Any]:
        """Keywords of TradingEnv for rules, which know no short positions."""
        return {**self.keywords, "allow_short": False}

    def tested(self, policy: Any, runs: int) -> Tracks:
        """The learner's runs over the whole test period."""
        return evaluate(policy, self.test, runs, **self.keywords)


@dataclass(frozen=True)
class Row:
    """A row of the table: the test runs of a policy, and how fast it was trained if it was.

    Attributes:
        tracks: K runs.
        steps_per_second: training steps of all seeds together per second.
        seconds: that the training took.
    """

    tracks: Tracks
    steps_per_second: float | None = None
    seconds: float | None = None


def main(arguments: Sequence[str]) -> None:
    """Runs the comparison that the command line describes."""
    settings = parse(list(arguments), PROGRAM)
    folder = settings.folder / settings.name
    with checking(PROGRAM):
        setup = Setup.of(settings)
        setup.check()
        check_folder(folder, "folder")
    rows = compare(setup)
    results = report.results(setup, rows)
    contents = {
        "results.json": report.json_bytes(results),
        "equity.parquet": report.parquet_bytes(report.equity_frame(rows)),
        "equity.png": figures.picture(figures.equity_figure(rows, results), folder / "equity.png"),
    }
    write_folder(folder, contents)
    report.print_comparison(results)
    print(printable(f"written: {folder}/results.json, equity.parquet, equity.png"))


def compare(setup: Setup) -> dict[str, Row]:
    """The rows of the table, by name, in the order of `ROWS`."""
    dqn, sb3_dqn = train_dqn(setup), train_sb3_dqn(setup)
    baselines = {name: strategy(setup, name) for name in STRATEGIES}
    turnover = median_and_range(dqn.tracks.measures()["turnover"]).median
    chance = Row(evaluate(*random_traders(setup, turnover), **setup.long_or_flat))
    return {**baselines, "random": chance, "forecast": forecast_trader(setup), "dqn": dqn, "sb3_dqn": sb3_dqn}


def train_dqn(setup: Setup) -> Row:
    """Our DQN: all seeds in one pass."""
    import torch

    from agents.dqn import DQN

    torch.set_num_threads(1)  # networks this small only lose by a second thread
    settings = setup.settings
    warm_up(DQN, setup.training_env(), **settings.dqn.for_ours())
    agent = DQN(setup.training_env(), seeds=settings.seeds, device="cpu", **settings.dqn.for_ours())
    start = time.perf_counter()
    agent.learn(settings.total_timesteps, progress_bar=settings.progress)
    seconds = time.perf_counter() - start
    steps = agent.num_timesteps * settings.seeds
    return Row(setup.tested(agent, settings.seeds), steps / seconds, seconds)


def train_sb3_dqn(setup: Setup) -> Row:
    """Stable-Baselines3's DQN: a process per core, a seed at a time in each."""
    settings = setup.settings
    trained = sb3.train(
        "DQN",
        setup.training_env(),
        settings.seeds,
        settings.total_timesteps,
        processes=settings.processes,
        progress_bar=settings.progress,
        **settings.dqn.for_sb3(),
    )
    return Row(setup.tested(trained.agent, settings.seeds), trained.steps_per_second, trained.seconds)


def forecast_trader(setup: Setup) -> Row:
    """Who follows ridge's forecasts: fitted, and the margin above the costs chosen, on the training period alone."""
    from benchmarks.contenders.forecast_trader import round_trip_cost
    from benchmarks.forecasting.forecasters import ridge
    from benchmarks.suites.forecast import ForecastSettings, traded, walked

    keywords = {**setup.settings.env_keywords(), "allow_short": False, "window": 1}
    market, windows, fold = fold_of(setup)
    forecasts, margin = walked(ridge(), windows, fold, market, ForecastSettings.margins, keywords)
    thresholds = np.full(forecasts.shape[1], round_trip_cost(keywords["costs"]) + margin)
    return Row(traded(forecasts, thresholds, setup.test, keywords))


def fold_of(setup: Setup) -> tuple[Market, Windows, Fold]:
    """The whole market, its windows, and those that forecasters learn from, choose by and are tested on."""
    market = load(setup.settings.data)
    windows = Windows.of(market, **FORECAST)
    learnt = setup.test.first - int(windows.bar[0])  # windows whose last bar lies before the test period
    try:
        found = folds(len(windows.bar), learnt, 1, min(VALIDATION, learnt // 4), sum(FORECAST.values()))
    except ValueError as error:
        bars = setup.test.first
        raise ValueError(f"split must leave bars enough to learn forecasts from, it leaves {bars}: {error}") from error
    return market, windows, found[0]


def strategy(setup: Setup, name: str) -> Row:
    """A strategy of `trading_env.analysis.strategies`, with its own settings."""
    policy, keywords = strategy_env(setup, name)
    return Row(evaluate(policy, setup.test, 1, **keywords))


def strategy_env(setup: Setup, name: str) -> tuple[StrategyPolicy, dict[str, Any]]:
    """The strategy as a policy, and the keywords of the env that it trades in."""
    keywords = {**setup.long_or_flat, **(FRACTIONS if name == "volatility_target" else {})}
    exposures = getattr(strategies, name)(setup.test)
    return StrategyPolicy(exposures, gym.make(ENV_ID, data=setup.test, **keywords)), keywords


def random_traders(setup: Setup, turnover: float) -> tuple[PerSeed, Market, int]:
    """Random policies that trade as much a year as is asked for, at most every bar, their market, and how many."""
    most = setup.test.bars_per_year or 0.0
    n = setup.settings.random_seeds
    exposures = [strategies.random_policy(setup.test, min(turnover, most), seed) for seed in range(n)]
    env = gym.make(ENV_ID, data=setup.test, **setup.long_or_flat)
    return PerSeed([StrategyPolicy(path, env) for path in exposures]), setup.test, n
