"""Base class of agents that learn action values from a replay memory, and act epsilon-greedily on them.

Axis letters: S seeds, N envs per seed, B batch, D observation, A actions.
"""

import math
from abc import abstractmethod
from typing import Any

import numpy as np
import torch

from agents.base.learner import Actions, epsilon_greedy, joined
from agents.base.replay_agent import ReplayAgent, check_replay_config
from agents.common.checks import check_float, check_int
from agents.common.schedules import linear
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats
from agents.memory.replay import Batch
from agents.nn.adam import Adam
from agents.nn.losses import huber
from agents.nn.mlp import MLP
from agents.nn.networks import BuiltNetwork


class QAgent(ReplayAgent):
    """An agent with a network of action values, a target network, and a replay memory.

    An algorithm makes `q_net`, `q_net_target` and `replay` in its `_build`, calls `_build_training`, and writes
    `_update`; `_network` is the network that most of them have. Its configuration has the fields of `check_q_config`.
    """

    q_net: Any
    q_net_target: Any

    def _network(self) -> Any:
        """Networks of action values: those of the user's function, or else perceptrons of `net_arch`."""
        shared = (self.seeds, self.device, self.features)
        if self.network is not None:
            return BuiltNetwork(self.network, self.input_size, self._n_outputs, *shared)
        return MLP((self.input_size, *self.config.net_arch, self._n_outputs), *shared)

    @property
    def _n_outputs(self) -> int:
        """Outputs of the network."""
        return self.spaces.n_actions

    @property
    def _can_fuse(self) -> bool:
        """True if there are gradients by hand: of the built-in network, on the CPU."""
        return self.network is None and self.device.type == "cpu"

    def _build_training(self) -> None:
        """Makes everything else: the optimiser, random streams, schedules and counters."""
        config, norm = self.config, self.config.max_grad_norm
        self.optimizer = Adam(self.q_net, math.inf if norm is None else norm, eps=config.adam_eps)
        self._build_sampling()
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps

    @abstractmethod
    def _update(self, batch: Batch, learning_rate: float) -> torch.Tensor:
        """One step of the optimiser on one batch; returns the TD errors before it, [S, B, ...]."""

    def _act(self, obs: Floats) -> Actions:
        """Epsilon-greedy actions [S, N]. Each seed draws the same numbers whether it explores or not."""
        epsilon = 1.0 if self.num_timesteps < self.config.learning_starts else self.exploration_rate
        drawn, shape = self._exploring.draw(), (len(self.seeds), self.n_envs)  # [S, 2N]
        best = np.zeros(shape, np.int64) if epsilon == 1.0 else self._greedy(obs)
        return epsilon_greedy(best, drawn, epsilon, self.spaces.n_actions)

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self.q_net.act(obs).argmax(-1)
        return actions

    def _after_step(self, remaining: float) -> None:
        self.exploration_rate = self._exploration(remaining)
        if self._calls % max(self.config.target_update_interval // self.n_envs, 1) == 0:
            self._update_target()

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
    check_replay_config(config)
    check_int("target_update_interval", config.target_update_interval, 1)
    for field in ("exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
        check_float(field, getattr(config, field), 0.0, 1.0)
    if config.max_grad_norm is not None:
        check_float("max_grad_norm", config.max_grad_norm, 0.0, above=True)
    check_float("adam_eps", config.adam_eps, 0.0, above=True)
