"""The state of an env as arrays and plain JSON, so that another one made alike goes on exactly as it would have."""

from __future__ import annotations

import array
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from trading_env.accounting import LAST, OFFSET, PAST_ROW, ROW
from trading_env.checks import brief
from trading_env.task import Task

State = dict[str, Any]


def read(owner: object, names: Iterable[str]) -> State:
    """A copy of the named attributes."""
    return {name: _copied(getattr(owner, name)) for name in names}


def write(owner: object, names: Sequence[str], state: State) -> None:
    """Sets the named attributes to what `read` gave, arrays in place.

    Raises:
        ValueError: If one is missing, or an array has another shape or kind of numbers; nothing has changed then.
    """
    check_keys(state, names)
    for name in names:
        _check(name, getattr(owner, name, None), state[name])
    for name in names:
        setattr(owner, name, _renewed(getattr(owner, name, None), state[name]))


def check_keys(state: State, names: Iterable[str]) -> None:
    """Raises ValueError if one of the names is missing in the state."""
    missing = [name for name in names if name not in state]
    if missing:
        raise ValueError(f"state must have {missing}, got {sorted(state)}")


def check_mode(state: State, mode: AutoresetMode) -> None:
    """Raises ValueError if the state is of a vector env with another autoreset mode."""
    if state["autoreset_mode"] != mode.value:
        raise ValueError(
            f"state is that of an env with autoreset_mode {state['autoreset_mode']}, this one has {mode.value}"
        )


def _copied(value: Any) -> Any:
    """A copy as arrays and plain JSON."""
    if isinstance(value, (np.ndarray, array.array)):
        return np.array(value)
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value


def _check(name: str, old: Any, state: Any) -> None:
    """Raises ValueError where the saved value is of another kind or shape than the old one."""
    if isinstance(old, bool) and not isinstance(state, bool):
        raise ValueError(f"state[{name!r}] must be True or False, got {brief(state)}")
    new = np.asarray(state) if isinstance(old, np.ndarray) else None
    if new is not None and (new.shape, new.dtype) != (old.shape, old.dtype):
        raise ValueError(f"state[{name!r}] must be an array {old.dtype} {old.shape}, got one {new.dtype} {new.shape}")


def _renewed(old: Any, state: Any) -> Any:
    """The saved value in the type of the old one, an array in its memory."""
    if isinstance(old, array.array):
        return array.array(old.typecode, np.asarray(state).tolist())
    if isinstance(old, np.ndarray):
        old[...] = np.asarray(state)
        return old
    return tuple(state) if isinstance(old, tuple) and state is not None else _copied(state)


def get_streams(rngs: Iterable[np.random.Generator]) -> list[Any]:
    """Where the generators stand."""
    return [rng.bit_generator.state for rng in rngs]


def check_streams(rngs: Sequence[np.random.Generator], states: Sequence[Any]) -> None:
    """Raises ValueError if the state is of more or fewer generators."""
    if len(rngs) != len(states):
        raise ValueError(f"state is that of {len(states)} random streams, this env has {len(rngs)}")


def set_streams(rngs: Sequence[np.random.Generator], states: Sequence[Any]) -> None:
    """Puts the generators back there; ValueError if they are others."""
    check_streams(rngs, states)
    for rng, state in zip(rngs, states, strict=True):
        rng.bit_generator.state = state


def fingerprint(task: Task) -> int:
    """A checksum of prices, features and rules: the states of envs that differ in them must not be mixed."""
    plain = (task.initial_cash, task.window, task.observation, task.episode_length, task.random_start, task.years)
    total = zlib.crc32(repr((*plain, task.firsts, task.feature_names)).encode())
    for values in (task.rules, task.bars, task.features):
        total = zlib.crc32(np.ascontiguousarray(values).data if values.size else b"", total)
    return total


def check_fingerprint(task: Task, state: State) -> None:
    """Raises ValueError unless the state is of an env with the same task."""
    if state.get("fingerprint") != fingerprint(task):
        raise ValueError("state is that of an env with other data or other keywords")


def check_clock(task: Task, clock: Any) -> None:
    """Raises ValueError unless every row that the clock [N, 4] names exists and has its window before it."""
    rows = len(task.closes)
    if clock.ndim != 2 or clock.shape[1] != PAST_ROW + 1:
        raise ValueError(f"state['_clock'] must have shape (N, {PAST_ROW + 1}), got {clock.shape}")
    row, last, offset, past = (clock[:, column] for column in (ROW, LAST, OFFSET, PAST_ROW))
    ordered = (offset >= 0) & (offset + task.window - 1 <= row) & (row <= last) & (last < rows)
    known = (past == -1) | ((past >= task.window - 1) & (past < rows - 1))  # of the episode before, after a reset
    if not (ordered & known).all():
        raise ValueError(f"state['_clock'] must name rows of a table of {rows}, got {clock[~(ordered & known)][0]}")
