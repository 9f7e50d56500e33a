"""The clock of an episode: its row in the data, the prices of its next bar, and its end."""

from __future__ import annotations

import math
from typing import NamedTuple

from trading_env.kernel.account import Bar
from trading_env.kernel.compiled import inlined
from trading_env.kernel.layout import CLOSES, HIGHS, LAST, LOWS, OFFSET, OPENS, PAST_ROW, ROW
from trading_env.kernel.records import pick
from trading_env.kernel.rules import NEXT_CLOSE, NEXT_OPEN, Floats, Ints, Rules


class Prices(NamedTuple):
    """The part of a Bar that every step reads."""

    c0: float
    price: float
    c1: float


class Range(NamedTuple):
    """The part of a Bar that is read only where wicks count."""

    first: float
    low: float
    high: float


@inlined
def steppable(row: int, n_rows: int, width: int, n_features: int) -> bool:
    """True if tables of n_rows contain the prices and the next observation of a step from this row."""
    return (row >= 0) & (row < n_rows - 1) & ((row + 2) * n_features >= width)


@inlined
def fill_price(row: int, opens: Floats, closes: Floats, rules: Rules) -> float:
    """The price before spread at which an order given at that row is filled."""
    if rules.fill == NEXT_OPEN:
        return opens[row + 1]
    return closes[row + 1] if rules.fill == NEXT_CLOSE else closes[row]


@inlined
def end_of(j: int, equity: float, reward: float, initial: float, clock: Ints, rules: Rules) -> tuple[bool, bool, int]:
    """Advances clock[j] by one row; returns terminated, truncated, and the bar reached.

    Both terminated and truncated means that float64 cannot hold the step.
    """
    row = clock[j, ROW] + 1
    clock[j, PAST_ROW], clock[j, ROW] = row - 1, row
    lost = not math.isfinite(reward)  # equity, or the reward computed from it, is beyond float64
    terminated = (equity <= rules.ruin_fraction * initial) | lost
    truncated = ((row == clock[j, LAST]) & (not terminated)) | lost
    return terminated, truncated, row - clock[j, OFFSET]


@inlined
def prices_at(row: int, bars: Floats, rules: Rules) -> Prices:
    """The prices that every order given at this row needs, of the markets' prices (K, T)."""
    closes, opens = bars[CLOSES], bars[min(OPENS, bars.shape[0] - 1)]
    return Prices(closes[row], fill_price(row, opens, closes, rules), closes[row + 1])


@inlined
def range_at(row: int, bars: Floats, rules: Rules) -> Range:
    """First, lowest and highest price of the bar after this row; 0 where wicks do not count."""
    if rules.wicks == 0.0:
        return Range(0.0, 0.0, 0.0)
    return Range(bars[OPENS, row + 1], bars[LOWS, row + 1], bars[HIGHS, row + 1])


@inlined
def bar_at(row: int, bars: Floats, rules: Rules) -> Bar:
    """All prices that an order given at this row meets."""
    return pick(Bar, (prices_at(row, bars, rules), range_at(row, bars, rules)))
