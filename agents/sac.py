"""SAC for S seeds at once: an actor that maximises value and entropy, and two critics (Haarnoja et al. 2018).

The policy is a normal distribution squashed into the Box by tanh (`agents/nn/squashed.py`). Every `train_freq` steps,
`gradient_steps` batches are drawn from the replay memory, and each takes one step down three losses:

    critics      0.5 * (Q_i(obs, action) - target)^2, summed over the two critics, where
                 target = reward + gamma * continues * (min_i Q_target_i(next_obs, a') - ent_coef * log pi(a')),
                 and a' is drawn from the policy at next_obs;
    actor        ent_coef * log pi(a) - min_i Q_i(obs, a), where a is drawn from the policy at obs, and the gradient
                 flows through it;
    temperature  -log(ent_coef) * (log pi(a) + target_entropy), which raises ent_coef while the entropy is below
                 target_entropy.

`continues` is 0 only where the episode terminated. Each loss is a mean over the batch, a number per seed. Critics step
first, then the actor, down its loss under the new critics, then the temperature, with the log pi of before the actor's
step. The target networks, which begin as copies of the critics, then move by `tau` towards them.

Differences from the paper ("Soft Actor-Critic Algorithms and Applications"), shared with Stable-Baselines3: (1) the
temperature's loss has log(ent_coef) in place of ent_coef; (2) the first `learning_starts` actions are uniform.
Differences from Stable-Baselines3: (3) `buffer_size` is 100,000 by default, not 1,000,000; (4) log(1 - tanh(u)^2) is
exact, without 1e-6 added to its argument; (5) target networks move after every `target_update_interval` updates,
counted over all of training; Stable-Baselines3 counts anew each time it trains; (6) the memory stores `terminated`, so
bootstrapping at a time limit needs no info key.

    python -m agents.sac --help

Axis letters: S seeds, B batch, C critics (2), D observation, A numbers per action.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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
from agents.nn.adam import Adam
from agents.nn.critics import BuiltCritics, Critics
from agents.nn.parameters import SeedNetwork
from agents.nn.squashed import squashed, squashed_sample


def initial_ent_coef(ent_coef: float | str) -> tuple[float, bool]:
    """The first temperature, and whether it is learnt, of a number, "auto" or "auto_0.1"; TypeError or ValueError."""
    if not isinstance(ent_coef, str):
        return check_float("ent_coef", ent_coef, 0.0), False
    kind, _, initial = ent_coef.partition("_")
    try:
        value = float(initial or 1.0)
    except ValueError:
        value = math.nan
    if kind != "auto" or not 0.0 < value < math.inf:
        raise ValueError(f'ent_coef as text must look like "auto" or "auto_0.1", got {ent_coef!r}')
    return value, True


@dataclass(frozen=True)
class SACConfig:
    """The hyperparameters of SAC, named as in Stable-Baselines3; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 3e-4
    """Adam's step size, of all networks: a number, "lin_1e-3" (linear to zero), or a function of remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed (SB3: 1,000,000)."""
    learning_starts: int = 100
    """Steps of uniform actions before the first update."""
    batch_size: int = 256
    """Transitions per update."""
    tau: float = 0.005
    """Fraction by which the target networks move towards the critics at each of their updates."""
    gamma: float = 0.99
    """Discount factor."""
    train_freq: int = 1
    """Steps of the vector env between trainings."""
    gradient_steps: int = 1
    """Updates per training; -1 makes as many as transitions were collected since the last one."""
    n_steps: int = 1
    """Rewards in a target before it bootstraps; fewer where an episode ends."""
    ent_coef: float | str = "auto"
    """Weight of the entropy, the temperature: a number, or learnt, from 1 on ("auto") or from 0.1 on ("auto_0.1")."""
    target_update_interval: int = 1
    """Updates of the critics between those of the target networks."""
    target_entropy: float | str = "auto"
    """Entropy at which a learnt temperature stays, for actions in [-1, 1]; "auto" is minus the numbers per action."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (256, 256)
    """Widths of the hidden layers, of each network."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_replay_config(self)
        for field in ("n_steps", "target_update_interval"):
            check_int(field, getattr(self, field), 1)
        initial_ent_coef(self.ent_coef)
        if self.target_entropy != "auto":
            check_float("target_entropy", self.target_entropy, -math.inf)


PRESETS: dict[str, Preset] = {
    "Pendulum-v1": Preset(10_000, SACConfig(learning_rate=1e-3, batch_size=128, net_arch=(64, 64))),
}
"""Timesteps per seed and hyperparameters that solve an env, by its id.

Pendulum-v1: the last weights of the seeds 0 to 3 earn -151, -159, -175 and -156, the means of 20 greedy episodes.
"""


