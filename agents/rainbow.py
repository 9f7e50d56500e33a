"""Rainbow for S seeds at once: four improvements of DQN in one agent (Hessel et al. 2018).

It acts and learns as `agents.dqn` does, with four changes:

    double Q-learning    the network chooses the best next action, the target network values it (van Hasselt et al.
                         2016);
    dueling networks     Q = V + Adv - mean_a Adv, from two streams (Wang et al. 2016), see `agents.nn.dueling`;
    n-step targets       n discounted rewards before the target bootstraps (Sutton 1988), see `agents.memory.n_step`;
    prioritized replay   transitions with large errors are drawn more often, and importance weights in the loss
                         correct for that (Schaul et al. 2016), see `agents.memory.prioritized`.

Each seed's loss is the mean over its batch of weight * huber(error), with

    error = Q(obs, action) - (return of n steps + gamma^n * continues * Q_target(next_obs, argmax_a Q(next_obs, a))).

Differences from the paper: (1) no distribution of returns; (2) exploration is epsilon-greedy, not by noisy networks;
(3) the Huber loss of the TD error instead of a cross-entropy; the size of the TD error is also the priority.

    python -m agents.rainbow --help

Axis letters: S seeds, B batch, D observation, A actions.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import torch

from agents.base.agent import Preset
from agents.base.learner import Actions
from agents.base.q_agent import QAgent, check_q_config
from agents.common.checks import check_float, check_int, keep_plain
from agents.common.returns import td_target
from agents.common.schedules import Schedule, linear
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.prioritized import Priorities
from agents.memory.replay import Batch, Replay
from agents.nn.dueling import BuiltDueling, Dueling
from agents.nn.losses import huber
from agents.nn.parameters import SeedNetwork


@dataclass(frozen=True)
class RainbowConfig:
    """The hyperparameters of Rainbow, named as in Stable-Baselines3's DQN; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 1e-4
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 100_000
    """Transitions that the replay memory keeps per seed."""
    learning_starts: int = 100
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    tau: float = 1.0
    """Fraction by which the target network moves towards the network at each of its updates."""
    gamma: float = 0.99
    """Discount factor."""
    n_steps: int = 3
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
    prioritized_replay_alpha: float = 0.6
    """Exponent of the error in the priority: 0 samples uniformly, 1 in proportion to the error."""
    prioritized_replay_beta0: float = 0.4
    """Initial exponent of the importance weights in the loss; it rises to 1 at the end of training."""
    prioritized_replay_eps: float = 1e-6
    """Added to the absolute error."""
    max_grad_norm: float = 10.0
    """Maximum norm of one seed's gradient."""
    adam_eps: float = 1e-8
    """Added to Adam's denominator; with a larger value, steps shrink with the gradient once errors are small."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (64, 64)
    """Widths of the hidden layers; the last one is that of each stream."""

    def __post_init__(self) -> None:
        keep_plain(self)
        check_q_config(self)
        check_int("n_steps", self.n_steps, 1)
        for field in ("prioritized_replay_alpha", "prioritized_replay_beta0"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        check_float("prioritized_replay_eps", self.prioritized_replay_eps, 0.0, above=True)
        if not self.net_arch:
            raise ValueError("net_arch must have a hidden layer to split, got ()")


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(
        100_000,
        RainbowConfig(
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
"""Timesteps per seed and hyperparameters for an env, by its id: those of DQN's preset."""


def rainbow_loss(
    q_net: SeedNetwork, target_net: SeedNetwork, batch: Batch, weight: torch.Tensor, gamma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted Huber loss of the n-step double-Q error, mean over B and sum over S; and the error, [S, B].

    `batch` has returns of n steps as its reward, and gamma^(n - 1) in its `continues` where the episode goes on.
    `weight` [S, B] corrects for the priorities by which it was drawn.
    """
    with torch.no_grad():
        best = q_net(batch.next_obs).argmax(-1, keepdim=True)  # [S, B, 1]
        next_value = target_net(batch.next_obs).gather(-1, best)[..., 0]  # [S, B]
        target = td_target(batch.reward, batch.continues, next_value, gamma)  # [S, B]
    q = q_net(batch.obs)  # [S, B, A]
    error = q.gather(-1, batch.action)[..., 0] - target  # [S, B]
    loss = (weight * huber(error)).mean(1).sum()  # []
    return loss, error.detach()


class Rainbow(QAgent):
    """Rainbow for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `RainbowConfig`.

    Examples:
        >>> agent = Rainbow("CartPole-v1", learning_rate=1e-3, n_steps=3, seeds=8).learn(50_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = RainbowConfig
    config: RainbowConfig
    priorities: Priorities

    def _build(self) -> None:
        config, S, B = self.config, len(self.seeds), self.config.batch_size
        self.q_net, self.q_net_target = self._network(), self._network()
        size = (config.buffer_size, self.spaces.obs_size, B)
        self.replay = Replay(S, *size, self.device, n_steps=config.n_steps, gamma=config.gamma)
        self.priorities = Priorities(S, B, config.prioritized_replay_alpha, config.prioritized_replay_eps)
        self._beta = linear(config.prioritized_replay_beta0, 1.0)
        self.beta = config.prioritized_replay_beta0  # of the last update
        self._build_training()

    def _network(self) -> SeedNetwork:
        """Dueling networks: of the user's function, which makes 1 + A outputs, or else perceptrons of `net_arch`."""
        A, shared = self.spaces.n_actions, (self.seeds, self.device, self.features)
        if self.network is not None:
            return BuiltDueling(self.network, self.input_size, 1 + A, *shared)
        return Dueling((self.input_size, *self.config.net_arch, A), *shared)

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        *below, last = config.net_arch
        return chain(pairwise((inputs, *below, 2 * last)), [(last, spaces.n_actions)])

    def _begin(self, total_timesteps: int) -> None:
        super()._begin(total_timesteps)
        self.priorities.reserve(self.replay.capacity)

    def _store(self, obs: Floats, action: Actions, step: Step, envs: SeedEnvs) -> None:
        self.priorities.add(self.replay.position, self.n_envs, self.replay.capacity)
        super()._store(obs, action, step, envs)

    def _train(self, remaining: float) -> None:
        self.beta = self._beta(remaining)
        super()._train(remaining)

    def _sample(self) -> Batch:
        return self.replay.take(self.priorities.draw(self._sampling.draw()))

    def _update(self, batch: Batch, learning_rate: float) -> torch.Tensor:
        weight = torch.from_numpy(self.priorities.weights(self.replay.size, self.beta)).to(self.device)  # [S, B]
        self.q_net.zero_grad()
        loss, error = rainbow_loss(self.q_net, self.q_net_target, batch, weight, self.config.gamma)  # [], [S, B]
        loss.backward()
        self.optimizer.step(learning_rate)
        self.priorities.update(error.abs().cpu().numpy())
        return error


if __name__ == "__main__":
    from agents.base.cli import main

    main(Rainbow, PRESETS)
