"""DQN as it is often taught, for S seeds at once: plain code for reading beside the slides, with autograd.

The replay memory is a deque, from which batches are drawn without repetition (`agents/memory/deque_memory.py`). The
network takes an observation and a mask of actions, and multiplies its outputs by the mask: a mask of ones gives the
values of all actions, and with the one-hot mask of the action taken, every other output has no error. At each step,
once the memory holds a batch, the network takes one step of RMSprop down `course_loss`, the mean squared error between
its masked outputs and the masked target

    reward                                           if the episode is done,
    reward + gamma * max_a Q_target(next_obs, a)     otherwise.

`target_update_interval` is the number of steps after which the network is copied to the target network; with 0 there
is none, and the network itself values next_obs. The probability of a random action falls exponentially.

The mean is over the batch and all A outputs, so it is 1/A of the mean over the batch of squared TD errors. An
episode that is cut off by a time limit is not done: its last step bootstraps. `agents.dqn` is much faster.

    python -m agents.course_dqn --help

Axis letters: S seeds, N envs per seed, B batch, D observation, A actions.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn.functional import one_hot

from agents.base.agent import Preset, SeedAgent
from agents.base.facade import ReplayFiles
from agents.base.learner import Actions, epsilon_greedy, joined
from agents.common.checks import check_float, check_int, check_widths, keep_plain
from agents.common.schedules import Schedule, as_schedule, exponential
from agents.common.streams import Streams, generator
from agents.envs.seed_envs import Floats, SeedEnvs
from agents.memory.deque_memory import DequeMemory, Transitions
from agents.nn.mlp import MLP
from agents.nn.rmsprop import RMSprop


@dataclass(frozen=True)
class CourseDQNConfig:
    """The hyperparameters of the course's DQN; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 2.5e-4
    """RMSprop's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 20_000
    """Transitions that the replay memory keeps per seed."""
    batch_size: int = 32
    """Transitions per update."""
    gamma: float = 0.99
    """Discount factor."""
    target_update_interval: int = 0
    """Steps between copies of the network to the target network; 0: no target network."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""
    exploration_decay: float = 0.999
    """Factor of that probability per step, once updates begin."""
    rms_prop_alpha: float = 0.95
    """Decay of RMSprop's running mean of squared gradients."""
    rms_prop_eps: float = 0.01
    """Added to RMSprop's denominator."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field, minimum in (("buffer_size", 1), ("batch_size", 1), ("target_update_interval", 0)):
            check_int(field, getattr(self, field), minimum)
        for field in ("gamma", "exploration_initial_eps", "exploration_final_eps", "rms_prop_alpha"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        check_float("exploration_decay", self.exploration_decay, 0.0, 1.0, above=True)
        check_float("rms_prop_eps", self.rms_prop_eps, 0.0, above=True)
        check_widths("net_arch", self.net_arch)
        if self.buffer_size < self.batch_size:
            raise ValueError(f"buffer_size must hold a batch of {self.batch_size}, got {self.buffer_size}")


PRESETS: dict[str, Preset] = {}


class MaskedMLP(MLP):
    """S perceptrons on an observation, whose outputs are multiplied by a mask of actions, their second input."""

    def forward(self, obs: torch.Tensor, mask: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Masked outputs [S, B, A] for obs [S, B, D] and a mask [S, B, A]; 1 is a mask of ones."""
        q: torch.Tensor = super().forward(obs) * mask
        return q


def course_loss(q_net: MaskedMLP, target_net: MaskedMLP, batch: Transitions, gamma: float) -> torch.Tensor:
    """Mean squared error of the masked outputs, mean over B and A, for each seed: [S]."""
    with torch.no_grad():
        next_q = target_net(batch.next_obs)  # [S, B, A]
        target = batch.reward + gamma * (1 - batch.done) * next_q.amax(-1)  # [S, B]
    mask = one_hot(batch.action, next_q.shape[-1])  # [S, B, A]
    q = q_net(batch.obs, mask)  # [S, B, A]
    loss: torch.Tensor = (q - mask * target[..., None]).square().mean((1, 2))  # [S]
    return loss


class CourseDQN(ReplayFiles, SeedAgent):
    """DQN of the course for one seed or several: see `SeedAgent` and `CourseDQNConfig`.

    Examples:
        >>> agent = CourseDQN("CartPole-v1", target_update_interval=100, seeds=4).learn(10_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = CourseDQNConfig
    config: CourseDQNConfig

    def _build(self) -> None:
        config, spaces = self.config, self.spaces
        network = partial(MaskedMLP, (spaces.obs_size, *config.net_arch, spaces.n_actions), self.seeds, self.device)
        self.q_net = network()
        self.q_net_target = network() if config.target_update_interval else self.q_net  # the same initial weights
        self.optimizer = RMSprop(self.q_net, math.inf, config.rms_prop_alpha, config.rms_prop_eps)  # inf: no clipping
        self.replay = DequeMemory(config.buffer_size, len(self.seeds), spaces.obs_size)
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._sampling = [generator(seed, "replay") for seed in self.seeds]
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._epsilon = exponential(*ends, config.exploration_decay, begin=config.batch_size)
        self.exploration_rate = config.exploration_initial_eps

    def _begin(self, total_timesteps: int) -> None:
        """Nothing to prepare: transitions stand alone."""

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Acts, stores the transition, and learns from a batch once there is one."""
        drawn, before = self._exploring.draw(), self.num_timesteps
        action = epsilon_greedy(self._greedy(obs), drawn, self.exploration_rate, self.spaces.n_actions)  # [S, N]
        step = envs.step(action)
        for n in range(self.n_envs):
            self.replay.add(obs[:, n], action[:, n], step.reward[:, n], step.next_obs[:, n], step.terminated[:, n])
        self.num_timesteps += self.n_envs
        self.exploration_rate = self._epsilon(self.num_timesteps)
        if len(self.replay.memory) >= self.config.batch_size:
            self._update(self._learning_rate(max(1.0 - self.num_timesteps / goal, 0.0)))
        interval = self.config.target_update_interval
        if interval and self.num_timesteps // interval > before // interval:  # passed a multiple of it
            self.q_net_target.flat.copy_(self.q_net.flat)
        return step.obs

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self.q_net.act(obs).argmax(-1)
        return actions

    def _update(self, learning_rate: float) -> None:
        batch = Transitions(*(x.to(self.device) for x in self.replay.sample(self.config.batch_size, self._sampling)))
        loss = course_loss(self.q_net, self.q_net_target, batch, self.config.gamma)  # [S]
        self.q_net.zero_grad()
        loss.sum().backward()  # seeds share no weights: the gradient of each is its own
        self.optimizer.step(learning_rate)
        self._last = loss.detach()
        self.n_updates += 1

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self._last is not None:
            loss = self._last.cpu().numpy()  # [S]
            metrics |= {"train/loss": loss, "train/n_updates": self.n_updates}
        return metrics

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimiser, by name, [S, ...] each."""
        own = joined(q_net=self.q_net.values, optimizer=self.optimizer.state())
        return own | (joined(q_net_target=self.q_net_target.values) if self.config.target_update_interval else {})


if __name__ == "__main__":
    from agents.base.cli import main

    main(CourseDQN, PRESETS)
