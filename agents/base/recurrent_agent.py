"""The base class of agents with an LSTM: the recurrent state of each env, and acting.

Axis letters: S seeds, N envs per seed, B batch, D observation, H hidden, K outputs of the network.
"""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from agents.base.agent import SeedAgent
from agents.base.learner import Actions, Recurrent
from agents.common.state import Parts
from agents.envs.seed_envs import Floats
from agents.nn.parameters import Flags
from agents.nn.recurrent import Recalled, RecurrentNet


class Carried(Parts):
    """Recurrent state of each env from step to step, zero at the start of an episode.

    With SAME_STEP, an env whose episode ended returns the first observation of the next one at once. With NEXT_STEP it
    returns the last one; the action on that is ignored, its row is dead, and the following step returns the first.

    Args:
        n_seeds: S.
        n_envs: N.
        hidden_size: H.
        mode: Autoreset mode of the envs.

    Attributes:
        hidden: Hidden state before the next step, zero where an episode begins, [S, N, H].
        cell: Cell, the same.
        starts: True where the observation to act on next is the first of an episode, [S, N].
        alive: True where the action on it counts, [S, N].
    """

    def __init__(self, n_seeds: int, n_envs: int, hidden_size: int, mode: AutoresetMode) -> None:
        if mode is AutoresetMode.DISABLED:
            raise ValueError("mode must be SAME_STEP or NEXT_STEP, got DISABLED")
        self._same_step = mode is AutoresetMode.SAME_STEP
        self.hidden: Floats = np.zeros((n_seeds, n_envs, hidden_size), np.float32)
        self.cell = np.zeros_like(self.hidden)
        self.starts: Flags = np.ones((n_seeds, n_envs), np.bool_)
        self.alive = np.ones_like(self.starts)

    def reset(self) -> None:
        """Starts an episode in every env."""
        self.hidden[:], self.cell[:] = 0.0, 0.0
        self.starts, self.alive = np.ones_like(self.starts), np.ones_like(self.alive)

    def step(self, after: Recalled, ended: Flags) -> None:
        """Stores the recurrent state after a step that ended the episodes of some envs, `ended` [S, N]."""
        self.starts = ended.copy() if self._same_step else ~self.alive
        self.alive = np.ones_like(ended) if self._same_step else ~ended
        for mine, theirs in ((self.hidden, after[0]), (self.cell, after[1])):
            np.multiply(theirs, ~self.starts[..., None], out=mine)

    @property
    def recalled(self) -> Recalled:
        """Hidden state and cell before the next step, [S, N, H] each."""
        return self.hidden, self.cell

    def parts(self) -> dict[str, Any]:
        """The attributes above, by name."""
        return {"hidden": self.hidden, "cell": self.cell, "starts": self.starts, "alive": self.alive}


class RecurrentAgent(SeedAgent):
    """An agent of a `RecurrentNet`, `self.net`."""

    net: RecurrentNet

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        return iter([(inputs, 4 * config.lstm_size), (config.lstm_size, 4 * config.lstm_size)])

    def _build_carried(self) -> None:
        sizes = (len(self.seeds), self.n_envs, self.net.memory_size)
        self.carried = Carried(*sizes, self.envs_type.autoreset_mode)

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0 or self._obs is None:  # all episodes are new
            self.carried.reset()

    def _cut(self, obs: Floats) -> None:
        self.carried.reset()

    @abstractmethod
    def _best(self, outputs: Floats) -> Actions:
        """Greedy actions, [S, B] or [S, B, *action_shape], from the network's outputs [S, B, K]."""

    @abstractmethod
    def _by_chance(self, outputs: Floats) -> Actions:
        """Actions as drawn in training, in the shape of `_best`'s."""

    def _greedy(self, obs: Floats) -> Actions:
        """Greedy actions for first observations of episodes, [S, B, D]."""
        return self._best(self.net.act(obs, self._nothing(obs.shape[1]))[0])

    def _nothing(self, batch: int) -> Recalled:
        shape = (len(self.seeds), batch, self.net.memory_size)
        return np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def _respond(
        self, obs: Floats, state: Recurrent, episode_start: Any, deterministic: bool
    ) -> tuple[Actions, Recurrent]:
        outputs, after = self.net.act(obs, self._before(state, episode_start, obs.shape[1]))
        return (self._best(outputs) if deterministic else self._by_chance(outputs)), after

    def _before(self, state: Any, episode_start: Any, batch: int) -> Recalled:
        """Hidden state and cell before a step, [S, B, H] each, from the arguments of `predict`."""
        nothing = self._nothing(batch)
        if state is None:
            return nothing
        given = tuple(np.asarray(part, np.float32) for part in state)
        if len(given) != 2 or any(part.shape != nothing[0].shape for part in given):
            raise ValueError(f"state must be two arrays {nothing[0].shape}, got {[part.shape for part in given]}")
        if episode_start is None:
            return given[0], given[1]
        starts = np.asarray(episode_start, np.bool_)
        starts = np.broadcast_to(starts if starts.size == 1 else starts.reshape(-1, batch), nothing[0].shape[:2])
        return given[0] * ~starts[..., None], given[1] * ~starts[..., None]
