"""PPO for S seeds at once: an actor-critic that makes several updates from each rollout (Schulman et al. 2017).

After every `n_steps` steps of its N envs, collected in `agents/base/policy_agent.py`, the rollout is shuffled and cut
into batches, in each of `n_epochs` epochs anew. With ratio = pi(action | obs) / pi_old(action | obs), each batch takes
the networks one step down `ppo_loss`,

    -mean(min(ratio * advantage, clip(ratio, 1 - clip_range, 1 + clip_range) * advantage))
        - ent_coef * mean(entropy) + vf_coef * mean((V(obs) - return)^2).

pi_old and V_old are policy and critic before the first epoch. Advantages are `agents.common.returns.gae`, and return =
advantage + V_old(obs); only then are advantages normalised, within each batch. V(next_obs) is included after a
truncation and left out after a termination. The loss is the mean over the batch and the sum over seeds, each seed's
gradient is clipped by its own norm, and each seed has its own shuffling and early stopping (`target_kl`), so S seeds
are S independent runs in one pass.

Differences from the paper, all shared with Stable-Baselines3: (1) advantages are normalised; (2) the gradient's norm is
clipped; (3) policy and critic have separate networks unless `shared_network`; (4) `clip_range_vf` can clip the critic's
values too, without the maximum of clipped and unclipped errors that OpenAI's Baselines take; (5) `target_kl` can end
the epochs early. Differences from Stable-Baselines3: (6) `n_updates` counts batches, not epochs; (7) logged values are
means over the last epoch; (8) `clip_range_vf` cannot be a schedule.

    python -m agents.ppo --help

Axis letters: S seeds, N envs per seed, M = T * N rows of a rollout, B of them in a batch, T time, D observation,
A outputs of the policy, K numbers per action.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.distributions import Distribution

from agents.base.agent import Preset
from agents.base.policy_agent import RolloutAgent, check_policy, std_metric
from agents.common.checks import check_flag, check_float, check_int, keep_plain
from agents.common.returns import explained_variance, normalized
from agents.common.schedules import Schedule, as_schedule
from agents.common.streams import generator
from agents.envs.seed_envs import Floats
from agents.nn.adam import Adam
from agents.nn.fused.policy_gradients import clipped_epoch
from agents.nn.parameters import Flags


@dataclass(frozen=True)
class PPOConfig:
    """The hyperparameters of PPO, named as in Stable-Baselines3 where it has them; counts of steps are per env."""

    learning_rate: float | str | Schedule = 3e-4
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    n_steps: int = 2048
    """Steps of each env per rollout."""
    batch_size: int = 64
    """Steps per update; the last batch of a rollout may be smaller."""
    n_epochs: int = 10
    """Passes over each rollout."""
    gamma: float = 0.99
    """Discount factor."""
    gae_lambda: float = 0.95
    """Lambda of the advantage: 0 is TD(0), 1 is n-step, in between GAE."""
    clip_range: float | str | Schedule = 0.2
    """Distance from 1 beyond which the ratio of probabilities gains no more: a number, "lin_0.2", or a function."""
    clip_range_vf: float | None = None
    """Distance from the old value beyond which a value has no gradient; None for no limit."""
    normalize_advantage: bool = True
    """Whether to normalise advantages within each batch."""
    ent_coef: float | str | Schedule = 0.0
    """Weight of the entropy in the loss: a number, "lin_0.1" (linear to zero), or a function of remaining progress."""
    vf_coef: float = 0.5
    """Weight of the critic in the loss."""
    max_grad_norm: float = 0.5
    """Maximum norm of one seed's gradient."""
    target_kl: float | None = None
    """A seed stops learning from a rollout once its KL divergence exceeds 1.5 times this; None for never."""
    normalize_obs: bool = False
    """Whether the networks see observations normalised by their running statistics, see `agents.memory.obs_scale`."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of each network."""
    shared_network: bool = False
    """Whether policy and critic share their hidden layers."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation between layers."""
    log_std_init: float = 0.0
    """Initial logarithm of the standard deviation of Box actions."""
    fused: bool = True
    """Whether to use compiled gradients, written by hand, in place of autograd: for built-in networks on the CPU."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_policy(self)
        as_schedule(self.clip_range, "clip_range")
        for field in ("normalize_obs", "normalize_reward"):
            check_flag(field, getattr(self, field))
        for field in ("n_steps", "batch_size", "n_epochs"):
            check_int(field, getattr(self, field), 1)
        check_float("gae_lambda", self.gae_lambda, 0.0, 1.0)
        for field in ("clip_range_vf", "target_kl"):
            if getattr(self, field) is not None:
                check_float(field, getattr(self, field), 0.0, above=True)


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(
        100_000,
        PPOConfig(
            learning_rate="lin_1e-3",
            n_steps=32,
            batch_size=256,
            n_epochs=20,
            gamma=0.98,
            gae_lambda=0.8,
            clip_range="lin_0.2",
        ),
        n_envs=8,
    ),
}
"""Timesteps per seed, hyperparameters and envs per seed that solve an env, by its id.

