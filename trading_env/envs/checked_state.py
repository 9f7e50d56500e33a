"""Checks of env states against the data, made before anything is restored.

A state may come from an untrusted file. Its rows must exist, its parts must be consistent, and its numbers must be
finite, because the kernel uses them without bounds checks.

Letters: N sub-envs, S = len(STATE) numbers of an account, T rows of the stacked tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env._checks import brief
from trading_env.envs.episodes import Episodes
from trading_env.envs.state import check_fingerprint, check_keys
from trading_env.envs.task import Task
from trading_env.kernel.layout import (
    CASH,
    ENTRY,
    EQUITY,
    INITIAL,
    LAST,
    OFFSET,
    PAST_ROW,
    PEAK,
    ROW,
    STATE,
    UNITS,
    YEARS,
)
from trading_env.kernel.measure import KEYS
from trading_env.kernel.rules import Bools, Floats, Ints

_STREAM_ERRORS = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)
_ROUNDING = 1e-9  # relative to the holdings of an account


class Episode(NamedTuple):
    """State of the episode of a scalar env."""

    running: bool
    account: Floats  # (2 S,)
    clock: Ints  # (1, 4)
    opened: tuple[int, int]  # market and its first decision bar
    asked: Floats  # orders so far
    before: dict[str, Any]
    info: dict[str, Any]


def check_episode(task: Task, state: Any) -> Episode | None:
    """Copy of the state of a scalar env of this task; None if no episode has begun.

    Raises:
        ValueError: the state is wrong; the message names the part.
    """
    check_fingerprint(task, state)
    check_keys(state, ("_running", "streams"))
    running = flag(state, "_running")
    if not running and "_clock" not in state:
        return None
    check_keys(state, ("_state", "_clock", "_opened", "_asked", "_before", "_info"))
    clock = array_of(state, "_clock", np.int64, (1, PAST_ROW + 1))
    account = array_of(state, "_state", np.float64, (2 * len(STATE),))
    check_clock(task, clock, np.array([not running]))
    check_accounts(task, account[None], clock, np.array([not running]))
    opened = _opened(task, state["_opened"], clock[0])
    start = task.offsets[opened[0]] + opened[1]
    asked = _orders(task, state["_asked"], int(clock[0, ROW]) - start)
    if clock[0, PAST_ROW] != (clock[0, ROW] - 1 if len(asked) else -1):
        raise ValueError(f"state['_clock'] must come from {len(asked)} steps, got {clock[0].tolist()}")
    infos = [info_of(state, name, ()) for name in ("_before", "_info")]
    return Episode(running, account, clock, opened, asked, *infos)


def _opened(task: Task, opened: Any, clock: Ints) -> tuple[int, int]:
    """Market index and first bar of the episode, which must fit the clock (4,)."""
    plain = isinstance(opened, (list, tuple)) and len(opened) == 2 and all(type(part) is int for part in opened)
    if plain and 0 <= opened[0] < len(task.markets) and task.firsts[opened[0]] <= opened[1] < len(task.closes):
        begun = task.begin(opened[0], opened[1])[1]
        if [begun[LAST], begun[OFFSET]] == [clock[LAST], clock[OFFSET]] and begun[ROW] <= clock[ROW]:
            return opened[0], opened[1]
    raise ValueError(
        f"state['_opened'] must be a market and a bar from which state['_clock'] continues, got {brief(opened)}"
    )


def _orders(task: Task, asked: Any, n: int) -> Floats:
    """The orders (n,) of the steps so far."""
    orders: Floats = array_of({"_asked": asked}, "_asked", np.float64, (n,))
    if len(task.orders):
        wrong = ~(np.isin(orders, task.orders) | (np.isnan(orders) & np.isnan(task.orders).any()))
    else:
        leverage = task.margin.max_leverage
        wrong = ~((orders >= task.least * leverage) & (orders <= leverage))
    if wrong.any():
        raise ValueError(f"state['_asked'] must hold orders of this env's actions, got {orders[wrong][0]}")
    return orders


# -- parts of both envs' states ---------------------------------------------------------------------------------


def flag(state: Mapping[str, Any], name: str) -> bool:
    """A part of the state that must be True or False."""
    if not isinstance(state[name], (bool, np.bool_)):
        raise ValueError(f"state[{name!r}] must be True or False, got {brief(state[name])}")
    return bool(state[name])


def ints_of(state: Mapping[str, Any], name: str, n: int) -> list[int]:
    """Copy of a part that must be a list of n integers of any size."""
    values = state[name]
    if not isinstance(values, (list, tuple)) or len(values) != n or not all(type(value) is int for value in values):
        raise ValueError(f"state[{name!r}] must be a list of {n} integers, got {brief(values)}")
    return list(values)


def array_of(state: Mapping[str, Any], name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> Any:
    """Copy of a part that must be an array of this dtype (any if empty) and shape."""
    try:
        values = np.asarray(state[name])
    except (TypeError, ValueError) as error:
        raise ValueError(f"state[{name!r}] must be an array, got {brief(state[name])}") from error
    kind = np.dtype(dtype)
    if values.shape != shape or (values.dtype != kind and values.size):
        raise ValueError(f"state[{name!r}] must be an array {kind} {shape}, got one {values.dtype} {values.shape}")
    return values.astype(kind)  # a copy


def finite_of(state: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Floats:
    """Copy of a part that must be an array of finite numbers."""
    values: Floats = array_of(state, name, np.float64, shape)
    if not np.isfinite(values).all():
        raise ValueError(f"state[{name!r}] must be finite, got {values[~np.isfinite(values)][0]}")
    return values


def info_of(state: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Copy of a part that must be info: numbers, or arrays of this shape, with the keys `KEYS`."""
    info = state[name]
    if not isinstance(info, Mapping) or set(info) != set(KEYS):
        raise ValueError(f"state[{name!r}] must have the keys {list(KEYS)}, got {brief(info)}")
    copies = {key: _numbers(info, key, shape) for key in KEYS}
    for key, values in copies.items():
        if not np.isfinite(values).all():
            raise ValueError(f"state[{name!r}][{key!r}] must be finite, got {brief(info[key])}")
    return copies


