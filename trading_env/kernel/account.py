"""The account: from an order to a trade, the costs of trading and of holding, and liquidation by the broker.

Every rule of the account is defined here, once, for all envs, the hindsight bound and the history.

Actions are unpredictable, and a mispredicted branch costs a processor more time than the arithmetic. So the account
selects between numbers (`a if x else b`) where it can, and a vector env runs it on LANES sub-envs at a time, in a loop
that the compiler vectorises: one instruction computes four or eight of them. Vector instructions round like scalar
ones, so results are the same, bit for bit.

Words: U units (negative = short), B cash, c_t the close of bar t, p the fill price before spread,
E = B + U c_t equity, w a target exposure (notional / equity after the trade), d the units traded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from trading_env.kernel.compiled import inlined
from trading_env.kernel.rules import CLOSE, NEXT_CLOSE, Rules

MANY_LOTS = 1e12  # from here on, a lot is less than the rounding error that whole_lots tolerates
GAP_TOLERANCE = 1e-13  # relative to the notional: a smaller gap to the target is rounding, not a trade
TIE = 1.0 - 1e-12  # a position exactly at its maintenance margin is not closed because of rounding


class Account(NamedTuple):
    """The state of an account between two bars."""

    cash: float
    units: float
    target: float  # the exposure last chosen and reached
    equity: float
    entry: float  # average entry price of the open position, 0 when flat
    peak: float  # the highest equity of the episode
    initial: float  # equity at its start
    dsr_a: float  # moving averages of the return and its square, for the differential Sharpe ratio
    dsr_b: float
    years: float  # length of a bar


class Bar(NamedTuple):
    """The prices of a step, from the close at which the order is given to the next close."""

    c0: float  # the close at which the order is given
    price: float  # the fill price p
    c1: float
    first: float  # first, lowest and highest price of the bar that ends at c1; read only where wicks count
    low: float
    high: float


class Moved(NamedTuple):
    """An account after a bar, and the terms of its change: E' - E = pnl - commission - slippage - financing."""

    cash: float
    units: float
    target: float
    equity: float
    entry: float
    pnl: float
    commission: float
    slippage: float
    financing: float
    traded: float  # notional |d| p, including that of a liquidation
    exit: float  # price of a liquidation; 0 without one


# -- costs -----------------------------------------------------------------------------------------------------------


@inlined
def fee_rate(buys: bool, rules: Rules) -> float:
    """Proportional commission per unit of notional at the price before spread, paid on the price with spread."""
    return rules.commission * (1.0 + rules.spread) if buys else rules.commission * (1.0 - rules.spread)


@inlined
def fee_of(size: float, buys: bool, p: float, rules: Rules) -> float:
    """Commission of a trade of ``size`` > 0 units at price p before spread, currency; its limit at 0 units."""
    commission = fee_rate(buys, rules) * p * size
    if rules.fixed != 0.0 or rules.minimum != 0.0 or rules.per_unit != 0.0:
        commission = max(rules.minimum, rules.fixed + rules.per_unit * size + commission)
    return commission


@inlined
def commission_of(d: float, p: float, rules: Rules) -> float:
    """Commission of a trade of d units at price p before spread, currency; 0 without a trade."""
    return 0.0 if d == 0.0 else fee_of(abs(d), d > 0.0, p, rules)


@inlined
def cost_of(d: float, p: float, rules: Rules) -> float:
    """Slippage and commission of a trade of d units at price p, currency."""
    return rules.spread * abs(d) * p + commission_of(d, p, rules)


# -- from an order to a trade ----------------------------------------------------------------------------------------


@inlined
def beyond_margin(d: float, units: float, equity: float, p: float, rules: Rules) -> bool:
    """True if the broker refuses a trade of d units because of the position after it.

    A trade may not grow or reverse the position beyond max_leverage, nor sell short if rules.long_only is set.
    """
    after = units + d
    more = abs(after) > abs(units) or after * units < 0.0
    short = rules.long_only == 1.0 and after < 0.0
    return short or (more and abs(after) * p > rules.max_leverage * (equity - cost_of(d, p, rules)))


