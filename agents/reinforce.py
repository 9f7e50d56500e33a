"""REINFORCE for S seeds at once: policy gradients from whole episodes (Williams 1992; Sutton and Barto 2018, 13.3-4).

Whenever a seed has finished `n_episodes` episodes, its policy takes one step down `reinforce_loss`,

    -mean(advantage * log pi(action | obs)) - ent_coef * mean(entropy) [+ vf_coef * mean((V(obs) - G)^2)],

where G_t = reward_t + gamma * G_{t+1} is the discounted return, and the advantage is G, or G - V(obs) with
`value_baseline`, which the last term trains. The advantage is normalised over the episodes of the update. All seeds act
together, but their episodes end at different times, so each seed is updated separately.

Differences from the sources: (1) the advantage is normalised; (2) the factor gamma^t of each term is left out, as is
usual; (3) Adam, and clipping of the gradient's norm; (4) one update from the mean over all steps of `n_episodes`
episodes instead of an update after each step; (5) an optional entropy term; (6) after a truncation, G bootstraps from
V(final observation) if there is a baseline, and otherwise sums only the rewards seen; (7) with several envs per seed,
an episode can be running during an update, and when it ends, it is treated as if the new policy had acted from its
start. With one env per seed, the default, every episode is learnt from by the policy that acted in it.

    python -m agents.reinforce --help

Axis letters: S seeds, N envs per seed, B steps of the episodes of an update, T time, D observation,
K numbers per action.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch.distributions import Distribution

from agents.base.agent import Preset
from agents.base.policy_agent import Losses, PolicyAgent, check_policy, std_metric
from agents.common.checks import check_flag, check_int, keep_plain
from agents.common.returns import discounted_returns, normalized
from agents.common.schedules import Schedule
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.episodes import Episodes
from agents.nn.adam import Adam
from agents.nn.fused.policy_gradients import advantage_gradient


@dataclass(frozen=True)
class REINFORCEConfig:
    """The hyperparameters of REINFORCE, named as those of Stable-Baselines3's A2C where it has them."""

    learning_rate: float | str | Schedule = 1e-3
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    n_episodes: int = 8
    """Episodes per update."""
    gamma: float = 0.99
    """Discount factor."""
    value_baseline: bool = False
    """Whether to learn the value of observations and subtract it from the returns."""
    normalize_advantage: bool = True
    """Whether to normalise returns, less the baseline if there is one, over the episodes of an update."""
    ent_coef: float | str | Schedule = 0.0
    """Weight of the entropy in the loss: a number, "lin_0.1" (linear to zero), or a function of remaining progress."""
    vf_coef: float = 0.5
    """Weight of the baseline in the loss."""
    max_grad_norm: float = 0.5
    """Maximum norm of one seed's gradient."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers, of each network."""
    shared_network: bool = False
    """Whether policy and baseline share their hidden layers."""
    activation: Literal["tanh", "relu"] = "tanh"
    """Activation between layers."""
    log_std_init: float = 0.0
    """Initial logarithm of the standard deviation of Box actions."""
    fused: bool = True
    """Whether to use compiled gradients, written by hand, in place of autograd: for built-in networks on the CPU."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_policy(self)
        check_int("n_episodes", self.n_episodes, 1)
        check_flag("value_baseline", self.value_baseline)
        if self.shared_network and not self.value_baseline:
            raise ValueError("shared_network shares layers with the baseline, so it needs value_baseline")


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(200_000, REINFORCEConfig(learning_rate="lin_3e-3", value_baseline=True)),
}
"""Timesteps per seed and hyperparameters that solve an env, by its id.

