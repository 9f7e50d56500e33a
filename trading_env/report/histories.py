"""Accounts from histories: DataFrames or Series of equity, of an env or of the user's own. T = bars."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from trading_env.analysis.backtest import KEYS
from trading_env.analysis.tracks import Floats, Tracks
from trading_env.analysis.trades import Fill, table_of_fills
from trading_env.data.bars import finite_column
from trading_env.data.market import Market
from trading_env.data.times import bars_per_year as usual_rate
from trading_env.data.times import kind_of
from trading_env.data.zones import Times, local_time, zone_of, zoned
from trading_env.report.account import Account
from trading_env.report.years import rate_of

MONEY = ("pnl", "commission", "slippage", "financing")
OPEN = (
    "The history begins with an open position: its trade begins at the first close known, without costs of its entry."
)


def is_history(source: Any) -> bool:
    """True for a Series, or a DataFrame with a column equity."""
    pandas = hasattr(source, "index") and hasattr(source, "to_numpy")
    return pandas and (source.ndim == 1 or "equity" in source)


def account_of_history(history: Any, bars_per_year: float | None, declared: float | None = None) -> Account:
    """The account of a DataFrame with a column equity, or of a Series of equity.

    A history of the env begins after its first step: the equity before it follows from that step's gain and costs, and
    the close before it is unknown. Any other history begins with its first row.

    Args:
        history: of one run.
        bars_per_year: given for the report; None if not.
        declared: bars per year of its env; by default what the timestamps show.

    Raises:
        ValueError: there is no column equity, there are too few rows, equity is not finite, or it begins at 0 or below.
    """
    frame = history.to_frame("equity") if history.ndim == 1 else history
    if {"symbol", "bar"} <= set(frame):  # of a portfolio: a row for each instrument, and the account's in all of them
        frame = frame.drop_duplicates("bar").drop(columns=["close", "units", "price"])
    if "equity" not in frame:
        raise ValueError(f"a history must have a column equity, got {list(map(str, frame.columns))}")
    steps = all(name in frame for name in MONEY)  # rows are steps of an env, else closes
    if len(frame) < (1 if steps else 2):
        raise ValueError(f"a history must have at least {1 if steps else 2} rows, got {len(frame)}")
    equity, stamps = _equity(frame, steps), _stamps(frame)
    if steps and stamps is not None:
        stamps = _with_one_before(stamps)
    own = frame if steps else frame.iloc[1:]
    unknown = np.full(len(equity) - 1, np.nan)
    curves = {name: (own[name].to_numpy(np.float64) if name in own else unknown)[None] for name in KEYS}
    rate, irregular = rate_of(bars_per_year, declared or usual_rate(stamps), stamps, stamps)
    tracks = Tracks(None if stamps is None else local_time(stamps), rate, equity[None], **curves)
    trades, lines = _trades(frame, equity[0], steps)
    return Account("history", "", ("history",), tracks, _prices(frame, steps), trades, [*irregular, *lines], stamps)


def _equity(frame: Any, steps: bool) -> Floats:
    """Equity (T+1,)."""
    equity = finite_column("equity", frame["equity"].to_numpy(np.float64))
    if steps:
        row = frame.iloc[0]
        start = row["equity"] - row["pnl"] + row["commission"] + row["slippage"] + row["financing"]
        equity = np.concatenate([[start], equity])
    if not equity[0] > 0.0:
        raise ValueError(f"the equity of a history must begin above 0, got {equity[0]}")
    return equity


def _prices(frame: Any, steps: bool) -> dict[str, Floats]:
    """Closes (T+1,), NaN for the one before the first step."""
    if "close" not in frame:
        return {}
    close = frame["close"].to_numpy(np.float64)
    return {"close": np.concatenate([[np.nan], close]) if steps else close}


# -- time -------------------------------------------------------------------------------------------------------


def _stamps(frame: Any) -> Times | None:
    """Timestamps of the rows (T,) from a column time or an index of dates; None without any."""
    import pandas as pd

    time = pd.Index(frame["time"]) if "time" in frame else frame.index
    if isinstance(time, pd.PeriodIndex):
        time = _ends(time)
    texts = kind_of(time) == "string" and re.match(r"\d{4}-\d\d", time[0])
    if "time" in frame or texts or kind_of(time) in ("datetime64", "datetime", "date"):
        return Market(np.ones(len(frame)), time=time).time
    return None


def _ends(periods: Any) -> Any:
    """The last day of each period; the beginning of those that are shorter than a day."""
    days = periods.to_timestamp(how="end").normalize()
    return days if days.is_unique else periods.to_timestamp()


def _with_one_before(stamps: Times) -> Times:
    """The timestamps after one at the usual distance before them; a day before a single one."""
    plain = np.asarray(stamps)
    gap = (
        np.median(np.diff(plain).astype(np.int64)).astype("timedelta64[ns]")
        if plain.size > 1
        else np.timedelta64(1, "D")
    )
    return zoned(np.concatenate([[plain[0] - gap], plain]), zone_of(stamps))


# -- trades -----------------------------------------------------------------------------------------------------


def _trades(frame: Any, start: float, steps: bool) -> tuple[list[Any] | None, list[str]]:
    """Trades by the changes of a column units, at the prices of a column price, and a note; None without these.

    A position that is held before the first row known is opened at that row's close, without costs.
    """
    if not {"units", "price", "close"} <= set(frame):
        return None, []
    units, price, close = (frame[name].to_numpy(np.float64) for name in ("units", "price", "close"))
    costs = sum(
        frame[name].to_numpy(np.float64) if name in frame else 0.0 * units for name in ("commission", "slippage")
    )
    held = units[0] != 0.0 and not (steps and _opened_first(frame, start))
    traded = np.diff(units, prepend=0.0)
    late = 1 if steps else 0  # closes before the first row
    fills = [
        Fill(i + late, float(traded[i]), float(price[i]), float(costs[i]), float(units[i]), "order")
        for i in np.flatnonzero(traded).tolist()
    ]
    if held:
        fills[0] = fills[0]._replace(price=float(close[0]), costs=0.0)
    return [table_of_fills(fills, len(units) - 1 + late, float(close[-1]))], [OPEN] if held else []


def _opened_first(frame: Any, start: float) -> bool:
    """True if the first step's turnover is that of its whole position."""
    row = frame.iloc[0]
    return "turnover" in frame and bool(
        np.isclose(row["turnover"] * start, abs(row["units"]) * row["price"], rtol=1e-6)
    )


# -- several ----------------------------------------------------------------------------------------------------


def joined(parts: Sequence[Account]) -> Account:
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
        list(dict.fromkeys(line for part in parts for line in part.notes)),
        first.stamps,
    )


def _same(one: Any, other: Any) -> bool:
    """True if both are the same timestamps, or both unknown."""
    return one is other if one is None or other is None else bool(np.array_equal(one, other))
