"""What a tear sheet shows: accounts of one policy over the same bars, read from a backtest, an env or a history.

K = runs, T = bars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env.analysis.backtest import KEYS, Backtest
from trading_env.analysis.summary import notes
from trading_env.analysis.tracks import Floats, Tracks
from trading_env.analysis.trades import Fill, table_of_fills, trades_table
from trading_env.data.market import Market
from trading_env.data.zones import local_time

PRICES = ("open", "high", "low", "close")
MONEY = ("pnl", "commission", "slippage", "financing")


@dataclass(frozen=True, eq=False)
class Account:
    """The accounts of K runs of one policy.

    Attributes:
        name: of the policy.
        market: name of the market.
        labels: of the runs (K,).
        tracks: their curves; NaN throughout where one is unknown.
        prices: name in `PRICES` -> (T+1,) from the first decision's close on; empty if unknown.
        trades: of each run, as `trading_env.analysis.trades` has them, with bars counted from the first close; None if
            unknown.
        notes: assumptions behind the numbers.
    """

    name: str
    market: str
    labels: tuple[str, ...]
    tracks: Tracks
    prices: Mapping[str, Floats]
    trades: Sequence[Any] | None
    notes: Sequence[str] = ()

    def knows(self, curve: str) -> bool:
        """True if this curve of the tracks is known."""
        return not np.isnan(getattr(self.tracks, curve)).any()

    @property
    def time(self) -> npt.NDArray[np.datetime64] | None:
        """Local timestamps of the closes (T+1,)."""
        return self.tracks.time

    @cached_property
    def middle(self) -> int:
        """The run with the median final equity, the lower of two."""
        return int(np.argsort(self.tracks.equity[:, -1], kind="stable")[(len(self.labels) - 1) // 2])

    def until_ruin(self, k: int) -> Floats:
        """Equity of run k up to the value at which nothing was left."""
        equity: Floats = self.tracks.equity[k]
        gone = np.flatnonzero(equity <= 0.0)
        return equity[: int(gone[0]) + 1] if gone.size else equity


def account_of(source: Any, bars_per_year: float | None = None) -> Account:
    """The account of a Backtest, of an env's running episode, of a history, or of a list of histories, one per run.

    Raises:
        TypeError: source is none of these.
        ValueError: a history has no column equity, or too few rows; or histories have different bars.
    """
    if isinstance(source, Backtest):
        return _of_backtest(source, bars_per_year)
    inner = getattr(source, "unwrapped", source)
    if hasattr(inner, "episode") and hasattr(inner, "task"):
        return _of_env(inner, bars_per_year)
    if callable(getattr(inner, "history", None)):
        return _of_history(inner.history(), bars_per_year)
    several = list(source) if isinstance(source, (list, tuple)) else [source]
    if not several or not all(hasattr(one, "index") and hasattr(one, "to_numpy") for one in several):
        raise TypeError(
            "backtest_or_history must be a Backtest, an env with an episode, a DataFrame with equity, a Series "
            f"of equity, or a list of histories, got {type(source).__name__}"
        )
    return _joined([_of_history(one, bars_per_year) for one in several])


def _of_backtest(result: Backtest, bars_per_year: float | None) -> Account:
    labels = tuple(seed if isinstance(seed, str) else f"seed {seed}" for seed in result.seeds)
    trades = [_from_first(table, result.first) for table in result.trades_of_runs]
    tracks = _with_rate(result.tracks, bars_per_year)
    market, lines = result.market, notes(tracks, result.config)
    return Account(
        result.policy, market.name, labels, tracks, prices_of(market, result.first, len(market)), trades, lines
    )


def _of_env(env: Any, bars_per_year: float | None) -> Account:
    """The account of the episode so far."""
    episode = env.episode()
    if not len(episode.steps):
        raise ValueError("the env's episode has no step yet")
    market, first, stop = episode.market, episode.start, int(episode.bars[-1]) + 1
    time = None if market.local_time is None else market.local_time[first:stop]
    curves = {name: episode.steps[name].to_numpy(np.float64)[None] for name in KEYS}
    rate = bars_per_year or env.task.config.bars_per_year or market.bars_per_year
    tracks = Tracks(time, rate, episode.equity[None], **curves)
    trades = [_from_first(trades_table(env.task, episode), first)]
    lines = notes(tracks, env.task.config)
    return Account("episode", market.name, ("episode",), tracks, prices_of(market, first, stop), trades, lines)


def prices_of(market: Market, first: int, stop: int) -> dict[str, Floats]:
    """The market's prices from one bar up to another; closes stand for what it has not."""
    close = market.close[first:stop]
    if market.open is None or market.high is None or market.low is None:
        return {"close": close}
    return {
        "open": market.open[first:stop],
        "high": market.high[first:stop],
        "low": market.low[first:stop],
        "close": close,
    }


