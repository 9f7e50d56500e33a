"""A replay memory for S seeds: one ring of transitions each, packed by row.

A transition is one row [obs | next_obs, action, reward, end] of float32, because a random row costs the time of its
cache misses (measured: 0.6 times as long as with five arrays). Where the outcomes of several actions are known, the
part behind obs is repeated for each. An action is one int, exact up to 2^24, or the A numbers of a Box's. `end` keeps
apart what an env keeps apart: an episode cut off by a time limit still has a next state.

Axis letters: S seeds, N envs per seed, B batch, C capacity, D observation, A numbers per action, K outcomes per
transition (1, or one of every action).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.common.checks import check_int
from agents.common.compiled import compiled
from agents.common.state import State
from agents.memory.n_step import gather_n_steps

Floats = npt.NDArray[np.float32]
Slots = npt.NDArray[np.int64]
GOES_ON, TERMINATED, TRUNCATED = 0.0, 1.0, 2.0  # how a row ends


@dataclass(frozen=True)
class Batch:
    """A sample of transitions, as tensors that the next sample overwrites."""

    obs: torch.Tensor  # [S, B, D]
    next_obs: torch.Tensor  # [S, B * K, D]
    action: torch.Tensor  # [S, B, K], int64; of a Box [S, B, A], float32
    reward: torch.Tensor  # [S, B * K], of n steps their discounted sum
    continues: torch.Tensor  # [S, B * K], 0 where the episode terminated, else 1, and after n steps gamma^(n - 1)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on `device`; itself if it is there already."""
        if self.obs.device == device:
            return self
        moved = {name: part.to(device) for name, part in vars(self).items()}
        return Batch(**moved)


