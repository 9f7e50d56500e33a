"""A replay memory in plain Python: a deque, from which batches are drawn without repetition.

`agents.memory.replay` does the same with repetition, and much faster.

Axis letters: S seeds, B batch, D observation.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from agents.common.state import State


class Transitions(NamedTuple):
    """Transitions of all seeds: a batch, or without B one of each."""

    obs: Any  # [S, B, D]
    action: Any  # [S, B]
    reward: Any  # [S, B]
    next_obs: Any  # [S, B, D]
    done: Any  # [S, B], 1 where the episode terminated, else 0


class DequeMemory:
    """The last transitions of S seeds, with observations of D numbers."""

    def __init__(self, buffer_size: int, n_seeds: int, obs_size: int) -> None:
        self.memory: deque[Transitions] = deque(maxlen=buffer_size)
        each, obs = (n_seeds,), (n_seeds, obs_size)
        self._shapes = Transitions(obs, each, each, obs, each)

    def add(self, *transition: npt.NDArray[Any]) -> None:
        """Stores one transition of every seed, the fields of `Transitions` without B."""
        obs, action, *others = transition
        reward, next_obs, done = (np.array(part, np.float32) for part in others)
        self.memory.append(Transitions(np.array(obs, np.float32), np.array(action, np.int64), reward, next_obs, done))

    def sample(self, batch_size: int, chance: Sequence[np.random.Generator]) -> Transitions:
        """A batch without repetition, each seed's drawn by its own generator."""
        batches = []
        for s, stream in enumerate(chance):
            rows = [self.memory[i] for i in stream.choice(len(self.memory), batch_size, replace=False)]
            batches.append([np.array([part[s] for part in field]) for field in zip(*rows, strict=True)])
        return Transitions(*(torch.from_numpy(np.array(field)) for field in zip(*batches, strict=True)))

    def get_state(self) -> State:
        """The transitions, each field in one array [S, size, ...]."""
        fields = zip(*self.memory, strict=True) if self.memory else [()] * len(self._shapes)
        arrays = (np.array(field).reshape(-1, *shape) for field, shape in zip(fields, self._shapes, strict=True))
        return {name: array.swapaxes(0, 1) for name, array in zip(Transitions._fields, arrays, strict=True)}

    def set_state(self, state: State) -> None:
        """Restores what `get_state` returned; ValueError if it does not fit."""
        size = state["reward"].shape[-1]
        for name, (n_seeds, *obs_size) in self._shapes._asdict().items():
            if state[name].shape != (n_seeds, size, *obs_size):
                raise ValueError(f"{name} must have shape {(n_seeds, size, *obs_size)}, got {state[name].shape}")
        self.memory.clear()
        for row in zip(*(state[name].swapaxes(0, 1) for name in Transitions._fields), strict=True):
            self.add(*row)
