"""Base class of agents that learn from a replay memory: act, step, store, and update when it is due.

Axis letters: S seeds, N envs per seed, B batch, D observation, A numbers of a Box's action.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agents.base.agent import SeedAgent
from agents.base.facade import ReplayFiles
from agents.base.learner import Actions
from agents.common.checks import check_flag, check_float, check_int, check_widths
from agents.common.schedules import as_schedule
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.replay import Batch, Replay
from agents.memory.reward_scale import RewardScale


class ReplayAgent(ReplayFiles, SeedAgent):
    """An agent with a replay memory.

    An algorithm makes `replay` in its `_build`, calls `_build_sampling`, and writes `_act` and `_update`. Its
    configuration has the fields of `check_replay_config`.
    """

    takes_features = takes_network = True
    replay: Replay

    def _build_sampling(self) -> None:
        """Makes the random streams, the schedule of the learning rate, and the counters."""
        config, S = self.config, len(self.seeds)
        self._reward_scale = RewardScale(S, self.n_envs, config.gamma) if config.normalize_reward else None
        self._sampling = Streams(self.seeds, "replay", config.batch_size)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        self._calls = 0  # steps of the vector env
        self._rate = 0.0  # learning rate of the last update

    @abstractmethod
    def _act(self, obs: Floats) -> Actions:
        """Actions for obs [S, N, D] as the memory stores them: ints [S, N], or floats [S, N, A]."""

    def _to_env(self, action: Actions) -> Actions:
        """The same actions as the envs take them."""
        return action

    def _after_step(self, remaining: float) -> None:
        """Called after each step of the envs, before training, with the remaining progress from 1 to 0."""

    @abstractmethod
    def _update(self, batch: Batch, learning_rate: float) -> Any:
        """One update from one batch; returns what `_metrics` needs of it."""

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0:
            self._cut(np.zeros(0, np.float32))
        self.replay.reserve(self.replay.size + total_timesteps + self.n_envs)

    def _cut(self, obs: Floats) -> None:
        self.replay.cut()
        if self._reward_scale is not None:
            self._reward_scale.begin()

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env, stores it, and trains if it is due."""
        config = self.config
        action = self._act(obs)  # [S, N] or [S, N, A]
        step = envs.step(self._to_env(action))
        if self._reward_scale is not None:
            self._reward_scale.add(step.reward, step.ended)
        self._store(obs, action, step, envs)
        self._calls += 1
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        self._after_step(remaining)
        if self._calls % config.train_freq == 0 and self.num_timesteps > config.learning_starts:
            self._train(remaining)
        return step.obs

    def _store(self, obs: Floats, action: Actions, step: Step, envs: SeedEnvs) -> None:
        self.replay.add(obs, action, step.reward, step.terminated, step.ended, step.next_obs)

    def _train(self, remaining: float) -> None:
        """The updates that are due, each on a batch of its own."""
        steps, self._rate = self.config.gradient_steps, self._learning_rate(remaining)
        for _ in range(steps if steps > 0 else self.config.train_freq * self.n_envs):
            self._last = self._update(self._scaled(self._sample()), self._rate)
            self.n_updates += 1

    def _sample(self) -> Batch:
        return self.replay.sample(self._sampling.draw())

    def _scaled(self, batch: Batch) -> Batch:
        """The batch with its rewards divided by the current scale."""
        if self._reward_scale is None:
            return batch
        divisor = torch.from_numpy(self._reward_scale.divisor.astype(np.float32)).to(self.device)  # [S]
        return replace(batch, reward=batch.reward / divisor[:, None])


def check_replay_config(config: Any) -> None:
    """Checks the fields that configurations of agents with a replay memory have in common.

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If one is out of range.
    """
    as_schedule(config.learning_rate, "learning_rate")
    for field in ("buffer_size", "batch_size", "train_freq"):
        check_int(field, getattr(config, field), 1)
    check_int("learning_starts", config.learning_starts, 0)
    if check_int("gradient_steps", config.gradient_steps, -1) == 0:
        raise ValueError("gradient_steps must be -1 or at least 1, got 0")
    check_float("gamma", config.gamma, 0.0, 1.0)
    check_float("tau", config.tau, 0.0, 1.0, above=True)
    check_flag("normalize_reward", config.normalize_reward)
    check_widths("net_arch", config.net_arch)
