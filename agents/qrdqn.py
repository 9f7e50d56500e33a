"""QR-DQN for S seeds at once: Q-learning of quantiles of the return (Dabney et al. 2018).

The network gives Q quantiles of the return of each action, theta_i(obs, a), of the levels tau_i = (i + 1/2) / Q. It
acts and learns as `agents.dqn` does, with another loss: with the errors

    error_ij = reward + gamma * continues * theta_target_j(next_obs, a') - theta_i(obs, action),

a batch takes the network one step down |tau_i - (error_ij < 0)| * huber(error_ij), its mean over j and its sum over i.

The agent acts greedily on a measure of the quantiles, and so does a' on those of the target network, so that the
quantiles are those of the policy that acts (as in Dabney et al. 2018b, "Implicit Quantile Networks"). `risk` names it:

    "mean"            their mean: the action value;
    "quantile_0.1"    the quantile of level 0.1: the return that is missed in one of ten cases;
    "cvar_0.1"        the mean of the lowest tenth: the conditional value at risk.

Other measures than the mean are applied at every step to the return from there on. Such a policy need not have the
best quantile of the whole episode's return.

Differences from the paper: (1) a risk measure; (2) clipping of the gradient's norm, if asked for; (3) no convolutions.
Differences from sb3-contrib: (4) `buffer_size` is 100,000 by default, not 1,000,000; (5) with N envs, each env decides
for itself whether to explore; (6) `adam_eps` is 0.01 / 32 whatever `batch_size` is.

    python -m agents.qrdqn --help

Axis letters: S seeds, B batch, D observation, A actions, Q quantiles.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import numpy as np
import torch

from agents.base.agent import Preset
from agents.base.learner import Actions
from agents.base.q_agent import QAgent, check_q_config
from agents.common.checks import check_int, keep_plain
from agents.common.schedules import Schedule
from agents.envs.seed_envs import Floats
from agents.memory.replay import Batch, Replay
from agents.nn.losses import huber
from agents.nn.parameters import SeedNetwork


def risk_weights(risk: str, n_quantiles: int) -> Floats:
    """The weights [Q] of quantiles in ascending order whose sum is a measure, such as "cvar_0.1".

    Raises:
        TypeError: If it is no text.
        ValueError: If it names no measure, or a level outside (0, 1).
    """
    if not isinstance(risk, str):
        raise TypeError(f'risk must be "mean", "quantile_0.1" or "cvar_0.1", got {risk!r}')
    kind, _, text = risk.partition("_")
    try:
        level = float(text) if text else math.nan
    except ValueError:
        level = math.nan
    if risk != "mean" and not (kind in ("quantile", "cvar") and 0.0 < level < 1.0):
        raise ValueError(f'risk must be "mean", or a level in (0, 1) as in "quantile_0.1" or "cvar_0.1", got {risk!r}')
    edges = np.minimum(np.arange(n_quantiles + 1) / n_quantiles, 1.0 if risk == "mean" else level)  # [Q + 1]
    weights = np.diff(edges) / edges[-1]  # [Q]
    if kind == "quantile":
        weights = np.eye(n_quantiles)[int(level * n_quantiles)]
    return cast(Floats, weights.astype(np.float32))


@dataclass(frozen=True)
class QRDQNConfig:
    """The hyperparameters of QR-DQN, named as in sb3-contrib; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 5e-5
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed (sb3-contrib: 1,000,000)."""
    learning_starts: int = 100
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    tau: float = 1.0
    """Fraction by which the target network moves towards the network at each of its updates."""
    gamma: float = 0.99
    """Discount factor."""
    n_steps: int = 1
    """Rewards in a target before it bootstraps; fewer where an episode ends."""
    train_freq: int = 4
    """Steps of the vector env between trainings."""
    gradient_steps: int = 1
    """Updates per training; -1 makes as many as transitions were collected since the last one."""
    target_update_interval: int = 10_000
    """Steps between updates of the target network."""
    exploration_fraction: float = 0.005
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.01
    """Final probability of a random action."""
    max_grad_norm: float | None = None
    """Maximum norm of one seed's gradient; None for no limit."""
    n_quantiles: int = 200
    """Q, quantiles per action; time and memory of an update grow with their square."""
    risk: str = "mean"
    """Measure of the quantiles to act by: "mean", "quantile_0.1", "cvar_0.1"."""
    adam_eps: float = 0.01 / 32
    """Added to Adam's denominator."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_q_config(self)
        check_int("n_steps", self.n_steps, 1)
        risk_weights(self.risk, check_int("n_quantiles", self.n_quantiles, 1))


PRESETS: dict[str, Preset] = {}
"""Timesteps per seed and hyperparameters that solve an env, by its id."""


def qrdqn_loss(
    q_net: SeedNetwork, target_net: SeedNetwork, batch: Batch, risk: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantile Huber loss, mean over B and sum over S; and that of each transition, [S, B]. risk: weights [Q]."""
    Q = len(risk)
    with torch.no_grad():
        next_theta = target_net(batch.next_obs).unflatten(-1, (-1, Q))  # [S, B, A, Q]
        best = measured(next_theta, risk).argmax(-1, keepdim=True)  # [S, B, 1]
        to_come = batch.continues[..., None] * of_action(next_theta, best)  # [S, B, Q]
        target = batch.reward[..., None] + gamma * to_come  # [S, B, Q]
    theta = of_action(q_net(batch.obs).unflatten(-1, (-1, Q)), batch.action)  # [S, B, Q]
    error = target[..., None, :] - theta[..., None]  # [S, B, Q, Q], of theta_i and target_j
    level = (torch.arange(Q, device=risk.device) + 0.5)[:, None] / Q  # [Q, 1]
    weight = (level - (error.detach() < 0.0).float()).abs()  # [S, B, Q, Q]
    each = (weight * huber(error)).mean(-1).sum(-1)  # [S, B]
    return each.mean(1).sum(), each.detach()


