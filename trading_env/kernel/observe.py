"""Observations and masks, and the account right after a trade.

Letters: N sub-envs, T bars, F features, A actions, D numbers of an observation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trading_env.kernel.account import average_entry, beyond_margin, cost_of, to_lots, units_to_trade
from trading_env.kernel.compiled import compiled, inlined
from trading_env.kernel.layout import CASH, ENTRY, EQUITY, PEAK, ROW, TARGET, UNITS
from trading_env.kernel.measure import exposure_of, log_ratio, unrealised_of
from trading_env.kernel.rules import N_RULES, Bools, Float32s, Floats, Ints, Rules, as_rules

ACCOUNT_SIZE = 4  # exposure, target, unrealised log return, drawdown: the observation's tail


@inlined
def observe_market(j: int, row: int, flat: Float32s, n_features: int, obs: Float32s) -> None:
    """Fills the head of obs[j] (D,): the last rows of the flat table up to ``row``, oldest first."""
    width = obs.shape[1] - ACCOUNT_SIZE
    first, market = np.uint64((row + 1) * n_features - width), obs[j]
    for i in range(width):
        market[i] = flat[first + np.uint64(i)]  # unsigned, since a signed index is checked for its sign each time


@inlined
def observe_account(j: int, exposure: float, target: float, unrealised: float, drawdown: float, obs: Float32s) -> None:
    """Fills the tail of obs[j]."""
    account = obs[j, obs.shape[1] - ACCOUNT_SIZE :]
    account[0], account[1], account[2], account[3] = exposure, target, unrealised, drawdown


@inlined
def allowed(order: float, units: float, target: float, equity: float, close: float, rules: Rules) -> bool:
    """False for an order that the mask excludes: lots beyond the margin, or the current target, which means "hold"."""
    if rules.lots == 1.0:
        d = to_lots(order * rules.lot_size, units, rules.lot_size)
        return order == 0.0 or not beyond_margin(d, units, equity, close, rules)
    return (rules.mask_repeats == 0.0) | (order != target)


@inlined
def mask_actions(
    j: int, units: float, target: float, equity: float, close: float, values: Floats, rules: Rules, mask: Bools
) -> None:
    """Fills mask[j] (A,): True for the actions that are allowed."""
    for a in range(mask.shape[1]):
        mask[j, a] = allowed(values[N_RULES + a], units, target, equity, close, rules)


@inlined
def mask_lanes(first: int, n: int, account: Any, scratch: Any, values: Floats, rules: Rules, mask: Bools) -> None:
    """Fills mask[first : first + n] (n, A), column by column."""
    units, target, equity, close = account.units, account.target, account.equity, scratch.c1
    for a in range(mask.shape[1]):
        order, column = values[N_RULES + a], mask[first : first + n, a]
        for i in range(n):
            column[i] = allowed(order, units[i], target[i], equity[i], close[i], rules)


@compiled
def observe_rows(
    rows: Ints, state: Floats, clock: Ints, closes: Floats, table: Float32s, values: Floats, obs: Float32s, mask: Bools
) -> None:
    """Fills obs[j] and mask[j] for each j in rows (n,), whose accounts are in state (n, >= len(STATE)), in order."""
    rules, flat = as_rules(values), table.reshape(-1)
    for i in range(rows.shape[0]):
        j = rows[i]
        close = closes[clock[j, ROW]]
        units, target, equity = state[i, UNITS], state[i, TARGET], state[i, EQUITY]
        exposure, drawdown = exposure_of(units, close, equity), 1.0 - equity / state[i, PEAK]
        unrealised = unrealised_of(units, close, state[i, ENTRY], log_ratio)
        observe_market(j, clock[j, ROW], flat, table.shape[1], obs)
        observe_account(j, exposure, target, unrealised, drawdown, obs)
        mask_actions(j, units, target, equity, close, values, rules, mask)


@compiled
def trade_rows(orders: Floats, state: Floats, clock: Ints, closes: Floats, values: Floats) -> None:
    """Trades each row's order (N,) at the close just seen, in place: the afterstate of an action."""
    rules = as_rules(values)
    for j in range(orders.shape[0]):
        p = closes[clock[j, ROW]]
        before, equity = state[j, UNITS], state[j, EQUITY]
        d, state[j, TARGET] = units_to_trade(orders[j], state[j, TARGET], before, equity, p, rules)
        if d != 0.0:
            cost = cost_of(d, p, rules)
            state[j, ENTRY] = average_entry(state[j, ENTRY], before, d, p, rules.spread)
            state[j, CASH] -= d * p + cost
            state[j, UNITS] = before + d
            state[j, EQUITY] = equity - cost
