"""DQN that learns from the outcomes of all actions at once, for S seeds at once.

A market does not react to one trader, so an env can compute the outcome of each action (`counterfactual()`,
see `agents.envs.counterfactuals`). The agent acts and learns as `agents.dqn` does, but it stores the outcomes of all
actions of a step, and every update fits all A outputs of the network:

    loss = mean over the batch and the actions a of huber(Q(obs, a) - target_a),
    target_a = reward_a + gamma * continues_a * max_b Q_target(next_obs_a, b).

The update from a step does not depend on the action taken, so exploration only decides which observations are seen.
With gamma = 0, the algorithm is a regression on the rewards of all actions.

    python -m agents.counterfactual_dqn --help

Axis letters: S seeds, B batch, D observation, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from agents.base.agent import Preset
from agents.base.learner import Actions
from agents.base.q_agent import QAgent, check_q_config
from agents.common.checks import check_choice, check_flag, keep_plain
from agents.common.returns import td_target
from agents.common.schedules import Schedule
from agents.envs.counterfactuals import CounterfactualEnvs
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.replay import Batch, Replay
from agents.nn.fused.td_error import td_step
from agents.nn.losses import huber
from agents.nn.parameters import SeedNetwork


@dataclass(frozen=True)
class CounterfactualDQNConfig:
    """The hyperparameters, named as in Stable-Baselines3's DQN; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 1e-4
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 100_000
    """Transitions, each with all outcomes, that the replay memory keeps per seed."""
    learning_starts: int = 100
    """Steps of random actions before the first update."""
    batch_size: int = 32
    """Transitions per update."""
    tau: float = 1.0
    """Fraction by which the target network moves towards the network at each of its updates."""
    gamma: float = 0.99
    """Discount factor."""
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
    loss: Literal["huber", "mse"] = "huber"
    """Huber's with threshold 1, or the squared error, whose minimum is the mean of noisy targets."""
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
        check_choice("loss", self.loss, tuple(LOSSES))
        check_flag("fused", self.fused)


PRESETS: dict[str, Preset] = {}

Elementwise = Callable[[torch.Tensor], torch.Tensor]


LOSSES: dict[str, Elementwise] = {"huber": huber, "mse": torch.square}
"""The loss of one error, elementwise."""


def counterfactual_loss(
    q_net: SeedNetwork, target_net: SeedNetwork, batch: Batch, gamma: float, loss_of: Elementwise = huber
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the TD errors of all actions, mean over B and A and sum over S; and the errors, [S, B, A]."""
    with torch.no_grad():
        next_q = target_net(batch.next_obs)  # [S, B * A, A]
        target = td_target(batch.reward, batch.continues, next_q.amax(-1), gamma)  # [S, B * A]
    q = q_net(batch.obs)  # [S, B, A]
    error = q - target.view(q.shape)  # [S, B, A]
    loss = loss_of(error).mean((1, 2)).sum()  # []
    return loss, error.detach()


class CounterfactualDQN(QAgent):
    """DQN on all actions' outcomes, for one seed or several: see `SeedAgent` and `CounterfactualDQNConfig`.

    Examples:
        >>> agent = CounterfactualDQN("trading_env:TradingEnv-v0", seeds=8).learn(10_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = CounterfactualDQNConfig
    config: CounterfactualDQNConfig

    @classmethod
    def _training_envs(cls, config: Any) -> type[SeedEnvs]:
        return CounterfactualEnvs

    def _build(self) -> None:
        config, S, A = self.config, len(self.seeds), self.spaces.n_actions
        self.q_net, self.q_net_target = self._network(), self._network()
        size = (config.buffer_size, self.spaces.obs_size, config.batch_size)
        self.replay = Replay(S, *size, self.device, outcomes=A)
        self._loss = LOSSES[config.loss]
        self._fused = config.fused and self._can_fuse
        self._build_training()

    def _store(self, obs: Floats, action: Actions, step: Step, envs: SeedEnvs) -> None:
        assert isinstance(envs, CounterfactualEnvs)
        self.replay.add_outcomes(obs, *envs.outcomes)

    def _update(self, batch: Batch, learning_rate: float) -> torch.Tensor:
        nets, gamma = (self.q_net, self.q_net_target), self.config.gamma
        if self._fused:
            adam = self.optimizer.for_kernels(learning_rate)
            return td_step(*nets, adam, batch, gamma, squared=self.config.loss == "mse")  # [S, B, A]
        self.q_net.zero_grad()
        loss, errors = counterfactual_loss(*nets, batch, gamma, self._loss)  # [], [S, B, A]
        loss.backward()
        self.optimizer.step(learning_rate)
        return errors

    def _loss_of(self, error: torch.Tensor) -> torch.Tensor:
        return self._loss(error)


if __name__ == "__main__":
    from agents.base.cli import main

    main(CounterfactualDQN, PRESETS)