def _numbers(info: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Any:
    """Copy of a value of info: an array, or a plain number if the shape is ()."""
    if shape:
        return array_of(info, key, np.int64 if key == "bar" else np.float64, shape)
    value = info[key]
    if isinstance(value, (float, np.floating)):
        return float(value)
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool) and abs(int(value)) < 2**63
    return int(value) if whole else np.nan


def check_running(task: Task, accounts: Floats, clock: Ints, ended: Bools) -> None:
    """Raises ValueError unless N episodes, ``ended`` or not (N,), can continue from these accounts and clocks."""
    check_clock(task, clock, ended)
    stepped = clock[:, PAST_ROW] == clock[:, ROW] - 1
    if not (stepped | ~ended).all():
        raise ValueError(
            "state['_ended'] must be False for sub-envs that have not stepped, "
            f"got True for {np.flatnonzero(~stepped & ended)}"
        )
    check_accounts(task, accounts, clock, ended)


def check_clock(task: Episodes, clock: Ints, ended: Bools) -> None:
    """Raises ValueError unless all rows named by the clock (N, 4) exist and are consistent.

    Args:
        task: of the env.
        clock: the rows of each sub-env.
        ended: sub-envs whose episode has ended (N,); the others must have a next bar.
    """
    row, last, offset, past = (clock[:, column] for column in (ROW, LAST, OFFSET, PAST_ROW))
    market = _market_of(task, offset)
    firsts, ends = _bounds(task)
    earliest = firsts[market]
    if task.episode_length is not None:
        earliest = np.maximum(earliest, last - task.episode_length)
    good = (offset == np.asarray(task.offsets)[market]) & (earliest <= row) & (row <= last) & (last <= ends[market])
    good &= np.where(ended, row >= firsts[market], row < last)
    if task.episode_length is None:
        good &= last == ends[market]
    before = _market_of(task, past)  # of the episode before, after a reset
    good &= (past == -1) | ((past >= firsts[before]) & (past < ends[before]))
    if not good.all():
        j = int(good.argmin())
        raise ValueError(
            f"state['_clock'] must name rows of a table of {task.n_rows}, with a next bar for every episode that "
            f"has not ended, got {clock[j].tolist()}"
        )