def _from_first(trades: Any, first: int) -> Any:
    return trades.assign(entry_bar=trades["entry_bar"] - first, exit_bar=trades["exit_bar"] - first)


def _with_rate(tracks: Tracks, bars_per_year: float | None) -> Tracks:
    from dataclasses import replace

    return tracks if bars_per_year is None else replace(tracks, bars_per_year=bars_per_year)


# -- histories --------------------------------------------------------------------------------------------------


def _of_history(history: Any, bars_per_year: float | None) -> Account:
    """The account of a DataFrame with a column equity, or of a Series of equity.

    A history of the env begins after its first step: the equity before it follows from that step's gain and costs. Any
    other history begins with its first row.
    """
    frame = history.to_frame("equity") if history.ndim == 1 else history
    if {"symbol", "bar"} <= set(frame):  # of a portfolio: a row for each instrument, and the account's in all of them
        frame = frame.drop_duplicates("bar").drop(columns=["close", "units", "price"])
    if "equity" not in frame:
        raise ValueError(f"a history must have a column equity, got {list(map(str, frame.columns))}")
    own = all(name in frame for name in MONEY)
    equity, time = frame["equity"].to_numpy(np.float64), _time_of(frame)
    if len(equity) < (1 if own else 2):
        raise ValueError(f"a history must have at least {1 if own else 2} rows, got {len(equity)}")
    if own:
        row = frame.iloc[0]
        start = row["equity"] - row["pnl"] + row["commission"] + row["slippage"] + row["financing"]
        equity = np.concatenate([[start], equity])
        time = None if time is None else np.concatenate([[time[0] - _bar(time)], time])
    else:
        frame = frame.iloc[1:]
    unknown = np.full(len(equity) - 1, np.nan)
    curves = {name: (frame[name].to_numpy(np.float64) if name in frame else unknown)[None] for name in KEYS}
    rate = bars_per_year or Market(np.ones(len(equity)), time=time).bars_per_year
    tracks = Tracks(time, rate, equity[None], **curves)
    close = frame["close"].to_numpy(np.float64) if "close" in frame else None
    prices = {} if close is None else {"close": np.concatenate([close[:1], close])}
    return Account("history", "", ("history",), tracks, prices, _trades_of(frame))


def _time_of(frame: Any) -> Any:
    """Local timestamps of the rows (T,), from a column time or a DatetimeIndex; None without any."""
    import pandas as pd

    if "time" in frame:
        return local_time(Market(np.ones(len(frame)), time=frame["time"]).time)  # type: ignore[arg-type]
    if isinstance(frame.index, pd.DatetimeIndex):
        return local_time(Market(np.ones(len(frame)), time=frame.index).time)  # type: ignore[arg-type]
    return None


def _bar(time: Any) -> Any:
    """The usual distance of timestamps; a day for a single one."""
    return (
        np.median(np.diff(time).astype(np.int64)).astype("timedelta64[ns]") if len(time) > 1 else np.timedelta64(1, "D")
    )


def _trades_of(frame: Any) -> list[Any] | None:
    """Trades by the changes of a column units, at the prices of a column price; None without these."""
    if not {"units", "price", "close"} <= set(frame):
        return None
    units, price = (frame[name].to_numpy(np.float64) for name in ("units", "price"))
    costs = sum(
        frame[name].to_numpy(np.float64) if name in frame else 0.0 * units for name in ("commission", "slippage")
    )
    traded = np.diff(units, prepend=0.0)
    fills = [
        Fill(i + 1, float(traded[i]), float(price[i]), float(costs[i]), float(units[i]), "order")
        for i in np.flatnonzero(traded).tolist()
    ]
    return [table_of_fills(fills, len(units), float(frame["close"].iloc[-1]))]


def _same(one: Any, other: Any) -> bool:
    """True if both are the same timestamps, or both unknown."""
    return one is other if one is None or other is None else bool(np.array_equal(one, other))


def _joined(parts: Sequence[Account]) -> Account:
    """Accounts over the same bars as the runs of one."""
    first = parts[0]
    for i, part in enumerate(parts):
        same = part.tracks.equity.shape == first.tracks.equity.shape
        if not same or not _same(part.time, first.time):
            raise ValueError(f"histories must have the same bars, those of history {i} differ from history 0's")
    if len(parts) == 1:
        return first
    curves = {name: np.concatenate([getattr(part.tracks, name) for part in parts]) for name in ("equity", *KEYS)}
    known = all(part.trades is not None for part in parts)
    return Account(
        first.name,
        first.market,
        tuple(f"run {i}" for i in range(len(parts))),
        Tracks(first.time, first.tracks.bars_per_year, **curves),
        first.prices,
        [table for part in parts for table in part.trades or ()] if known else None,
    )
