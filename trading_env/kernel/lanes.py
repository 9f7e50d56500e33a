"""The vector env's step: the accounts of N envs, LANES of them at a time.

Scratch holds what a block of accounts needs between the loops over its lanes: gather, move, measure, report.

Letters: N sub-envs, T bars, K prices of a bar, F features, A actions, D numbers of an observation.
"""

from __future__ import annotations

from typing import Any

from numba import literal_unroll

from trading_env.kernel.account import Account, Bar, move
from trading_env.kernel.clock import end_of, prices_at, range_at
from trading_env.kernel.compiled import compiled, inlined
from trading_env.kernel.layout import LANES, ROW, STATE
from trading_env.kernel.measure import (
    INFO,
    NEAR,
    log_growth,
    log_near,
    log_ratio,
    measure,
    moments_of,
    unrealised_of,
)
from trading_env.kernel.observe import mask_lanes, observe_account, observe_market
from trading_env.kernel.records import load, store, wide_registers
from trading_env.kernel.rules import (
    DIFFERENTIAL_SHARPE,
    Bools,
    Float32s,
    Floats,
    Ints,
    Rules,
    as_rules,
    as_usual,
    usual,
)

# The numbers of INFO that `report` copies from the account, and from scratch; and their rows in its output.
_REMEMBERED, _MEASURED = tuple(n for n in INFO if n in STATE), tuple(n for n in INFO if n not in STATE)
_REMEMBERED_ROWS, _MEASURED_ROWS = tuple(map(INFO.index, _REMEMBERED)), tuple(map(INFO.index, _MEASURED))


@inlined
def first_bad_action(actions: Ints, n_orders: int) -> int:
    """Index of the first action outside [0, n_orders), or -1."""
    n_bad = 0
    for j in range(actions.shape[0]):
        n_bad += (actions[j] < 0) | (actions[j] >= n_orders)
    if n_bad:
        for j in range(actions.shape[0]):
            if actions[j] < 0 or actions[j] >= n_orders:
                return j
    return -1


@inlined
def gather(
    first: int,
    n: int,
    actions: Ints,
    orders: Floats,
    waiting: Bools,
    clock: Ints,
    bars: Floats,
    rules: Rules,
    scratch: Any,
) -> None:
    """Writes orders and prices of the envs first, ..., first + n - 1 to scratch."""
    order = scratch.order
    for i in range(n):
        j = first + i
        row = clock[j, ROW] - waiting[j]  # there is no price after the last bar: a waiting env reads a row earlier
        order[i] = orders[actions[j]]
        store(scratch, i, prices_at(row, bars, rules))
        if rules.wicks == 1.0:
            store(scratch, i, range_at(row, bars, rules))


@inlined
def move_lanes(n: int, before: Any, after: Any, scratch: Any, rules: Rules) -> None:
    """Moves n accounts of a block through the bar in scratch."""
    wide_registers()
    order, initial, years = scratch.order, after.initial, after.years
    for i in range(n):
        account = load(Account, before, i)
        moved = move(account, order[i], load(Bar, scratch, i), rules)
        store(after, i, moved)
        store(scratch, i, moved)
        initial[i], years[i] = account.initial, account.years


@inlined
def measure_lanes(n: int, before: Any, after: Any, scratch: Any, rules: Rules, log: Any) -> None:
    """Measures n accounts that were moved. A loop that does both is slower: too long for a processor to look ahead."""
    wide_registers()
    traded, c0, c1 = scratch.traded, scratch.c0, scratch.c1
    for i in range(n):
        account, moved = load(Account, before, i), load(Account, after, i)
        measured = measure(account, moved, traded[i], c0[i], c1[i], rules, log)
        store(after, i, measured)
        store(scratch, i, measured)
        if rules.reward == DIFFERENTIAL_SHARPE:  # otherwise they stay 0
            store(after, i, moments_of(account, moved.equity, rules))


@inlined
def far_logs(n: int, scratch: Any) -> int:
    """Number of logs in scratch that are beyond the range of log_near."""
    reward, unrealised, far = scratch.reward, scratch.unrealised, 0
    for i in range(n):
        far += (not abs(reward[i]) <= NEAR) | (not abs(unrealised[i]) <= NEAR)
    return far


