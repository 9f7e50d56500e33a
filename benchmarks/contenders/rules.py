"""Contenders that learn nothing: the strategies of `trading_env.analysis.strategies`, and random traders."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from benchmarks.contenders.setup import Row, Setup
from benchmarks.evaluation.tracks import ENV_ID
from trading_env import backtest
from trading_env.analysis import strategies
from trading_env.analysis.strategies import StrategyPolicy

STRATEGIES = ("buy_and_hold", "flat", "volatility_target", "time_series_momentum", "moving_average_crossover")
FRACTIONS = {"actions": "continuous", "allow_short": False, "min_trade": 0.05}  # env keywords for fractional exposures


def strategy(setup: Setup, name: str) -> Row:
    """The test run of a strategy with its default settings."""
    policy, keywords = strategy_env(setup, name)
    return Row(backtest(policy, setup.test, **keywords).tracks)


def strategy_env(setup: Setup, name: str) -> tuple[StrategyPolicy, dict[str, Any]]:
    """The strategy as a policy, and the keywords of the env that it trades in."""
    keywords = {**setup.long_or_flat, **(FRACTIONS if name == "volatility_target" else {})}
    exposures = getattr(strategies, name)(setup.test)
    return StrategyPolicy(exposures, gym.make(ENV_ID, data=setup.test, **keywords)), keywords


def random_traders(setup: Setup, turnover: float) -> Row:
    """Test runs of random policies with this yearly turnover, or of one trade a bar if that is less."""
    most = setup.test.bars_per_year or 0.0
    n = setup.settings.random_seeds
    exposures = [strategies.random_policy(setup.test, min(turnover, most), seed) for seed in range(n)]
    env = gym.make(ENV_ID, data=setup.test, **setup.long_or_flat)
    traders = [StrategyPolicy(path, env) for path in exposures]
    return Row(backtest(traders, setup.test, **setup.long_or_flat).tracks)
