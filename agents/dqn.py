"""DQN for S seeds at once: Q-learning with a replay memory and a target network (Mnih et al. 2015).

Every step acts epsilon-greedily and stores the transition (`agents/base/q_agent.py`, `agents/base/replay_agent.py`);
every `train_freq` steps the network takes `gradient_steps` steps down `dqn_loss`, the Huber loss of the TD error

    Q(obs, action) - (reward + gamma * continues * max_a Q_target(next_obs, a)).

`continues` is 0 where the episode terminated and 1 elsewhere, also where it was truncated. Q_target is the target
network: every `target_update_interval` steps the network is copied to it. The loss is the mean over the batch and the
sum over seeds, and each seed's gradient is clipped by its own norm, so S seeds are S independent runs in one pass.

With `n_steps` = n above 1, a transition of the batch spans n steps, fewer where an episode ends
(`agents.memory.n_step`): its reward is the sum of gamma^k * reward_k over k < n, its next_obs comes after n steps, and
its `continues` is gamma^(n - 1) in place of 1. So the same formula gives the n-step target, which bootstraps from
gamma^n * max_a Q_target(next_obs, a).

Differences from the paper, all shared with Stable-Baselines3: (1) Adam instead of RMSprop; (2) the Huber loss instead
of clipping the error, which has the same gradient; (3) clipping of the gradient's norm; (4) no convolutions.
Differences from Stable-Baselines3: (5) `buffer_size` is 100,000 by default, not 1,000,000; (6) each env decides for
itself whether to explore, there one draw decides for all; (7) the memory stores `terminated`, so bootstrapping at a
time limit needs no info key.

Variants of DQN have separate files: `agents.rainbow`, `agents.qrdqn`, `agents.counterfactual_dqn`, and
`agents.course_dqn`, the simpler form in which DQN is often taught.

    python -m agents.dqn --help

Axis letters: S seeds, B batch, D observation, A actions.
"""

from dataclasses import dataclass

import torch

from agents.base.agent import Preset
from agents.base.q_agent import QAgent, check_q_config
from agents.common.checks import check_flag, check_int, keep_plain
from agents.common.returns import td_target
from agents.common.schedules import Schedule
from agents.memory.replay import Batch, Replay
from agents.nn.fused.td_error import td_step
from agents.nn.losses import huber
from agents.nn.parameters import SeedNetwork


@dataclass(frozen=True)
class DQNConfig:
    """The hyperparameters of DQN: Stable-Baselines3's, `adam_eps` and `normalize_reward`; steps are per seed."""

    learning_rate: float | str | Schedule = 1e-4
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed (SB3: 1,000,000)."""
    learning_starts: int = 100
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    tau: float = 1.0
    """Fraction by which the target network moves towards the network at each of its updates; 1 copies."""
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
    exploration_fraction: float = 0.1
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""
    max_grad_norm: float = 10.0
    """Maximum norm of one seed's gradient."""
    adam_eps: float = 1e-8
    """Added to Adam's denominator; with a larger value, steps shrink with the gradient once errors are small."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers."""
    fused: bool = True
    """Whether to use a compiled update, with the gradient by hand: for the built-in network on the CPU."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_q_config(self)
        check_int("n_steps", self.n_steps, 1)
        check_flag("fused", self.fused)


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(
        100_000,
        DQNConfig(
            learning_rate="lin_3e-3",
            learning_starts=1_000,
            batch_size=128,
            gamma=0.98,
            n_steps=10,
            gradient_steps=2,
            target_update_interval=500,
            exploration_final_eps=0.2,
            adam_eps=1e-4,
            net_arch=(128, 128),
        ),
    ),
}
"""Timesteps per seed and hyperparameters that solve an env, by its id.

CartPole-v1: the last weights of each of the seeds 0 to 7, 100 to 111 and 200 to 207 hold the pole for 500 steps, the
mean of 50 greedy episodes. With one-step targets, only those of 7 of 16 seeds do.
"""


def dqn_loss(
    q_net: SeedNetwork, target_net: SeedNetwork, batch: Batch, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Huber loss of the TD error, mean over B and sum over S, []; and the error, [S, B]."""
    with torch.no_grad():
        next_q = target_net(batch.next_obs)  # [S, B, A]
        target = td_target(batch.reward, batch.continues, next_q.amax(-1), gamma)  # [S, B]
    q = q_net(batch.obs)  # [S, B, A]
    error = q.gather(-1, batch.action)[..., 0] - target  # [S, B], from action [S, B, 1]
    loss = huber(error).mean(1).sum()  # []
    return loss, error.detach()


class DQN(QAgent):
    """DQN for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `DQNConfig`.

    Examples:
        >>> agent = DQN("CartPole-v1", learning_rate=1e-3, seeds=8).learn(50_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = DQNConfig
    config: DQNConfig

    def _build(self) -> None:
        config, S = self.config, len(self.seeds)
        self.q_net, self.q_net_target = self._network(), self._network()  # the same initial weights
        size = (config.buffer_size, self.spaces.obs_size, config.batch_size)
        self.replay = Replay(S, *size, self.device, n_steps=config.n_steps, gamma=config.gamma)
        self._fused = config.fused and self._can_fuse
        self._build_training()  # optimiser, random streams, schedules

    def _update(self, batch: Batch, learning_rate: float) -> torch.Tensor:
        """One step of Adam down `dqn_loss`; returns the TD errors before it, [S, B]."""
        nets, gamma = (self.q_net, self.q_net_target), self.config.gamma
        if self._fused:  # the same in one compiled call
            return td_step(*nets, self.optimizer.for_kernels(learning_rate), batch, gamma)[..., 0]
        loss, error = dqn_loss(*nets, batch, gamma)  # [], [S, B]
        self.q_net.zero_grad()
        loss.backward()
        self.optimizer.step(learning_rate)  # clips each seed's gradient first
        return error


if __name__ == "__main__":
    from agents.base.cli import main

    main(DQN, PRESETS)