CartPole-v1: the last weights of each of the seeds 0 to 7 hold the pole for 498 to 500 steps, the mean of 100 greedy
episodes. Without the baseline, after 150,000 steps, it is 455 to 500: the truncation at 500 steps then looks like the
end of all rewards.
"""


def reinforce_loss(
    policy: Distribution,
    value: torch.Tensor,
    action: torch.Tensor,
    returns: torch.Tensor,
    normalize: bool,
    ent_coef: float,
    vf_coef: float,
) -> tuple[torch.Tensor, Losses]:
    """REINFORCE's loss, the mean over B and the sum over S, []; and its terms, [S, B] each.

    Args:
        policy: Distributions of the actions, given the observations.
        value: The baseline, [S, B]; 0 if there is none.
        action: The actions taken, [S, B, K].
        returns: Discounted returns, [S, B].
        normalize: Whether to normalise advantages.
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the baseline.
    """
    advantage = (returns - value).detach()  # [S, B]
    if normalize:
        advantage = normalized(advantage)  # [S, B]
    policy_loss = -advantage * policy.log_prob(action)  # [S, B]
    value_loss = (value - returns).square()  # [S, B]
    entropy = policy.entropy()  # [S, B]
    loss = (policy_loss - ent_coef * entropy + vf_coef * value_loss).mean(1).sum()  # []
    return loss, Losses(policy_loss, value_loss, entropy)


class REINFORCE(PolicyAgent):
    """REINFORCE for one seed or several, with Stable-Baselines3's interface: see `SeedAgent` and `REINFORCEConfig`.

    Examples:
        >>> agent = REINFORCE("CartPole-v1", seeds=8, value_baseline=True).learn(200_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = REINFORCEConfig
    config: REINFORCEConfig
    optimizer: Adam

    def _build(self) -> None:
        config, S = self.config, len(self.seeds)
        baseline = "shared" if config.shared_network else "separate"
        self._build_policy(baseline if config.value_baseline else "none")
        self.optimizer = Adam(self.net, config.max_grad_norm)
        sizes = (self.spaces.obs_size, self.distribution.action_size)
        self._running = Episodes(S, self.n_envs, *sizes)  # and the finished ones to learn from
        self._means = np.full((S, len(Losses._fields)), np.nan)  # of the loss's terms in each seed's last update

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0:
            self._running.clear()
            self._running.forget_finished()

    def _cut(self, obs: Floats) -> None:
        self._running.clear()

    def parts(self) -> dict[str, Any]:
        """The state of training, with the mean losses of each seed's last update."""
        return super().parts() | {"_means": self._means}

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env; each seed that has finished `n_episodes` episodes learns from them."""
        action = self._act(obs)  # [S, N] or [S, N, K]
        step = envs.step(action)
        self._running.add(obs, action, step.reward)
        self.num_timesteps += self.n_envs
        for s, n in np.argwhere(step.ended):
            self._finish(s, n, step)
            if len(self._running.finished[s]) == self.config.n_episodes:
                remaining = max(1.0 - self.num_timesteps / goal, 0.0)
                self._entropy_weight = self._ent_coef(remaining)
                self._train(s, self._learning_rate(remaining))
        return step.obs

    def _finish(self, s: int, n: int, step: Step) -> None:
        """Keeps the episode that just ended in one env, with its returns."""
        rows, reward = self._running.take(s, n)  # [T, D + K], [T]
        last_value = 0.0
        if self.config.value_baseline and not step.terminated[s, n]:
            last_value = float(self.net.value(step.next_obs)[s, n])  # V(final observation)
        returns = discounted_returns(reward, self.config.gamma, last_value).astype(np.float32)  # [T]
        self._running.finished[s].append((rows, returns))

    def _train(self, s: int, learning_rate: float) -> None:
        """One step of Adam for one seed, from its finished episodes."""
        columns = zip(*self._running.finished[s], strict=True)  # rows of all episodes, returns of all episodes
        rows, returns = (torch.from_numpy(np.concatenate(parts))[None].to(self.device) for parts in columns)
        self._running.finished[s].clear()
        self._update(s, rows, returns, learning_rate)

    def _update(self, s: int, rows: torch.Tensor, returns: torch.Tensor, learning_rate: float) -> None:
        """One step of Adam for one seed: rows [1, B, D + K], returns [1, B]."""
        config, D = self.config, self.spaces.obs_size
        options = (config.normalize_advantage, self._entropy_weight, config.vf_coef)
        if self._fused:  # the same gradient, compiled; the advantage is made there
            batch = (self._with_features(rows), returns, None)
            losses = Losses(*advantage_gradient(self._kernels, [s], *batch, *options))
        else:
            policy, value = self.net.of_seed(s, rows[..., :D])  # value [1, B]
            loss, losses = reinforce_loss(policy, value, rows[..., D:], returns, *options)
            self.net.zero_grad()
            loss.backward()
        self.optimizer.step(learning_rate, np.arange(len(self.seeds)) == s)  # of seed s alone, its gradient clipped
        self.n_updates = self.optimizer.steps
        self._rate = learning_rate
        self._means[s] = [term.mean().item() for term in losses]

    def _metrics(self) -> dict[str, Any]:
        policy, value, entropy = self._means.T
        metrics = {"train/policy_loss": policy, "train/entropy_loss": -entropy}
        metrics |= {"train/value_loss": value} if self.config.value_baseline else {}
        updates = {"train/n_updates": self.optimizer.steps_of.numpy(), "train/learning_rate": self._rate}
        return std_metric(self._log_std) | metrics | updates


if __name__ == "__main__":
    from agents.base.cli import main

    main(REINFORCE, PRESETS)