@inlined
def trade_to_target(w: float, units: float, equity: float, p: float, rules: Rules) -> float:
    """Units d to trade at p so that (U + d) p = w (E_p - cost(d)), up to rounding; 0 if costs would reverse the trade.

    The cost is piecewise linear (the minimum commission applies or does not), so the equation has a closed form on
    each piece, and exactly one of the two solutions lies on its own piece.
    """
    goal, held = w * equity, units * p
    gap = goal - held
    side = 1.0 if gap > 0.0 else -1.0
    lean = side * w  # costs make a purchase or a sale smaller if lean > 0, larger if lean < 0
    s, rate = rules.spread, rules.spread + fee_rate(gap > 0.0, rules)
    if rules.per_unit != 0.0:
        rate += rules.per_unit / p
    less = lean * rules.fixed if rules.fixed != 0.0 else 0.0
    size = (abs(gap) - less) / (p * (1.0 + lean * rate))
    if rules.minimum > rules.fixed and size * p * (rate - s) + rules.fixed < rules.minimum:
        size = (abs(gap) - lean * rules.minimum) / (p * (1.0 + lean * s))
    d = side * size
    there = abs(gap) <= GAP_TOLERANCE * (abs(goal) + abs(held))  # up to rounding
    d = 0.0 if there | (size <= 0.0) | ((units + d) * w < 0.0) else d
    return -units if w == 0.0 else d


@inlined
def whole_lots(d: float, lot_size: float) -> float:
    """Units d rounded toward zero to a multiple of lot_size; within rounding error of a multiple, to that one."""
    if lot_size == 0.0 or abs(d) >= MANY_LOTS * lot_size:
        return d
    lots = math.floor(abs(d) / lot_size * (1.0 + 1e-12))  # an int64
    return math.copysign(lots * lot_size, d)


@inlined
def to_lots(d: float, units: float, lot_size: float) -> float:
    """The trade d corrected so that units + d is a whole number of lots: rounding errors would add up otherwise."""
    after = units + d
    if d == 0.0 or lot_size == 0.0 or abs(after) >= MANY_LOTS * lot_size:
        return d
    return math.floor(after / lot_size + 0.5) * lot_size - units


@inlined
def units_to_trade(
    order: float, target: float, units: float, equity: float, p: float, rules: Rules
) -> tuple[float, float]:
    """Units d that the order trades at price p, and the target that the account remembers.

    An order is a target exposure (NaN for "hold") or a number of lots. A target that could not be reached is not
    remembered, so the same order tries it again.
    """
    if rules.lots == 1.0:
        return lots_to_trade(order, target, units, equity, p, rules)
    hold = math.isnan(order)
    chosen = 0.0 if hold else order
    wished = trade_to_target(chosen, units, equity, p, rules)
    d = wished
    if rules.lot_size != 0.0 and chosen != 0.0:
        d = to_lots(whole_lots(d, rules.lot_size), units, rules.lot_size)
    if rules.min_trade != 0.0:
        d = 0.0 if abs(d) * p < rules.min_trade * equity else d
    missed = hold
    if rules.lot_size != 0.0 or rules.fixed != 0.0 or rules.minimum != 0.0:
        missed = hold | out_of_reach(wished, d, chosen, units, equity, p, rules)
    d = 0.0 if (rules.rebalance == 0.0) & (chosen == target) else d
    broke = equity <= 0.0  # the gap to the fill price cost all equity: close the position, whatever the order
    d, chosen = -units if broke else d, 0.0 if broke else chosen
    return 0.0 if hold else d, target if hold | (missed & (not broke)) else chosen


@inlined
def out_of_reach(wished: float, d: float, chosen: float, units: float, equity: float, p: float, rules: Rules) -> bool:
    """True if a trade of d units misses the target because of the lot size, or of costs that the account cannot pay.

    A target within the no-trade band counts as reached. So does the target of a position that is already on its side,
    if the trade would cost more than it moves.
    """
    rounded = (d == 0.0) & (wished != 0.0) & (abs(wished) * p >= rules.min_trade * equity)
    unpaid = (wished == 0.0) & (chosen != 0.0) & (units * chosen <= 0.0)
    return rounded | unpaid


@inlined
def lots_to_trade(
    order: float, target: float, units: float, equity: float, p: float, rules: Rules
) -> tuple[float, float]:
    """As `units_to_trade`, for an order that is a number of lots."""
    if order == 0.0:
        return 0.0, target
    if equity <= 0.0:
        return -units, 0.0
    d = to_lots(order * rules.lot_size, units, rules.lot_size)
    if beyond_margin(d, units, equity, p, rules) or abs(d) * p < rules.min_trade * equity:
        return 0.0, target
    left = equity - cost_of(d, p, rules)
    return d, (units + d) * p / left if left > 0.0 else 0.0


