"""The account of a backtest, of an env's episode, or of histories. K = runs, T = bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from trading_env._checks import number
from trading_env.analysis.backtest import KEYS, Backtest
from trading_env.analysis.summary import notes
from trading_env.analysis.tracks import Tracks
from trading_env.analysis.trades import trades_table
from trading_env.data.market import Market
from trading_env.envs.config import EnvConfig
from trading_env.report.account import Account, prices_of
from trading_env.report.histories import account_of_history, joined
from trading_env.report.years import rate_of


def account_of(source: Any, bars_per_year: float | None = None) -> Account:
    """The account of a Backtest, of an env's running episode, of a history, or of a list of histories, one per run.

    Raises:
        TypeError: source is none of these.
        ValueError: a history has no column equity, too few rows, or an equity that is not finite or begins at 0; or
            histories have different bars.
    """
    if bars_per_year is not None:
        number("bars_per_year", bars_per_year, above=0.0)
    if isinstance(source, Backtest):
        return _of_backtest(source, bars_per_year)
    inner = getattr(source, "unwrapped", source)
    if hasattr(inner, "episode") and hasattr(inner, "task"):
        return _of_env(inner, bars_per_year)
    if callable(getattr(inner, "history", None)):
        return account_of_history(inner.history(), bars_per_year, _declared(inner))
    several = list(source) if isinstance(source, (list, tuple)) else [source]
    if not several or not all(hasattr(one, "index") and hasattr(one, "to_numpy") for one in several):
        raise TypeError(
            "backtest_or_history must be a Backtest, an env with an episode, a DataFrame with equity, a Series "
            f"of equity, or a list of histories, got {type(source).__name__}"
        )
    return joined([account_of_history(one, bars_per_year) for one in several])


def _of_backtest(result: Backtest, bars_per_year: float | None) -> Account:
    market, first = result.market, result.first
    labels = tuple(seed if isinstance(seed, str) else f"seed {seed}" for seed in result.seeds)
    trades = [_from_first(table, first) for table in result.trades_of_runs]
    account = _on(market, first, len(market), result.policy, labels, result.tracks, trades)
    return _annualised(account, market, result.config, bars_per_year)


def _of_env(env: Any, bars_per_year: float | None) -> Account:
    """The account of the episode so far."""
    episode = env.episode()
    if not len(episode.steps):
        raise ValueError("the env's episode has no step yet")
    market, first, stop = episode.market, episode.start, int(episode.bars[-1]) + 1
    config = env.task.config
    time = None if market.local_time is None else market.local_time[first:stop]
    curves = {name: episode.steps[name].to_numpy(np.float64)[None] for name in KEYS}
    tracks = Tracks(time, config.bars_per_year or market.bars_per_year, episode.equity[None], **curves)
    trades = [_from_first(trades_table(env.task, episode), first)]
    account = _on(market, first, stop, "episode", ("episode",), tracks, trades)
    return _annualised(account, market, config, bars_per_year)


def _on(
    market: Market, first: int, stop: int, name: str, labels: tuple[str, ...], tracks: Tracks, trades: list[Any]
) -> Account:
    """The account of runs on these closes of a market."""
    stamps = None if market.time is None else market.time[first:stop]
    prices = prices_of(market, first, stop)
    return Account(name, market.name, labels, tracks, prices, trades, (), stamps, (first, len(market)))


def _annualised(account: Account, market: Market, config: EnvConfig, bars_per_year: float | None) -> Account:
    """The account with the bars per year of the report, and its assumptions."""
    rate, irregular = rate_of(bars_per_year, account.tracks.bars_per_year, account.stamps, market.time)
    tracks = replace(account.tracks, bars_per_year=rate)
    return replace(account, tracks=tracks, notes=[*irregular, *notes(tracks, config)])


def _from_first(trades: Any, first: int) -> Any:
    """The trades with bars counted from the first close."""
    return trades.assign(entry_bar=trades["entry_bar"] - first, exit_bar=trades["exit_bar"] - first)


def _declared(env: Any) -> float | None:
    """Bars per year of an env of portfolios; None if they are unknown, or differ between its panels."""
    rates = {env.task.config.bars_per_year or panel.bars_per_year for panel in env.task.markets}
    return rates.pop() if len(rates) == 1 else None
