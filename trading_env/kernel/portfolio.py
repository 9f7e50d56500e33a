"""The step of portfolio envs: N accounts of K instruments each. The scalar env is the case N = 1.

Letters: N sub-envs, K instruments, P panels, T rows of all panels together, W rows of a window, F features, D numbers
of an observation.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from trading_env.kernel.account import Account, Bar
from trading_env.kernel.clock import end_of
from trading_env.kernel.compiled import compiled, inlined
from trading_env.kernel.layout import ROW
from trading_env.kernel.measure import exposure_of, log_ratio, moments_of, reward_of
from trading_env.kernel.portfolio_account import (
    CASH,
    DSR_A,
    DSR_B,
    EQUITY,
    HEAD,
    INITIAL,
    PEAK,
    YEARS,
    Holding,
    Terms,
    held,
    turn,
    weight_scale,
)
from trading_env.kernel.portfolio_trades import END, FILLS, GONE, MARK, N_FEES, OPEN, PRICE, WEIGHT
from trading_env.kernel.rules import EXCESS_LOG_RETURN, Bools, Float32s, Floats, Ints, Rules, as_rules, as_usual, usual

PANEL = 4  # column of the clock (N, 5), after those of `trading_env.kernel.layout`: the panel of the episode

TOTALS = (
    "equity",
    "cash",
    "exposure",
    "gross",
    "pnl",
    "commission",
    "slippage",
    "financing",
    "turnover",
)
"""The numbers of an account that ``info`` reports, in this order."""


class World(NamedTuple):
    """The data of all panels, every array that a step reads.

    Attributes:
        marks: last close at or before each row; 0 before the first (T, K).
        fills: prices at which the orders of the row are filled, or what the position is worth there (T, K).
        fillable: True where an order given at the row can be filled (T, K).
        tradable: True where the instrument has a bar (T, K).
        ends: the row of the last bar before a delisting; beyond all rows for the others (P, K).
        recovery: 1 + delisting return (P, K).
        fees: of each panel and instrument (P, K, len(Fees)).
        ranges: first, lowest and highest price of each row (3, T), where a single instrument's wicks count; else empty.
        table: features of each row (T, K, F).
        values: the Rules as an array.
    """

    marks: Floats
    fills: Floats
    fillable: Bools
    tradable: Bools
    ends: Ints
    recovery: Floats
    fees: Floats
    ranges: Floats
    table: Float32s
    values: Floats


class Held(NamedTuple):
    """What ``info`` reports of each instrument, in the order of the episode: outputs (N, K)."""

    weights: Floats
    units: Floats
    price: Floats
    tradable: Bools
    delisted: Bools


@inlined
def gather(
    row: int, panel: int, order: Ints, action: Floats, account: Floats, world: World, scratch: Floats, limit: float
) -> tuple[Holding, bool]:
    """Writes what the bar after ``row`` needs to scratch (N_SCRATCH, K).

    Returns:
        The positions held from the close to the fill prices; and True if an instrument is delisted at the end.
    """
    gap, scale, ends = Holding(0.0, 0.0, 0.0, 0.0), weight_scale(action, limit), False
    for k in range(order.shape[0]):
        i = order[k]
        gone = world.ends[panel, i] == row + 1
        close, price, end = world.marks[row, i], world.fills[row, i], world.marks[row + 1, i]
        keep = math.isnan(action[k])  # an order that cannot be filled keeps the units
        scratch[MARK, k], scratch[PRICE, k], scratch[WEIGHT, k] = close, price, 0.0 if keep else scale * action[k]
        scratch[FILLS, k], scratch[OPEN, k] = world.fillable[row, i] and not keep, world.tradable[row + 1, i]
        scratch[GONE, k], scratch[END, k] = gone, end * world.recovery[panel, i] if gone else end
        gap = held(account[HEAD + k], close, price, gap)
        ends |= gone
    return gap, ends


@inlined
def fees_in(order: Ints, fees: Floats, out: Floats) -> Floats:
    """The Fees (K, N_FEES) in the order of the episode."""
    for k in range(order.shape[0]):
        for m in range(N_FEES):
            out[k, m] = fees[order[k], m]
    return out


@inlined
def benchmark_of(row: int, panel: int, order: Ints, world: World, scratch: Floats, floor: float) -> float:
    """Growth over a bar of equal weights in all instruments that are listed at ``row``; 1 without any."""
    total, n = 0.0, 0
    for k in range(order.shape[0]):
        if scratch[MARK, k] > 0.0 and world.ends[panel, order[k]] > row:
            total += scratch[END, k] / scratch[MARK, k]
            n += 1
    if n == 0:
        return 1.0
    return total / n if total > 0.0 else floor  # everything listed became worthless at once


@inlined
def observe_market(
    j: int, row: int, order: Ints, shuffled: bool, flat: Float32s, n_features: int, obs: Float32s
) -> None:
    """Fills the head of obs[j] (D,): the last W rows of the flat table, oldest first; in each F features of each k."""
    n = order.shape[0]
    width, market = obs.shape[1] - 2 * n - 2, obs[j]
    first = (row + 1) * n * n_features - width
    if not shuffled:
        head = np.uint64(first)
        for m in range(width):
            market[m] = flat[head + np.uint64(m)]  # unsigned, since a signed index is checked for its sign each time
        return
    m = 0
    for start in range(first, first + width, n * n_features):
        for k in range(n):
            for f in range(n_features):
                market[m] = flat[start + order[k] * n_features + f]
                m += 1


@inlined
def show_account(
    j: int, row: int, panel: int, order: Ints, account: Floats, world: World, obs: Float32s, shown: Held
) -> tuple[float, float]:
    """Fills the tail of obs[j] and shown[j] at ``row``; returns net and gross exposure."""
    n, equity, net, gross = order.shape[0], account[EQUITY], 0.0, 0.0
    share = exposure_of(1.0, 1.0, equity)  # of a unit of currency
    tail = obs[j, obs.shape[1] - 2 * n - 2 :]
    for k in range(n):
        i, units = order[k], account[HEAD + k]
        notional = units * world.marks[row, i]
        net += notional
        gross += abs(notional)
        weight, open_now = notional * share, world.tradable[row, i]
        tail[k], tail[n + k] = open_now, weight
        shown.weights[j, k], shown.units[j, k], shown.tradable[j, k] = weight, units, open_now
        shown.delisted[j, k] = world.ends[panel, i] <= row
    tail[2 * n] = account[CASH] * share
    tail[2 * n + 1] = 1.0 - equity / account[PEAK]
    return net * share, gross * share


@inlined
def first_bad_action(actions: Floats, waiting: Bools, least: float, holds: bool) -> int:
    """Index of the first number of the actions (N, K) outside [least, 1], or -1; waiting envs' actions count too.

    NaN is allowed if ``holds``.
    """
    for j in range(actions.shape[0]):
        for k in range(actions.shape[1]):
            a = actions[j, k]
            if not (least <= a <= 1.0 or (holds and a != a)):
                return j * actions.shape[1] + k
    return -1


@inlined
def totals_before(account: Floats) -> Account:
    """The numbers of an account that rewards read, in the form of a single instrument's account."""
    return Account(
        account[CASH],
        0.0,
        0.0,
        account[EQUITY],
        0.0,
        account[PEAK],
        account[INITIAL],
        account[DSR_A],
        account[DSR_B],
        account[YEARS],
    )


