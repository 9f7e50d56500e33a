"""Causal trading rules: the baselines that every agent is held against. T = bars, N = envs.

A strategy is a function of a Market that returns the exposure to choose at each bar (T,), made of bars up to it
only. `StrategyPolicy` turns exposures into the actions of an env, with the `predict` of Stable-Baselines3, so
that a strategy pays the same costs in the same account as an agent. Where a strategy lacks history, it is flat.

    market = load("us-stocks/AAPL")
    env = gym.make("trading_env:TradingEnv-v0", data=market)
    policy = StrategyPolicy(moving_average_crossover(market), env)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import flag, integer, number
from trading_env.data.bars import as_column
from trading_env.data.market import Market

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-12  # of a price: averages of equal prices differ by less
State = tuple[npt.NDArray[np.int64]]


def flat(market: Market) -> Floats:
    """Never invested: exposures 0 (T,)."""
    return np.zeros(len(_checked(market)))


def buy_and_hold(market: Market) -> Floats:
    """Always fully invested: exposures 1 (T,)."""
    return np.ones(len(_checked(market)))


def random_policy(market: Market, turnover: float, seed: int = 0) -> Floats:
    """Exposures 0 or 1 (T,) that change at random moments, so often that they trade ``turnover`` a year.

    Entering trades the whole equity once, and so does leaving: with a chance of turnover / bars_per_year at each
    bar, the expected turnover is the one asked for. The first exposure is 0 or 1 by a fair draw, so that an episode
    begins with half a trade beside these, on average.

    Args:
        market: its timestamps or bars_per_year give the length of a year.
        turnover: traded notional per year over equity, as `metrics.annual_turnover`; at most bars_per_year.
        seed: of the draws.

    Raises:
        TypeError: seed is no int.
        ValueError: turnover is negative, or more than one trade per bar, or seed is negative.
    """
    _checked(market)
    if market.bars_per_year is None:
        raise ValueError(f"bars_per_year of {market.name!r} is unknown, so no turnover per year can be met")
    chance = number("turnover", turnover, least=0.0) / market.bars_per_year
    if chance > 1.0:
        raise ValueError(f"turnover must be at most one trade per bar, {market.bars_per_year:g} a year, got {turnover}")
    rng = np.random.default_rng(integer("seed", seed, 0))
    first = rng.integers(2)  # before the bars' draws, whose number says how many bars follow
    changes = rng.random(len(market)) < chance
    return np.asarray((first + np.cumsum(changes)) % 2, np.float64)


def volatility_target(market: Market, target: float = 0.15, lookback: int = 20, most: float = 1.0) -> Floats:
    """Exposure target / volatility (T,), at most ``most``: less of the market when it moves more.

    Args:
        market: the bars.
        target: volatility to hold, per year.
        lookback: bars over which it is measured, divisor lookback - 1.
        most: largest exposure.
    """
    _checked(market)
    if market.bars_per_year is None:
        raise ValueError(f"bars_per_year of {market.name!r} is unknown, so no volatility per year can be met")
    number("target", target, above=0.0)
    number("most", most, above=0.0)
    integer("lookback", lookback, 2)
    deviations = _windows(_returns(market), lookback).std(axis=1, ddof=1)
    volatility = deviations * math.sqrt(market.bars_per_year)
    return _after_warmup(market, np.minimum(target / np.maximum(volatility, target / most), most))


def time_series_momentum(market: Market, lookback: int = 252, short: bool = False) -> Floats:
    """Exposure 1 where the price is above that of ``lookback`` bars ago, else 0, or -1 with ``short`` (T,).

    Source:
        Moskowitz, Ooi and Pedersen (2012), Time Series Momentum.
    """
    _checked(market)
    integer("lookback", lookback, 1)
    rises = market.close[lookback:] > market.close[:-lookback]
    return _after_warmup(market, np.where(rises, 1.0, _below(short)))


def moving_average_crossover(market: Market, fast: int = 50, slow: int = 200, short: bool = False) -> Floats:
    """Exposure 1 where the mean of the last ``fast`` closes is above that of ``slow``, else 0 or -1 (T,).

    Raises:
        ValueError: fast is not below slow.
    """
    if integer("fast", fast, 1) >= integer("slow", slow, 2):
        raise ValueError(f"fast must be below slow, got fast={fast} and slow={slow}")
    close = _summable(_checked(market).close)
    quick, lazy = (_windows(close, bars).mean(axis=1) for bars in (fast, slow))
    above = quick[slow - fast :] > lazy * (1.0 + ROUNDING)
    return _after_warmup(market, np.where(above, 1.0, _below(short)))


def mean_reversion(market: Market, lookback: int = 20, entry: float = 1.0, short: bool = False) -> Floats:
    """Buys what fell and holds it until it is back at its mean (T,).

    With z the close's distance from the mean of the last ``lookback`` closes in their standard deviations:
    exposure 1 from z < -entry until z >= 0; with ``short`` also -1 from z > entry until z <= 0; else 0.
    """
    integer("lookback", lookback, 2)
    number("entry", entry, above=0.0)
    flag("short", short)
    close = _summable(_checked(market).close)
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


def _checked(market: Market) -> Market:
    """The market, if it is one."""
    if not isinstance(market, Market):
        raise TypeError(f"market must be a Market, as load(...) gives it, got {type(market).__name__} {market!r:.60}")
    return market


def _returns(market: Market) -> Floats:
    """Simple returns (T - 1,); ValueError at a bar whose return no float64 can be squared with."""
    with np.errstate(over="ignore"):
        returns: Floats = np.diff(market.close) / market.close[:-1]
    if not (returns < 1e150).all():
        bar = int(np.argmin(returns < 1e150)) + 1
        raise ValueError(f"market must have returns below 1e150, got a close of {market.close[bar]:g} at bar {bar}")
    return returns


def _summable(close: Floats) -> Floats:
    """The closes in another unit of currency where float64 could not hold their squares, which no rule here notices."""
    most = float(close.max())
    return close if 1e-140 < most < 1e140 else np.ldexp(close, -math.frexp(most)[1])


def _windows(values: Floats, bars: int) -> Floats:
    """The last ``bars`` values of each bar that has them (T - bars + 1, bars); none where the series is shorter."""
    if len(values) < bars:
        return np.empty((0, 2))  # two, of which a deviation is defined
    result: Floats = np.lib.stride_tricks.sliding_window_view(values, bars)
    return result


def _after_warmup(market: Market, exposures: Floats) -> Floats:
    """Zeros for the bars that lack history, then the exposures (T,)."""
    warmup = np.zeros(len(market) - len(exposures))
    return np.concatenate([warmup, exposures])


def _below(short: bool) -> float:
    return -1.0 if flag("short", short) else 0.0


class StrategyPolicy:
    """Acts in an env as the exposures say, by `predict` as Stable-Baselines3 has it.

    Args:
        exposures: to choose at each bar of the env's market (T,).
        env: a TradingEnv, alone or vectorised, wrapped or not, with one dataset and without random_start: the
            policy counts bars from the first decision on, it does not look at the observation.
        nearest: whether an exposure that is none of the env's actions is rounded to the nearest that is.

    Raises:
        TypeError: env is no TradingEnv.
        ValueError: the episodes of env differ, exposures have another shape or are not finite, or the env has no
            action for one of them.
    """

    def __init__(self, exposures: npt.ArrayLike, env: Any, nearest: bool = False) -> None:
        task = getattr(getattr(env, "unwrapped", None), "task", None)
        if task is None:
            raise TypeError(f"env must be a TradingEnv, got {env!r}")
        flag("nearest", nearest)
        if task.drawn:
            raise ValueError("env must have one dataset and random_start=False, so that every episode is the same")
        targets = as_column("exposures", exposures)
        bars = len(task.markets[0])
        if targets.shape != (bars,):
            raise ValueError(f"exposures must be {bars} finite numbers, got shape {targets.shape}")
        if not np.isfinite(targets).all():
            bar = int(np.isfinite(targets).argmin())
            raise ValueError(f"exposures must be {bars} finite numbers, got {targets[bar]} at bar {bar}")
        self.exposures = targets
        self.first = task.firsts[0]
        self.actions = _actions(targets[self.first :], task, nearest)

    def predict(
        self,
        observation: Any,
        state: State | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[Any, State]:
        """Actions for one observation or a batch of N, and the state to hand in at the next call.

        Args:
            observation: (D,) or (N, D), or a dict with "account" (4,) or (N, 4); only its shape is used.
            state: of the last call; None at the first decision of an episode.
            episode_start: which envs begin an episode now (N,).
            deterministic: has no effect.

        Raises:
            ValueError: an argument has another shape, or the state lies beyond the market's last bar.
        """
        if isinstance(observation, dict) and "account" not in observation:
            raise ValueError(f"observation must have 'account', got {list(observation)}")
        shape = np.shape(observation["account"] if isinstance(observation, dict) else observation)
        if len(shape) not in (1, 2):
            raise ValueError(f"observation must be (D,) or (N, D), got shape {shape}")
        step = self._steps(1 if len(shape) == 1 else shape[0], state, episode_start)
        action = self.actions[step]
        return action[0] if len(shape) == 1 else action, (step + 1,)

    def _steps(self, n: int, state: State | None, episode_start: Any) -> npt.NDArray[np.int64]:
        """The decision's number in each env (n,), checked."""
        step = np.zeros(n, np.int64)
        if state is not None:
            given = state[0] if isinstance(state, tuple | list) and len(state) == 1 else None
            if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu" or given.shape != (n,):
                raise ValueError(f"state must be what the last call gave for {n} observations, got {state!r}")
            step = given
        if episode_start is not None:
            if np.shape(episode_start) not in ((), (n,)):
                raise ValueError(f"episode_start must be {n} flags, got shape {np.shape(episode_start)}")
            step = np.where(episode_start, 0, step)
        if n and not (step.min() >= 0 and step.max() < len(self.actions)):
            last = len(self.actions) - 1
            raise ValueError(f"state must lie in the episode of {last} steps, got step {step.max()}: begin it anew")
        return step


def _actions(targets: Floats, task: Any, nearest: bool) -> npt.NDArray[Any]:
    """The actions (T,), continuous (T, 1), that choose the targets."""
    if task.actions == "continuous":
        scaled = targets / task.margin.max_leverage
        if np.abs(scaled).max() > 1.0:
            raise ValueError(f"exposures reach {np.abs(targets).max():g}, max_leverage is {task.margin.max_leverage:g}")
        if scaled.min() < task.least:
            raise ValueError(f"exposures go down to {targets.min():g}, and allow_short=False refuses short positions")
        return np.asarray(scaled[:, None], np.float32)
    if task.actions == "lots":
        raise ValueError("actions='lots' choose trades, not exposures: no exposure can be met")
    distances = np.abs(targets[:, None] - task.orders)  # [T, A], NaN for hold
    chosen = np.nanargmin(distances, axis=1)
    missed = np.flatnonzero(distances[np.arange(len(targets)), chosen] > 1e-9)
    if missed.size and not nearest:
        raise ValueError(f"env has no action for the exposure {targets[missed[0]]:g}; it has {task.orders.tolist()}")
    return np.asarray(chosen, np.int64)
