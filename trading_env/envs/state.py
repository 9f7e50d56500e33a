"""State of an env as arrays and plain JSON, with which an equal env continues exactly."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from trading_env._checks import brief
from trading_env.envs.task import Task

State = dict[str, Any]


def read(owner: object, names: Iterable[str]) -> State:
    """A copy of the named attributes."""
    return {name: _copied(getattr(owner, name)) for name in names}


def check_keys(state: State, names: Iterable[str]) -> None:
    """Raises ValueError unless the state is a mapping with all of the names."""
    if not isinstance(state, Mapping):
        raise ValueError(f"state must be a dict, got {brief(state)}")
    missing = [name for name in names if name not in state]
    if missing:
        raise ValueError(f"state must have {missing}, got {sorted(state)}")


def check_mode(state: State, mode: AutoresetMode) -> None:
    """Raises ValueError if the state belongs to a vector env with another autoreset mode."""
    if not isinstance(state["autoreset_mode"], str) or state["autoreset_mode"] != mode.value:
        raise ValueError(
            f"state is that of an env with autoreset_mode {state['autoreset_mode']}, this one has {mode.value}"
        )


def _copied(value: Any) -> Any:
    """A copy as arrays and plain JSON."""
    if isinstance(value, np.ndarray):
        return np.array(value)
    if isinstance(value, dict):
        return {key: _copied(part) for key, part in value.items()}
    return list(value) if isinstance(value, (list, tuple)) else value


def get_streams(rngs: Iterable[np.random.Generator]) -> list[Any]:
    """States of the generators."""
    return [rng.bit_generator.state for rng in rngs]


def set_streams(rngs: Sequence[np.random.Generator], states: Sequence[Any]) -> None:
    """Restores the states of the generators, which `checked_state.check_streams` has checked."""
    for rng, state in zip(rngs, states, strict=True):
        rng.bit_generator.state = state


def fingerprint(task: Task) -> int:
    """Checksum of prices, features and rules; a state must not be restored where they differ."""
    plain = (
        task.initial_cash,
        task.window,
        task.observation,
        task.episode_length,
        task.config.random_start,
        task.years,
    )
    total = zlib.crc32(repr((*plain, task.firsts, task.feature_names)).encode())
    for values in (task.rules, task.bars, task.features):
        total = zlib.crc32(np.ascontiguousarray(values).data if values.size else b"", total)
    return total


def check_fingerprint(task: Task, state: State) -> None:
    """Raises ValueError unless the state belongs to an env with the same task."""
    check_keys(state, ("fingerprint",))
    if type(state["fingerprint"]) is not int or state["fingerprint"] != fingerprint(task):
        raise ValueError("state is that of an env with other data or other keywords")
