"""Copies of agents by `copy.deepcopy`, pickle and cloudpickle: they act, learn and save as the original would.

An agent has many views of the same memory: tensors that are views of one flat buffer, NumPy arrays that are views of
tensors, functions bound to either. Copied part by part, the views would separate, and the weights that learn would no
longer be those that act. So a copy is built anew, as the constructor does, and then receives weights and state.

Functions and local classes (an env's factory, a schedule) go into a pickle by cloudpickle, which Gymnasium needs too.

Envs are copied as well. Those that give their state are made anew and receive it; others are copied as they are. If
neither is possible the copy's episodes start anew, and a warning says so.
"""

import copy
import pickle
import warnings
from collections.abc import Callable
from typing import Any, Self

import cloudpickle
import gymnasium as gym
import numpy as np
import torch

from agents.base.learner import Learner, Setup
from agents.common.state import State
from agents.envs.seed_envs import SeedEnvs, make_envs

Pack = Callable[[Any], Any]
"""Maps an object to one that belongs to the copy alone: another object, or the bytes of one."""


class Copied(Learner):
    """A learner that can be copied and pickled."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with its own envs, which continues as this agent would; it shares functions and nothing mutable."""
        twin = memo[id(self)] = object.__new__(type(self))
        state = self._packed(lambda part: copy.deepcopy(part, memo))
        state["more"] = copy.deepcopy(state["more"], memo)
        twin._unpack(state, lambda part: part)
        return twin

    def __copy__(self) -> Self:
        """The same: a copy that shared networks would learn for the original too."""
        return copy.deepcopy(self)

    def __reduce__(self) -> tuple[Any, ...]:
        """For pickle and cloudpickle: how to make a blank agent, and the state that `__setstate__` gives it."""
        return object.__new__, (type(self),), self._packed(cloudpickle.dumps)

    def __setstate__(self, state: State) -> None:
        self._unpack(state, pickle.loads)

    def _packed(self, pack: Pack) -> State:
        """Everything that makes the agent what it is; what copying restores anyway may share memory with it."""
        attributes = vars(self)
        return {
            "setup": _packed_setup(self.setup(), pack),
            "learnt": {name: array.detach().cpu().numpy() for name, array in self.state_dict().items()},
            "training": _as_arrays(self.training_state(envs=False)),
            "plain": {name: value for name, value in attributes.items() if _is_plain(value)},
            "last": detached(self._last),
            "envs": None if self._envs is None else _packed_envs(self._envs, pack),
            "more": {name: value for name, value in attributes.items() if name not in self._own},
        }

    def _unpack(self, state: State, unpack: Callable[[Any], Any]) -> None:
        """Makes a blank agent what `_packed` describes."""
        self.set_up(Setup(**{name: unpack(part) for name, part in state["setup"].items()}))
        for name, array in self.state_dict().items():
            array.copy_(torch.from_numpy(state["learnt"][name]))
        vars(self).update(state["plain"])
        self.load_training_state(state["training"])
        self._last = detached(state["last"])
        if state["envs"] is not None:
            self._envs = self._unpacked_envs(state["envs"], unpack)
        vars(self).update(state["more"])

    def _unpacked_envs(self, state: State, unpack: Callable[[Any], Any]) -> SeedEnvs:
        """The envs of a copy."""
        kind = self._training_envs(self.config)
        if "envs" in state:
            envs = kind(unpack(state["envs"]), self.seeds, self.n_envs, "envs")
            envs.set_counts(state["counts"])
            return envs
        assert self._env is not None
        envs = make_envs(self._env, self.seeds, self.n_envs, kind=kind)
        stored = state["state"]
        stored = unpack(stored) if isinstance(stored, bytes) else stored
        if stored is not None and not envs.set_state(stored) and self._obs is not None:
            self._break_off(self._obs)
        return envs


def _packed_setup(setup: Setup, pack: Pack) -> State:
    """The setup, of which config, env and features extractor need not be plain data."""
    env = setup.env.spec if isinstance(setup.env, gym.Env) else setup.env  # copies are made by the spec
    packed = {}
    for name, value in setup._replace(env=env)._asdict().items():
        try:
            packed[name] = pack(value)
            if packed[name] is value and hasattr(value, "look_at"):  # shared, it would look at one env for both
                packed[name] = pickle.loads(pickle.dumps(value))
        except Exception as error:  # a stranger's object may raise anything
            raise TypeError(f"{name} of the agent cannot be copied, {error!r}: save(path) writes it without") from error
    return packed


def _packed_envs(envs: SeedEnvs, pack: Pack) -> State:
    """The state of the envs, or the envs themselves, or their counts alone."""
    state = envs.get_state() if envs.begun else None
    if state is not None and state["episodes"] is not None:
        return {"state": pack(state)}
    try:
        return {"envs": pack(envs.vector_env), "counts": envs.counts()}
    except Exception as error:  # a stranger's env may raise anything
        if state is not None:  # one that has not begun is the same as a new one
            said = f"the env cannot be copied, its episodes start anew in the copy: {error!r}"
            warnings.warn(said, RuntimeWarning, stacklevel=5)
        return {"state": state}


def _is_plain(value: Any) -> bool:
    """True if it shares memory with nothing mutable but dicts, lists and tuples of plain values."""
    if isinstance(value, dict):
        return all(map(_is_plain, (*value, *value.values())))
    if isinstance(value, list | tuple):
        return type(value) in (list, tuple) and all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _as_arrays(tree: Any) -> Any:
    """A state whose tensors are NumPy arrays, as in one that was read from a file."""
    if isinstance(tree, torch.Tensor):
        return tree.numpy()
    if isinstance(tree, dict):
        return {name: _as_arrays(part) for name, part in tree.items()}
    return [_as_arrays(part) for part in tree] if isinstance(tree, list | tuple) else tree


def detached(value: Any) -> Any:
    """Copies on the CPU of tensors and arrays in dicts, lists and tuples."""
    if isinstance(value, torch.Tensor):
        return torch.from_numpy(value.detach().cpu().numpy().copy())
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {name: detached(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        parts = [detached(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value
