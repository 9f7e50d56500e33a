"""What must be kept of an object so that another one made alike goes on exactly as it would have.

A part with a state has `get_state()` and `set_state(state)`: a replay memory, random streams, envs. A state is a tree
of dicts and lists whose leaves are arrays and plain JSON, so that `agents.checkpoints` can write it.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

State = dict[str, Any]


@runtime_checkable
class Stateful(Protocol):
    """Something that gives and takes its state."""

    def get_state(self) -> State:
        """Everything that changes while it is used; arrays may share memory with it."""

    def set_state(self, state: State) -> Any:
        """Takes up what `get_state` gave; ValueError if that came from one made otherwise."""


def get_attributes(owner: object, names: Sequence[str]) -> State:
    """Copies of some attributes, or their states: parts, generators, arrays, tensors, deques, lists, dicts, JSON."""
    return {name: _state_of(getattr(owner, name)) for name in names}


def set_attributes(owner: object, names: Sequence[str], state: State) -> None:
    """Takes up what `get_attributes` gave, arrays in place, because others may share their memory.

    Raises:
        KeyError: If an attribute is missing in `state`.
        ValueError: If an array has another shape or another kind of numbers.
    """
    for name in names:
        setattr(owner, name, _renewed(name, getattr(owner, name, None), state[name]))


def _state_of(value: Any) -> Any:
    if isinstance(value, Stateful):
        return value.get_state()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, torch.Tensor):
        return value.cpu().clone()
    if isinstance(value, list | tuple | deque):
        return [_state_of(part) for part in value]
    if isinstance(value, dict):
        return {name: _state_of(part) for name, part in value.items()}
    return value


def _renewed(name: str, old: Any, state: Any) -> Any:
    """What `old` becomes: itself with that state, or a new value."""
    if isinstance(old, Stateful):
        old.set_state(state)
        return old
    if isinstance(old, np.random.Generator):
        old.bit_generator.state = state
        return old
    if isinstance(old, np.ndarray | torch.Tensor):
        return _filled(name, old, state)
    if isinstance(old, int | float) and not isinstance(state, int | float):
        raise ValueError(f"{name} must be a number, got {state!r}")
    if old is None and isinstance(state, dict):
        raise ValueError(f"{name} has no part to take up its state: {sorted(state)}")
    if isinstance(old, deque):
        return deque(state, maxlen=old.maxlen)
    if isinstance(old, list | tuple):
        parts = [_renewed(f"{name}[{i}]", *pair) for i, pair in enumerate(zip(old, state, strict=True))]
        return parts if isinstance(old, list) else tuple(parts)
    return state


def _filled(name: str, old: Any, state: Any) -> Any:
    """An array with the numbers of another, in place."""
    like = old if isinstance(old, np.ndarray) else old.cpu().numpy()
    if not isinstance(state, np.ndarray) or (state.shape, state.dtype) != (like.shape, like.dtype):
        kind = f"{state.dtype} {state.shape}" if isinstance(state, np.ndarray) else repr(state)
        raise ValueError(f"{name} must be an array {like.dtype} {like.shape}, got {kind}")
    if isinstance(old, torch.Tensor):
        old.copy_(torch.from_numpy(state))
    else:
        old[...] = state
    return old
