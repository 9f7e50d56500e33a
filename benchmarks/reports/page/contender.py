"""Charts of one contender of a study on one dataset, with the drawings of the tear sheet."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.reports.page.accounts import Joined, holdings
from benchmarks.statistics.intervals import Floats
from trading_env.analysis import periods
from trading_env.report import calendar, curves, trading
from trading_env.report.account import Account
from trading_env.report.arrays import Arrays, coarser, short
from trading_env.report.figures import bars, monthly
from trading_env.report.page import Cell

POINTS = 100  # of a seed's curve


def mean_periods(account: Account, unit: str) -> tuple[Any, Floats] | None:
    """Calendar periods, and the returns of each seed (K, P), 0 after a ruin; None without timestamps."""
    if account.time is None:
        return None
    found = [
        periods.period_returns(account.until_ruin(k), account.time[: account.until_ruin(k).size], unit)
        for k in range(len(account.labels))
    ]
    longest = max(found, key=lambda one: len(one.start))
    values = np.zeros((len(found), len(longest.start)))
    for k, one in enumerate(found):
        values[k, : len(one.returns)] = one.returns
    return longest.start, values


def monthly_chart(account: Account) -> dict[str, Any] | None:
    """Heat map of monthly returns, mean over seeds."""
    found = mean_periods(account, "month")
    return None if found is None else monthly(found[0], found[1].mean(0), account.name)


def yearly_chart(account: Account) -> dict[str, Any] | None:
    """Yearly returns, mean over seeds, with the range of seeds."""
    found = mean_periods(account, "year")
    if found is None:
        return None
    start, values = found
    years, mean = [str(one) for one in start], values.mean(0)
    words = ", ".join(f"{year} {value:+z.1%}" for year, value in zip(years, mean, strict=True))
    drawn = bars(years, {account.name: mean.tolist()}, f"Returns by year: {words}.")
    if len(values) > 1:
        ends = {"array": values.max(0) - mean, "arrayminus": mean - values.min(0)}
        ends = {name: [short(value) for value in one.tolist()] for name, one in ends.items()}
        drawn["data"][0]["error_y"] = {"type": "data", **ends, "color": "@muted", "thickness": 1.5}
    return drawn


def drawdown_rows(account: Account) -> list[list[Cell]]:
    """The ten worst drawdowns of the seed with the median final equity."""
    return calendar.drawdown_rows(account, account.middle)


def rolling_chart(account: Account, arrays: Arrays) -> dict[str, Any] | None:
    """Rolling Sharpe ratio, median and range of seeds."""
    return curves.rolling_chart(account, arrays, "sharpe", most=80)


def exposure_chart(joined: Joined, arrays: Arrays) -> dict[str, Any]:
    """Exposure, median and range of seeds."""
    return curves.exposure_chart(joined.account, arrays, marks_of(joined), POINTS)


def costs_chart(account: Account, arrays: Arrays) -> dict[str, Any]:
    """Terms of the costs paid so far, mean over seeds."""
    return curves.costs_chart(account, arrays, POINTS // 2)


def marks_of(joined: Joined) -> list[Any]:
    """Where folds after the first begin, on the time axis."""
    time = joined.account.time
    return [first if time is None else str(time[first].astype("datetime64[s]")) for first in joined.firsts[1:]]


def trading_chart(joined: Joined, k: int, fill: str, arrays: Arrays, shared: str) -> dict[str, Any]:
    """Candles, holdings, equity, drawdown and exposure of a seed; ``shared`` names what `market_of` returns."""
    account = joined.account
    entry, exit_, side, gain, by = holdings(joined, k, fill)
    trades = trading.packed_trades(arrays, entry, exit_, side, gain, closed_by=by, rounded=True)
    gains = f"{np.mean(gain > 0):z.0%} with a gain" if gain.size else "so no trade"
    alt = f"{account.name}, {account.labels[k]}: {entry.size:,} holdings, {gains}."
    return {"trading": {"shared": shared, "account": _levels(account, k, arrays), "trades": trades}, "alt": alt}


def market_of(joined: Joined, arrays: Arrays) -> dict[str, Any]:
    """What all trading charts on a dataset have in common: prices, time axis, borders of folds, unit of gains."""
    account = joined.account
    columns = trading.market_columns(account.time, account.prices, account.tracks.equity.shape[1])
    axis = "linear" if account.time is None else "date"
    return {"market": trading.levels_of(columns, arrays), "axis": axis, "borders": marks_of(joined), "net": ".2%"}


def _levels(account: Account, k: int, arrays: Arrays) -> list[dict[str, Any]]:
    """Curves of a seed at one resolution, in two bytes a number, so that all seeds fit into the page."""
    columns = trading.account_columns(account.tracks.equity[k], account.tracks.exposure[k])
    size = max(-(-account.tracks.equity.shape[1] // POINTS), 1)
    x = trading.market_columns(account.time, {}, account.tracks.equity.shape[1])
    coarse = coarser({**x, **columns}, size)
    times = arrays.add(coarse.pop("x"))
    return [{"bars": size, "columns": {"x": times, **{name: arrays.add_rounded(one) for name, one in coarse.items()}}}]
