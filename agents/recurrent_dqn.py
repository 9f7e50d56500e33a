"""DQN with an LSTM for S seeds at once: Q-learning on sequences from a replay memory (Hausknecht and Stone 2015).

The network is an LSTM on the observation, and one linear layer that maps its hidden state to Q. Every step acts
epsilon-greedily and stores the transition together with the hidden state before it. An update draws sequences of
`burn_in + sequence_length` steps, restores the hidden state stored before the first step of each, and runs the present
network over the first `burn_in` steps, so that the hidden state becomes the present network's own (Kapturowski et al.
2019, "stored state with burn-in"). On the remaining steps it takes one step down the Huber loss of

    Q(past, action) - (reward + gamma * continues * max_a Q_target(past and next_obs, a)),

where `continues` is 0 only if the episode terminated. The network and the target network burn in separately; no
gradient flows into those steps. If an episode begins within a sequence, the hidden state is reset to zero. The last
observation of a truncated episode is valued with the hidden state of that episode.

The loss is the mean over steps and sequences and the sum over seeds, and each seed's gradient is clipped by its own
norm, so S seeds are S independent runs in one pass.

Differences from Hausknecht and Stone: (1) stored states and burn-in, and the loss of every step after it, instead of
zero states; (2) Adam instead of AdaDelta, and the Huber loss; (3) no convolutions. Differences from Kapturowski et al.:
(4) uniform replay, one-step targets, one actor, and no rescaling of values.

    python -m agents.recurrent_dqn --help

Axis letters: S seeds, N envs per seed, T time, B sequences, D observation, A actions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from agents.base.agent import Preset
from agents.base.facade import ReplayFiles
from agents.base.learner import Actions, epsilon_greedy, joined
from agents.base.recurrent_agent import RecurrentAgent
from agents.common.checks import check_flag, check_float, check_int, keep_plain
from agents.common.returns import td_target
from agents.common.schedules import Schedule, as_schedule, linear
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats, SeedEnvs
from agents.memory.reward_scale import RewardScale
from agents.memory.sequence_replay import SequenceReplay, Sequences
from agents.nn.adam import Adam
from agents.nn.losses import huber
from agents.nn.lstm import State, lstm_cell
from agents.nn.recurrent import RecurrentNet


@dataclass(frozen=True)
class RecurrentDQNConfig:
    """The hyperparameters of DQN with an LSTM, named as in Stable-Baselines3; counts of steps are per seed."""

    learning_rate: float | str | Schedule = 1e-3
    """Adam's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    buffer_size: int = 50_000
    """Steps that the replay memory keeps per seed."""
    learning_starts: int = 1_000
    """Steps of random actions before the first update."""
    batch_size: int = 16
    """Sequences per update."""
    burn_in: int = 8
    """Steps of a sequence that only warm up the recurrent state."""
    sequence_length: int = 16
    """Steps of a sequence that are learnt from, through all of which the gradient goes back."""
    tau: float = 1.0
    """Fraction by which the target network moves towards the network at each of its updates."""
    gamma: float = 0.99
    """Discount factor."""
    train_freq: int = 4
    """Steps of the vector env between trainings."""
    gradient_steps: int = 1
    """Updates per training."""
    target_update_interval: int = 1_000
    """Steps between updates of the target network."""
    exploration_fraction: float = 0.1
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""
    max_grad_norm: float = 10.0
    """Maximum norm of one seed's gradient."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    lstm_size: int = 64
    """Width of the LSTM."""
    fused: bool = True
    """Whether to use the compiled LSTM on the CPU, which gives the same numbers faster."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field in _AT_LEAST_1:
            check_int(field, getattr(self, field), 1)
        for field in ("learning_starts", "burn_in"):
            check_int(field, getattr(self, field), 0)
        for field in ("gamma", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        check_float("tau", self.tau, 0.0, 1.0, above=True)
        check_float("max_grad_norm", self.max_grad_norm, 0.0, above=True)
        for field in ("normalize_reward", "fused"):
            check_flag(field, getattr(self, field))


_AT_LEAST_1 = (
    *("buffer_size", "batch_size", "sequence_length", "train_freq", "gradient_steps", "target_update_interval"),
    "lstm_size",
)

PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(
        80_000,
        RecurrentDQNConfig(
            learning_rate="lin_2e-3",
            gamma=0.98,
            train_freq=1,
            target_update_interval=500,
            exploration_fraction=0.2,
            lstm_size=32,
        ),
        n_envs=4,
    ),
}
"""Timesteps per seed, hyperparameters and envs per seed for an env, by its id.

CartPole-v1: the last weights of the seeds 0 to 3 hold the pole for 132, 133, 295 and 500 steps, means of 100 greedy
episodes: they learn, and do not solve it in this budget.
"""