# -- holding a position ----------------------------------------------------------------------------------------------


@inlined
def financing_of(cash: float, units: float, close: float, years: float, rules: Rules) -> float:
    """Financing over a bar, currency, paid > 0: margin interest and borrow fee less interest on cash."""
    if rules.r_cash == 0.0 and rules.r_margin == 0.0 and rules.r_borrow == 0.0:
        return 0.0
    earning = cash if rules.short_proceeds_earn == 1.0 else cash + min(units, 0.0) * close
    paid = rules.r_margin * max(-cash, 0.0) + rules.r_borrow * max(-units, 0.0) * close
    return years * (paid - rules.r_cash * max(earning, 0.0))


@inlined
def below_maintenance(cash: float, units: float, price: float, rules: Rules) -> bool:
    """True if the equity at this price is below the position's maintenance margin, by more than rounding."""
    needed = TIE * rules.maintenance * abs(units) * price if rules.maintenance != 0.0 else 0.0
    return (units != 0.0) & (cash + units * price < needed)


@inlined
def margin_call(cash: float, units: float, bar: Bar, rules: Rules) -> float:
    """Price at which the position falls below its maintenance margin within a bar; 0 if it does not.

    The price is the level where equity = maintenance * notional, or the bar's first price if that is beyond it.
    """
    rising = units > 0.0
    called = below_maintenance(cash, units, bar.low if rising else bar.high, rules)
    level = -cash / (units - rules.maintenance * abs(units))
    price = min(bar.first, max(bar.low, level)) if rising else max(bar.first, min(bar.high, level))
    return price if called else 0.0


@inlined
def average_entry(entry: float, before: float, d: float, p: float, spread: float) -> float:
    """Average entry price of the open position after a trade of d units (or none) at p; 0 when flat."""
    after = before + d
    paid = p * (1.0 + spread if d > 0.0 else 1.0 - spread)
    average = (abs(before) * entry + abs(d) * paid) / abs(after)
    average = entry if abs(after) <= abs(before) else average
    average = paid if before * after <= 0.0 else average  # opened or reversed
    return 0.0 if after == 0.0 else average


# -- a bar -----------------------------------------------------------------------------------------------------------


@inlined
def move(account: Account, order: float, bar: Bar, rules: Rules) -> Moved:
    """The account after a bar: from close c0, through the order's trade at price p, to close c1.

    Where wicks count, the bar's first, lowest and highest price can liquidate the position held through the bar. That
    is the position after the trade; or, with fill "next_close", the one before it, and then nothing is traded.
    """
    cash, units, p, c1, call, financing = account.cash, account.units, bar.price, bar.c1, 0.0, 0.0
    if rules.fill != CLOSE:
        financing = financing_of(cash, units, bar.c0, account.years, rules)
        cash -= financing
    if rules.wicks == 1.0 and rules.fill == NEXT_CLOSE:
        call = margin_call(cash, units, bar, rules)
    d, target = units_to_trade(order, account.target, units, cash + units * p, p, rules)
    if rules.wicks == 1.0:
        d = 0.0 if call != 0.0 else d
    traded = abs(d) * p
    commission, slippage = commission_of(d, p, rules), rules.spread * traded
    cash -= d * p + slippage + commission
    units += d
    if rules.fill == CLOSE:
        financing = financing_of(cash, units, bar.c0, account.years, rules)
        cash -= financing
    if rules.wicks == 1.0 and rules.fill != NEXT_CLOSE:
        call = margin_call(cash, units, bar, rules)
    end, liquidated = c1, below_maintenance(cash, units, c1, rules)
    if rules.wicks == 1.0:
        end, liquidated = call if call != 0.0 else c1, liquidated | (call != 0.0)
    pnl = account.units * (p - bar.c0) + units * (end - p)
    if liquidated:
        fee = commission_of(-units, end, rules)
        slip = rules.spread * abs(units) * end
        cash += units * end - fee - slip
        commission += fee
        slippage += slip
        traded += abs(units) * end
        units, target = 0.0, 0.0
    entry = average_entry(account.entry, account.units, d, p, rules.spread)
    entry = 0.0 if units == 0.0 else entry  # liquidated
    exit = end if liquidated else 0.0
    return Moved(cash, units, target, cash + units * c1, entry, pnl, commission, slippage, financing, traded, exit)