def of_action(theta: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
    """Quantiles [S, B, Q] of the actions [S, B, 1] among those of all, [S, B, A, Q]."""
    index = action[..., None].expand(*action.shape, theta.shape[-1])  # [S, B, 1, Q]
    return theta.gather(-2, index)[..., 0, :]


def measured(theta: torch.Tensor, risk: torch.Tensor) -> torch.Tensor:
    """The measure [..., A] with weights [Q] of quantiles [..., A, Q], which are sorted first: estimates may cross."""
    return theta.sort(-1).values @ risk


class QRDQN(QAgent):
    """QR-DQN for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `QRDQNConfig`.

    Examples:
        >>> agent = QRDQN("CartPole-v1", learning_rate=1e-3, n_quantiles=20, risk="cvar_0.2", seeds=8).learn(50_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = QRDQNConfig
    config: QRDQNConfig

    def _build(self) -> None:
        config, S = self.config, len(self.seeds)
        self.q_net, self.q_net_target = self._network(), self._network()
        self._risk = torch.from_numpy(risk_weights(config.risk, config.n_quantiles)).to(self.device)  # [Q]
        size = (config.buffer_size, self.spaces.obs_size, config.batch_size)
        self.replay = Replay(S, *size, self.device, n_steps=config.n_steps, gamma=config.gamma)
        self._build_training()

    @property
    def _n_outputs(self) -> int:
        return self.spaces.n_actions * self.config.n_quantiles

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        return pairwise((inputs, *config.net_arch, spaces.n_actions * config.n_quantiles))

    def quantiles(self, obs: Floats) -> Floats:
        """Estimated quantiles of the return of each action, in ascending order, [S, B, A, Q], for obs [S, B, D]."""
        theta = self.q_net.act(obs)  # [S, B, A * Q]
        return cast(Floats, np.sort(theta.reshape(*theta.shape[:2], -1, self.config.n_quantiles), -1))

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = (self.quantiles(obs) @ self._risk.cpu().numpy()).argmax(-1)
        return actions

    def _update(self, batch: Batch, learning_rate: float) -> torch.Tensor:
        """One step of the optimiser on one batch; returns the losses before it, [S, B]."""
        self.q_net.zero_grad()
        loss, each = qrdqn_loss(self.q_net, self.q_net_target, batch, self._risk, self.config.gamma)  # [], [S, B]
        loss.backward()
        self.optimizer.step(learning_rate)
        return each

    def _loss_of(self, error: torch.Tensor) -> torch.Tensor:
        return error


if __name__ == "__main__":
    from agents.base.cli import main

    main(QRDQN, PRESETS)
