"""Base class of agents that learn action values from a replay memory, and act epsilon-greedily on them.

Axis letters: S seeds, N envs per seed, B batch, D observation, A actions.
"""

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from agents.base.agent import SeedAgent
from agents.base.facade import ReplayFiles
from agents.base.learner import Actions, epsilon_greedy, joined
from agents.common.checks import check_flag, check_float, check_int, check_widths
from agents.common.schedules import as_schedule, linear
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.replay import Batch, Replay
from agents.memory.reward_scale import RewardScale
from agents.nn.adam import Adam
from agents.nn.losses import huber
from agents.nn.mlp import MLP
from agents.nn.networks import BuiltNetwork


class QAgent(ReplayFiles, SeedAgent):
    """An agent with a network of action values, a target network, and a replay memory.

    An algorithm makes `q_net`, `q_net_target` and `replay` in its `_build`, calls `_build_training`, and writes
    `_update`; `_network` is the network that most of them have. Its configuration has the fields of `check_q_config`.
    """

    takes_features = takes_network = True
    q_net: Any
    q_net_target: Any
    replay: Replay

    def _network(self) -> Any:
        """Networks of action values: those of the user's function, or else perceptrons of `net_arch`."""
        shared = (self.seeds, self.device, self.features)
        if self.network is not None:
            return BuiltNetwork(self.network, self.input_size, self.spaces.n_actions, *shared)
        return MLP((self.input_size, *self.config.net_arch, self.spaces.n_actions), *shared)

    @property
    def _can_fuse(self) -> bool:
        """True if there are gradients by hand: of the built-in network, on the CPU."""
        return self.network is None and self.device.type == "cpu"

    def _build_training(self) -> None:
        """Makes everything else: the optimiser, random streams, schedules and counters."""
        config, S = self.config, len(self.seeds)
        self.optimizer = Adam(self.q_net, config.max_grad_norm, eps=config.adam_eps)
        self._reward_scale = RewardScale(S, self.n_envs, config.gamma) if config.normalize_reward else None
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._sampling = Streams(self.seeds, "replay", config.batch_size)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps
        self._calls = 0  # steps of the vector env
        self._rate = 0.0  # learning rate of the last update

    @abstractmethod
    def _update(self, batch: Batch, learning_rate: float) -> torch.Tensor:
        """One step of the optimiser on one batch; returns the TD errors before it, [S, B, ...]."""

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
        action = self._act(obs)  # [S, N]
        step = envs.step(action)
        if self._reward_scale is not None:
            self._reward_scale.add(step.reward, step.ended)
        self._store(obs, action, step, envs)
        self._calls += 1
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        self.exploration_rate = self._exploration(remaining)
        if self._calls % max(config.target_update_interval // self.n_envs, 1) == 0:
            self._update_target()
        if self._calls % config.train_freq == 0 and self.num_timesteps > config.learning_starts:
            self._train(remaining)
        return step.obs

    def _store(self, obs: Floats, action: Actions, step: Step, envs: SeedEnvs) -> None:
        self.replay.add(obs, action, step.reward, step.terminated, step.ended, step.next_obs)

    def _act(self, obs: Floats) -> Actions:
        """Epsilon-greedy actions [S, N]. Each seed draws the same numbers whether it explores or not."""
        epsilon = 1.0 if self.num_timesteps < self.config.learning_starts else self.exploration_rate
        drawn, shape = self._exploring.draw(), (len(self.seeds), self.n_envs)  # [S, 2N]
        best = np.zeros(shape, np.int64) if epsilon == 1.0 else self._greedy(obs)
        return epsilon_greedy(best, drawn, epsilon, self.spaces.n_actions)

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self.q_net.act(obs).argmax(-1)
        return actions

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

    def _update_target(self) -> None:
        if self.config.tau == 1.0:
            self.q_net_target.flat.copy_(self.q_net.flat)
        else:
            self.q_net_target.flat.lerp_(self.q_net.flat, self.config.tau)

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self._last is not None:
            loss = self._loss_of(self._last).flatten(1).mean(1).cpu().numpy()  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def _loss_of(self, error: torch.Tensor) -> torch.Tensor:
        """The loss of each error, for the metrics."""
        return huber(error)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimiser, by name, [S, ...] each."""
        nets = joined(q_net=self.q_net.values, q_net_target=self.q_net_target.values)
        return nets | joined(optimizer=self.optimizer.state())


def check_q_config(config: Any) -> None:
    """Checks the fields that configurations of agents with action values have in common.

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If one is out of range.
    """
    as_schedule(config.learning_rate, "learning_rate")
    for field in ("buffer_size", "batch_size", "train_freq", "target_update_interval"):
        check_int(field, getattr(config, field), 1)
    check_int("learning_starts", config.learning_starts, 0)
    if check_int("gradient_steps", config.gradient_steps, -1) == 0:
        raise ValueError("gradient_steps must be -1 or at least 1, got 0")
    for field in ("gamma", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
        check_float(field, getattr(config, field), 0.0, 1.0)
    check_float("tau", config.tau, 0.0, 1.0, above=True)
    for field in ("max_grad_norm", "adam_eps"):
        check_float(field, getattr(config, field), 0.0, above=True)
    check_flag("normalize_reward", config.normalize_reward)
    check_widths("net_arch", config.net_arch)
