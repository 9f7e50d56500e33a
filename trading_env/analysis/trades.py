"""Trades of an episode from entry to exit. S = steps, n = fills.

A fill that opens or enlarges a position moves its average entry price, weighted by units. A fill the other way closes
units, and each such closing is a trade: of a part if the position is reduced, of the whole if it is closed or turned
round; what a turn buys or sells beyond that opens the next position. A position still open at the end is a last trade,
valued at the last close.

Prices are those before spread, as in the env's info. The commission and slippage of a bar are shared by its fills, and
those of a fill by the units that it closes and opens, both by notional. A trade bears the costs of its exit and its
units' part of those of its entry, so pnl - costs of all trades is the gain of the account before financing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from trading_env.envs.fills import units_after_orders
from trading_env.envs.rendering.episode import Episode
from trading_env.envs.task import Task
from trading_env.kernel.rules import Floats

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "entry_time",
    "exit_time",
    "entry_bar",
    "exit_bar",
    "side",
    "units",
    "entry_price",
    "exit_price",
    "pnl",
    "costs",
    "net",
    "bars_held",
    "closed_by",
)


class Fill(NamedTuple):
    """Units traded at once."""

    bar: int
    units: float  # negative = sold
    price: float
    costs: float  # commission and slippage
    after: float  # units held then
    by: str  # "order" or "broker"


@dataclass
class _Position:
    """The open position, and the trades closed so far."""

    units: float = 0.0
    entry_bar: int = 0
    entry_price: float = 0.0
    costs: float = 0.0  # of its entry, less those of the units that were closed
    trades: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, fill: Fill) -> None:
        """Opens, enlarges, reduces, closes or turns the position."""
        opened, costs = fill.units, fill.costs
        if self.units * fill.units < 0.0:
            reduced = fill.after * self.units > 0.0
            closed = abs(fill.units if reduced else self.units)
            share = costs * closed / abs(fill.units)
            self.close(closed, fill.bar, fill.price, share, fill.by)
            opened, costs, self.units = fill.after, costs - share, fill.after if reduced else 0.0
            if reduced or opened == 0.0:
                return
        if self.units == 0.0:
            self.entry_bar, self.entry_price, self.costs = fill.bar, 0.0, 0.0
        self.entry_price += (fill.price - self.entry_price) * abs(opened / fill.after)
        self.costs += costs
        self.units = fill.after

    def close(self, units: float, bar: int, price: float, costs: float, by: str) -> None:
        """Records that this many units are closed."""
        side = math.copysign(1.0, self.units)
        entry = self.costs * units / abs(self.units)
        self.costs -= entry
        pnl, paid = side * units * (price - self.entry_price), entry + costs
        name, prices = "long" if side > 0.0 else "short", (self.entry_price, price)
        row = (self.entry_bar, bar, name, units, *prices, pnl, paid, pnl - paid, bar - self.entry_bar, by)
        self.trades.append(row)


def trades_table(task: Task, episode: Episode) -> pd.DataFrame:
    """A row for each trade of the episode, in the order of exits.

    Columns: entry_time and exit_time (if the market has times), entry_bar, exit_bar, side ("long" or "short"), units,
    entry_price (average), exit_price, pnl before costs, costs, net = pnl - costs, bars_held, and closed_by: "order",
    "broker" (a liquidation), or "open" for the position still open at the end, whose exit is the last close.
    """
    from trading_env.data.zones import pandas_index

    last = int(episode.bars[-1])
    frame = table_of_fills(fills_of(task, episode), last, float(episode.market.close[last]))
    if episode.market.time is not None:
        for i, name in enumerate(("entry", "exit")):
            frame.insert(i, f"{name}_time", pandas_index(episode.market.time[frame[f"{name}_bar"].to_numpy()]))
    return frame


def table_of_fills(fills: Iterable[Fill], last: int, close: float) -> pd.DataFrame:
    """The trades of these fills, without times; a position that is open at the last bar is valued at its close."""
    import pandas as pd

    position = _Position()
    for fill in fills:
        position.add(fill)
    if position.units != 0.0:
        position.close(abs(position.units), last, close, 0.0, "open")
    frame = pd.DataFrame(position.trades, columns=COLUMNS[2:])
    frame = frame.astype({"entry_bar": np.int64, "exit_bar": np.int64, "bars_held": np.int64})
    frame = frame.astype({"side": str, "closed_by": str})
    return frame.astype(dict.fromkeys(("units", "entry_price", "exit_price", "pnl", "costs", "net"), np.float64))


def fills_of(task: Task, episode: Episode) -> list[Fill]:
    """The fills of an episode, liquidations among them, in order of time."""
    steps = episode.steps
    before, after = episode.curve("units")[:-1], steps["units"].to_numpy(np.float64)
    price, exit_price = steps["price"].to_numpy(np.float64), steps["exit"].to_numpy(np.float64)
    ordered = np.where(exit_price > 0.0, _ordered(task, episode), after)  # units once the order is filled
    costs = (steps["commission"] + steps["slippage"]).to_numpy(np.float64)
    fills = []
    for i in np.flatnonzero((ordered != before) | (exit_price > 0.0)).tolist():
        bar = episode.start + 1 + i
        traded, closed = (ordered[i] - before[i], price[i]), (-ordered[i], exit_price[i])
        notional = abs(traded[0]) * traded[1], abs(closed[0]) * closed[1]
        share = costs[i] * notional[0] / sum(notional) if sum(notional) else 0.0
        if traded[0] != 0.0:
            fills.append(Fill(bar - (task.fill == "close"), *traded, share, ordered[i], "order"))
        if exit_price[i] > 0.0:
            fills.append(Fill(bar, *closed, costs[i] - share, 0.0, "broker"))
    return fills


def _ordered(task: Task, episode: Episode) -> Floats:
    """Units held once each step's order is filled (S,)."""
    cash, units = episode.curve("cash", episode.initial_cash)[:-1], episode.curve("units")[:-1]
    return units_after_orders(task, cash, units, episode.equity[:-1], episode.steps)
