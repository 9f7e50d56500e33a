"""DQN for S seeds at once: Q-learning with a replay memory and a target network (Mnih et al. 2015).

Every step acts epsilon-greedily and stores the transition; every `train_freq` steps the network takes
`gradient_steps` steps down the Huber loss of

    Q(obs, action) - (reward + gamma * continues * max_a Q_target(next_obs, a)),

where `continues` is 0 only where the episode terminated. The loss is the mean over the batch and the sum over
seeds, and each seed's gradient is clipped by its own norm, so S seeds are S independent runs in one pass.

Differences from the paper, all as Stable-Baselines3 has them: (1) Adam in place of RMSprop; (2) the Huber
loss in place of clipping the error, which has the same gradient; (3) clipping of the gradient's norm.

Options, all off by default: `double_q` (van Hasselt et al. 2016), `dueling` (Wang et al. 2016), `n_steps` (Sutton
1988), `prioritized_replay` (Schaul et al. 2016), the simpler form in which DQN is often taught, `COURSE`, and
`counterfactual`, which learns the targets of all actions at once from an env that tells what each would have brought:
then the loss is the mean over the batch and the actions.

    python -m agents.dqn --help

Axis letters: S seeds, N envs per seed, B batch, D observation, A actions.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import numpy as np
import torch

from agents.base.agent import Preset, SeedAgent
from agents.base.facade import ReplayFiles
from agents.base.learner import Actions, joined
from agents.common.returns import td_target
from agents.common.schedules import as_schedule, exponential, linear
from agents.common.streams import Streams
from agents.dqn_config import DQNConfig
from agents.envs.counterfactuals import CounterfactualEnvs
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.prioritized import Priorities
from agents.memory.replay import Batch, Replay
from agents.memory.reward_scale import RewardScale
from agents.nn.adam import Adam
from agents.nn.dueling import Dueling
from agents.nn.losses import LOSSES, Loss
from agents.nn.mlp import MLP
from agents.nn.rmsprop import RMSprop

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
mean of 50 greedy episodes. With one-step targets, half the updates and half the exploration, 6 of 24 seeds do not.
"""

COURSE = DQNConfig(
    learning_rate=2.5e-4,
    learning_starts=32,
    batch_size=32,
    train_freq=1,
    max_grad_norm=1e9,
    replay_with_replacement=False,
    target_network=False,
    loss="mse",
    optimizer="rmsprop",
    rms_prop_alpha=0.95,
    rms_prop_eps=0.01,
    exploration="exponential",
)
"""DQN as it is often taught: no target network, squared errors, RMSprop, no clipping, exploration that falls
exponentially once a batch is stored. There the network often takes a mask of the action as well, and its masked output
is compared with the masked target; `agents.nn.losses.masked_mse` is that loss, which is this one divided by A. RMSprop
divides it out again, up to its eps. `DQN(env, **dataclasses.asdict(COURSE))`."""


QNet = MLP | Dueling


def q_gradient(
    batch: Batch, q_net: QNet, target_net: QNet, gamma: float, loss: Loss = LOSSES["huber"], double_q: bool = False
) -> torch.Tensor:
    """Writes the gradient of the loss into `q_net.grads`; returns the errors Q(obs, action) - target, [S, B, K].

    The loss is the mean over B and K (1, or A where every action has its outcome) and the sum over S. No gradient
    flows through the target.
    """
    next_q = target_net.cached(batch.next_obs)[-1]  # [S, B * K, A]
    if double_q:
        best = q_net.cached(batch.next_obs)[-1].argmax(-1, keepdim=True)  # [S, B * K, 1]
        next_value = next_q.gather(-1, best)[..., 0]  # [S, B * K]
    else:
        next_value = next_q.amax(-1)
    target = td_target(batch.reward, batch.continues, next_value, gamma)  # [S, B * K]
    outputs = q_net.cached(batch.obs)
    q = outputs[-1]  # [S, B, A]
    error = q.gather(-1, batch.action).sub_(target.view(batch.action.shape))  # [S, B, K]
    d_error = loss.gradient(error).div_(q.shape[1] * error.shape[2])
    if batch.weight is not None:
        d_error.mul_(batch.weight[..., None])
    q_net.backward(outputs, torch.zeros_like(q).scatter_(-1, batch.action, d_error))
    return error