def sac_critic_loss(
    actor: SeedNetwork,
    critic: Critics | BuiltCritics,
    critic_target: Critics | BuiltCritics,
    batch: Batch,
    noise: torch.Tensor,
    ent_coef: torch.Tensor,
    gamma: float,
) -> torch.Tensor:
    """Half the squared soft TD error, summed over critics, mean over B, [S]; noise [S, B, A], ent_coef [S, 1]."""
    with torch.no_grad():
        next_action, next_log_prob = squashed(actor(batch.next_obs), noise)  # [S, B, A], [S, B]
        next_q = critic_target(batch.next_obs, next_action).amin(-1)  # [S, B]
        next_value = next_q - ent_coef * next_log_prob  # [S, B]
        target = td_target(batch.reward, batch.continues, next_value, gamma)  # [S, B]
    error: torch.Tensor = critic(batch.obs, batch.action) - target[..., None]  # [S, B, C]
    return 0.5 * error.square().sum(-1).mean(1)  # [S]


def sac_actor_loss(
    actor: SeedNetwork, critic: Critics | BuiltCritics, obs: torch.Tensor, noise: torch.Tensor, ent_coef: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """ent_coef * log pi - min_i Q_i, mean over B, [S]; and log pi [S, B]. noise [S, B, A], ent_coef [S, 1]."""
    action, log_prob = squashed(actor(obs), noise)  # [S, B, A], [S, B]
    q = critic(obs, action).amin(-1)  # [S, B]
    return (ent_coef * log_prob - q).mean(1), log_prob.detach()  # [S], [S, B]


def temperature_loss(log_ent_coef: torch.Tensor, log_prob: torch.Tensor, target_entropy: float) -> torch.Tensor:
    """The loss of the temperatures, [S]: log_ent_coef [S], log_prob [S, B]."""
    return -log_ent_coef * (log_prob + target_entropy).mean(1)  # [S]


class Temperature(SeedNetwork):
    """The logarithms of S learnt temperatures, `log_ent_coef` [S]: one parameter a seed, held as a network's are."""

    def __init__(self, initial: float, n_seeds: int, device: torch.device) -> None:
        super().__init__()
        self.log_ent_coef = torch.nn.Parameter(torch.zeros(1))
        self.flatten_parameters(n_seeds, device)
        self.flat.fill_(math.log(initial))


class SAC(BoxAgent):
    """SAC for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `SACConfig`.

    Examples:
        >>> agent = SAC("Pendulum-v1", learning_rate=1e-3, seeds=4).learn(5_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = SACConfig
    config: SACConfig

    def _build(self) -> None:
        self._build_box(outputs=2, noises=2)
        initial, learns = initial_ent_coef(self.config.ent_coef)
        self.temperature = Temperature(initial, len(self.seeds), self.device) if learns else None
        self.temperature_optimizer = None if self.temperature is None else Adam(self.temperature, math.inf)

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        return cls._shapes_of(config, spaces, inputs, 2)

    def _explored(self, obs: Floats, noise: Floats) -> Floats:
        return squashed_sample(self.actor.act(obs), noise)

    def _update(self, batch: Batch, learning_rate: float) -> dict[str, torch.Tensor]:
        """One step of critics, actor and temperature; returns the losses and the temperature before it, [S] each."""
        noise, next_noise = self._noise()  # [S, B, A] each: for the actions at obs and at next_obs
        ent_coef = self._temperatures()  # [S]
        column, networks = ent_coef[:, None], (self.actor, self.critic, self.critic_target)
        critic_loss = sac_critic_loss(*networks, batch, next_noise, column, self.config.gamma)  # [S]
        descend(self.critic, self.critic_optimizer, critic_loss, learning_rate)
        actor_loss, log_prob = sac_actor_loss(self.actor, self.critic, batch.obs, noise, column)  # [S], [S, B]
        descend(self.actor, self.actor_optimizer, actor_loss, learning_rate)
        losses = {"actor_loss": actor_loss, "critic_loss": critic_loss, "ent_coef": ent_coef}
        if self.temperature is not None and self.temperature_optimizer is not None:
            losses["ent_coef_loss"] = temperature_loss(self.temperature.log_ent_coef, log_prob, self._target_entropy)
            descend(self.temperature, self.temperature_optimizer, losses["ent_coef_loss"], learning_rate)
        if (self.n_updates + 1) % self.config.target_update_interval == 0:
            self.critic_target.flat.lerp_(self.critic.flat, self.config.tau)
        return {name: loss.detach() for name, loss in losses.items()}

    @property
    def _target_entropy(self) -> float:
        given = self.config.target_entropy
        return -float(self.action_size) if isinstance(given, str) else given

    def _temperatures(self) -> torch.Tensor:
        """The weights of the entropy, [S]."""
        if self.temperature is None:
            return torch.full((len(self.seeds),), initial_ent_coef(self.config.ent_coef)[0], device=self.device)
        return self.temperature.log_ent_coef.detach().exp()

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights, temperatures and the state of the optimisers, by name, [S, ...] each."""
        learnt = self._learnt()
        if self.temperature is not None and self.temperature_optimizer is not None:
            learnt["temperature"] = self.temperature.values
            learnt["optimizer.temperature"] = self.temperature_optimizer.state()
        return joined(**learnt)


if __name__ == "__main__":
    from agents.base.cli import main

    main(SAC, PRESETS)