@inlined
def exact_logs(n: int, before: Any, after: Any, scratch: Any, rules: Rules) -> None:
    """Recomputes the logs that are beyond the range of log_near."""
    for i in range(n):
        if not abs(scratch.reward[i]) <= NEAR:
            floor = rules.ruin_fraction * before.initial[i]
            scratch.reward[i] = log_growth(after.equity[i], before.equity[i], floor, log_ratio)
        if not abs(scratch.unrealised[i]) <= NEAR:
            scratch.unrealised[i] = unrealised_of(after.units[i], scratch.c1[i], after.entry[i], log_ratio)


@inlined
def copy_column(first: int, n: int, column: Floats, out: Floats) -> None:
    """Copies column[:n] into out[first : first + n]."""
    out = out[first : first + n]
    for i in range(n):
        out[i] = column[i]


@inlined
def report(first: int, n: int, account: Any, scratch: Any, reward: Floats, info: Floats) -> None:
    """Copies reward and INFO to the outputs."""
    copy_column(first, n, scratch.reward, reward)
    k = 0
    for name in literal_unroll(_REMEMBERED):
        copy_column(first, n, account[name], info[_REMEMBERED_ROWS[k]])
        k += 1  # noqa: SIM113  (not enumerate: numba unrolls tuples of names only)
    k = 0
    for name in literal_unroll(_MEASURED):
        copy_column(first, n, scratch[name], info[_MEASURED_ROWS[k]])
        k += 1  # noqa: SIM113  (not enumerate: numba unrolls tuples of names only)


@compiled
def step_rows(
    actions: Ints,
    orders: Floats,
    waiting: Bools,
    before: Any,
    after: Any,
    scratches: Any,
    clock: Ints,
    bars: Floats,
    table: Float32s,
    values: Floats,
    obs: Float32s,
    reward: Floats,
    terminated: Bools,
    truncated: Bools,
    info: Floats,
    bar: Ints,
    mask: Bools,
) -> int:
    """The vector env's step: env j executes orders[actions[j]]. An env ``waiting`` for a reset does not move.

    Args:
        actions: indices into ``orders`` (N,).
        orders: target exposures or lots, NaN for hold (A,).
        waiting: envs that have ended and will be reset (N,).
        before: accounts, N of them in BLOCKs.
        after: output, as many.
        scratches: scratch, a SCRATCH (1,).
        clock: the clocks of the envs (N, 4), advanced in place.
        bars: the markets' prices, stacked (K, T).
        table: features of each bar (T, F).
        values: the Rules and the orders of the discrete actions, as an array.
        obs: output (N, D).
        reward: output (N,).
        terminated: output (N,).
        truncated: output (N,).
        info: output (len(INFO), N).
        bar: output (N,).
        mask: output (N, A), or (N, 0) for none.

    Returns:
        Number of episodes that ended; or -1 - j if actions[j] is out of range, and then nothing has moved.
    """
    wide_registers()
    bad = first_bad_action(actions, orders.shape[0])
    if bad >= 0:
        return -1 - bad
    rules, flat, scratch, n_ended = as_rules(values), table.reshape(-1), scratches[0], 0
    plain = usual(values)
    for block in range(before.shape[0]):
        first, old, new = block * LANES, before[block], after[block]
        n = min(LANES, actions.shape[0] - first)
        gather(first, n, actions, orders, waiting, clock, bars, rules, scratch)
        if plain:
            if rules.wicks == 0.0:
                move_lanes(n, old, new, scratch, as_usual(rules, 0.0))
            else:
                move_lanes(n, old, new, scratch, as_usual(rules, 1.0))
            measure_lanes(n, old, new, scratch, as_usual(rules, 0.0), log_near)
            if far_logs(n, scratch):
                exact_logs(n, old, new, scratch, rules)
        else:
            move_lanes(n, old, new, scratch, rules)
            measure_lanes(n, old, new, scratch, rules, log_ratio)
        report(first, n, new, scratch, reward, info)
        mask_lanes(first, n, new, scratch, values, rules, mask)
        for i in range(n):
            j = first + i
            if waiting[j]:
                reward[j], terminated[j], truncated[j] = 0.0, False, False
                continue
            equity, initial = new.equity[i], new.initial[i]
            terminated[j], truncated[j], bar[j] = end_of(j, equity, scratch.reward[i], initial, clock, rules)
            n_ended += terminated[j] | truncated[j]
        for i in range(n):  # a loop of its own, which writes memory in order: writes in between would slow it
            j = first + i
            if not waiting[j]:
                observe_market(j, clock[j, ROW], flat, table.shape[1], obs)
                observe_account(j, scratch.exposure[i], new.target[i], scratch.unrealised[i], scratch.drawdown[i], obs)
    return n_ended
