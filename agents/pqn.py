"""PQN for S seeds at once: Q-learning without replay memory and target network (Gallici et al. 2024).

After every `n_steps` steps of its N envs, the lambda returns of the rollout are computed from the end,

    G_t = reward_t + gamma * continues_t * ((1 - q_lambda) * max_a Q(next_obs_t, a) + q_lambda * G_{t+1}),

where G_{t+1} is max_a Q(next_obs_t, a) at the end of the rollout and where an episode was truncated. In each of
`n_epochs` epochs, the rollout is shuffled and cut into batches, and each takes the network one step down
(Q(obs, action) - G)^2 / 2, the mean over the batch and the sum over seeds. Layer normalisation before each activation
keeps learning stable where a target network would; many envs per seed (`n_envs`) take the place of the replay memory.

Actions are epsilon-greedy. G includes rewards after exploratory actions, as Peng's Q(lambda) does.

Differences from the paper: (1) Adam instead of RAdam; (2) initial weights are uniform in +-1/sqrt(inputs); (3) `n_envs`
is 1 unless given, as for all agents here: 16 or more suit it. Stable-Baselines3 has no PQN; names are those of its DQN
and PPO.

    python -m agents.pqn --help

Axis letters: S seeds, N envs per seed, M = T * N rows of a rollout, B of them in a batch, T time, D observation,
A actions.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents.base.agent import Preset
from agents.base.learner import Actions, epsilon_greedy, joined
from agents.base.policy_agent import MarkovRollouts
from agents.common.checks import check_flag, check_float, check_int, check_widths, keep_plain
from agents.common.schedules import Schedule, as_schedule, linear
from agents.common.streams import Streams, generator
from agents.envs.seed_envs import Floats
from agents.nn.adam import Adam
from agents.nn.layers import SeedLayerNorm, SeedLinear, SeedSequential
from agents.nn.networks import BuiltNetwork
from agents.nn.parameters import SeedNetwork


@dataclass(frozen=True)
class PQNConfig:
    """The hyperparameters of PQN, named as in Stable-Baselines3's DQN and PPO; counts of steps are per env."""

    learning_rate: float | str | Schedule = 2.5e-4
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    n_steps: int = 32
    """Steps of each env per rollout."""
    batch_size: int = 128
    """Steps per update; the last batch of a rollout may be smaller."""
    n_epochs: int = 2
    """Passes over each rollout."""
    gamma: float = 0.99
    """Discount factor."""
    q_lambda: float = 0.65
    """Lambda of the returns: 0 is one-step Q-learning, 1 sums rewards to the end of the rollout."""
    exploration_fraction: float = 0.1
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""
    max_grad_norm: float = 10.0
    """Maximum norm of one seed's gradient."""
    adam_eps: float = 1e-8
    """Added to Adam's denominator."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    net_arch: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers, each with layer normalisation."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field in ("n_steps", "batch_size", "n_epochs"):
            check_int(field, getattr(self, field), 1)
        for field in ("gamma", "q_lambda", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        for field in ("max_grad_norm", "adam_eps"):
            check_float(field, getattr(self, field), 0.0, above=True)
        check_flag("normalize_reward", self.normalize_reward)
        check_widths("net_arch", self.net_arch)


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(
        200_000,
        PQNConfig(learning_rate="lin_1e-3", n_epochs=4, q_lambda=0.95, exploration_fraction=0.3, net_arch=(64, 64)),
        n_envs=32,
    ),
}
"""Timesteps per seed, hyperparameters and envs per seed that solve an env, by its id.

CartPole-v1: the last weights of each of the seeds 0 to 3 hold the pole for 500 steps, the mean of 30 greedy episodes.
"""


def pqn_loss(
    q_net: SeedNetwork, obs: torch.Tensor, action: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Half the squared error of Q, mean over B and sum over S; and the error, [S, B].

    Args:
        q_net: The network.
        obs: [S, B, D].
        action: Ints, [S, B, 1].
        target: Lambda returns, [S, B].
    """
    q = q_net(obs).gather(-1, action)[..., 0]  # [S, B]
    error = q - target  # [S, B]
    loss = 0.5 * error.square().mean(1).sum()  # []
    return loss, error.detach()


