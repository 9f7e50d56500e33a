"""One account of K instruments: a bar from one close to the next, and the terms of its change.

Everything is as in `trading_env.kernel.account`, summed over the instruments. U units, c_t closes (the last close of an
instrument without a bar), p fill prices before spread, B cash, E = B + sum U c_t equity.
"""

from __future__ import annotations

from typing import NamedTuple

from trading_env.kernel.account import Bar, below_maintenance, commission_of, financing_of, margin_call
from trading_env.kernel.compiled import inlined
from trading_env.kernel.portfolio_trades import (
    END,
    FILLS,
    GONE,
    MARK,
    OPEN,
    PRICE,
    TRADE,
    WEIGHT,
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


@inlined
def target_weights(action: Floats, limit: float, scratch: Floats) -> None:
    """Writes w = L a / max(1, sum |a|) of an action (K,) to scratch; L is ``limit``.

    NaN keeps the units: the order cannot be filled.
    """
    total = 0.0
    for k in range(action.shape[0]):
        if action[k] == action[k]:
            total += abs(action[k])
    for k in range(action.shape[0]):
        if action[k] == action[k]:
            scratch[WEIGHT, k] = limit * action[k] / max(1.0, total)
        else:
            scratch[WEIGHT, k], scratch[FILLS, k] = 0.0, 0.0


@inlined
def notional_of(units: Floats, prices: Floats) -> tuple[float, float, float]:
    """Net and gross notional at these prices (K,), and that of the short positions."""
    net, gross, short = 0.0, 0.0, 0.0
    for k in range(units.shape[0]):
        notional = units[k] * prices[k]
        net += notional
        gross += abs(notional)
        short += max(-notional, 0.0)
    return net, gross, short


@inlined
def finance(account: Floats, scratch: Floats, rules: Rules) -> float:
    """Charges the financing of a bar on the account as it is; returns it."""
    short = notional_of(account[HEAD:], scratch[MARK])[2]
    financing = financing_of(account[CASH], -short, 1.0, account[YEARS], rules)
    account[CASH] -= financing
    return financing


@inlined
def trade(account: Floats, k: int, d: float, p: float, scratch: Floats, rules: Rules) -> Terms:
    """Trades d units of instrument k at price p."""
    own = rules_for(k, scratch, rules)
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
def close_out(account: Floats, which: int, scratch: Floats, rules: Rules) -> Terms:
    """Closes the positions, at the end of the bar, in the instruments that scratch[which] marks."""
    terms = Terms(0.0, 0.0, 0.0, 0.0, 0.0)
    for k in range(scratch.shape[1]):
        units = account[HEAD + k]
        if units != 0.0 and scratch[which, k] == 1.0:
            terms = plus(terms, trade(account, k, -units, scratch[END, k], scratch, rules))
            account[HEAD + k] = 0.0
    return terms


@inlined
def fill(account: Floats, scratch: Floats, rules: Rules) -> Terms:
    """Fills the order for the weights in scratch."""
    units, n = account[HEAD:], scratch.shape[1]
    choose_trades(units, scratch, account[CASH] + notional_of(units, scratch[PRICE])[0], rules)
    terms = Terms(0.0, 0.0, 0.0, 0.0, 0.0)
    for k in range(n):
        if scratch[TRADE, k] != 0.0:
            terms = plus(terms, trade(account, k, scratch[TRADE, k], scratch[PRICE, k], scratch, rules))
    return terms


@inlined
def gain(account: Floats, start: int, end: int, scratch: Floats) -> float:
    """Gain of the positions from the prices in one row of scratch to those in another."""
    total = 0.0
    for k in range(scratch.shape[1]):
        total += account[HEAD + k] * (scratch[end, k] - scratch[start, k])
    return total


@inlined
def turn(account: Floats, scratch: Floats, bar: Bar, rules: Rules) -> Terms:
    """Moves the account through a bar, whose prices and target weights are in scratch.

    ``bar`` is that of a single instrument whose wicks count. The lows and highs of several instruments are not reached
    at the same time, so only their closes can lead to a margin call. It closes what has a bar: the rest cannot be
    traded.
    """
    financing, call, pnl = 0.0, 0.0, gain(account, MARK, PRICE, scratch)
    if rules.fill != CLOSE:
        financing = finance(account, scratch, rules)
    if rules.wicks == 1.0 and rules.fill == NEXT_CLOSE:
        call = margin_call(account[CASH], account[HEAD], bar, rules)
    terms = Terms(0.0, 0.0, 0.0, 0.0, 0.0)
    if call == 0.0:
        terms = fill(account, scratch, rules)
    if rules.fill == CLOSE:
        financing = finance(account, scratch, rules)
    if rules.wicks == 1.0 and rules.fill != NEXT_CLOSE:
        call = margin_call(account[CASH], account[HEAD], bar, rules)
    if call != 0.0:
        scratch[END, 0] = call
    pnl += gain(account, PRICE, END, scratch)
    terms = plus(terms, close_out(account, GONE, scratch, rules))
    net, gross, _ = notional_of(account[HEAD:], scratch[END])
    if call != 0.0 or below_maintenance(account[CASH] + net - gross, gross, 1.0, rules):
        terms = plus(terms, close_out(account, OPEN, scratch, rules))
    account[EQUITY] = account[CASH] + notional_of(account[HEAD:], scratch[END])[0]
    return plus(terms, Terms(pnl, 0.0, 0.0, financing, 0.0))