class Replay:
    """Ring buffers of the last transitions of S seeds, which fill in lockstep.

    Args:
        n_seeds: S.
        buffer_size: Most transitions kept per seed.
        obs_size: D.
        batch_size: B.
        device: Device of the batches.
        outcomes: K.
        n_steps: Most steps of a drawn transition; more than 1 needs K = 1.
        gamma: Discount factor of n steps.
        action_size: A, numbers per action of a Box, which needs K = 1; 0 if actions are ints.

    Attributes:
        rows: The rings, [S, C, D + K (D + A + 2)].
        size: Transitions stored, the same for every seed.
        position: Slot of the next one.
        n_envs: N, as last stored.
    """

    def __init__(
        self,
        n_seeds: int,
        buffer_size: int,
        obs_size: int,
        batch_size: int,
        device: torch.device,
        outcomes: int = 1,
        n_steps: int = 1,
        gamma: float = 1.0,
        action_size: int = 0,
    ) -> None:
        self.buffer_size, self.n_steps, self.gamma = buffer_size, n_steps, gamma
        self.size = self.position = 0
        self.n_envs = 1
        S, B, D, K = n_seeds, batch_size, obs_size, outcomes
        A, kind = (action_size, np.float32) if action_size else (1, np.int64)
        self.rows: Floats = np.zeros((S, 0, D + K * (D + A + 2)), np.float32)
        self._slots = np.zeros((S, B), np.int64)
        obs, next_obs = np.zeros((S, B, D), np.float32), np.zeros((S, B * K, D), np.float32)
        reward, continues = np.zeros((2, S, B * K), np.float32)
        action: npt.NDArray[Any] = np.zeros((S, B, K * A), kind)
        self._arrays = (obs, next_obs, action, reward, continues)  # of the batch
        self._device, self._batch = device, self._as_batch()

    @property
    def capacity(self) -> int:
        """C, the transitions per seed that there is room for now."""
        return self.rows.shape[1]

    def reserve(self, transitions: int) -> None:
        """Makes room for that many transitions per seed, up to `buffer_size`; short runs thus stay small.

        Must be called before more are added than were reserved so far: a ring that has wrapped cannot grow. It at
        least doubles, so that a run of many calls copies each transition once or twice; what is not yet filled costs
        no memory, since the system gives zeroed pages when they are first written.
        """
        S, C, width = self.rows.shape
        capacity = C if transitions <= C else min(self.buffer_size, max(transitions, 2 * C))
        if capacity > C:
            grown = np.zeros((S, capacity, width), np.float32)
            grown[:, :C] = self.rows
            self.rows, self.position = grown, self.size

    def add(
        self,
        obs: Floats,
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        terminated: npt.NDArray[np.bool_],
        ended: npt.NDArray[np.bool_],
        next_obs: Floats,
    ) -> None:
        """Stores N transitions of each seed: obs and next_obs [S, N, D], a Box's action [S, N, A], the others [S, N].

        `ended` is where the episode terminated or was truncated.
        """
        action = action.reshape(*action.shape[:2], -1)
        _store(self.rows, self.position, obs, next_obs, action, reward, terminated, ended)
        self._stored(obs.shape[1])

    def add_outcomes(
        self, obs: Floats, reward: npt.NDArray[Any], terminated: npt.NDArray[np.bool_], next_obs: Floats
    ) -> None:
        """Stores N transitions of each seed with the outcomes of all actions.

        Args:
            obs: [S, N, D].
            reward: [S, N, K].
            terminated: [S, N, K].
            next_obs: [S, N, K, D].
        """
        _store_outcomes(self.rows, self.position, obs, next_obs, reward, terminated)
        self._stored(obs.shape[1])

    def _stored(self, n_envs: int) -> None:
        C = self.capacity
        self.n_envs = n_envs
        self.position = (self.position + n_envs) % C
        self.size = min(self.size + n_envs, C)

    def cut(self) -> None:
        """Marks the last transitions as ends of their episodes: the next ones stored belong to others."""
        if self.size:
            last = (self.position - 1 - np.arange(min(self.n_envs, self.size))) % self.capacity
            end = self.rows[:, last, -1]  # [S, N]
            self.rows[:, last, -1] = np.where(end == GOES_ON, TRUNCATED, end)

    def sample(self, uniform: npt.NDArray[np.float64]) -> Batch:
        """A batch drawn uniformly, each seed from its own ring, by numbers [S, B] in [0, 1)."""
        _draw(self.size, uniform, self._slots)
        return self.take(self._slots)

    def take(self, slots: Slots) -> Batch:
        """The batch of the transitions in `slots` [S, B], or that begin there if they have n steps."""
        if self.n_steps == 1:
            _gather(self.rows, slots, *self._arrays)
        else:
            chain = ((self.position - self.size) % self.capacity, self.size, self.n_envs, self.n_steps, self.gamma)
            gather_n_steps(self.rows, slots, *chain, *self._arrays)
        return self._batch.to(self._device)

    def _as_batch(self) -> Batch:
        """The arrays that a sample is gathered into, as tensors."""
        return Batch(*map(torch.from_numpy, self._arrays))

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: all but the batch, which looks at other memory."""
        return {name: value for name, value in vars(self).items() if name != "_batch"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._batch = self._as_batch()

    def get_state(self) -> State:
        """The transitions stored, [S, size, ...], sharing memory, and the position in the ring."""
        counts = {"capacity": self.capacity, "size": self.size, "position": self.position, "n_envs": self.n_envs}
        return {"rows": self.rows[:, : self.size], **counts}

    def set_state(self, state: State) -> None:
        """Restores what `get_state` returned; ValueError if it does not fit."""
        S, _, width = self.rows.shape
        C, size, position = (check_int(name, state[name], 0) for name in ("capacity", "size", "position"))
        if not size <= C <= self.buffer_size or position > size:
            raise ValueError(f"buffer_size={self.buffer_size} has no room for {size} of {C} rows, the next {position}")
        if state["rows"].shape != (S, size, width):
            raise ValueError(
                f"rows must have shape {(S, size, width)} by seeds, spaces and outcomes, got {state['rows'].shape}"
            )
        self.rows = np.zeros((S, C, width), np.float32)
        self.rows[:, :size] = state["rows"]
        self.size, self.position, self.n_envs = size, position, check_int("n_envs", state["n_envs"], 1)


@compiled
def _store(
    rows: Any, position: int, obs: Any, next_obs: Any, action: Any, reward: Any, terminated: Any, ended: Any
) -> None:
    (S, N, D), A = obs.shape, action.shape[2]
    for s in range(S):
        for n in range(N):
            row = rows[s, (position + n) % rows.shape[1]]
            row[:D] = obs[s, n]
            row[D : 2 * D] = next_obs[s, n]
            for a in range(A):
                row[2 * D + a] = action[s, n, a]
            row[2 * D + A] = reward[s, n]
            row[2 * D + A + 1] = 1.0 if terminated[s, n] else 2.0 if ended[s, n] else 0.0


@compiled
def _store_outcomes(rows: Any, position: int, obs: Any, next_obs: Any, reward: Any, terminated: Any) -> None:
    S, N, K, D = next_obs.shape
    for s in range(S):
        for n in range(N):
            row = rows[s, (position + n) % rows.shape[1]]
            row[:D] = obs[s, n]
            for k in range(K):
                outcome = row[D + k * (D + 3) :]
                outcome[:D] = next_obs[s, n, k]
                outcome[D], outcome[D + 1] = k, reward[s, n, k]
                outcome[D + 2] = 1.0 if terminated[s, n, k] else 0.0


@compiled
def _draw(size: int, uniform: npt.NDArray[np.float64], slots: Slots) -> None:
    S, B = slots.shape
    for s in range(S):
        for b in range(B):
            slots[s, b] = int(uniform[s, b] * size)


@compiled
def _gather(rows: Any, slots: Any, obs: Any, next_obs: Any, action: Any, reward: Any, continues: Any) -> None:
    S, B, D = obs.shape
    K = reward.shape[1] // B
    A = action.shape[2] // K
    for s in range(S):
        for b in range(B):
            row = rows[s, slots[s, b]]
            for i in range(D):  # element by element: twice as fast as an assignment of slices
                obs[s, b, i] = row[i]
            for k in range(K):
                outcome, at = row[D + k * (D + A + 2) :], b * K + k
                for i in range(D):
                    next_obs[s, at, i] = outcome[i]
                for a in range(A):
                    action[s, b, k * A + a] = outcome[D + a]
                reward[s, at] = outcome[D + A]
                continues[s, at] = 0.0 if outcome[D + A + 1] == 1.0 else 1.0