CartPole-v1: the last weights of each of the seeds 0 to 7 hold the pole for 500.0 steps, the mean of 100 greedy
episodes.
"""


class Batch(NamedTuple):
    """A minibatch: steps drawn from a rollout."""

    obs: torch.Tensor  # [S, B, D]
    action: torch.Tensor  # [S, B, K]
    log_prob: torch.Tensor  # [S, B], by the policy that took the actions
    value: torch.Tensor  # [S, B], by the critic before the update
    advantage: torch.Tensor  # [S, B]
    returns: torch.Tensor  # [S, B], targets of the critic

    @classmethod
    def of(cls, rows: torch.Tensor, obs_size: int) -> "Batch":
        """The batch whose numbers stand side by side in rows [S, B, D + K + 4]."""
        return cls(rows[..., :obs_size], rows[..., obs_size:-4], *rows[..., -4:].unbind(-1))


class Losses(NamedTuple):
    """The terms of the loss and log(pi / pi_old), for the metrics."""

    policy: torch.Tensor  # [S, B]
    value: torch.Tensor  # [S, B], squared errors
    entropy: torch.Tensor  # [S, B]
    log_ratio: torch.Tensor  # [S, B]


def ppo_loss(
    policy: Distribution,
    value: torch.Tensor,
    batch: Batch,
    clip_range: float,
    clip_range_vf: float | None,
    ent_coef: float,
    vf_coef: float,
) -> tuple[torch.Tensor, Losses]:
    """PPO's loss, mean over B and sum over S, []; and its terms. policy and value [S, B] are those at batch.obs."""
    log_ratio = policy.log_prob(batch.action) - batch.log_prob  # [S, B]
    ratio = log_ratio.exp()  # [S, B]
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)  # [S, B]
    policy_loss = -torch.minimum(ratio * batch.advantage, clipped * batch.advantage)  # [S, B]
    if clip_range_vf is not None:
        value = batch.value + (value - batch.value).clamp(-clip_range_vf, clip_range_vf)  # [S, B]
    value_loss = (value - batch.returns).square()  # [S, B]
    entropy = policy.entropy()  # [S, B]
    loss = (policy_loss - ent_coef * entropy + vf_coef * value_loss).mean(1).sum()  # []
    return loss, Losses(policy_loss, value_loss, entropy, log_ratio)


def approx_kl(log_ratio: torch.Tensor) -> torch.Tensor:
    """Estimate of KL(pi_old || pi), mean(ratio - 1 - log ratio), unbiased (Schulman 2020): [S, B] -> [S]."""
    return (log_ratio.expm1() - log_ratio).mean(1)


class Report(NamedTuple):
    """The numbers behind the metrics of the last epoch."""

    losses: list[Losses]  # of each batch
    value: Floats  # [S, M], by the critic before the first epoch
    returns: Floats  # [S, M], its targets


