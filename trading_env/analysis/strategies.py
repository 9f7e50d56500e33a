"""Causal trading rules, used as baselines for agents. T = bars.

A strategy is a function of a Market that returns the target exposure at each bar (T,), computed from bars up to it
only; it is 0 where the strategy lacks history. `trading_env.backtest` trades one; `StrategyPolicy` turns exposures into
an env's actions, with the `predict` of Stable-Baselines3, so that a strategy pays the same costs in the same account as
an agent.

    result = backtest(moving_average_crossover, "us-stocks/AAPL")

    market = load("us-stocks/AAPL")
    env = gym.make("trading_env:TradingEnv-v0", data=market)
    policy = StrategyPolicy(moving_average_crossover(market), env)
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from trading_env._checks import flag, integer, number
from trading_env.data.market import Market, checked_market
from trading_env.envs.acting.strategy_policy import StrategyPolicy

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-12  # relative: averages of equal prices differ by less

__all__ = [
    "StrategyPolicy",
    "buy_and_hold",
    "flat",
    "mean_reversion",
    "moving_average_crossover",
    "random_policy",
    "time_series_momentum",
    "volatility_target",
]


def flat(market: Market) -> Floats:
    """Never invested: exposures 0 (T,)."""
    return np.zeros(len(checked_market(market)))


def buy_and_hold(market: Market) -> Floats:
    """Always fully invested: exposures 1 (T,)."""
    return np.ones(len(checked_market(market)))


def random_policy(market: Market, turnover: float, seed: int = 0) -> Floats:
    """Exposures 0 or 1 (T,) that change at random bars, with an expected ``turnover`` per year.

    Each change of exposure trades the whole equity once, so the exposure changes at each bar with probability
    turnover / bars_per_year. The first exposure is 0 or 1 with equal probability, which adds half a trade on average
    at the beginning of an episode.

    Args:
        market: the bars; its bars_per_year must be known.
        turnover: traded notional per year over equity, as `metrics.annual_turnover`; at most bars_per_year.
        seed: seed of the Generator.

    Raises:
        TypeError: seed is not an int.
        ValueError: turnover is negative or more than one trade per bar, or seed is negative.
    """
    checked_market(market)
    if market.bars_per_year is None:
        raise ValueError(f"bars_per_year of {market.name!r} is unknown, so no turnover per year can be met")
    chance = number("turnover", turnover, least=0.0) / market.bars_per_year
    if chance > 1.0:
        raise ValueError(f"turnover must be at most one trade per bar, {market.bars_per_year:g} a year, got {turnover}")
    rng = np.random.default_rng(integer("seed", seed, 0))
    first = rng.integers(2)  # drawn first, so that the changes do not depend on the number of bars
    changes = rng.random(len(market)) < chance
    return np.asarray((first + np.cumsum(changes)) % 2, np.float64)


def volatility_target(market: Market, target: float = 0.15, lookback: int = 20, most: float = 1.0) -> Floats:
    """Exposure target / volatility (T,), at most ``most``.

    Args:
        market: the bars.
        target: target volatility per year.
        lookback: number of returns over which volatility is measured, with divisor lookback - 1.
        most: largest exposure.
    """
    checked_market(market)
    if market.bars_per_year is None:
        raise ValueError(f"bars_per_year of {market.name!r} is unknown, so no volatility per year can be met")
    number("target", target, above=0.0)
    number("most", most, above=0.0)
    integer("lookback", lookback, 2)
    deviations = _windows(_returns(market), lookback).std(axis=1, ddof=1)
    volatility = deviations * math.sqrt(market.bars_per_year)
    return _after_warmup(market, np.minimum(target / np.maximum(volatility, target / most), most))


def time_series_momentum(market: Market, lookback: int = 252, short: bool = False) -> Floats:
    """Exposure 1 where the close is above that ``lookback`` bars ago, else 0, or -1 with ``short`` (T,).

    Source:
        Moskowitz, Ooi and Pedersen (2012), Time Series Momentum.
    """
    checked_market(market)
    integer("lookback", lookback, 1)
    rises = market.close[lookback:] > market.close[:-lookback]
    return _after_warmup(market, np.where(rises, 1.0, _below(short)))


def moving_average_crossover(market: Market, fast: int = 50, slow: int = 200, short: bool = False) -> Floats:
    """Exposure 1 where the mean of the last ``fast`` closes exceeds that of ``slow``, else 0; -1 with ``short`` (T,).

    Raises:
        ValueError: fast is not below slow.
    """
    if integer("fast", fast, 1) >= integer("slow", slow, 2):
        raise ValueError(f"fast must be below slow, got fast={fast} and slow={slow}")
    close = _summable(checked_market(market).close)
    quick, lazy = (_windows(close, bars).mean(axis=1) for bars in (fast, slow))
    above = quick[slow - fast :] > lazy * (1.0 + ROUNDING)
    return _after_warmup(market, np.where(above, 1.0, _below(short)))


def mean_reversion(market: Market, lookback: int = 20, entry: float = 1.0, short: bool = False) -> Floats:
    """Exposure 1 from a fall below the mean until the price returns to it, else 0 (T,).

    Let z be the distance of the close from the mean of the last ``lookback`` closes, in their standard deviations:
    exposure 1 from z < -entry until z >= 0; with ``short`` also -1 from z > entry until z <= 0; else 0.
    """
    integer("lookback", lookback, 2)
    number("entry", entry, above=0.0)
    flag("short", short)
    close = _summable(checked_market(market).close)
    windows = _windows(close, lookback)
    deviations = windows.std(axis=1, ddof=1)
    distances = windows[:, -1] - windows.mean(axis=1)
    moved = deviations > ROUNDING * close[lookback - 1 :]
    scores = np.divide(distances, deviations, out=np.zeros_like(distances), where=moved)
    exposures = np.zeros(len(scores))
    held = 0.0
    for i, score in enumerate(scores):
        if held * score >= 0.0:
            held = 0.0
        if score < -entry:
            held = 1.0
        elif short and score > entry:
            held = -1.0
        exposures[i] = held
    return _after_warmup(market, exposures)


def _returns(market: Market) -> Floats:
    """Simple returns (T - 1,); ValueError if the square of one would overflow float64."""
    with np.errstate(over="ignore"):
        returns: Floats = np.diff(market.close) / market.close[:-1]
    if not (returns < 1e150).all():
        bar = int(np.argmin(returns < 1e150)) + 1
        raise ValueError(f"market must have returns below 1e150, got a close of {market.close[bar]:g} at bar {bar}")
    return returns


def _summable(close: Floats) -> Floats:
    """The closes, rescaled by a power of two if their squares would leave float64; no rule depends on the scale."""
    most = float(close.max())
    return close if 1e-140 < most < 1e140 else np.ldexp(close, -math.frexp(most)[1])


def _windows(values: Floats, bars: int) -> Floats:
    """The last ``bars`` values of each bar that has so many (T - bars + 1, bars)."""
    if len(values) < bars:
        return np.empty((0, 2))  # two columns, so that their deviation is defined
    result: Floats = np.lib.stride_tricks.sliding_window_view(values, bars)
    return result


def _after_warmup(market: Market, exposures: Floats) -> Floats:
    """Exposures (T,): 0 for the bars without enough history, then ``exposures``."""
    warmup = np.zeros(len(market) - len(exposures))
    return np.concatenate([warmup, exposures])


def _below(short: bool) -> float:
    return -1.0 if flag("short", short) else 0.0
