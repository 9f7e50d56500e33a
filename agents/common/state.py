"""What must be kept of an object so that another one made alike goes on exactly as it would have.

A part with a state has `get_state()` and `set_state(state)`: a replay memory, random streams, envs. A state is a tree
of dicts and lists whose leaves are arrays and plain JSON, so that `agents.common.checkpoints` can write it.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from agents.common.facts import short

State = dict[str, Any]
DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError)
"""What may be raised by taking up facts that are not as they should be, beside ValueError."""


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
        ValueError: Naming the part, if an attribute is missing in `state`, or a value is of another kind or shape.
    """
    if not isinstance(state, dict):
        raise ValueError(f"there must be an object of {', '.join(names)}, got {short(state)}")
    for name in names:
        with part(name):
            if name not in state:
                raise ValueError("it is missing")
            setattr(owner, name, _renewed(name, getattr(owner, name, None), state[name]))


@contextmanager
def part(name: str) -> Iterator[None]:
    """Lets what is wrong with a state say in which part of it: ValueError "outer: inner: ..."."""
    try:
        yield
    except (ValueError, *DAMAGE) as error:
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__} {error}"
        raise ValueError(f"{name}: {said}") from error


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
    if isinstance(old, bool | int | float):
        return _checked(name, old, state)
    if old is None and not isinstance(state, np.ndarray | None):
        raise ValueError(f"{name} has no part to take up its state: {short(state)}")
    if isinstance(old, deque):
        return deque([_checked(name, 0.0, number) for number in _listed(name, state)], maxlen=old.maxlen)
    if isinstance(old, dict) and not (isinstance(state, dict) and state.keys() == old.keys()):
        raise ValueError(f"{name} must have {sorted(old)}, got {short(state)}")
    if isinstance(old, list | tuple):
        if len(_listed(name, state)) != len(old):
            raise ValueError(f"{name} must have {len(old)} parts, got {len(state)}")
        parts = [_renewed(f"{name}[{i}]", *pair) for i, pair in enumerate(zip(old, state, strict=True))]
        return parts if isinstance(old, list) else tuple(parts)
    return state


def _listed(name: str, state: Any) -> list[Any]:
    if not isinstance(state, list):
        raise ValueError(f"{name} must be a list, got {short(state)}")
    return state


def _checked(name: str, old: float, state: Any) -> float:
    """A number of the kind of `old`."""
    kind = bool if isinstance(old, bool) else int if isinstance(old, int) else int | float
    if not isinstance(state, kind) or isinstance(state, bool) is not isinstance(old, bool):
        raise ValueError(f"{name} must be a number like {old!r}, got {short(state)}")
    if not abs(state) < _LARGEST:
        raise ValueError(f"{name} must be finite and of 64 bits, got {short(state)}")
    return state


_LARGEST = 2**63


def _filled(name: str, old: Any, state: Any) -> Any:
    """An array with the numbers of another, in place."""
    like = old if isinstance(old, np.ndarray) else old.cpu().numpy()
    if not isinstance(state, np.ndarray) or (state.shape, state.dtype) != (like.shape, like.dtype):
        kind = f"{state.dtype} {state.shape}" if isinstance(state, np.ndarray) else short(state)
        raise ValueError(f"{name} must be an array {like.dtype} {like.shape}, got {kind}")
    if not np.isfinite(state).all() and np.isfinite(like).all():
        raise ValueError(f"{name} must be finite")
    if isinstance(old, torch.Tensor):
        old.copy_(torch.from_numpy(state))
    else:
        old[...] = state
    return old
