"""TD3 for S seeds at once: a deterministic actor and two critics (Fujimoto et al. 2018).

The actor is mu(obs) = tanh(network(obs)), scaled to the bounds of the Box; training adds normal noise. Every
`train_freq` steps, `gradient_steps` batches are drawn from the replay memory. Each takes the critics one step down

    (Q_i(obs, action) - target)^2, summed over the two critics, where
    target = reward + gamma * continues * min_i Q_target_i(next_obs, a'), and
    a' = mu_target(next_obs) + noise, clipped to [-1, 1], with normal noise clipped to +-target_noise_clip.

Every `policy_delay` updates, the actor takes one step down -Q_1(obs, mu(obs)), and all target networks move by `tau`.
`continues` is 0 only where the episode terminated. Each loss is the mean over the batch and the sum over seeds.

Differences from the paper, shared with Stable-Baselines3: (1) `learning_starts` is 100 steps, not 10,000 or 1,000; (2)
batches have 256 transitions, not 100. Differences from Stable-Baselines3: (3) `action_noise` is a number, the standard
deviation of normal noise on actions in [-1, 1], and 0.1 as in the paper, where Stable-Baselines3 has an object, and no
noise by default; (4) `predict` with deterministic=False adds it too; (5) `buffer_size` is 100,000 by default, not
1,000,000; (6) the memory stores `terminated`, so bootstrapping at a time limit needs no info key.

    python -m agents.td3 --help

Axis letters: S seeds, B batch, D observation, A numbers per action.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agents.base.agent import Preset
from agents.base.box_agent import BoxAgent, descend
from agents.base.learner import joined
from agents.base.replay_agent import check_replay_config
from agents.common.checks import check_float, check_int, keep_plain
from agents.common.returns import td_target
from agents.common.schedules import Schedule
from agents.envs.seed_envs import Floats
from agents.memory.replay import Batch
from agents.nn.critics import BuiltCritics, Critics
from agents.nn.parameters import SeedNetwork


@dataclass(frozen=True)
class TD3Config:
    """The hyperparameters of TD3, named as in Stable-Baselines3; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 1e-3
    """Adam's step size, of all networks: a number, "lin_1e-3" (linear to zero), or a function of remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed (SB3: 1,000,000)."""
    learning_starts: int = 100
    """Steps of uniform actions before the first update."""
    batch_size: int = 256
    """Transitions per update."""
    tau: float = 0.005
    """Fraction by which the target networks move towards the networks at each of their updates."""
    gamma: float = 0.99
    """Discount factor."""
    train_freq: int = 1
    """Steps of the vector env between trainings."""
    gradient_steps: int = 1
    """Updates per training; -1 makes as many as transitions were collected since the last one."""
    action_noise: float = 0.1
    """Standard deviation of the noise on the actions of training, which lie in [-1, 1] (SB3: an object, or none)."""
    n_steps: int = 1
    """Rewards in a target before it bootstraps; fewer where an episode ends."""
    policy_delay: int = 2
    """Updates of the critics between those of the actor and the target networks."""
    target_policy_noise: float = 0.2
    """Standard deviation of the noise on the target's actions."""
    target_noise_clip: float = 0.5
    """Largest size of that noise."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (400, 300)
    """Widths of the hidden layers, of each network."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_replay_config(self)
        for field in ("n_steps", "policy_delay"):
            check_int(field, getattr(self, field), 1)
        for field in ("action_noise", "target_policy_noise", "target_noise_clip"):
            check_float(field, getattr(self, field), 0.0)


PRESETS: dict[str, Preset] = {
    "Pendulum-v1": Preset(10_000, TD3Config(batch_size=128, net_arch=(64, 64))),
}
"""Timesteps per seed and hyperparameters that solve an env, by its id.

Pendulum-v1: the last weights of the seeds 0 to 3 earn -155, -205, -172 and -157, the means of 20 greedy episodes.
"""


def td3_critic_loss(
    actor_target: SeedNetwork,
    critic: Critics | BuiltCritics,
    critic_target: Critics | BuiltCritics,
    batch: Batch,
    noise: torch.Tensor,
    gamma: float,
) -> torch.Tensor:
    """Squared TD error, summed over critics, mean over B, [S]; noise [S, B, A] on the target's actions."""
    with torch.no_grad():
        next_action = (actor_target(batch.next_obs).tanh() + noise).clamp(-1.0, 1.0)  # [S, B, A]
        next_q = critic_target(batch.next_obs, next_action).amin(-1)  # [S, B]
        target = td_target(batch.reward, batch.continues, next_q, gamma)  # [S, B]
    error: torch.Tensor = critic(batch.obs, batch.action) - target[..., None]  # [S, B, 2]
    return error.square().sum(-1).mean(1)


def td3_actor_loss(actor: SeedNetwork, critic: Critics | BuiltCritics, obs: torch.Tensor) -> torch.Tensor:
    """Minus the first critic's value of the actor's actions, mean over B, [S]; obs [S, B, D]."""
    q: torch.Tensor = critic(obs, actor(obs).tanh())[..., 0]  # [S, B]
    return -q.mean(1)


class TD3(BoxAgent):
    """TD3 for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `TD3Config`.

    Examples:
        >>> agent = TD3("Pendulum-v1", seeds=4, action_noise=0.1).learn(10_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = TD3Config
    config: TD3Config

    def _build(self) -> None:
        self._build_box(outputs=1, noises=1)
        self.actor_target = self._actor(self.action_size)

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        return cls._shapes_of(config, spaces, inputs, 1)

    def _explored(self, obs: Floats, noise: Floats) -> Floats:
        noisy: Floats = np.tanh(self.actor.act(obs)) + np.float32(self.config.action_noise) * noise
        return noisy.clip(-1.0, 1.0)

    def _update(self, batch: Batch, learning_rate: float) -> dict[str, torch.Tensor]:
        """One step of the critics, and of the actor if it is due; returns the last losses [S]."""
        config, nets = self.config, (self.actor_target, self.critic, self.critic_target)
        noise = config.target_policy_noise * self._noise()[0]  # [S, B, A]
        noise = noise.clamp(-config.target_noise_clip, config.target_noise_clip)
        critic_loss = td3_critic_loss(*nets, batch, noise, config.gamma)  # [S]
        descend(self.critic, self.critic_optimizer, critic_loss, learning_rate)
        losses = (self._last or {}) | {"critic_loss": critic_loss.detach()}
        if (self.n_updates + 1) % config.policy_delay == 0:
            actor_loss = td3_actor_loss(self.actor, self.critic, batch.obs)  # [S]
            descend(self.actor, self.actor_optimizer, actor_loss, learning_rate)
            losses["actor_loss"] = actor_loss.detach()
            self.critic_target.flat.lerp_(self.critic.flat, config.tau)
            self.actor_target.flat.lerp_(self.actor.flat, config.tau)
        return losses

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimisers, by name, [S, ...] each."""
        return joined(actor_target=self.actor_target.values, **self._learnt())


if __name__ == "__main__":
    from agents.base.cli import main

    main(TD3, PRESETS)
