"""Episodes: N running episodes of a problem, or the single one of a scalar env.

Letters: as in `trading_env.reference.problem`; R rows: the sub-envs of a call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from trading_env._checks import brief
from trading_env.data.bars import Floats
from trading_env.envs import state as env_state
from trading_env.envs.checked_state import array_of, finite_of
from trading_env.envs.what_if import Counterfactual
from trading_env.reference.problem import Bools, Problem

MOST_NOISE_SEEDS = 2**32
_STATE = ("row", "noise_seed", "position", "cost")
_INFO = ("position", "cost", "noise_seed", "t")


class Episodes:
    """N running episodes of a problem: their paths, rows on the paths, and positions."""

    def __init__(self, problem: Problem, n: int) -> None:
        self.problem, self.n = problem, n
        self.paths: Floats = np.zeros((0, 0, 0))  # [N, L, C]
        self.row, self.noise_seed = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.position, self.cost = np.zeros((n, *problem.position_shape)), np.zeros(n)
        self._last: tuple[Any, ...] | None = None  # rows, now, then, position before, and rows seen after the step

    def begin(self, rows: Any, noise_seeds: Iterable[int]) -> None:
        """Starts episodes in the rows, each on the path of its noise seed."""
        for j, noise_seed in zip(rows, noise_seeds, strict=True):
            path = self.problem.path(noise_seed)
            if not self.paths.size:
                self.paths = np.zeros((self.n, *path.shape))
            self.paths[j], self.noise_seed[j] = path, noise_seed
        self.row[rows], self.position[rows], self.cost[rows] = self.problem.lead, 0.0, 0.0

    def seen(self, rows: Any) -> Floats:
        """Last rows of the paths, up to now (R, lead + 1, C)."""
        window = self.row[rows][:, None] + np.arange(-self.problem.lead, 1)
        result: Floats = self.paths[rows[:, None], window]
        return result

    def observe(self, rows: Any) -> Any:
        """Observations of the rows."""
        return self.problem.observe(self.seen(rows), self.position[rows])

    def step(self, rows: Any, actions: Any) -> tuple[Floats, Any, Bools]:
        """Steps the rows by their actions; returns rewards (R,), observations (R, D) and truncations (R,)."""
        now, before = self.paths[rows, self.row[rows]], self.position[rows]
        self.row[rows] += 1
        seen = self.seen(rows)
        then = seen[:, -1]
        after = self.problem.moved(before, actions)
        reward, self.cost[rows] = self.problem.reward(now, then, before, after)
        self.position[rows] = after
        self._last = rows, now, then, before, seen
        ended = self.row[rows] == self.problem.lead + self.problem.episode_length
        return reward, self.problem.observe(seen, after), ended

    def info(self) -> dict[str, Any]:
        """Info of all rows: arrays (N,)."""
        values = (self.position.copy(), self.cost.copy(), self.noise_seed.copy(), self.row - self.problem.lead)
        return dict(zip(_INFO, values, strict=True))

    def get_state(self) -> env_state.State:
        """State of the episodes; their paths follow from the noise seeds."""
        last = None if self._last is None else [value.copy() for value in self._last]
        return {**env_state.read(self, _STATE), "now": self._now(), "last": last}

    def taken_up(self, state: Any, begun: Bools, ended: Bools) -> Episodes:
        """New episodes with the state that `get_state` returned.

        Args:
            state: of `get_state`.
            begun: True for episodes that have begun (N,).
            ended: True for episodes that have ended (N,).

        Raises:
            ValueError: the state belongs to other episodes, or is invalid.
        """
        env_state.check_keys(state, (*_STATE, "now", "last"))
        episodes = Episodes(self.problem, self.n)
        if not begun.any():
            return episodes
        seeds, row = (array_of(state, name, np.int64, (self.n,)) for name in ("noise_seed", "row"))
        first, last = self.problem.lead, self.problem.lead + self.problem.episode_length
        if not np.where(begun, (row >= first) & (row < last + ended), row == 0).all():
            raise ValueError(f"state['row'] must be rows from {first} to {last}, with a next one, got {row.tolist()}")
        if not ((seeds >= 0) & (seeds < MOST_NOISE_SEEDS)).all():
            raise ValueError(f"state['noise_seed'] must be in [0, 2^32), got {seeds.tolist()}")
        episodes.begin(np.flatnonzero(begun), seeds[begun].tolist())
        episodes.row, episodes.noise_seed = row, seeds
        episodes.position = finite_of(state, "position", (self.n, *self.problem.position_shape))
        episodes.cost = finite_of(state, "cost", (self.n,))
        now = episodes._now()
        if not np.array_equal(now, array_of(state, "now", np.float64, now.shape)):
            raise ValueError(f"state is that of an env with other keywords: its paths stand at {state['now']}")
        episodes._last = episodes._last_of(state["last"], begun)
        return episodes

    def _last_of(self, last: Any, begun: Bools) -> tuple[Any, ...] | None:
        """The last step, checked: rows (R,), now and then (R, C), position before (R,), seen (R, lead + 1, C)."""
        if last is None:
            return None
        if not isinstance(last, (list, tuple)) or len(last) != 5:
            raise ValueError(f"state['last'] must be five arrays of a last step, or None, got {brief(last)}")
        parts = {f"last {i}": part for i, part in enumerate(last)}
        rows = array_of(parts, "last 0", np.int64, (min(np.size(last[0]), self.n),))
        if not (np.isin(rows, np.flatnonzero(begun)).all() and len(set(rows.tolist())) == len(rows)):
            raise ValueError(f"state['last'] must be of sub-envs that have begun, got {rows.tolist()}")
        r, c = len(rows), self.paths.shape[2]
        shapes = ((r, c), (r, c), (r, *self.problem.position_shape), (r, self.problem.lead + 1, c))
        return rows, *(finite_of(parts, f"last {i}", shape) for i, shape in enumerate(shapes, start=1))

    def _now(self) -> Floats:
        """The current row of each path (N, C)."""
        return self.paths[np.arange(self.n), self.row] if self.paths.size else np.zeros((0, 0))

    def afterstates(self) -> Any:
        """Observations (N, A, D) right after each action, at the current row."""
        rows = np.arange(self.n)
        positions, _, n_actions = self._each_action(self.position)
        seen = np.repeat(self.seen(rows), n_actions, axis=0)
        obs = self.problem.observe(seen, positions)
        return obs.reshape(self.n, n_actions, *obs.shape[1:])

    def counterfactual(self) -> Counterfactual:
        """Rewards (N, A) and next observations (N, A, D) of every action at the last step; zeros without one."""
        if self._last is None:
            raise ResetNeeded("call step before counterfactual: no step has been made")
        rows, now, then, before, seen = self._last
        after, repeated, n_actions = self._each_action(before)
        each_now, each_then = (np.repeat(values, n_actions, axis=0) for values in (now, then))
        reward, _ = self.problem.reward(each_now, each_then, repeated, after)
        obs = self.problem.observe(np.repeat(seen, n_actions, axis=0), after)
        rewards = np.zeros((self.n, n_actions))
        all_obs = np.zeros((self.n, n_actions, *obs.shape[1:]), obs.dtype)
        rewards[rows] = reward.reshape(-1, n_actions)
        all_obs[rows] = obs.reshape(-1, n_actions, *obs.shape[1:])
        return Counterfactual(rewards, all_obs, np.zeros(rewards.shape, np.bool_))

    def _each_action(self, before: Floats) -> tuple[Floats, Floats, int]:
        """Positions (R A,) after each action of each row, positions (R A,) before it, and A."""
        space = self.problem.action_space()
        if not isinstance(space, spaces.Discrete):
            raise ValueError("afterstates and counterfactual need discrete actions, got continuous ones")
        n_actions = int(space.n)
        repeated = np.repeat(before, n_actions)
        return self.problem.moved(repeated, np.tile(np.arange(n_actions), len(before))), repeated, n_actions
