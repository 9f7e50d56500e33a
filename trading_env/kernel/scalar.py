"""The scalar env's step."""

from __future__ import annotations

from typing import Any

from trading_env.kernel.account import Account, move
from trading_env.kernel.clock import bar_at, end_of, steppable
from trading_env.kernel.compiled import compiled
from trading_env.kernel.layout import CLOSES, ROW, STATE
from trading_env.kernel.measure import INFO, Info, log_ratio, measure, moments_of
from trading_env.kernel.observe import ACCOUNT_SIZE, mask_actions, observe_account, observe_market
from trading_env.kernel.records import as_floats, pick
from trading_env.kernel.rules import Bools, Float32s, Floats, Ints, as_rules

# What a step returns, besides the new state and observation. Both terminated and truncated: float64 cannot hold the
# step, and the env raises. bar -1: the data has no step from this row, and nothing has moved. exit: price of a
# liquidation by the broker, at the close or before; 0 without one.
STEP = ("reward", "terminated", "truncated", "bar", "exit", *INFO)
_NO_INFO = (0.0,) * len(INFO)
_N_STATE = len(STATE)


@compiled
def step_one(
    order: float,
    state: Floats,
    clock: Ints,
    bars: Floats,
    table: Float32s,
    values: Floats,
    obs: Float32s,
    mask: Bools,
) -> tuple[Any, ...]:
    """Moves account (2 len(STATE),) and clock (1, 4), fills obs (D,) and mask (A,); returns STEP as a plain tuple."""
    rules, row, out = as_rules(values), clock[0, ROW], obs.reshape(1, -1)
    if not steppable(row, bars[CLOSES].shape[0], obs.shape[0] - ACCOUNT_SIZE, table.shape[1]):
        return (0.0, True, True, -1, 0.0, *_NO_INFO)
    observe_market(0, row + 1, table.reshape(-1), table.shape[1], out)
    before, bar = Account(*as_floats(state, _N_STATE)), bar_at(row, bars, rules)
    moved = move(before, order, bar, rules)
    after = pick(Account, (moved, before))
    measured = measure(before, after, moved.traded, bar.c0, bar.c1, rules, log_ratio)
    after = pick(Account, (measured, moments_of(before, moved.equity, rules), after))
    for k in range(_N_STATE):
        state[k], state[_N_STATE + k] = after[k], before[k]
    terminated, truncated, reached = end_of(0, after.equity, measured.reward, after.initial, clock, rules)
    observe_account(0, measured.exposure, after.target, measured.unrealised, measured.drawdown, out)
    mask_actions(0, after.units, after.target, after.equity, bar.c1, values, rules, mask.reshape(1, -1))
    return (measured.reward, terminated, truncated, reached, moved.exit, *pick(Info, (moved, measured, bar))[:])