class DQN(ReplayFiles, SeedAgent):
    """DQN for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `DQNConfig`.

    Example:
        >>> agent = DQN("CartPole-v1", learning_rate=1e-3, seeds=8).learn(50_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = DQNConfig
    config: DQNConfig
    replay: Replay
    takes_features = True

    @classmethod
    def _training_envs(cls, config: DQNConfig) -> type[SeedEnvs]:
        return CounterfactualEnvs if config.counterfactual else SeedEnvs

    def _build(self) -> None:
        config, S, B = self.config, len(self.seeds), self.config.batch_size
        self.q_net = self._network()
        self.q_net_target = self._network() if config.target_network else self.q_net
        self.optimizer: Adam | RMSprop = (
            Adam(self.q_net, config.max_grad_norm, eps=config.adam_eps)
            if config.optimizer == "adam"
            else RMSprop(self.q_net, config.max_grad_norm, config.rms_prop_alpha, config.rms_prop_eps)
        )
        self.replay = Replay(
            *(S, config.buffer_size, self.spaces.obs_size, B, self.device),
            outcomes=self.spaces.n_actions if config.counterfactual else 1,
            n_steps=config.n_steps,
            gamma=config.gamma,
            replacement=config.replay_with_replacement,
        )
        weighting = config.prioritized_replay_alpha, config.prioritized_replay_eps
        self.priorities = Priorities(S, B, *weighting) if config.prioritized_replay else None
        self._reward_scale = RewardScale(S, self.n_envs, config.gamma) if config.normalize_reward else None
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._sampling = Streams(self.seeds, "replay", B)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        self._beta = linear(config.prioritized_replay_beta0, 1.0)
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._linear = linear(*ends, config.exploration_fraction)
        self._exponential = exponential(*ends, config.exploration_decay, max(config.learning_starts, B))
        self._loss = LOSSES[config.loss]
        self.exploration_rate = config.exploration_initial_eps
        self._calls = 0  # steps of the vector env
        self._rate = 0.0  # learning rate of the last update

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        if not config.dueling:
            return super()._weight_shapes(config, spaces, inputs)
        *below, last = config.net_arch
        return chain(pairwise((inputs, *below, 2 * last)), [(last, spaces.n_actions)])

    def _network(self) -> QNet:
        sizes = (self.input_size, *self.config.net_arch, self.spaces.n_actions)
        return (Dueling if self.config.dueling else MLP)(sizes, self.seeds, self.device, self.features)

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0:
            self._cut(np.zeros(0, np.float32))
        self.replay.reserve(self.replay.size + total_timesteps + self.n_envs)
        if self.priorities is not None:
            self.priorities.reserve(self.replay.capacity)

    def _cut(self, obs: Floats) -> None:
        self.replay.cut()
        if self._reward_scale is not None:
            self._reward_scale.begin()

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env, stores it, and trains if it is due."""
        config = self.config
        action = self._act(obs)  # [S, N]
        step = envs.step(action)
        if self._reward_scale is not None:
            self._reward_scale.add(step.reward, step.ended)
        self._store(obs, action, step, envs)
        self._calls += 1
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        falls = config.exploration == "linear"
        self.exploration_rate = self._linear(remaining) if falls else self._exponential(self.num_timesteps)
        if self._calls % max(config.target_update_interval // self.n_envs, 1) == 0:
            self._update_target()
        if self._calls % config.train_freq == 0 and self._ready:
            self._train(remaining)
        return step.obs

    def _store(self, obs: Floats, action: Actions, step: Step, envs: SeedEnvs) -> None:
        if self.priorities is not None:
            self.priorities.add(self.replay.position, self.n_envs, self.replay.capacity)
        if isinstance(envs, CounterfactualEnvs):
            self.replay.add_outcomes(obs, *envs.outcomes)
        else:
            self.replay.add(obs, action, step.reward, step.terminated, step.ended, step.next_obs)

    @property
    def _ready(self) -> bool:
        """True if enough is stored to learn from."""
        enough = self.config.replay_with_replacement or self.replay.size >= self.config.batch_size
        return enough and self.num_timesteps > self.config.learning_starts

    def _act(self, obs: Floats) -> Actions:
        """Epsilon-greedy actions [S, N]. Each seed draws the same numbers whether it explores or not."""
        epsilon = 1.0 if self.num_timesteps < self.config.learning_starts else self.exploration_rate
        drawn, N = self._exploring.draw(), self.n_envs  # [S, 2N]
        explores = drawn[:, :N] < epsilon
        random = (drawn[:, N:] * self.spaces.n_actions).astype(np.int64)
        return random if explores.all() else np.where(explores, random, self._greedy(obs))

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self.q_net.act(obs).argmax(-1)
        return actions

    @torch.inference_mode()
    def _train(self, remaining: float) -> None:
        steps, rate = self.config.gradient_steps, self._learning_rate(remaining)
        for _ in range(steps if steps > 0 else self.config.train_freq * self.n_envs):
            self._update(self._scaled(self._sample(remaining)), rate)
            if self.priorities is not None:
                self.priorities.update(self._last.abs().mean(-1).cpu().numpy())

    def _sample(self, remaining: float) -> Batch:
        uniform = self._sampling.draw()  # [S, B]
        if self.priorities is None:
            return self.replay.sample(uniform)
        batch = self.replay.take(self.priorities.draw(uniform))
        weight = self.priorities.weights(self.replay.size, self._beta(remaining))  # [S, B]
        return replace(batch, weight=torch.from_numpy(weight).to(self.device))

    def _scaled(self, batch: Batch) -> Batch:
        """The batch with its rewards divided by the current scale."""
        if self._reward_scale is None:
            return batch
        divisor = torch.from_numpy(self._reward_scale.divisor.astype(np.float32)).to(self.device)  # [S]
        return replace(batch, reward=batch.reward / divisor[:, None])

    def _update(self, batch: Batch, learning_rate: float) -> None:
        """One step of the optimiser on one batch."""
        config = self.config
        self._last = q_gradient(batch, self.q_net, self.q_net_target, config.gamma, self._loss, config.double_q)
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
        if self._last is not None:
            loss = self._loss.value(self._last).mean((1, 2)).cpu().numpy()  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimiser, by name, [S, ...] each."""
        arrays = joined(q_net=self.q_net.values, optimizer=self.optimizer.state())
        return arrays | (joined(q_net_target=self.q_net_target.values) if self.config.target_network else {})


if __name__ == "__main__":
    from agents.base.cli import main

    main(DQN, PRESETS)
