"""From target weights to trades: the equity that a portfolio's trades leave is solved for exactly.

Trades at prices p to the weights w leave the equity X with

    X + sum_k cost_k(d_k) = E_p,    d_k = (w_k Y - U_k p_k) / p_k,

where Y = X unless some instruments are not traded. Their notional F counts towards the largest gross exposure L, so
the weights of the others, of gross G, shrink by one factor: G Y + F <= L X. As a function of Y the left side, with
X = max(Y, (G Y + F) / L), is rising, convex and piecewise linear, because each cost is convex in its trade. Newton's
method from above therefore reaches the root in as many steps as there are kinks on the way, which is rarely more
than one, and stays there.

Letters: K instruments. U units, p fill prices before spread, E_p equity at these prices, d units traded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from trading_env.kernel.account import cost_of, fee_of, fee_rate, to_lots, trade_to_target, whole_lots
from trading_env.kernel.compiled import inlined
from trading_env.kernel.records import pick
from trading_env.kernel.rules import Floats, Rules

ROUNDING = 1e-15  # relative to equity: a Newton step below it changes nothing

# Rows of scratch: what a bar of one account needs of each instrument, in the order of the episode.
PRICE, WEIGHT, TRADE, COST, FILLS, MARK, END, OPEN, GONE = range(9)
N_SCRATCH = 9
"""Fill price; target weight; units to trade; cost of a trade, NaN where none is made; 1 where an order can be filled;
the close before; the price at the end of the bar; 1 where there is a bar; 1 where that bar is the last before a
delisting."""


class Fees(NamedTuple):
    """The rules that may differ from one instrument to another."""

    spread: float
    commission: float
    fixed: float
    minimum: float
    per_unit: float


N_FEES = len(Fees._fields)
SPREAD, COMMISSION, FIXED, MINIMUM, PER_UNIT = range(N_FEES)


@inlined
def rules_for(k: int, fees: Floats, rules: Rules) -> Rules:
    """The rules of instrument k, given the Fees of all (K, N_FEES).

    ``rules`` has the highest fixed, minimum and per-unit fee of all: where it is 0 they need not be read.
    """
    fixed = fees[k, FIXED] if rules.fixed != 0.0 else 0.0
    minimum = fees[k, MINIMUM] if rules.minimum != 0.0 else 0.0
    per_unit = fees[k, PER_UNIT] if rules.per_unit != 0.0 else 0.0
    return pick(Rules, (Fees(fees[k, SPREAD], fees[k, COMMISSION], fixed, minimum, per_unit), rules))


@inlined
def cost_to(base: float, w: float, units: float, p: float, rules: Rules) -> tuple[float, float]:
    """Cost of trading units to the notional w * base, and its slope in ``base``."""
    gap = w * base - units * p
    buys, size = gap > 0.0, abs(gap)
    commission, rate = fee_of(size, buys, 1.0, rules), fee_rate(buys, rules)  # of a trade of that many units at 1
    if rules.per_unit != 0.0:
        commission, rate = fee_of(size / p, buys, p, rules), rate + rules.per_unit / p
    if rules.minimum > rules.fixed and commission <= rules.minimum:
        rate = 0.0
    return rules.spread * size + commission, (w if buys else -w) * (rules.spread + rate)


@inlined
def left_for(base: float, gross: float, frozen: float, limit: float) -> tuple[float, float]:
    """The equity X of which weights of this gross are the share Y = ``base``, and its slope in Y."""
    whole = (gross * base + frozen) / limit
    if frozen > 0.0 and whole > base:
        return whole, gross / limit
    return base, 1.0


@inlined
def sizes(units: Floats, scratch: Floats) -> tuple[float, float]:
    """Gross G of the weights of all trades, and the notional F of what keeps its units."""
    gross, frozen = 0.0, 0.0
    for k in range(units.shape[0]):
        if math.isnan(scratch[COST, k]):
            frozen += abs(units[k]) * scratch[PRICE, k]
        else:
            gross += abs(scratch[WEIGHT, k])
    return gross, frozen


@inlined
def solve_base(
    units: Floats, scratch: Floats, fees: Floats, equity: float, gross: float, frozen: float, rules: Rules
) -> tuple[float, float]:
    """The base Y to which the weights apply, and the sum of the costs, each in scratch; Y <= 0: none can be paid."""
    n, limit, base, paid = units.shape[0], rules.max_leverage, equity, 0.0
    if frozen > 0.0:
        base = min(equity, max(limit * equity - frozen, 0.0) / gross)
    for _ in range(2 * n + 8):
        left, slope = left_for(base, gross, frozen, limit)
        paid = 0.0
        for k in range(n):
            if not math.isnan(scratch[COST, k]):
                w, p = scratch[WEIGHT, k], scratch[PRICE, k]
                cost, rise = cost_to(base, w, units[k], p, rules_for(k, fees, rules))
                scratch[COST, k] = cost
                paid += cost
                slope += rise
        step = (left + paid - equity) / slope
        if step <= ROUNDING * equity or base <= 0.0:
            break
        base -= step
        if base <= 0.0 and frozen > 0.0:
            base = 0.0  # what keeps its units takes up the whole margin
    return base, paid


@inlined
def trades_at(
    base: float, paid: float, share: float, units: Floats, scratch: Floats, fees: Floats, equity: float, rules: Rules
) -> bool:
    """Writes the trades of a solution to scratch; True if one of them is not made after all.

    Each trade is solved once more by itself, out of the equity that the others leave: `trade_to_target` decides whether
    it is a trade at all.
    """
    dropped = False
    for k in range(units.shape[0]):
        cost, d = scratch[COST, k], 0.0
        if not math.isnan(cost):
            w, p = scratch[WEIGHT, k] * share, scratch[PRICE, k]
            d = trade_to_target(w, units[k], equity - (paid - cost), p, rules_for(k, fees, rules))
            d = 0.0 if base <= 0.0 and w != 0.0 else d  # no equity would be left
            d = 0.0 if abs(d) * p < rules.min_trade * equity else d
            if d == 0.0:
                scratch[COST, k] = math.nan
                dropped = True
            elif w != 0.0 and rules.lot_size != 0.0:
                d = to_lots(whole_lots(d, rules.lot_size), units[k], rules.lot_size)
                d = 0.0 if abs(d) * p < rules.min_trade * equity else d
        scratch[TRADE, k] = d
    return dropped


@inlined
def growth(d: float, units: float) -> float:
    """Units by which a trade of d makes a position larger, or those of the new one if it turns to the other side."""
    after = units + d
    if after * units < 0.0:
        return abs(after)
    return max(abs(after) - abs(units), 0.0)


@inlined
def shorten_purchases(units: Floats, scratch: Floats, fees: Floats, equity: float, rules: Rules) -> None:
    """Takes whole lots off the trades that add to positions, if the gross exposure would be beyond max_leverage.

    Trades that reduce positions, rounded to whole lots, leave more of them than their weights.
    """
    gross, added, paid = 0.0, 0.0, 0.0
    for k in range(units.shape[0]):
        d, p = scratch[TRADE, k], scratch[PRICE, k]
        gross += abs(units[k] + d) * p
        added += growth(d, units[k]) * p
        paid += cost_of(d, p, rules_for(k, fees, rules))
    excess = gross - rules.max_leverage * (equity - paid)
    if excess <= 1e-9 * equity or added == 0.0:
        return
    for k in range(units.shape[0]):
        more = growth(scratch[TRADE, k], units[k])
        if more > 0.0:
            d = scratch[TRADE, k] - math.copysign(min(1.0, excess / added) * more, scratch[TRADE, k])
            d = to_lots(whole_lots(d, rules.lot_size), units[k], rules.lot_size)
            scratch[TRADE, k] = 0.0 if abs(d) * scratch[PRICE, k] < rules.min_trade * equity else d


@inlined
def choose_trades(units: Floats, scratch: Floats, fees: Floats, equity: float, rules: Rules) -> None:
    """Writes the trades of an account with this equity E_p to scratch.

    Trades that their own cost would reverse, and those within the no-trade band, are dropped together, and the others
    solved for again, with what then keeps its units. Without equity everything that can be traded is closed.
    """
    n, gross, frozen = units.shape[0], 0.0, 0.0
    for k in range(n):
        fills, w = scratch[FILLS, k] == 1.0, scratch[WEIGHT, k]
        trades = fills and (w != 0.0 or units[k] != 0.0)
        scratch[TRADE, k] = -units[k] if fills else 0.0
        scratch[COST, k] = 0.0 if trades else math.nan
        gross += abs(w) if trades else 0.0
        frozen += 0.0 if trades else abs(units[k]) * scratch[PRICE, k]
    if equity <= 0.0:
        return
    for _ in range(n + 1):
        frozen = frozen if gross > 0.0 else 0.0  # without weights there is nothing to shrink
        base, paid = solve_base(units, scratch, fees, equity, gross, frozen, rules)
        share = 1.0
        if frozen > 0.0:
            left = left_for(base, gross, frozen, rules.max_leverage)[0]
            share = base / left if left > 0.0 else 0.0
        if not trades_at(base, paid, share, units, scratch, fees, equity, rules):
            break
        gross, frozen = sizes(units, scratch)
    if rules.lot_size != 0.0:
        shorten_purchases(units, scratch, fees, equity, rules)