class PPO(RolloutAgent):
    """PPO for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `PPOConfig`.

    Examples:
        >>> agent = PPO("CartPole-v1", seeds=8, n_envs=8, n_steps=32, batch_size=256).learn(100_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = PPOConfig
    config: PPOConfig
    optimizer: Adam

    def _build(self) -> None:
        config = self.config
        if config.normalize_advantage and min(config.batch_size, config.n_steps * self.n_envs) < 2:
            raise ValueError("batch_size and n_steps * n_envs must be at least 2 where advantages are normalised")
        self._build_policy("shared" if config.shared_network else "separate")
        self._build_rollout(self.distribution.action_size)
        self.optimizer = Adam(self.net, config.max_grad_norm, eps=1e-5)
        self._shuffling = [generator(seed, "replay") for seed in self.seeds]
        self._clip_range = as_schedule(config.clip_range, "clip_range")
        self._range = 0.0  # clip range of the last update
        empty = np.empty((len(self.seeds), 0), np.float32)
        self._last = Report([], empty, empty)

    def _train(self, last_value: Floats, remaining: float) -> None:
        """Learns from the rollout in `n_epochs` epochs; last_value [S, N] is V of the observations after it."""
        self._rate, self._range = self._learning_rate(remaining), self._clip_range(remaining)
        self._entropy_weight = self._ent_coef(remaining)
        rows = self._rows(last_value)  # [S, M, D + K + 4]
        S, M = rows.shape[:2]
        epoch = self._fused_epoch if self._fused else self._epoch
        order, active = np.empty((S, M), np.int64), np.ones(S, np.bool_)  # active: not stopped by `target_kl`
        for _ in range(self.config.n_epochs):
            self._last.losses.clear()
            for s in np.flatnonzero(active):
                order[s] = self._shuffling[s].permutation(M)
            active = epoch(rows, order, active)
            if not active.any():
                return

    def _rows(self, last_value: Floats) -> torch.Tensor:
        """The rollout with the log-probabilities and values before the first epoch, as rows that make a `Batch`."""
        config, rollout = self.config, self.rollout
        value = self.net.value(rollout.obs)  # [S, M], by the weights that acted: in one pass, not step by step
        advantage = rollout.advantage(value.reshape(rollout.reward.shape), last_value, config.gamma, config.gae_lambda)
        advantage = advantage.reshape(value.shape)  # [S, M]
        self._last = Report([], value, advantage + value)
        rows = rollout.batch(self.device)  # [S, M, D + K]
        pi = torch.from_numpy(self.net.act(rollout.obs)).to(self.device)  # [S, M, A]
        log_prob = self.distribution.given(pi, self._log_std).log_prob(rows[..., rollout.obs_size :])  # [S, M]
        estimates = torch.from_numpy(np.stack((value, advantage, advantage + value), -1)).to(self.device)  # [S, M, 3]
        rows = torch.cat((rows, log_prob[..., None], estimates), -1)  # [S, M, D + K + 4]
        return self._with_features(rows) if self._fused else rows

    def _epoch(self, rows: torch.Tensor, order: npt.NDArray[np.int64], active: Flags) -> Flags:
        """A step of Adam per batch of rows in this order [S, M]; returns which of the active seeds [S] go on."""
        for start in range(0, order.shape[1], self.config.batch_size):
            active = self._update(rows, order[:, start : start + self.config.batch_size], active)
            if not active.any():
                break
        return active

    def _update(self, rows: torch.Tensor, index: npt.NDArray[np.int64], active: Flags) -> Flags:
        """One step of Adam on the rows index [S, B]; returns which of the active seeds [S] took it and go on."""
        config = self.config
        chosen = rows[torch.arange(len(rows))[:, None], torch.from_numpy(index)]  # [S, B, D + K + 4]
        batch = Batch.of(chosen, self.spaces.obs_size)
        if config.normalize_advantage:
            batch = batch._replace(advantage=normalized(batch.advantage))
        policy, value = self.net(batch.obs)  # value [S, B]
        coefs = (self._entropy_weight, config.vf_coef)
        loss, losses = ppo_loss(policy, value, batch, self._range, config.clip_range_vf, *coefs)
        self.net.zero_grad()
        loss.backward()
        losses = Losses(*(term.detach() for term in losses))
        self._last.losses.append(losses)
        if config.target_kl is not None:
            active = active & (approx_kl(losses.log_ratio) <= 1.5 * config.target_kl).cpu().numpy()
        self.optimizer.step(self._rate, active)  # clips each seed's gradient first
        self.n_updates += 1
        return active

    def _fused_epoch(self, rows: torch.Tensor, order: npt.NDArray[np.int64], active: Flags) -> Flags:
        """The same as `_epoch`, compiled: each seed goes through all batches while its networks are in the cache."""
        config = self.config
        terms, taken, active = clipped_epoch(
            self._kernels,
            self.optimizer.for_kernels(self._rate),
            rows,
            order,
            config.batch_size,
            active,
            normalize=config.normalize_advantage,
            target_kl=config.target_kl,
            clip_range=self._range,
            clip_range_vf=config.clip_range_vf,
            ent_coef=self._entropy_weight,
            vf_coef=config.vf_coef,
        )
        self._last.losses.append(Losses(*terms))
        self.n_updates += taken
        return active

    def _metrics(self) -> dict[str, Any]:
        if not self._last.losses:
            return {}
        columns = zip(*self._last.losses, strict=True)
        policy, value, entropy, log_ratio = (torch.cat(column, 1) for column in columns)  # [S, M]
        clipped = (log_ratio.expm1().abs() > self._range).float()
        means = {
            "policy_gradient_loss": policy,
            "value_loss": value,
            "entropy_loss": -entropy,
            "clip_fraction": clipped,
        }
        metrics = {f"train/{name}": terms.mean(1).cpu().numpy() for name, terms in means.items()}  # [S]
        loss = metrics["train/policy_gradient_loss"] + self._entropy_weight * metrics["train/entropy_loss"]
        return (
            std_metric(self._log_std)
            | metrics
            | {
                "train/loss": loss + self.config.vf_coef * metrics["train/value_loss"],
                "train/approx_kl": approx_kl(log_ratio).cpu().numpy(),
                "train/explained_variance": explained_variance(self._last.value, self._last.returns),
                "train/clip_range": self._range,
                "train/learning_rate": self._rate,
                "train/n_updates": self.n_updates,
            }
        )


if __name__ == "__main__":
    from agents.base.cli import main

    main(PPO, PRESETS)
