"""One account of K instruments: a bar from one close to the next, and the terms of its change.

Everything is as in `trading_env.kernel.account`, summed over the instruments. U units, c_t closes (the last close of an
instrument without a bar), p fill prices before spread, B cash, E = B + sum U c_t equity.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from trading_env.kernel.account import Bar, below_maintenance, commission_of, financing_of, margin_call
from trading_env.kernel.compiled import inlined
from trading_env.kernel.portfolio_trades import (
    END,
    GONE,
    MARK,
    OPEN,
    PRICE,
    TRADE,
    choose_trades,
    rules_for,
)
from trading_env.kernel.rules import CLOSE, NEXT_CLOSE, Floats, Rules

# An account is a row (HEAD + K,): these numbers, and then the units of each instrument in the order of the episode.
CASH, EQUITY, PEAK, INITIAL, DSR_A, DSR_B, YEARS = range(7)
HEAD = 7


class Terms(NamedTuple):
    """The terms of a bar: E' - E = pnl - commission - slippage - financing; and the notional traded."""

    pnl: float
    commission: float
    slippage: float
    financing: float
    traded: float


class Holding(NamedTuple):
    """Positions that were held while prices moved: the gain, net and gross notional after, short notional before."""

    gain: float
    net: float
    gross: float
    short: float


@inlined
def weight_scale(action: Floats, limit: float) -> float:
    """The factor L / max(1, sum |a|) from an action (K,), NaN left out, to target weights; L is ``limit``."""
    total = 0.0
    for k in range(action.shape[0]):
        total += 0.0 if math.isnan(action[k]) else abs(action[k])
    return limit / max(1.0, total)


@inlined
def finance(account: Floats, short: float, rules: Rules) -> float:
    """Charges the financing of a bar, given the notional of the short positions; returns it."""
    financing = financing_of(account[CASH], -short, 1.0, account[YEARS], rules)
    account[CASH] -= financing
    return financing


@inlined
def trade(account: Floats, k: int, d: float, p: float, fees: Floats, rules: Rules) -> Terms:
    """Trades d units of instrument k at price p."""
    own = rules_for(k, fees, rules)
    traded = abs(d) * p
    commission, slippage = commission_of(d, p, own), own.spread * traded
    account[CASH] -= d * p + slippage + commission
    account[HEAD + k] += d
    return Terms(0.0, commission, slippage, 0.0, traded)


@inlined
def plus(a: Terms, b: Terms) -> Terms:
    """The sum of two terms."""
    return Terms(
        a.pnl + b.pnl,
        a.commission + b.commission,
        a.slippage + b.slippage,
        a.financing + b.financing,
        a.traded + b.traded,
    )


@inlined
def close_out(account: Floats, which: int, scratch: Floats, fees: Floats, rules: Rules) -> Terms:
    """Closes the positions, at the end of the bar, in the instruments that scratch[which] marks."""
    terms = Terms(0.0, 0.0, 0.0, 0.0, 0.0)
    for k in range(scratch.shape[1]):
        units = account[HEAD + k]
        if units != 0.0 and scratch[which, k] == 1.0:
            terms = plus(terms, trade(account, k, -units, scratch[END, k], fees, rules))
    return terms


@inlined
def held(units: float, before: float, after: float, so_far: Holding) -> Holding:
    """What is held so far, and a position that is held while its price moves."""
    notional = units * after
    return Holding(
        so_far.gain + units * (after - before),
        so_far.net + notional,
        so_far.gross + abs(notional),
        so_far.short + max(-units * before, 0.0),
    )


@inlined
def hold(account: Floats, start: int, end: int, scratch: Floats) -> Holding:
    """Holds the positions while prices move from one row of scratch to another."""
    total = Holding(0.0, 0.0, 0.0, 0.0)
    for k in range(scratch.shape[1]):
        total = held(account[HEAD + k], scratch[start, k], scratch[end, k], total)
    return total


@inlined
def fill(account: Floats, scratch: Floats, fees: Floats, rules: Rules) -> tuple[Terms, Holding]:
    """Makes the trades in scratch, and holds the positions to the end of the bar."""
    terms, rest = Terms(0.0, 0.0, 0.0, 0.0, 0.0), Holding(0.0, 0.0, 0.0, 0.0)
    for k in range(scratch.shape[1]):
        d, p = scratch[TRADE, k], scratch[PRICE, k]
        if d != 0.0:
            terms = plus(terms, trade(account, k, d, p, fees, rules))
        rest = held(account[HEAD + k], p, scratch[END, k], rest)
    return terms, rest


@inlined
def turn(account: Floats, scratch: Floats, fees: Floats, gap: Holding, ends: bool, bar: Bar, rules: Rules) -> Terms:
    """Moves the account through a bar, whose prices and target weights are in scratch.

    Args:
        account: (HEAD + K,), moved in place.
        scratch: (N_SCRATCH, K).
        fees: (K, N_FEES).
        gap: the positions held from the close to the fill prices.
        ends: True if an instrument is delisted at the end of the bar.
        bar: that of a single instrument whose wicks count.
        rules: of the account.

    The lows and highs of several instruments are not reached
    at the same time, so only their closes can lead to a margin call. It closes what has a bar: the rest cannot be
    traded.
    """
    financing, call = 0.0, 0.0
    if rules.fill != CLOSE:
        financing = finance(account, gap.short, rules)
    if rules.wicks == 1.0 and rules.fill == NEXT_CLOSE:
        call = margin_call(account[CASH], account[HEAD], bar, rules)
    equity = account[CASH] + gap.net
    choose_trades(account[HEAD:], scratch, fees, equity, rules)
    if call != 0.0:
        scratch[TRADE, 0] = 0.0
    terms, rest = fill(account, scratch, fees, rules)
    if rules.fill == CLOSE:  # at the very prices of the close before
        financing = finance(account, hold(account, MARK, PRICE, scratch).short, rules)
    if rules.wicks == 1.0:
        if rules.fill != NEXT_CLOSE:
            call = margin_call(account[CASH], account[HEAD], bar, rules)
        scratch[END, 0] = call if call != 0.0 else scratch[END, 0]
        rest = hold(account, PRICE, END, scratch)
    terms = plus(terms, Terms(gap.gain + rest.gain, 0.0, 0.0, financing, 0.0))
    if ends:
        terms = plus(terms, close_out(account, GONE, scratch, fees, rules))
        rest = hold(account, END, END, scratch)
    account[EQUITY] = account[CASH] + rest.net
    if call != 0.0 or below_maintenance(account[EQUITY] - rest.gross, rest.gross, 1.0, rules):
        terms = plus(terms, close_out(account, OPEN, scratch, fees, rules))
        account[EQUITY] = account[CASH] + hold(account, END, END, scratch).net
    return terms
