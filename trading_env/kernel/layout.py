"""Memory layout of accounts, clocks and prices.

Letters: N sub-envs, T bars, K prices of a bar.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trading_env.kernel.account import Account, Bar, Moved
from trading_env.kernel.measure import Measured
from trading_env.kernel.rules import Floats, Ints

# In the scalar env an account is a row [len(STATE)], followed by the account before the last step, so that the other
# actions of that step can be tried. In the vector env it is a lane of a BLOCK.
STATE = Account._fields
CASH, UNITS, TARGET, EQUITY, ENTRY, PEAK, INITIAL, DSR_A, DSR_B, YEARS = range(len(STATE))

# Columns of the clock block [N, 4]: row in the stacked tables, the episode's last row, the market's first, and the
# row before the last step (-1: no step yet).
ROW, LAST, OFFSET, PAST_ROW = range(4)

# Rows of the markets' prices (K, T): K = 1, the close; 2, also the open; 4, also the lowest and the highest price.
CLOSES, OPENS, LOWS, HIGHS = range(4)

LANES = 32
BLOCK = np.dtype([(name, np.float64, (LANES,)) for name in STATE])
"""LANES accounts, a column per number: of a known size, so the compiler can prove that the columns do not overlap."""
SCRATCH = np.dtype(
    [
        (name, np.float64, (LANES,))
        for name in dict.fromkeys(("order", *Bar._fields, *Moved._fields, *Measured._fields))
        if name not in (*STATE, "exit")
    ]
)
"""Orders, prices and results of a bar of LANES accounts."""


def new_state(initial_cash: float, years: float) -> Floats:
    """The account at the start of an episode (2 len(STATE),): all cash. ``years`` is the length of a bar."""
    state = np.zeros(2 * len(STATE))
    state[[CASH, EQUITY, PEAK, INITIAL]] = initial_cash
    state[YEARS] = years
    return state


def before_last_step(state: Floats, clock: Ints) -> tuple[Floats, Ints]:
    """Copies of states (n, 2 len(STATE)) and clocks as they were before the last step of each row."""
    state, clock = state.copy(), clock.copy()
    state[:, : len(STATE)] = state[:, len(STATE) :]
    clock[:, ROW] = clock[:, PAST_ROW]
    return state, clock


def new_blocks(n: int) -> Any:
    """BLOCKs with room for n accounts, all zeros."""
    return np.zeros(-(-n // LANES), BLOCK)


def columns(blocks: Any) -> Floats:
    """The numbers in BLOCKs (B, len(STATE), LANES), sharing their memory."""
    numbers: Floats = blocks.view(np.float64).reshape(len(blocks), len(STATE), LANES)
    return numbers


def get_accounts(blocks: Any, rows: Ints) -> Floats:
    """The accounts (n, len(STATE)) at these positions (n,) of BLOCKs."""
    return columns(blocks)[rows // LANES, :, rows % LANES]


def set_accounts(blocks: Any, rows: Ints, accounts: Floats) -> None:
    """Writes the accounts (n, len(STATE)) to these positions (n,) of BLOCKs."""
    columns(blocks)[rows // LANES, :, rows % LANES] = accounts
