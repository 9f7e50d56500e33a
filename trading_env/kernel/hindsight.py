"""The best path through known prices, by dynamic programming on the account."""

from __future__ import annotations

import math

from trading_env.kernel.account import Account, Moved, move
from trading_env.kernel.clock import bar_at
from trading_env.kernel.compiled import compiled, inlined
from trading_env.kernel.layout import CLOSES
from trading_env.kernel.rules import Floats, Ints, as_rules

# Columns of a branch [S, 4]: its log growth since the start, and its account, scaled to equity 1. The scale does not
# matter, since costs, interest and margin are proportional to the size of the account.
BRANCH_GROWTH, BRANCH_CASH, BRANCH_UNITS, BRANCH_TARGET = range(4)
DROPPED, GOES_ON = -1, -2  # instead of a row of ``best``: worth no further bar; the same branch, without a trade


@inlined
def index_of(orders: Floats, target: float) -> int:
    """Index of the target among the orders; 0 if it is not among them."""
    for a in range(orders.shape[0]):
        if orders[a] == target:
            return a
    return 0


@inlined
def account_of(cash: float, units: float, target: float, years: float) -> Account:
    """The account of a branch; its other fields do not affect trades and are 0."""
    return Account(cash, units, target, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, years)


@inlined
def kind_of(moved: Moved, before: float, a: int, orders: Floats) -> int:
    """Row of ``best`` in which an account with target ``before`` competes after order a; or DROPPED, or GOES_ON."""
    if moved.units == 0.0:
        return orders.shape[0]
    if moved.traded != 0.0:
        return a
    if moved.target != before:
        return DROPPED
    return index_of(orders, 1.0) if moved.target == 1.0 else GOES_ON


@inlined
def add_best(
    i: int,
    n_branches: int,
    n_kept: int,
    best: Floats,
    chosen: Ints,
    branches: Floats,
    origins: Ints,
    alive: Ints,
) -> int:
    """Adds the best account of each kind as a branch that began at step i; returns how many there are."""
    n_added = 0
    for k in range(best.shape[0]):
        if best[k, BRANCH_GROWTH] > -math.inf:
            row = n_branches + n_added
            for column in range(4):
                branches[row, column] = best[k, column]
            origins[row, 0], origins[row, 1], origins[row, 2] = i, chosen[k, 0], chosen[k, 1]
            alive[n_kept + n_added] = row
            n_added += 1
    return n_added


@compiled
def grow_branches(
    orders: Floats,
    values: Floats,
    bars: Floats,
    years: float,
    branches: Floats,
    origins: Ints,
    alive: Ints,
    best: Floats,
    chosen: Ints,
) -> int:
    """Grows all accounts that may become the richest, bar by bar: dynamic programming. n steps, A orders.

    A branch is an account since its last trade. All flat accounts are equivalent, and so are all accounts fully in
    the asset (target 1, no cash): of each kind only the richest continues. Accounts with another target differ by the
    bar of their trade, so all of them continue, and each bar adds the richest account that trades to that target. An
    account at or below the ruin fraction of its start ends. A trade that its own cost would reverse (an exposure
    beyond 1 / cost) is not tried.

    Args:
        orders: target exposures, NaN for hold (A,).
        values: the Rules as an array, with proportional costs only, no lots and no band.
        bars: prices of the bars (K, n + 1).
        years: length of a bar.
        branches: output (n (A + 1) + 2, 4); row 0 is the start.
        origins: output (n (A + 1) + 2, 3): step, earlier branch and action of the trade; row -1 is for ruin.
        alive: output (n (A + 1) + 2,): rows of the branches alive at the end.
        best: scratch (A + 1, 4).
        chosen: scratch (A + 1, 2).

    Returns:
        Number of branches alive at the end. If it is 0, all were ruined, and origins[-1] is the last step of one.
    """
    rules, n_branches, n_alive = as_rules(values), 1, 1
    branches[0, BRANCH_GROWTH], branches[0, BRANCH_CASH] = 0.0, 1.0
    branches[0, BRANCH_UNITS], branches[0, BRANCH_TARGET] = 0.0, 0.0
    origins[0, 0], origins[0, 1], alive[0] = -1, -1, 0
    ruin, closes = math.log(rules.ruin_fraction), bars[CLOSES]
    for i in range(closes.shape[0] - 1):
        bar = bar_at(i, bars, rules)
        for k in range(best.shape[0]):
            best[k, BRANCH_GROWTH] = -math.inf
        n_kept = 0
        for j in range(n_alive):
            s = alive[j]
            behind, before = branches[s, BRANCH_GROWTH], branches[s, BRANCH_TARGET]
            account = account_of(branches[s, BRANCH_CASH], branches[s, BRANCH_UNITS], before, years)
            goes_on = False
            for a in range(orders.shape[0]):
                moved = move(account, orders[a], bar, rules)
                growth = behind + math.log(moved.equity) if moved.equity > 0.0 else -math.inf
                if growth <= ruin:
                    origins[-1, 0], origins[-1, 1], origins[-1, 2] = i, s, a
                    continue
                k = kind_of(moved, before, a, orders)
                if k == GOES_ON:
                    goes_on = True
                    branches[s, BRANCH_CASH], branches[s, BRANCH_UNITS] = moved.cash, moved.units
                elif k != DROPPED and growth > best[k, BRANCH_GROWTH]:
                    best[k, BRANCH_GROWTH], best[k, BRANCH_TARGET] = growth, moved.target
                    best[k, BRANCH_CASH], best[k, BRANCH_UNITS] = moved.cash / moved.equity, moved.units / moved.equity
                    chosen[k, 0], chosen[k, 1] = s, a
            if goes_on:
                alive[n_kept] = s
                n_kept += 1
        n_added = add_best(i, n_branches, n_kept, best, chosen, branches, origins, alive)
        n_branches, n_alive = n_branches + n_added, n_kept + n_added
        if n_alive == 0:
            break
    return n_alive
