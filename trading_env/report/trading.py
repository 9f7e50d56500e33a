"""The trading chart: candles with beams from entry to exit, over equity, drawdown and exposure on one time axis.

Long series are kept at several resolutions; the page's script shows the one that fits the part that is looked at. T =
closes, n = trades.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trading_env.analysis.metrics import drawdowns
from trading_env.report.arrays import Arrays, Floats, Ints, coarser

COARSEST = 600  # points of the coarsest resolution, at most
STEP = 4  # bars of a resolution in one of the next
FINEST = 200_000  # points of the finest resolution, over all runs


def levels_of(
    columns: Mapping[str, Floats], arrays: Arrays, runs: int = 1, finest: int = FINEST
) -> list[dict[str, Any]]:
    """The columns (T,) at resolutions from the finest to the coarsest: {"bars": bars a point, "columns": arrays}.

    With many runs the finest one has more than one bar a point, so that the page stays small.
    """
    count = len(next(iter(columns.values())))
    size, found = max(-(-count * runs // finest), 1), []
    while True:
        level = columns if size == 1 else coarser(columns, size)
        found.append({"bars": size, "columns": {name: arrays.add(values) for name, values in level.items()}})
        if -(-count // size) <= COARSEST:
            return found
        size *= STEP


def market_columns(time: Any, prices: Mapping[str, Floats], count: int) -> dict[str, Any]:
    """Columns of the market (T,): x, and open, high, low, close as far as they are known."""
    x = np.arange(count, dtype=np.float64) if time is None else np.asarray(time)
    return {"x": x, **prices}


def account_columns(equity: Floats, exposure: Floats | None, before: float = 0.0) -> dict[str, Floats]:
    """Columns of a run (T,): equity relative to its start, drawdown <= 0, and the exposure after each close.

    ``before`` is the exposure after the first close, NaN if it is unknown.
    """
    columns = {"equity": equity / equity[0], "drawdown": -falls_of(equity)}
    if exposure is not None:
        columns["exposure"] = np.concatenate([[before], exposure])
    return columns


def falls_of(equity: Floats) -> Floats:
    """Drawdown at each close (T,), >= 0; after a ruin, that of the ruin."""
    gone = np.flatnonzero(equity <= 0.0)
    until = int(gone[0]) + 1 if gone.size else equity.size
    found = drawdowns(equity[:until])
    return np.concatenate([found, np.full(equity.size - until, found[-1])])


def trades_of(table: Any, arrays: Arrays) -> dict[str, Any]:
    """Bars of entries and exits (n,), with prices, side, net gain and how they were closed: arrays of the page."""
    entry, exit_ = (table[name].to_numpy(np.int64) for name in ("entry_bar", "exit_bar"))
    return packed_trades(
        arrays,
        entry,
        exit_,
        np.where(table["side"] == "long", 1, -1),
        table["net"].to_numpy(np.float64),
        (table["entry_price"].to_numpy(np.float64), table["exit_price"].to_numpy(np.float64)),
        np.where(table["closed_by"] == "broker", 1, np.where(table["closed_by"] == "open", 2, 0)),
    )


def packed_trades(
    arrays: Arrays,
    entry: Ints,
    exit_: Ints,
    side: Ints,
    net: Floats,
    prices: tuple[Floats, Floats] | None = None,
    closed_by: Ints | None = None,
    rounded: bool = False,
) -> dict[str, Any]:
    """The same from arrays (n,); without ``prices``, those of the market's column "fill" are meant.

    Entries are kept as "gap", the bars since the entry before, and exits as "held", the bars since their own entry:
    small numbers. ``closed_by`` is 0 for an order, 1 for the broker, 2 for a position that is open at the end; the
    places of the latter two are kept as "broker" and "open". ``rounded`` keeps net gains in two bytes.
    """
    found = {
        "gap": arrays.add_whole(np.diff(entry, prepend=0)),
        "held": arrays.add_whole(exit_ - entry),
        "net": arrays.add_rounded(net) if rounded else arrays.add(net),
    }
    found |= {"side": arrays.add_whole(side)} if side.size and (side < 0).any() else {}
    if prices is not None:
        found |= {"entry_price": arrays.add(prices[0]), "exit_price": arrays.add(prices[1])}
    for code, name in ((1, "broker"), (2, "open")):
        ended = np.flatnonzero(closed_by == code) if closed_by is not None else np.empty(0, np.int64)
        found |= {name: arrays.add_whole(ended)} if ended.size else {}
    return found
