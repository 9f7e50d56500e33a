"""DQN for S seeds at once: Q-learning with a replay memory and a target network (Mnih et al. 2015).

Every step acts epsilon-greedily and stores the transition; every `train_freq` steps the network takes
`gradient_steps` steps down the Huber loss of

    Q(obs, action) - (reward + gamma * continues * max_a Q_target(next_obs, a)),

where `continues` is 0 only where the episode terminated. The loss is the mean over the batch and the sum over
seeds, and each seed's gradient is clipped by its own norm, so S seeds are S independent runs in one pass.

Differences from the paper, all as Stable-Baselines3 has them: (1) Adam in place of RMSprop; (2) the Huber
loss in place of clipping the error, which has the same gradient; (3) clipping of the gradient's norm.

    python -m agents.dqn --help

Axis letters: S seeds, N envs per seed, B batch, D observation, A actions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agents.base import Actions, Preset, SeedAgent
from agents.envs import Floats, SeedEnvs
from agents.networks import MLP, Adam, Layer, backward, forward
from agents.replay import Batch, Replay
from agents.returns import td_target
from agents.schedules import Schedule, as_schedule, linear
from agents.streams import Streams
from agents.validation import check_float, check_int


@dataclass(frozen=True)
class DQNConfig:
    """The hyperparameters of DQN, named as in Stable-Baselines3; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 1e-4
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed (SB3: 1,000,000)."""
    learning_starts: int = 100
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    tau: float = 1.0
    """Part of the way that the target network moves to the network at each of its updates."""
    gamma: float = 0.99
    """Discount factor."""
    train_freq: int = 4
    """Steps of the vector env between trainings."""
    gradient_steps: int = 1
    """Updates per training; -1 makes as many as transitions were collected since the last one."""
    target_update_interval: int = 10_000
    """Steps between updates of the target network."""
    exploration_fraction: float = 0.1
    """Part of training over which exploration falls."""
    exploration_initial_eps: float = 1.0
    """Probability of a random action at the start."""
    exploration_final_eps: float = 0.05
    """Probability of a random action after that."""
    max_grad_norm: float = 10.0
    """Largest norm of one seed's gradient."""
    adam_eps: float = 1e-8
    """Added to Adam's denominator: larger, and steps shrink with the gradient once the errors are small."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""

    def __post_init__(self) -> None:
        as_schedule(self.learning_rate, "learning_rate")
        for field, minimum in _LOWEST.items():
            check_int(field, getattr(self, field), minimum)
        if self.gradient_steps == 0:
            raise ValueError("gradient_steps must be -1 or at least 1, got 0")
        for field in ("gamma", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        check_float("tau", self.tau, 0.0, 1.0, above=True)
        for field in ("max_grad_norm", "adam_eps"):
            check_float(field, getattr(self, field), 0.0, above=True)
        if isinstance(self.net_arch, str) or not isinstance(self.net_arch, Sequence):
            raise TypeError(f"net_arch must be a sequence of ints, got {self.net_arch!r}")
        widths = tuple(check_int("net_arch", width, 1) for width in self.net_arch)
        object.__setattr__(self, "net_arch", widths)


_LOWEST = {
    "buffer_size": 1,
    "learning_starts": 0,
    "batch_size": 1,
    "train_freq": 1,
    "gradient_steps": -1,
    "target_update_interval": 1,
}


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(
        100_000,
        DQNConfig(
            learning_rate="lin_2e-3",
            learning_starts=1_000,
            batch_size=128,
            gamma=0.98,
            target_update_interval=500,
            exploration_final_eps=0.1,
            adam_eps=1e-4,
            net_arch=(128, 128),
        ),
    ),
}
"""Timesteps per seed and hyperparameters that solve an env, by its id."""


def q_gradient(
    batch: Batch,
    layers: Sequence[Layer],
    target_layers: Sequence[Layer],
    grads: Sequence[Layer],
    gamma: float,
) -> torch.Tensor:
    """Writes the gradient of the loss into `grads`; returns the errors Q(obs, action) - target, [S, B, 1].

    The loss is Huber's (threshold 1), mean over B and sum over S. No gradient flows through the target.
    """
    next_q = forward(batch.next_obs, target_layers)[-1]  # [S, B, A]
    target = td_target(batch.reward, batch.continues, next_q.amax(-1), gamma)  # [S, B]
    outputs = forward(batch.obs, layers)
    q = outputs[-1]  # [S, B, A]
    error = q.gather(-1, batch.action).sub_(target[..., None])  # [S, B, 1]
    d_error = error.clamp(-1.0, 1.0).div_(q.shape[1])  # Huber's derivative
    backward(outputs, torch.zeros_like(q).scatter_(-1, batch.action, d_error), layers, grads)
    return error


def huber(error: torch.Tensor) -> torch.Tensor:
    """error^2 / 2 where |error| < 1, else |error| - 1/2, elementwise."""
    size = error.abs()
    return torch.where(size < 1.0, 0.5 * size.square(), size - 0.5)


class DQN(SeedAgent):
    """DQN for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `DQNConfig`.

    Example:
        >>> agent = DQN("CartPole-v1", learning_rate=1e-3, seeds=8).learn(50_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = DQNConfig
    config: DQNConfig
    _counters = (*SeedAgent._counters, "adam_steps")

    def _build(self) -> None:
        config, S = self.config, len(self.seeds)
        sizes = (self.spaces.obs_size, *config.net_arch, self.spaces.n_actions)
        self.q_net = MLP(sizes, self.seeds, self.device)
        self.q_net_target = MLP(sizes, self.seeds, self.device)
        self.optimizer = Adam(self.q_net, config.max_grad_norm, eps=config.adam_eps)
        self.replay = Replay(S, config.buffer_size, self.spaces.obs_size, config.batch_size, self.device)
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._sampling = Streams(self.seeds, "replay", config.batch_size)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps
        self._calls = 0  # steps of the vector env
        self._rate = 0.0  # learning rate of the last update
        self._error = torch.zeros(S, config.batch_size, 1, device=self.device)  # of the last update

    def _begin(self, total_timesteps: int) -> None:
        self.replay.reserve(self.replay.size + total_timesteps + self.n_envs)

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Acts once in every env, stores what came of it, and trains if it is time to."""
        config = self.config
        action = self._act(obs)  # [S, N]
        step = envs.step(action)
        self.replay.add(obs, action, step.reward, step.terminated, step.next_obs)
        self._calls += 1
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        self.exploration_rate = self._exploration(remaining)
        if self._calls % max(config.target_update_interval // self.n_envs, 1) == 0:
            self._update_target()
        if self._calls % config.train_freq == 0 and self.num_timesteps > config.learning_starts:
            self._train(self._learning_rate(remaining))
        return step.obs

    def _act(self, obs: Floats) -> Actions:
        """Epsilon-greedy actions [S, N]. Each seed draws the same numbers whatever it does with them."""
        epsilon = 1.0 if self.num_timesteps < self.config.learning_starts else self.exploration_rate
        drawn, N = self._exploring.draw(), self.n_envs  # [S, 2N]
        explores = drawn[:, :N] < epsilon
        random = (drawn[:, N:] * self.spaces.n_actions).astype(np.int64)
        return random if explores.all() else np.where(explores, random, self._greedy(obs))

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self.q_net.act(obs).argmax(-1)
        return actions

    @torch.inference_mode()
    def _train(self, learning_rate: float) -> None:
        steps = self.config.gradient_steps
        for _ in range(steps if steps > 0 else self.config.train_freq * self.n_envs):
            self._update(self.replay.sample(self._sampling.draw()), learning_rate)

    def _update(self, batch: Batch, learning_rate: float) -> None:
        """One step of Adam on one batch."""
        q, target = self.q_net, self.q_net_target
        self._error = q_gradient(batch, q.layers, target.layers, q.layer_grads, self.config.gamma)
        self.optimizer.step(learning_rate)
        self.n_updates += 1
        self._rate = learning_rate

    def _update_target(self) -> None:
        if self.config.tau == 1.0:
            self.q_net_target.flat.copy_(self.q_net.flat)
        else:
            self.q_net_target.flat.lerp_(self.q_net.flat, self.config.tau)

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self.n_updates:
            loss = huber(self._error).mean((1, 2)).cpu().numpy()  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def _arrays(self) -> dict[str, torch.Tensor]:
        parts = {"q_net": self.q_net.values, "q_net_target": self.q_net_target.values}
        moments = {"adam_mean": self.optimizer.mean, "adam_square": self.optimizer.square}
        parts |= {name: self.q_net.named(flat) for name, flat in moments.items()}
        return {f"{part}.{name}": array for part, named in parts.items() for name, array in named.items()}

    @property
    def adam_steps(self) -> int:
        """Steps that Adam has taken, which its bias correction counts."""
        return self.optimizer.steps

    @adam_steps.setter
    def adam_steps(self, steps: int) -> None:
        self.optimizer.steps = steps


if __name__ == "__main__":
    from agents.cli import main

    main(DQN, PRESETS)
