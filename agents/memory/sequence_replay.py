"""A replay memory of sequences for S seeds: the last C steps of every env, and the recurrent state before each.

A sequence may run over the end of an episode, since each step says whether it begins one. It keeps `terminated`,
never `done`, and what each action led to, so that a truncated episode still has a last state. A step is one row
[obs | next_obs | action, reward, terminated, start, alive] of float32; actions up to 2^24 are exact in it.

Axis letters: S seeds, N envs per seed, C steps kept, T steps of a sequence, B sequences, D observation, H hidden.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from agents.common.checks import check_int
from agents.common.compiled import compiled
from agents.envs.seed_envs import Step
from agents.nn.lstm import State
from agents.nn.parameters import Floats


class Sequences(NamedTuple):
    """A sample of sequences, as tensors that the next sample overwrites."""

    obs: torch.Tensor  # [S, T, B, D]
    next_obs: torch.Tensor  # [S, T, B, D]
    action: torch.Tensor  # [S, T, B, 1], int64
    reward: torch.Tensor  # [S, T, B]
    continues: torch.Tensor  # [S, T, B], 0 where the episode terminated, else 1
    starts: torch.Tensor  # [S, T, B], bool: the step begins an episode
    alive: torch.Tensor  # [S, T, B], 0 where the action was ignored, else 1
    state: State  # before the first step, as it was when it was taken, [S, B, H] each


class SequenceReplay:
    """Ring buffers of the last steps of S seeds with N envs each, which fill in lockstep.

    Args:
        n_seeds: S.
        n_envs: N.
        buffer_size: Most steps kept per seed, of all its envs together.
        obs_size: D.
        hidden_size: H.
        length: T.
        batch_size: B.
        device: Device of the batches.
    """

    def __init__(
        self,
        n_seeds: int,
        n_envs: int,
        buffer_size: int,
        obs_size: int,
        hidden_size: int,
        length: int,
        batch_size: int,
        device: torch.device,
    ) -> None:
        if buffer_size < length * n_envs:
            raise ValueError(f"buffer_size must hold a sequence of each env, {length * n_envs}, got {buffer_size}")
        self.capacity = buffer_size // n_envs
        self.size = 0  # steps of each env that are stored, the same for every seed
        self.position = 0  # slot of the next one
        self.rows: Floats = np.zeros((n_seeds, 0, n_envs, 2 * obs_size + 5), np.float32)  # [S, C, N, 2D + 5]
        self.states: Floats = np.zeros((n_seeds, 0, n_envs, 2 * hidden_size), np.float32)  # [S, C, N, 2H]
        self.length, self._obs_size, self._device = length, obs_size, device
        self._rows: Floats = np.zeros((n_seeds, length, batch_size, 2 * obs_size + 5), np.float32)
        self._states: Floats = np.zeros((n_seeds, batch_size, 2 * hidden_size), np.float32)

    def reserve(self, steps: int) -> None:
        """Makes room for that many steps of each env, up to the capacity; short runs thus stay small.

        Must be called before more are added than were reserved so far: a ring that has wrapped cannot grow. It at
        least doubles, so that a run of many calls copies each step once or twice.
        """
        C = self.rows.shape[1]
        capacity = C if steps <= C else min(self.capacity, max(steps, 2 * C))
        if capacity > C:
            grown = [np.zeros((len(x), capacity, *x.shape[2:]), np.float32) for x in (self.rows, self.states)]
            grown[0][:, :C], grown[1][:, :C] = self.rows, self.states
            self.rows, self.states = grown
            self.position = self.size

    def add(self, obs: Floats, action: npt.NDArray[np.int64], step: Step, carried: Any) -> None:
        """Stores a step of every env.

        Args:
            obs: Observations before the step, [S, N, D].
            action: [S, N].
            step: The step.
            carried: The recurrent state of each env before it, an `agents.base.recurrent_agent.Carried`.
        """
        D, H = self._obs_size, self.states.shape[-1] // 2
        row, state = self.rows[:, self.position], self.states[:, self.position]  # [S, N, ...]
        row[..., :D], row[..., D : 2 * D] = obs, step.next_obs
        for i, column in enumerate((action, step.reward, step.terminated, carried.starts, carried.alive)):
            row[..., 2 * D + i] = column
        state[..., :H], state[..., H:] = carried.hidden, carried.cell
        self.position = (self.position + 1) % self.rows.shape[1]
        self.size = min(self.size + 1, self.rows.shape[1])

    def sample(self, uniform: npt.NDArray[np.float64]) -> Sequences:
        """Sequences drawn with replacement, each seed from its own envs, by numbers [S, B] in [0, 1)."""
        oldest = self.position if self.size == self.rows.shape[1] else 0
        _gather(self.rows, self.states, oldest, self.size - self.length + 1, uniform, self._rows, self._states)
        rows, states = (torch.from_numpy(x).to(self._device) for x in (self._rows, self._states))
        D, H = self._obs_size, states.shape[-1] // 2
        return Sequences(
            obs=rows[..., :D],
            next_obs=rows[..., D : 2 * D],
            action=rows[..., 2 * D : 2 * D + 1].long(),
            reward=rows[..., 2 * D + 1],
            continues=1.0 - rows[..., 2 * D + 2],
            starts=rows[..., 2 * D + 3] > 0.5,
            alive=rows[..., 2 * D + 4],
            state=State(states[..., :H], states[..., H:]),
        )

    def get_state(self) -> dict[str, Any]:
        """The steps stored, [S, size, N, ...], sharing memory, and the position in the ring."""
        counts = {"reserved": self.rows.shape[1], "size": self.size, "position": self.position}
        return {"rows": self.rows[:, : self.size], "states": self.states[:, : self.size], **counts}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restores what `get_state` returned; ValueError if it does not fit."""
        C, size, position = (check_int(name, state[name], 0) for name in ("reserved", "size", "position"))
        if not size <= C <= self.capacity or position > size:
            raise ValueError(f"room for {self.capacity} steps has none for {size} of {C}, the next {position}")
        for name in ("rows", "states"):
            old, stored = getattr(self, name), state[name]
            if stored.shape != (len(old), size, *old.shape[2:]):
                raise ValueError(f"{name} must have shape {(len(old), size, *old.shape[2:])}, got {stored.shape}")
            ring = np.zeros((len(old), C, *old.shape[2:]), np.float32)
            ring[:, :size] = stored
            setattr(self, name, ring)
        self.size, self.position = size, position


@compiled
def _gather(
    rows: Floats,
    states: Floats,
    oldest: int,
    windows: int,
    uniform: npt.NDArray[np.float64],
    batch: Floats,
    first: Floats,
) -> None:
    S, T, B, width = batch.shape
    C, N = rows.shape[1], rows.shape[2]
    for s in range(S):
        for b in range(B):
            drawn = int(uniform[s, b] * (windows * N))
            n, start = drawn % N, oldest + drawn // N
            state, copy = states[s, start % C, n], first[s, b]
            for i in range(copy.size):
                copy[i] = state[i]
            for t in range(T):
                row, into = rows[s, (start + t) % C, n], batch[s, t, b]
                for i in range(width):
                    into[i] = row[i]