def normed_network(obs_size: int, n_out: int, *, net_arch: tuple[int, ...]) -> SeedSequential:
    """A perceptron with layer normalisation and ReLU after each hidden layer."""
    layers: list[torch.nn.Module] = []
    for inputs, outputs in pairwise((obs_size, *net_arch)):
        layers += [SeedLinear(inputs, outputs), SeedLayerNorm(outputs), torch.nn.ReLU()]
    return SeedSequential(*layers, SeedLinear((obs_size, *net_arch)[-1], n_out))


class PQN(MarkovRollouts):
    """PQN for one seed or several, with the interface of Stable-Baselines3: see `SeedAgent` and `PQNConfig`.

    Example:
        >>> agent = PQN("CartPole-v1", learning_rate="lin_1e-3", seeds=8, n_envs=32).learn(200_000)
        >>> agent[3].predict(obs, deterministic=True)
    """

    Config = PQNConfig
    config: PQNConfig
    takes_features = takes_network = True

    def _build(self) -> None:
        config = self.config
        build = self.network or partial(normed_network, net_arch=config.net_arch)
        sizes = (self.input_size, self.spaces.n_actions)
        self.q_net = BuiltNetwork(build, *sizes, self.seeds, self.device, self.features)
        self.optimizer = Adam(self.q_net, config.max_grad_norm, eps=config.adam_eps)
        self._build_rollout(1)
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._shuffling = [generator(seed, "replay") for seed in self.seeds]
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps
        self._rate = 0.0  # learning rate of the last update

    def _act(self, obs: Floats) -> Actions:
        """Epsilon-greedy actions [S, N]."""
        self.exploration_rate = self._exploration(max(1.0 - self.num_timesteps / self.goal, 0.0))
        return epsilon_greedy(self._greedy(obs), self._exploring.draw(), self.exploration_rate, self.spaces.n_actions)

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self.q_net.act(obs).argmax(-1)
        return actions

    def _value(self, obs: Floats) -> Floats:
        value: Floats = self.q_net.act(obs).max(-1)
        return value

    def _train(self, last_value: Floats, remaining: float) -> None:
        """Learns from the rollout, `n_epochs` times."""
        rows, target = self.rollout.batch(self.device), self._returns(last_value)  # [S, M, D + 1], [S, M]
        M, seed = target.shape[1], torch.arange(len(rows))[:, None]
        self._rate = self._learning_rate(remaining)
        for _ in range(self.config.n_epochs):
            order: npt.NDArray[np.int64] = np.stack([stream.permutation(M) for stream in self._shuffling])  # [S, M]
            for start in range(0, M, self.config.batch_size):
                index = torch.from_numpy(order[:, start : start + self.config.batch_size])  # [S, B]
                self._last = self._update(rows[seed, index], target[seed, index])
                self.n_updates += 1

    def _returns(self, last_value: Floats) -> torch.Tensor:
        """Lambda returns of the rollout, [S, M]: advantages over the values max_a Q, plus these."""
        config, rollout = self.config, self.rollout
        value = self._value(rollout.obs)  # [S, M]
        advantage = rollout.advantage(value.reshape(rollout.reward.shape), last_value, config.gamma, config.q_lambda)
        return torch.from_numpy(advantage.reshape(value.shape) + value).to(self.device)

    def _update(self, rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """One step of the optimiser on rows [S, B, D + 1]; returns the errors before it, [S, B]."""
        self.q_net.zero_grad()
        loss, error = pqn_loss(self.q_net, rows[..., :-1], rows[..., -1:].long(), target)
        loss.backward()
        self.optimizer.step(self._rate)
        return error

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self._last is not None:
            loss = 0.5 * self._last.square().mean(1).cpu().numpy()  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimiser, by name, [S, ...] each."""
        return joined(q_net=self.q_net.values, optimizer=self.optimizer.state())


if __name__ == "__main__":
    from agents.base.cli import main

    main(PQN, PRESETS)
