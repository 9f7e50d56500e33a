"""States of portfolio envs: reading them, and checks against the data before anything is restored.

Letters: N envs, K instruments, H = HEAD + K numbers of an account.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from trading_env._checks import brief
from trading_env.envs.checked_state import array_of, check_clock, flag
from trading_env.envs.portfolio.accounts import HELD, KEYS
from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.envs.state import check_keys
from trading_env.kernel.layout import LAST, OFFSET, PAST_ROW, ROW
from trading_env.kernel.portfolio import PANEL
from trading_env.kernel.portfolio_account import CASH, EQUITY, HEAD, INITIAL, PEAK, YEARS
from trading_env.kernel.rules import Bools, Floats, Ints

Arrays = tuple[Floats, Ints, Ints]
_ROUNDING = 1e-9  # relative to the holdings of an account
_FLAGS = ("tradable", "delisted")


class Episode(NamedTuple):
    """State of the episode of a scalar env."""

    running: bool
    arrays: Arrays
    opened: Drawn
    asked: Floats  # actions so far (S, K)
    before: dict[str, Any]
    info: dict[str, Any]


def fingerprint(task: PortfolioTask) -> int:
    """Checksum of prices, features and rules; a state must not be restored where they differ."""
    plain = (task.initial_cash, task.window, task.observation, task.episode_length, task.random_start, task.years)
    more = (task.firsts, task.feature_names, task.actions, task.least, task.shuffled)
    symbols = [panel.symbols for panel in task.markets]
    total = zlib.crc32(repr((*plain, *more, symbols)).encode())
    for values in task.world:
        total = zlib.crc32(np.ascontiguousarray(values).data if values.size else b"", total)
    return total


def check_fingerprint(task: PortfolioTask, state: Any) -> None:
    """Raises ValueError unless the state belongs to an env with the same task."""
    check_keys(state, ("fingerprint",))
    if type(state["fingerprint"]) is not int or state["fingerprint"] != fingerprint(task):
        raise ValueError("state is that of an env with other data or other keywords")


def check_episode(task: PortfolioTask, state: Any) -> Episode | None:
    """Copy of the state of a scalar env of this task; None if no episode has begun.

    Raises:
        ValueError: the state is wrong; the message names the part.
    """
    check_fingerprint(task, state)
    check_keys(state, ("_running", "streams"))
    running = flag(state, "_running")
    if not running and "_clock" not in state:
        return None
    check_keys(state, ("_accounts", "_orders", "_clock", "_opened", "_asked", "_before", "_info"))
    arrays = check_arrays(task, state, 1, np.array([not running]))
    clock = arrays[2][0]
    market, start = _opened(task, state["_opened"], clock)
    n_steps = int(clock[ROW]) - task.offsets[market] - start
    asked: Floats = array_of(state, "_asked", np.float64, (n_steps, task.n))
    if not (((asked >= task.least) & (asked <= 1.0)) | (np.isnan(asked) & task.config.allow_hold)).all():
        raise ValueError(f"state['_asked'] must hold actions of this env, got {brief(asked)}")
    if clock[PAST_ROW] != (clock[ROW] - 1 if n_steps else -1):
        raise ValueError(f"state['_clock'] must come from {n_steps} steps, got {clock.tolist()}")
    infos = [info_of(state, name, (), task.n) for name in ("_before", "_info")]
    return Episode(running, arrays, Drawn(market, start, arrays[1][0, : task.n].copy()), asked, *infos)


def _opened(task: PortfolioTask, opened: Any, clock: Ints) -> tuple[int, int]:
    """Panel and first bar of the episode, which must fit the clock (5,)."""
    plain = isinstance(opened, (list, tuple)) and len(opened) == 2 and all(type(part) is int for part in opened)
    if plain and 0 <= opened[0] < len(task.markets) and task.firsts[opened[0]] <= opened[1] < len(task.closes):
        begun = task.new_clock(*opened)
        if [begun[LAST], begun[OFFSET]] == [clock[LAST], clock[OFFSET]] and begun[ROW] <= clock[ROW]:
            return opened[0], opened[1]
    raise ValueError(
        f"state['_opened'] must be a panel and a bar from which state['_clock'] continues, got {brief(opened)}"
    )


def check_arrays(task: PortfolioTask, state: Mapping[str, Any], n: int, ended: Bools) -> Arrays:
    """The accounts, orders and clocks of N episodes, ``ended`` or not (N,); see `Portfolios.arrays`.

    Raises:
        ValueError: they cannot continue; the message names the part.
    """
    accounts: Floats = array_of(state, "_accounts", np.float64, (n, 2 * (HEAD + task.n)))
    orders: Ints = array_of(state, "_orders", np.int64, (n, 2 * task.n))
    clock: Ints = array_of(state, "_clock", np.int64, (n, PANEL + 1))
    offsets = np.asarray(task.offsets)
    good = (clock[:, PANEL] >= 0) & (clock[:, PANEL] < len(offsets))
    if not (good & (offsets[np.where(good, clock[:, PANEL], 0)] == clock[:, OFFSET])).all():
        raise ValueError(f"state['_clock'] must name a panel of data, got {clock[:, PANEL].tolist()}")
    check_clock(task, clock, ended)
    for half in np.hsplit(orders, 2):
        known = (np.sort(half, axis=1) == np.arange(task.n)).all() and (task.shuffled or (np.diff(half) == 1).all())
        if not known:
            raise ValueError(f"state['_orders'] must be orders of {task.n} instruments, got {brief(half.tolist())}")
    _check_accounts(task, accounts, orders, clock, ended)
    return accounts, orders, clock


def _check_accounts(task: PortfolioTask, accounts: Floats, orders: Ints, clock: Ints, ended: Bools) -> None:
    """Raises ValueError unless steps can lead to the accounts (N, 2 H) at the rows of the clock (N, 5)."""
    if not np.isfinite(accounts).all():
        j = int((~np.isfinite(accounts)).any(axis=1).argmax())
        raise ValueError(f"state['_accounts'] must be finite, got {brief(accounts[j].tolist())}")
    (now, past), stepped = np.hsplit(accounts, 2), clock[:, PAST_ROW] >= 0
    good = _fits(task, now, orders[:, : task.n], clock[:, ROW])
    good &= ended | (now[:, EQUITY] > task.margin.ruin_fraction * task.initial_cash)
    good &= ~stepped | _fits(task, past, orders[:, task.n :], np.where(stepped, clock[:, PAST_ROW], 0))
    if not good.all():
        wrong = brief(accounts[int(good.argmin())].tolist())
        raise ValueError(f"state['_accounts'] must be accounts that steps can lead to, got {wrong}")


def _fits(task: PortfolioTask, accounts: Floats, orders: Ints, row: Ints) -> Bools:
    """True for accounts (N, H) that are possible at these rows (N,) of the stacked panels."""
    cash, units, equity = accounts[:, CASH], accounts[:, HEAD:], accounts[:, EQUITY]
    panel = np.searchsorted(task.offsets, row, "right") - 1
    marks, gone = task.closes[row[:, None], orders], task.world.ends[panel[:, None], orders] <= row[:, None]
    with np.errstate(over="ignore", invalid="ignore"):  # values too large for float64 are never valid
        held = units * marks
        size = np.abs(cash) + np.abs(held).sum(1)
        good = np.isfinite(size) & (np.abs(cash + held.sum(1) - equity) <= _ROUNDING * size)
    good &= ((units == 0.0) | ((marks > 0.0) & ~gone)).all(1)
    good &= (accounts[:, INITIAL] == task.initial_cash) & (accounts[:, YEARS] == np.asarray(task.years)[panel])
    good &= accounts[:, PEAK] >= np.maximum(equity, task.initial_cash)
    return np.asarray(good)


def info_of(state: Mapping[str, Any], name: str, shape: tuple[int, ...], n: int) -> dict[str, Any]:
    """Copy of a part that must be info with the keys `KEYS`: numbers or arrays of this shape, and (*shape, K)."""
    info = state[name]
    if not isinstance(info, Mapping) or set(info) != set(KEYS):
        raise ValueError(f"state[{name!r}] must have the keys {list(KEYS)}, got {brief(info)}")
    copies: dict[str, Any] = {}
    for key in KEYS:
        kind = np.bool_ if key in _FLAGS else np.int64 if key == "bar" else np.float64
        full = (*shape, n) if key in HELD else shape
        values = array_of({f"{name}.{key}": info[key]}, f"{name}.{key}", kind, full)
        if not np.isfinite(values).all():
            raise ValueError(f"state[{name!r}][{key!r}] must be finite, got {brief(info[key])}")
        copies[key] = values if full else values.item()
    return copies
