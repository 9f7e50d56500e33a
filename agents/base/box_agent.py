"""Base class of agents with an actor and two critics that learn from a replay memory: for Box actions.

Inside the agent each number of an action lies in [-1, 1], as the memory stores it; the env gets it scaled to the bounds
of its Box.

Axis letters: S seeds, N envs per seed, B batch, D observation, A numbers per action.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch

from agents.base.learner import Actions
from agents.base.replay_agent import ReplayAgent
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats
from agents.memory.replay import Replay
from agents.nn.adam import Adam
from agents.nn.critics import BuiltCritics, Critics
from agents.nn.mlp import MLP
from agents.nn.networks import BuiltNetwork
from agents.nn.parameters import SeedNetwork


class BoxAgent(ReplayAgent):
    """An agent with a network `actor`, two critics `critic`, their targets, and a replay memory.

    An algorithm calls `_build_box` in its `_build`, and writes `_explored` and `_update`, which returns losses [S] by
    name. The action that its actor prefers is tanh of the first A outputs.
    """

    takes_box_actions, takes_discrete_actions = True, False

    @property
    def action_size(self) -> int:
        """A, numbers per action."""
        return math.prod(self.spaces.action_shape)

    def _build_box(self, outputs: int, noises: int) -> None:
        """Makes everything but the actor's target.

        Args:
            outputs: Outputs of the actor for each number of an action.
            noises: Normal numbers that an update draws for each number of an action of the batch.
        """
        config, S, A = self.config, len(self.seeds), self.action_size
        self.actor = self._actor(outputs * A)
        self.critic, self.critic_target = self._critics(), self._critics()
        self.actor_optimizer, self.critic_optimizer = (Adam(net, math.inf) for net in (self.actor, self.critic))
        steps = {"n_steps": config.n_steps, "gamma": config.gamma, "action_size": A}
        self.replay = Replay(S, config.buffer_size, self.spaces.obs_size, config.batch_size, self.device, **steps)
        self._build_sampling()
        self._exploring = Streams(self.seeds, "explore", self.n_envs * A, normal=True)
        self._update_noise = Streams(self.seeds, "update", noises * config.batch_size * A, block=16, normal=True)

    def _actor(self, outputs: int) -> MLP | BuiltNetwork:
        """Actors: networks of the user's function, or else perceptrons of `net_arch`."""
        shared = (self.seeds, self.device, self.features)
        if self.network is not None:
            return BuiltNetwork(self.network, self.input_size, outputs, *shared)
        return MLP((self.input_size, *self.config.net_arch, outputs), *shared)

    def _critics(self) -> Critics | BuiltCritics:
        """Critics: as `_actor`."""
        inputs, shared = self.input_size + self.action_size, (self.seeds, self.device, self.features)
        if self.network is not None:
            return BuiltCritics(self.network, inputs, *shared)
        return Critics(inputs, self.config.net_arch, *shared)

    @classmethod
    def _shapes_of(cls, config: Any, spaces: Any, inputs: int, outputs: int) -> Iterator[tuple[int, ...]]:
        """Shapes of the weights of an actor with A * outputs outputs, and of its critics."""
        A = math.prod(spaces.action_shape)
        widths = (inputs, *config.net_arch, outputs * A), (inputs + A, *config.net_arch, 1)
        return chain.from_iterable(map(pairwise, widths))

    @abstractmethod
    def _explored(self, obs: Floats, noise: Floats) -> Floats:
        """Actions to explore with, in [-1, 1], [S, B, A]: for obs [S, B, D] and standard normal noise [S, B, A]."""

    def _act(self, obs: Floats) -> Actions:
        """Actions in [-1, 1], [S, N, A]. In the first `learning_starts` steps they are uniform, by the same noise."""
        noise = self._exploring.draw().astype(np.float32).reshape(*obs.shape[:2], -1)  # [S, N, A]
        if self.num_timesteps < self.config.learning_starts:
            uniform: Floats = torch.special.ndtr(torch.from_numpy(noise)).numpy()
            return 2.0 * uniform - 1.0
        return self._explored(obs, noise)

    def _to_env(self, action: Actions) -> Actions:
        return self.spaces.from_unit(action)

    def _greedy(self, obs: Floats) -> Actions:
        mean = self.actor.act(obs)[..., : self.action_size]  # [S, B, A], the first outputs
        return self._to_env(np.tanh(mean))

    def _sampled(self, obs: Floats) -> Actions:
        size = obs.shape[1] * self.action_size
        noise = np.stack([stream.standard_normal(size) for stream in self._predicting]).astype(np.float32)
        return self._to_env(self._explored(obs, noise.reshape(*obs.shape[:2], -1)))

    def _noise(self) -> tuple[torch.Tensor, ...]:
        """The standard normal noises of an update, [S, B, A] each."""
        shape = (len(self.seeds), -1, self.config.batch_size, self.action_size)
        drawn = torch.from_numpy(self._update_noise.draw().astype(np.float32)).view(shape)
        return drawn.to(self.device).unbind(1)

    def _metrics(self) -> dict[str, Any]:
        if self._last is None:
            return {}
        means = {f"train/{name}": loss.cpu().numpy() for name, loss in self._last.items()}  # [S]
        return means | {"train/learning_rate": self._rate, "train/n_updates": self.n_updates}

    def _learnt(self) -> dict[str, dict[str, torch.Tensor]]:
        """Weights and optimisers of actor and critics, by part."""
        networks = {"actor": self.actor, "critic": self.critic, "critic_target": self.critic_target}
        optimizers = {"optimizer.actor": self.actor_optimizer, "optimizer.critic": self.critic_optimizer}
        values = {name: network.values for name, network in networks.items()}
        return values | {name: optimizer.state() for name, optimizer in optimizers.items()}


def descend(network: SeedNetwork, optimizer: Adam, loss: torch.Tensor, learning_rate: float) -> None:
    """One step of a network down the sum of a loss over seeds [S]; other networks that the loss asked are constant."""
    network.zero_grad()
    loss.sum().backward(inputs=list(network.parameters()))
    optimizer.step(learning_rate)
