"""A2C for S seeds at once: a policy and its critic, learning together (Mnih et al. 2016, in its synchronous form).

Every `n_steps` steps of its N envs, collected in `agents/base/policy_agent.py`, the networks take one step down
`a2c_loss`,

    -mean(advantage * log pi(action | obs)) - ent_coef * mean(entropy) + vf_coef * mean((V(obs) - return)^2),

where no gradient flows through advantage and return. The advantage is an estimate by `agents.common.returns.gae`, and
return = advantage + V(obs), before `normalize_advantage` if that is set. gae_lambda says which estimate it is:

    0    the TD(0) error, reward + gamma * V(next_obs) - V(obs);
    1    the n-step return minus V(obs), where the n steps end with the rollout (the default, and the paper's choice);
    else a weighted mean of all n-step estimates, the generalised advantage estimate.

V(next_obs) is included after a truncation and left out after a termination. The loss is the mean over the batch and
the sum over seeds, and each seed's gradient is clipped by its own norm, so S seeds are S independent runs in one pass.

Differences from the paper, all shared with Stable-Baselines3: (1) synchronous envs instead of asynchronous workers;
(2) means over the batch instead of sums; (3) clipping of the gradient's norm; (4) separate networks for policy and
critic unless `shared_network`; (5) a rollout continues with the next episode when one ends.

    python -m agents.a2c --help

Axis letters: S seeds, N envs per seed, B = T * N batch, T time, D observation, K numbers per action.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.distributions import Distribution

from agents.base.agent import Preset
from agents.base.policy_agent import Losses, RolloutAgent, actor_critic_metrics, check_policy
from agents.common.checks import check_flag, check_float, check_int, keep_plain
from agents.common.returns import normalized
from agents.common.schedules import Schedule
from agents.envs.seed_envs import Floats
from agents.nn.adam import Adam
from agents.nn.fused.policy_gradients import advantage_gradient
from agents.nn.rmsprop import RMSprop


@dataclass(frozen=True)
class A2CConfig:
    """The hyperparameters of A2C, named as in Stable-Baselines3 where it has them; counts of steps are per env."""

    learning_rate: float | str | Schedule = 7e-4
    """The optimiser's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    n_steps: int = 5
    """Steps of each env per update."""
    gamma: float = 0.99
    """Discount factor."""
    gae_lambda: float = 1.0
    """Lambda of the advantage: 0 is TD(0), 1 is n-step, in between GAE."""
    ent_coef: float | str | Schedule = 0.0
    """Weight of the entropy in the loss: a number, "lin_0.1" (linear to zero), or a function of remaining progress."""
    vf_coef: float = 0.5
    """Weight of the critic in the loss."""
    max_grad_norm: float = 0.5
    """Maximum norm of one seed's gradient."""
    use_rms_prop: bool = True
    """Whether to use RMSprop in place of Adam."""
    rms_prop_eps: float = 1e-5
    """Added to the optimiser's denominator."""
    normalize_advantage: bool = False
    """Whether to normalise advantages within each batch."""
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
        check_int("n_steps", self.n_steps, 1)
        check_float("gae_lambda", self.gae_lambda, 0.0, 1.0)
        check_float("rms_prop_eps", self.rms_prop_eps, 0.0, above=True)
        for field in ("use_rms_prop", "normalize_obs", "normalize_reward"):
            check_flag(field, getattr(self, field))


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(500_000, A2CConfig(learning_rate="lin_7e-4"), n_envs=8),
}
"""Timesteps per seed, hyperparameters and envs per seed that solve an env, by its id.

CartPole-v1: the last weights of each of the seeds 0 to 7 hold the pole for 500.0 steps, the mean of 100 greedy
episodes; after 300,000 steps those of one of them did not.
"""


def a2c_loss(
    policy: Distribution,
    value: torch.Tensor,
    action: torch.Tensor,
    advantage: torch.Tensor,
    returns: torch.Tensor,
    ent_coef: float,
    vf_coef: float,
) -> tuple[torch.Tensor, Losses]:
    """A2C's loss, the mean over B and the sum over S, []; and its terms, [S, B] each.

    Args:
        policy: Distributions of the actions, given the observations.
        value: The critic's values of the observations, [S, B].
        action: The actions taken, [S, B, K].
        advantage: Advantages of the actions, [S, B].
        returns: Targets of the critic, [S, B].
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the critic.
    """
    policy_loss = -advantage * policy.log_prob(action)  # [S, B]
    value_loss = (value - returns).square()  # [S, B]
    entropy = policy.entropy()  # [S, B]
    loss = (policy_loss - ent_coef * entropy + vf_coef * value_loss).mean(1).sum()  # []
    return loss, Losses(policy_loss, value_loss, entropy)


class A2C(RolloutAgent):
    """A2C for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `A2CConfig`.

    Examples:
        >>> agent = A2C("CartPole-v1", seeds=8, n_envs=16).learn(500_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = A2CConfig
    config: A2CConfig

    def _build(self) -> None:
        config = self.config
        self._build_policy("shared" if config.shared_network else "separate")
        self._build_rollout(self.distribution.action_size)
        optimizer = RMSprop if config.use_rms_prop else Adam
        self.optimizer = optimizer(self.net, config.max_grad_norm, eps=config.rms_prop_eps)

    def _train(self, last_value: Floats, remaining: float) -> None:
        """One update from the whole rollout; last_value [S, N] is V of the observations after it."""
        config, rollout = self.config, self.rollout
        self._rate, self._entropy_weight = self._learning_rate(remaining), self._ent_coef(remaining)
        rows = rollout.batch(self.device)  # [S, B, D + K], observation and action side by side
        value = self.net.value(rollout.obs)  # [S, B], by the weights that acted: in one pass, not step by step
        value_of_step = value.reshape(rollout.reward.shape)  # [S, T, N]
        estimate = rollout.advantage(value_of_step, last_value, config.gamma, config.gae_lambda)  # [S, T, N]
        old_value = torch.from_numpy(value).to(self.device)  # [S, B]
        advantage = torch.from_numpy(estimate.reshape(value.shape)).to(self.device)  # [S, B]
        self._update(rows, old_value, advantage)

    def _update(self, rows: torch.Tensor, old_value: torch.Tensor, advantage: torch.Tensor) -> None:
        """One step of the optimiser: rows [S, B, D + K], values before it [S, B], advantages [S, B]."""
        config, D = self.config, self.spaces.obs_size
        returns, coefs = advantage + old_value, (self._entropy_weight, config.vf_coef)
        if self._fused:  # the same gradient, compiled
            batch = (self._with_features(rows), returns, advantage, config.normalize_advantage)
            losses = Losses(*advantage_gradient(self._kernels, range(len(self.seeds)), *batch, *coefs))
        else:
            if config.normalize_advantage:
                advantage = normalized(advantage)
            policy, value = self.net(rows[..., :D])  # value [S, B]
            loss, losses = a2c_loss(policy, value, rows[..., D:], advantage, returns, *coefs)
            self.net.zero_grad()
            loss.backward()
            losses = Losses(*(term.detach() for term in losses))
        self.optimizer.step(self._rate)  # clips each seed's gradient first
        self._last = losses, old_value, returns
        self.n_updates += 1

    def _metrics(self) -> dict[str, Any]:
        if self._last is None:
            return {}
        losses, value, returns = self._last
        metrics = actor_critic_metrics(losses, value, returns, self._log_std)
        return metrics | {"train/learning_rate": self._rate, "train/n_updates": self.n_updates}


if __name__ == "__main__":
    from agents.base.cli import main

    main(A2C, PRESETS)
