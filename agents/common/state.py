"""Save and restore the mutable state of objects, so that another one made alike continues exactly.

A part with a state has `get_state()` and `set_state(state)`: a replay memory, random streams, envs. A state is a tree
of dicts and lists whose leaves are arrays and plain JSON, so that `agents.common.checkpoints` can write it.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch

from agents.common.checks import short

State = dict[str, Any]
DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError)
"""Errors that damaged facts may raise when they are restored, beside ValueError."""
_LARGEST = 2**63


@runtime_checkable
class Stateful(Protocol):
    """An object whose state can be saved and restored."""

    def get_state(self) -> State:
        """Everything that changes while it is used; arrays may share memory with it."""

    def set_state(self, state: State) -> Any:
        """Restores what `get_state` returned; ValueError if that came from an object made otherwise."""


class Parts(ABC):
    """An object whose state is made of some of its attributes."""

    @abstractmethod
    def parts(self) -> dict[str, Any]:
        """The attributes that change while it is used, by name."""

    def get_state(self) -> State:
        """Copies of the parts, or their states."""
        return get_parts(self.parts())

    def set_state(self, state: State) -> Any:
        """Restores what `get_state` returned; ValueError naming the part if it does not fit."""
        set_parts(self, self.parts(), state)


def has_state(value: Any) -> bool:
    """True for numbers, random generators, parts with `get_state` and `set_state`, and lists of them."""
    if isinstance(value, list):
        return bool(value) and all(map(has_state, value))
    return isinstance(value, int | float | np.random.Generator | Stateful)


def get_parts(parts: Mapping[str, Any]) -> State:
    """Copies or states of parts, generators, arrays, tensors, deques, lists, dicts and plain JSON, by name."""
    return {name: _state_of(value) for name, value in parts.items()}


def set_parts(owner: object, parts: Mapping[str, Any], state: State) -> None:
    """Restores what `get_parts` returned, arrays in place because others may share their memory.

    Args:
        owner: The object whose attributes the parts are.
        parts: The parts by name.
        state: Their state.

    Raises:
        ValueError: Naming the part, if it is missing in `state`, or a value has another type or shape.
    """
    if not isinstance(state, dict):
        raise ValueError(f"there must be an object of {', '.join(parts)}, got {short(state)}")
    for name, old in parts.items():
        with part(name):
            if name not in state:
                raise ValueError("it is missing")
            setattr(owner, name, _renewed(name, old, state[name]))


def get_attributes(owner: object, names: Iterable[str]) -> State:
    """`get_parts` of some attributes of an object that is not ours."""
    return get_parts({name: getattr(owner, name) for name in names})


def set_attributes(owner: object, names: Iterable[str], state: State) -> None:
    """`set_parts` of some attributes of an object that is not ours."""
    set_parts(owner, {name: getattr(owner, name, None) for name in names}, state)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Prefixes errors with the name of the part that they are about: ValueError "outer: inner: ..."."""
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
        return get_parts(value)
    return value


def _renewed(name: str, old: Any, state: Any) -> Any:
    """`old` itself with that state, or the value that replaces it."""
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
        raise ValueError(f"{name} has no part to restore its state to: {short(state)}")
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
    """A number of the type of `old`."""
    kind = bool if isinstance(old, bool) else int if isinstance(old, int) else int | float
    if not isinstance(state, kind) or isinstance(state, bool) is not isinstance(old, bool):
        raise ValueError(f"{name} must be a number like {old!r}, got {short(state)}")
    if not abs(state) < _LARGEST:
        raise ValueError(f"{name} must be finite and of 64 bits, got {short(state)}")
    return state


def _filled(name: str, old: Any, state: Any) -> Any:
    """The array `old` with the numbers of another, in place."""
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
