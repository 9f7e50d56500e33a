"""A trader that follows forecasts: it buys above the cost threshold and sells below minus it.

Axis letters: S seeds, n forecasts, T bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.statistics.intervals import numbers
from trading_env import Costs, Market, backtest
from trading_env.analysis.strategies import StrategyPolicy
from trading_env.analysis.tracks import Tracks

Floats = npt.NDArray[np.float64]


def round_trip_cost(costs: Costs | Mapping[str, float]) -> float:
    """Fraction lost by buying and selling again at an unchanged price, without fixed and minimum fees."""
    if not isinstance(costs, Costs | Mapping):
        raise TypeError(f"costs must be Costs or a mapping of its fields, got {costs!r}")
    costs = costs if isinstance(costs, Costs) else Costs(**costs)
    spread, rate = costs.half_spread + costs.slippage, costs.commission
    return 1.0 - (1.0 - spread) * (1.0 - rate) / ((1.0 + spread) * (1.0 + rate))


def forecast_exposures(forecast: npt.ArrayLike, threshold: npt.ArrayLike, short: bool = False) -> Floats:
    """Exposures (T,): 1 from a forecast above the threshold, 0 (or -1) from one below minus it, else as before.

    Exposure is 0 before the first such forecast. The exposure of a bar depends only on forecasts up to that bar.

    Args:
        forecast: of the return that follows each bar (T,); NaN where there is none, which keeps the exposure.
        threshold: a nonnegative number, or one for each bar (T,).
        short: True to sell short instead of being flat.
    """
    given, bounds = numbers("forecast", forecast, 1), numbers("threshold", threshold, 0, 1)
    if bounds.shape not in ((), given.shape):
        raise ValueError(f"threshold must be one, or {len(given)} as forecast has, got shape {bounds.shape}")
    values, least = np.broadcast_arrays(given, bounds)
    if not (least >= 0.0).all():
        raise ValueError(f"threshold must not be negative or NaN, got {least[~(least >= 0.0)][0]}")
    signals = np.where(values > least, 1.0, np.where(values < -least, -1.0 if short else 0.0, np.nan))
    last = np.maximum.accumulate(np.where(np.isnan(signals), -1, np.arange(len(signals))))
    return np.where(last >= 0, signals[last], 0.0)


def forecast_trader(forecast: npt.ArrayLike, env: Any, threshold: npt.ArrayLike, short: bool = False) -> StrategyPolicy:
    """A policy with Stable-Baselines3's `predict` that holds the exposures of `forecast_exposures` in a TradingEnv.

    Args:
        forecast: made at each bar of the env's market from the bars up to it (T,).
        env: a TradingEnv with one dataset and without random_start.
        threshold: as in `forecast_exposures`: the round-trip cost plus a margin.
        short: True to sell short; env must allow it.
    """
    return StrategyPolicy(forecast_exposures(forecast, threshold, short), env)


def choose_margin(forecasts: Floats, market: Market, margins: Sequence[float], keywords: Mapping[str, Any]) -> float:
    """The margin above the round-trip cost with the highest mean log return over seeds on the market's own bars.

    Among equally good margins it is the largest, which trades least.

    Args:
        forecasts: of each seed at each bar (S, T).
        market: the validation period.
        margins: to choose from.
        keywords: of TradingEnv.
    """
    cost, env = round_trip_cost(keywords["costs"]), gym.make(ENV_ID, data=market, **keywords)
    ordered = sorted(margins, reverse=True)
    traders = [forecast_trader(row, env, cost + margin) for margin in ordered for row in forecasts]
    equity = backtest(traders, market, **keywords).tracks.equity  # [margins * S, T + 1]
    gained = np.log(equity[:, -1] / equity[:, 0]).reshape(len(ordered), -1).mean(axis=1)
    return ordered[int(np.argmax(gained))]


def traded(forecasts: Floats, thresholds: Floats, market: Market, keywords: Mapping[str, Any]) -> Tracks:
    """The account of a trader that follows each seed's forecasts [S, n] of the market's own bars."""
    env = gym.make(ENV_ID, data=market, **keywords)
    least = aligned(thresholds[None], market)[0]
    traders = [forecast_trader(row, env, np.nan_to_num(least)) for row in aligned(forecasts, market)]
    return backtest(traders, market, **keywords).tracks


def aligned(values: Floats, market: Market) -> Floats:
    """Values [S, n] of the market's own bars at all of its bars [S, T], NaN before."""
    result = np.full((len(values), len(market)), np.nan)
    result[:, market.first :] = values
    return result