def _market_of(task: Episodes, row: Ints) -> Ints:
    """Index (N,) of the market that contains each row (N,) of the stacked tables, or is nearest to it."""
    return np.maximum(np.searchsorted(task.offsets, row, "right") - 1, 0)


def _bounds(task: Episodes) -> tuple[Any, Any]:
    """First decision row and last row of each market in the stacked tables."""
    offsets = np.asarray(task.offsets)
    return offsets + task.firsts, offsets + [len(market) - 1 for market in task.markets]


def check_accounts(task: Task, accounts: Floats, clock: Ints, ended: Bools) -> None:
    """Raises ValueError unless steps can lead to the accounts (N, 2 S) at the rows of the clock (N, 4)."""
    if not np.isfinite(accounts).all():
        j = int((~np.isfinite(accounts)).any(axis=1).argmax())
        raise ValueError(f"state['_state'] must be finite, got {accounts[j].tolist()}")
    size, stepped = len(STATE), clock[:, PAST_ROW] >= 0
    market = _market_of(task, clock[:, OFFSET])
    good = _fits(task, accounts[:, :size], clock[:, ROW], market)
    good &= ended | (accounts[:, EQUITY] > task.margin.ruin_fraction * task.initial_cash)
    past = np.where(stepped, clock[:, PAST_ROW], 0)
    good &= ~stepped | _fits(task, accounts[:, size:], past, _market_of(task, past))
    if not good.all():
        raise ValueError(
            f"state['_state'] must be accounts that steps can lead to, got {accounts[int(good.argmin())].tolist()}"
        )


def _fits(task: Task, accounts: Floats, row: Ints, market: Ints) -> Bools:
    """True for accounts (N, S) that are possible at these rows (N,) of their markets (N,)."""
    cash, units, equity = accounts[:, CASH], accounts[:, UNITS], accounts[:, EQUITY]
    with np.errstate(over="ignore", invalid="ignore"):  # values too large for float64 are never valid
        held = units * task.closes[row]
        good = np.isfinite(held) & (np.abs(cash + held - equity) <= _ROUNDING * (np.abs(cash) + np.abs(held)))
    good &= (accounts[:, INITIAL] == task.initial_cash) & (accounts[:, YEARS] == np.asarray(task.years)[market])
    good &= accounts[:, PEAK] >= np.maximum(equity, task.initial_cash)
    good &= np.where(units == 0.0, accounts[:, ENTRY] == 0.0, accounts[:, ENTRY] > 0.0)
    return np.asarray(good)


def check_streams(rngs: Sequence[np.random.Generator], states: Any) -> list[Any]:
    """States of the generators, each tried on another generator of its kind.

    Raises:
        ValueError: the states belong to more or fewer generators or to other kinds, or are invalid.
    """
    if not isinstance(states, (list, tuple)):
        raise ValueError(f"state['streams'] must be a list, got {brief(states)}")
    if len(rngs) != len(states):
        raise ValueError(f"state has {len(states)} random streams, this env has {len(rngs)}")
    trials: dict[type, Any] = {}
    for rng, stream in zip(rngs, states, strict=True):
        kind = type(rng.bit_generator)
        trial = trials.setdefault(kind, kind())
        try:
            trial.state = stream
            inside = all(low <= part <= high for part, low, high in _places(stream))
        except _STREAM_ERRORS as error:
            raise ValueError(f"state['streams'] must hold states of {kind.__name__}, got {brief(stream)}") from error
        if not inside:
            raise ValueError(f"state['streams'] must hold places inside a buffer, got {brief(stream)}")
    return list(states)


def _places(stream: Mapping[str, Any]) -> Iterable[tuple[Any, int, int]]:
    """Buffer positions in the state of a bit generator, with bounds, since NumPy does not check them."""
    if stream["bit_generator"] == "MT19937":
        yield stream["state"]["pos"], 0, 624
    if stream["bit_generator"] == "Philox":
        yield stream["buffer_pos"], 0, 4