@inlined
def advance(
    row: int,
    panel: int,
    order: Ints,
    action: Floats,
    account: Floats,
    scratch: Floats,
    fees: Floats,
    world: World,
    rules: Rules,
) -> tuple[Terms, float, float]:
    """Moves one account through the bar after ``row``; returns its terms, the reward, and the turnover."""
    gap, ends = gather(row, panel, order, action, account, world, scratch, rules.max_leverage)
    before, benchmark = totals_before(account), 1.0
    if rules.reward == EXCESS_LOG_RETURN:
        benchmark = benchmark_of(row, panel, order, world, scratch, rules.ruin_fraction)
    bar = Bar(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if rules.wicks == 1.0:
        first, low, high = world.ranges[0, row + 1], world.ranges[1, row + 1], world.ranges[2, row + 1]
        bar = Bar(scratch[MARK, 0], scratch[PRICE, 0], scratch[END, 0], first, low, high)
    terms = turn(account, scratch, fees, gap, ends, bar, rules)
    equity = account[EQUITY]
    reward = reward_of(before, equity, 1.0, benchmark, rules, log_ratio)
    moments = moments_of(before, equity, rules)
    account[PEAK], account[DSR_A], account[DSR_B] = max(before.peak, equity), moments.dsr_a, moments.dsr_b
    return terms, reward, terms.traded / before.equity


@compiled
def step_portfolios(
    actions: Floats,
    waiting: Bools,
    accounts: Floats,
    past: Floats,
    orders: Ints,
    clock: Ints,
    scratch: Floats,
    own_fees: Floats,
    world: World,
    least: float,
    holds: bool,
    shuffled: bool,
    obs: Float32s,
    reward: Floats,
    terminated: Bools,
    truncated: Bools,
    totals: Floats,
    bar: Ints,
    shown: Held,
) -> int:
    """Runs a bar of each env. An env ``waiting`` for a reset does not move, and its outputs are not written.

    Args:
        actions: (N, K) in [least, 1], or NaN to keep the units.
        waiting: envs that have ended and will be reset (N,).
        accounts: (N, HEAD + K), moved in place.
        past: output, the accounts before this step (N, HEAD + K).
        orders: the instrument at each place (N, K).
        clock: (N, 5), advanced in place.
        scratch: (N_SCRATCH, K).
        own_fees: (K, N_FEES), scratch too.
        world: the data.
        least: the lowest action.
        holds: True if NaN is an action.
        shuffled: False if all orders are 0, ..., K - 1.
        obs: output (N, D).
        reward: output (N,).
        terminated: output (N,).
        truncated: output (N,).
        totals: output (len(TOTALS), N).
        bar: output (N,).
        shown: outputs (N, K).

    Returns:
        Number of episodes that ended; or -1 - i if number i of the actions is out of range, and then nothing has moved.
    """
    bad = first_bad_action(actions, waiting, least, holds)
    if bad >= 0:
        return -1 - bad
    rules, flat, n_features, n_ended = as_rules(world.values), world.table.reshape(-1), world.table.shape[2], 0
    plain = usual(world.values) and rules.wicks == 0.0
    for j in range(actions.shape[0]):
        if waiting[j]:
            reward[j], terminated[j], truncated[j] = 0.0, False, False
            continue
        row, panel, account, order = clock[j, ROW], clock[j, PANEL], accounts[j], orders[j]
        for m in range(account.shape[0]):
            past[j, m] = account[m]
        fees = world.fees[panel]
        if shuffled:
            fees = fees_in(order, fees, own_fees)
        if plain:
            usually = as_usual(rules, 0.0)
            terms, reward[j], turnover = advance(row, panel, order, actions[j], account, scratch, fees, world, usually)
        else:
            terms, reward[j], turnover = advance(row, panel, order, actions[j], account, scratch, fees, world, rules)
        terminated[j], truncated[j], bar[j] = end_of(j, account[EQUITY], reward[j], account[INITIAL], clock, rules)
        n_ended += terminated[j] | truncated[j]
        for k in range(order.shape[0]):
            shown.price[j, k] = scratch[PRICE, k]
        net, gross = show_account(j, row + 1, panel, order, account, world, obs, shown)
        totals[0, j], totals[1, j], totals[2, j], totals[3, j] = account[EQUITY], account[CASH], net, gross
        totals[4, j], totals[5, j], totals[6, j] = terms.pnl, terms.commission, terms.slippage
        totals[7, j], totals[8, j] = terms.financing, turnover
    for j in range(actions.shape[0]):  # a loop of its own, which writes memory in order
        if not waiting[j]:
            observe_market(j, clock[j, ROW], orders[j], shuffled, flat, n_features, obs)
    return n_ended


@compiled
def show_portfolios(
    rows: Ints,
    accounts: Floats,
    orders: Ints,
    clock: Ints,
    world: World,
    shuffled: bool,
    obs: Float32s,
    totals: Floats,
    shown: Held,
) -> None:
    """Fills observations and info of the envs in ``rows`` (n,) as they stand; what only a step has is 0."""
    flat, n_features = world.table.reshape(-1), world.table.shape[2]
    for i in range(rows.shape[0]):
        j = rows[i]
        row, account = clock[j, ROW], accounts[j]
        observe_market(j, row, orders[j], shuffled, flat, n_features, obs)
        net, gross = show_account(j, row, clock[j, PANEL], orders[j], account, world, obs, shown)
        totals[:, j] = 0.0
        totals[0, j], totals[1, j], totals[2, j], totals[3, j] = account[EQUITY], account[CASH], net, gross
        shown.price[j] = 0.0
