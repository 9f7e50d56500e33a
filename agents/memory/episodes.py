"""The running episodes of S seeds with N envs each, which end at different times, and finished ones to learn from.

Axis letters: S seeds, N envs per seed, T time within an episode, D observation, K numbers per action.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from agents.common.state import State, part
from agents.envs.seed_envs import Floats


class Episodes:
    """The steps of each running episode so far.

    Args:
        n_seeds: S.
        n_envs: N.
        obs_size: D.
        action_size: K.

    Attributes:
        length: Steps of each running episode, [S, N].
        finished: Of each seed, episodes that were not learnt from yet: rows [T, D + K] and returns [T].
    """

    def __init__(self, n_seeds: int, n_envs: int, obs_size: int, action_size: int) -> None:
        self._obs_size, capacity = obs_size, 256
        self._rows: Floats = np.zeros((n_seeds, n_envs, capacity, obs_size + action_size), np.float32)
        self._reward = np.zeros((n_seeds, n_envs, capacity))  # [S, N, capacity]
        self._seed, self._env = np.indices((n_seeds, n_envs))  # [S, N]
        self.length = np.zeros((n_seeds, n_envs), np.int64)
        self.finished: list[list[tuple[Floats, Floats]]] = [[] for _ in range(n_seeds)]

    def add(self, obs: Floats, action: npt.NDArray[Any], reward: npt.NDArray[Any]) -> None:
        """Adds one step to each: obs [S, N, D], action [S, N] or [S, N, K], reward [S, N]."""
        if self.length.max() == self._reward.shape[2]:
            self._rows = np.concatenate((self._rows, np.zeros_like(self._rows)), 2)
            self._reward = np.concatenate((self._reward, np.zeros_like(self._reward)), 2)
        at = (self._seed, self._env, self.length)
        self._rows[*at, : self._obs_size] = obs
        self._rows[*at, self._obs_size :] = action.reshape(*action.shape[:2], -1)
        self._reward[at] = reward
        self.length += 1

    def take(self, s: int, n: int) -> tuple[Floats, npt.NDArray[np.float64]]:
        """Removes and returns an ended episode: observations and actions side by side [T, D + K], rewards [T]."""
        T = self.length[s, n]
        self.length[s, n] = 0
        return self._rows[s, n, :T].copy(), self._reward[s, n, :T].copy()

    def clear(self) -> None:
        """Discards the running episodes."""
        self.length[:] = 0

    def forget_finished(self) -> None:
        """Discards the finished episodes."""
        self.finished = [[] for _ in self.finished]

    def get_state(self) -> State:
        """The steps of each running episode, rows [T, D + K] and rewards [T], and the finished ones; by seed."""
        running = [
            [(self._rows[s, n, :T].copy(), self._reward[s, n, :T].copy()) for n, T in enumerate(lengths)]
            for s, lengths in enumerate(self.length)
        ]
        return {"running": running, "finished": self.finished}

    def set_state(self, state: State) -> None:
        """Restores what `get_state` returned; ValueError if it does not fit."""
        S, N, capacity, width = self._rows.shape
        running = state["running"]
        if len(running) != S or any(len(seed) != N for seed in running):
            raise ValueError(f"running must be {S} lists of {N} episodes each")
        for rows, reward in (episode for seed in running for episode in seed):
            if rows.ndim != 2 or rows.shape[1] != width or reward.shape != rows.shape[:1]:
                shapes = f"{rows.shape}, {reward.shape}"
                raise ValueError(f"rows must have shape {('T', width)} and rewards (T,), got {shapes}")
        self.length[:] = [[len(reward) for _, reward in seed] for seed in running]
        while capacity < self.length.max():
            capacity *= 2
        self._rows = np.zeros((S, N, capacity, width), np.float32)
        self._reward = np.zeros((S, N, capacity))
        for s, n in np.ndindex(S, N):
            self._rows[s, n, : self.length[s, n]], self._reward[s, n, : self.length[s, n]] = running[s][n]
        with part("finished"):
            self.finished = [[(rows, returns) for rows, returns in seed] for seed in state["finished"]]