def recurrent_dqn_loss(
    net: RecurrentNet, target_net: RecurrentNet, batch: Sequences, gamma: float, burn_in: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Huber loss of the one-step TD errors after the burn-in, mean over T and B and sum over S; and the errors.

    Steps whose action was ignored have no error.
    """
    first, target_first = (burnt_in(one, batch, burn_in) for one in (net, target_net))  # [S, B, H]
    obs, next_obs, action, reward, continues, starts, alive = (part[:, burn_in:] for part in batch[:-1])
    with torch.no_grad():
        after = target_net(obs, target_first, starts)[1]  # [S, T, B, H]
        next_q = q_after(target_net, next_obs, after)  # [S, T, B, A]
        target = td_target(reward, continues, next_q.amax(-1), gamma)  # [S, T, B]
    q = net(obs, first, starts)[0].gather(-1, action)[..., 0]  # [S, T, B]
    error = (q - target) * alive  # [S, T, B]
    loss = huber(error).mean((1, 2)).sum()  # []
    return loss, error.detach()


@torch.no_grad()
def burnt_in(net: RecurrentNet, batch: Sequences, steps: int) -> State:
    """Recurrent state after the first steps of the sequences, [S, B, H], without a gradient."""
    if steps == 0:
        return batch.state
    after = net.lstm(batch.obs[:, :steps], batch.state, batch.starts[:, :steps])
    return State(*(part[:, -1].clone() for part in after))


def q_after(net: RecurrentNet, next_obs: torch.Tensor, after: State) -> torch.Tensor:
    """Q of each step's next observation, with what was seen up to that step, [S, T, B, A]."""
    flat = State(*(part.flatten(1, 2) for part in after))  # [S, T * B, H]
    hidden = lstm_cell(next_obs.flatten(1, 2), flat, net.lstm.weights).hidden  # [S, T * B, H]
    q: torch.Tensor = net.head(hidden).unflatten(1, next_obs.shape[1:3])
    return q


class RecurrentDQN(ReplayFiles, RecurrentAgent):
    """DQN with an LSTM for one seed or several: see `SeedAgent` and `RecurrentDQNConfig`.

    Examples:
        >>> agent = RecurrentDQN("CartPole-v1", seeds=8).learn(50_000)
        >>> action, state = agent[3].predict(obs, state, episode_start, deterministic=True)
    """

    Config = RecurrentDQNConfig
    config: RecurrentDQNConfig
    replay: SequenceReplay

    def _build(self) -> None:
        config, spaces, S = self.config, self.spaces, len(self.seeds)
        gains = [1.0] * spaces.n_actions
        shape = (spaces.obs_size, config.lstm_size, gains, self.seeds, self.device, config.fused)
        self.net, self.target_net = RecurrentNet(*shape), RecurrentNet(*shape)
        self.optimizer = Adam(self.net, config.max_grad_norm)
        self._build_carried()
        length = config.burn_in + config.sequence_length
        sizes = (spaces.obs_size, config.lstm_size, length, config.batch_size)
        self.replay = SequenceReplay(S, self.n_envs, config.buffer_size, *sizes, self.device)
        self._reward_scale = RewardScale(S, self.n_envs, config.gamma) if config.normalize_reward else None
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._sampling = Streams(self.seeds, "replay", config.batch_size)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps
        self._calls = 0  # steps of the vector env
        self._rate = 0.0  # learning rate of the last update

    def _begin(self, total_timesteps: int) -> None:
        super()._begin(total_timesteps)
        if self._reward_scale is not None and self.num_timesteps == 0:
            self._reward_scale.begin()
        self.replay.reserve(self.replay.size + total_timesteps // self.n_envs + 1)

    def _cut(self, obs: Floats) -> None:
        super()._cut(obs)
        if self._reward_scale is not None:
            self._reward_scale.begin()

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env, stores it, and trains if it is due."""
        config = self.config
        outputs, after = self.net.act(obs, self.carried.recalled)
        epsilon = 1.0 if self.num_timesteps < config.learning_starts else self.exploration_rate
        action = epsilon_greedy(self._best(outputs), self._exploring.draw(), epsilon, self.spaces.n_actions)  # [S, N]
        step = envs.step(action)
        if self._reward_scale is not None:
            self._reward_scale.add(step.reward, step.ended)
        self.replay.add(obs, action, step, self.carried)
        self.carried.step(after, step.ended)
        self._calls += 1
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        self.exploration_rate = self._exploration(remaining)
        if self._calls % max(config.target_update_interval // self.n_envs, 1) == 0:
            self.target_net.flat.lerp_(self.net.flat, config.tau)
        enough = self.num_timesteps > config.learning_starts and self.replay.size >= self.replay.length
        if enough and self._calls % config.train_freq == 0:
            self._train(self._learning_rate(remaining))
        return step.obs

    def _train(self, learning_rate: float) -> None:
        for _ in range(self.config.gradient_steps):
            self._update(self._scaled(self.replay.sample(self._sampling.draw())), learning_rate)

    def _scaled(self, batch: Sequences) -> Sequences:
        """The batch with its rewards divided by the current scale."""
        if self._reward_scale is None:
            return batch
        divisor = torch.from_numpy(self._reward_scale.divisor.astype(np.float32)).to(self.device)  # [S]
        return batch._replace(reward=batch.reward / divisor[:, None, None])

    def _update(self, batch: Sequences, learning_rate: float) -> None:
        """One step of Adam on one batch."""
        config = self.config
        self.net.zero_grad()
        loss, self._last = recurrent_dqn_loss(self.net, self.target_net, batch, config.gamma, config.burn_in)
        loss.backward()
        self.optimizer.step(learning_rate)
        self.n_updates += 1
        self._rate = learning_rate

    def _best(self, outputs: Floats) -> Actions:
        actions: Actions = outputs.argmax(-1)
        return actions

    def _by_chance(self, outputs: Floats) -> Actions:
        drawn = np.stack([stream.random(2 * outputs.shape[1]) for stream in self._predicting])  # [S, 2B]
        return epsilon_greedy(self._best(outputs), drawn, self.exploration_rate, self.spaces.n_actions)

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self._last is not None:
            loss = huber(self._last).mean((1, 2)).cpu().numpy()  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimiser, by name, [S, ...] each."""
        return joined(net=self.net.values, target_net=self.target_net.values, optimizer=self.optimizer.state())


if __name__ == "__main__":
    from agents.base.cli import main

    main(RecurrentDQN, PRESETS)
