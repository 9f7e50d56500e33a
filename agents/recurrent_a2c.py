"""A2C with an LSTM for S seeds at once: policy and critic see the past through its hidden state (Mnih et al. 2016).

Policy and critic are each an LSTM on the observation, and one linear layer on its hidden state. (If they share an LSTM,
the critic's large errors dominate the policy's gradient: on CartPole neither this agent with a shared LSTM nor
sb3-contrib's RecurrentPPO with `shared_lstm` learnt.) Every `n_steps` steps of its N envs they take one step down
`recurrent_a2c_loss`,

    -mean(advantage * log pi(action | past)) - ent_coef * mean(entropy) + vf_coef * mean((V(past) - return)^2),

where past is all observations of the episode so far, and no gradient flows through advantage and return = advantage +
V(past). The advantage is an estimate by `agents.common.returns.gae`. The gradient flows back through time to the first
step of the rollout and treats the hidden state there as constant, so `n_steps` limits the number of steps over which
the agent can learn what to remember.

The hidden state of an env is zero at the start of an episode. V(next_obs) is included after a truncation, with the
hidden state of the truncated episode, and left out after a termination. The loss is the mean over the batch and the sum
over seeds, and each network's gradient is clipped by its own norm, so S seeds are S independent runs in one pass.

Differences from the paper: (1) synchronous envs instead of asynchronous workers; (2) means over the batch instead of
sums; (3) clipping of the gradient's norm; (4) Adam unless `use_rms_prop`; (5) a rollout continues with the next episode
when one ends.

    python -m agents.recurrent_a2c --help

Axis letters: S seeds, N envs per seed, T time, B = T * N batch, D observation, H hidden units,
A outputs of the policy, K numbers per action.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.distributions import Distribution

from agents.base.agent import Preset
from agents.base.learner import Actions, joined
from agents.base.policy_agent import Losses, Rollouts, actor_critic_metrics
from agents.base.recurrent_agent import RecurrentAgent
from agents.common.checks import check_flag, check_float, check_int, keep_plain
from agents.common.returns import normalized
from agents.common.schedules import Schedule, as_schedule
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.reward_scale import scaled
from agents.nn.adam import Adam
from agents.nn.distributions import distribution_for
from agents.nn.lstm import State
from agents.nn.recurrent import Recalled, RecurrentActorCritic
from agents.nn.rmsprop import RMSprop


@dataclass(frozen=True)
class RecurrentA2CConfig:
    """The hyperparameters of A2C with an LSTM, named as Stable-Baselines3 names those of A2C; steps are per env."""

    learning_rate: float | str | Schedule = 1e-3
    """The optimiser's step size: a number, "lin_1e-3" (linear to zero), or a function of the remaining progress."""
    n_steps: int = 16
    """Steps of each env per update, through all of which the gradient goes back."""
    gamma: float = 0.99
    """Discount factor."""
    gae_lambda: float = 0.95
    """Lambda of the advantage: 0 is TD(0), 1 is n-step, in between GAE."""
    ent_coef: float | str | Schedule = 0.0
    """Weight of the entropy in the loss: a number, "lin_0.1" (linear to zero), or a function of the remaining progress.
    Unless advantages are normalised, it counts in units of the reward."""
    vf_coef: float = 0.5
    """Weight of the critic in the loss."""
    max_grad_norm: float = 0.5
    """Maximum norm of the gradient of one seed's policy, and of its critic's."""
    use_rms_prop: bool = False
    """Whether to use RMSprop in place of Adam."""
    normalize_advantage: bool = False
    """Whether to normalise advantages within each batch."""
    normalize_reward: bool = False
    """Whether to divide rewards by the standard deviation of discounted returns (`agents.memory.reward_scale`)."""
    lstm_size: int = 64
    """Width of each LSTM."""
    fused: bool = True
    """Whether to use the compiled LSTM on the CPU, which gives the same numbers faster."""
    log_std_init: float = 0.0
    """Initial logarithm of the standard deviation of Box actions."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field in ("n_steps", "lstm_size"):
            check_int(field, getattr(self, field), 1)
        for field in ("gamma", "gae_lambda"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        as_schedule(self.ent_coef, "ent_coef", zero=True)
        check_float("vf_coef", self.vf_coef, 0.0)
        check_float("max_grad_norm", self.max_grad_norm, 0.0, above=True)
        check_float("log_std_init", self.log_std_init, -20.0, 20.0)
        for field in ("use_rms_prop", "normalize_advantage", "normalize_reward", "fused"):
            check_flag(field, getattr(self, field))


PRESETS: dict[str, Preset] = {
    "CartPole-v1": Preset(300_000, RecurrentA2CConfig(learning_rate="lin_3e-3", gamma=0.98, lstm_size=32), n_envs=8),
}
"""Timesteps per seed, hyperparameters and envs per seed for an env, by its id.

CartPole-v1: the last weights of six of the seeds 0 to 7 hold the pole for 500.0 steps, the mean of 100 greedy
episodes; those of seeds 4 and 7 for 218 and 173.
"""


def recurrent_a2c_loss(
    policy: Distribution,
    value: torch.Tensor,
    action: torch.Tensor,
    advantage: torch.Tensor,
    returns: torch.Tensor,
    alive: torch.Tensor,
    ent_coef: float,
    vf_coef: float,
) -> tuple[torch.Tensor, Losses]:
    """The loss of A2C, the mean over B and the sum over S, []; and its terms, [S, B] each.

    Args:
        policy: Distributions of the actions, given all observations of the episode so far.
        value: The critic's values, given the same, [S, B].
        action: The actions taken, [S, B, K].
        advantage: Advantages of the actions, [S, B].
        returns: Targets of the critic, [S, B].
        alive: 0 for steps whose action the env ignored (they enter no term), else 1, [S, B].
        ent_coef: Weight of the entropy.
        vf_coef: Weight of the critic.
    """
    policy_loss = -advantage * alive * policy.log_prob(action)  # [S, B]
    value_loss = ((value - returns) * alive).square()  # [S, B]
    entropy = policy.entropy() * alive  # [S, B]
    loss = (policy_loss - ent_coef * entropy + vf_coef * value_loss).mean(1).sum()  # []
    return loss, Losses(policy_loss, value_loss, entropy)


class RecurrentA2C(Rollouts, RecurrentAgent):
    """A2C with an LSTM for one seed or several: see `SeedAgent` and `RecurrentA2CConfig`.

    Examples:
        >>> agent = RecurrentA2C("CartPole-v1", seeds=8, n_envs=8).learn(100_000)
        >>> action, state = agent[3].predict(obs, state, episode_start, deterministic=True)
    """

    Config = RecurrentA2CConfig
    config: RecurrentA2CConfig
    net: RecurrentActorCritic
    takes_box_actions = True

    def _build(self) -> None:
        config, spaces = self.config, self.spaces
        self.distribution = distribution_for(spaces)
        A = self.distribution.n_outputs
        log_std = [config.log_std_init] * A if self.distribution.normal else []
        sizes = (spaces.obs_size, config.lstm_size, A)
        self.net = RecurrentActorCritic(*sizes, self.seeds, self.device, config.fused, log_std)
        self.optimizer = (RMSprop if config.use_rms_prop else Adam)(self.net, config.max_grad_norm, eps=1e-5)
        self._build_carried()
        self._build_rollout(self.distribution.action_size)
        shape = (len(self.seeds), config.n_steps, self.n_envs)
        self._starts = np.zeros(shape, np.bool_)  # [S, T, N], True at first steps of episodes
        self._alive = np.ones(shape, np.bool_)  # [S, T, N], False where the env ignored the action
        self._first = np.stack(self._nothing(self.n_envs), 1)  # [S, 2, N, 2H], hidden and cell before the rollout
        width, normal = self.n_envs * self.distribution.noise_size, self.distribution.normal
        self._acting = Streams(self.seeds, "explore", width, normal=normal)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        self._ent_coef = as_schedule(config.ent_coef, "ent_coef", zero=True)
        # Learning rate and entropy coefficient of the last update
        self._rate = 0.0
        self._entropy_weight = float(config.ent_coef) if isinstance(config.ent_coef, int | float) else 0.0

    def parts(self) -> dict[str, Any]:
        """The state of training, with the LSTMs' state before the rollout and flags of its steps."""
        return super().parts() | {"_starts": self._starts, "_alive": self._alive, "_first": self._first}

    def _value(self, obs: Floats) -> Floats:
        return self.net.act(obs, self.carried.recalled)[0][..., -1]  # [S, N], the last of the A + 1 outputs

    def _begin(self, total_timesteps: int) -> None:
        Rollouts._begin(self, total_timesteps)
        RecurrentAgent._begin(self, total_timesteps)

    def _cut(self, obs: Floats) -> None:
        Rollouts._cut(self, obs)
        RecurrentAgent._cut(self, obs)

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env, stores it, and learns once the rollout is full."""
        t, carried = self.rollout.position, self.carried
        if t == 0:
            self._first = np.stack(carried.recalled, 1)
        self._starts[:, t], self._alive[:, t] = carried.starts, carried.alive
        outputs, after = self.net.act(obs, carried.recalled)  # [S, N, A + 1]; hidden and cell [S, N, 2H] each
        action = self._drawn(outputs, self._acting.draw())  # [S, N] or [S, N, K]
        step = scaled(envs.step(action), self._reward_scale)
        self.rollout.add(obs, action, step, self._values_of_truncated(step, after))
        carried.step(after, step.ended)
        self.num_timesteps += self.n_envs
        if self.rollout.full:
            self._train(self._value(step.obs), max(1.0 - self.num_timesteps / goal, 0.0))
            self.rollout.clear()
        return step.obs

    def _values_of_truncated(self, step: Step, after: Recalled) -> Floats | None:
        """Values [S, N] of the last observations of episodes truncated by this step, elsewhere 0."""
        truncated = step.ended & ~step.terminated  # [S, N]
        if not truncated.any():
            return None
        return np.where(truncated, self.net.act(step.next_obs, after)[0][..., -1], np.float32(0.0))

    def _train(self, last_value: Floats, remaining: float) -> None:
        """One update from the whole rollout; last_value [S, N] is V of the observations after it."""
        config, rollout = self.config, self.rollout
        rows = torch.from_numpy(rollout.rows).to(self.device)  # [S, T, N, D + K]
        first = State(*torch.from_numpy(self._first).to(self.device).unbind(1))  # [S, N, 2H] each
        starts = torch.from_numpy(self._starts).to(self.device)  # [S, T, N]
        outputs = self.net(rows[..., : rollout.obs_size], first, starts)[0]  # [S, T, N, A + 1]
        value = outputs[..., -1].detach().cpu().numpy()  # [S, T, N]
        estimate = rollout.advantage(value, last_value, config.gamma, config.gae_lambda)  # [S, T, N]
        advantage, alive = (torch.from_numpy(x).flatten(1).to(self.device) for x in (estimate, self._alive))  # [S, B]
        self._entropy_weight = self._ent_coef(remaining)
        action = rows[..., rollout.obs_size :].flatten(1, 2)  # [S, B, K]
        self._update(outputs.flatten(1, 2), action, advantage, alive.float(), self._learning_rate(remaining))

    def _update(
        self,
        outputs: torch.Tensor,
        action: torch.Tensor,
        advantage: torch.Tensor,
        alive: torch.Tensor,
        learning_rate: float,
    ) -> None:
        """One step of the optimiser, from the outputs of a pass forward, [S, B, A + 1]."""
        pi, value = outputs[..., :-1], outputs[..., -1]  # [S, B, A], [S, B]
        returns = advantage + value.detach()  # [S, B]
        if self.config.normalize_advantage:
            advantage = normalized(advantage, alive)
        policy = self.distribution.given(pi, self.net.policy_log_std)
        batch, coefs = (action, advantage, returns, alive), (self._entropy_weight, self.config.vf_coef)
        loss, losses = recurrent_a2c_loss(policy, value, *batch, *coefs)
        self.net.zero_grad()
        loss.backward()
        self.optimizer.step(learning_rate)  # clips the gradient of each policy and each critic first
        self._last = Losses(*(term.detach() for term in losses)), value.detach(), returns
        self.n_updates += 1
        self._rate = learning_rate

    def _drawn(self, outputs: Floats, noise: np.ndarray[Any, np.dtype[np.float64]]) -> Actions:
        log_std = None if self.net.policy_log_std is None else self.net.policy_log_std.detach().cpu().numpy()
        return self.distribution.sample(np.ascontiguousarray(outputs[..., :-1]), noise, log_std)

    def _best(self, outputs: Floats) -> Actions:
        return self._shaped(self.distribution.mode(outputs[..., :-1]))

    def _by_chance(self, outputs: Floats) -> Actions:
        return self._shaped(self._drawn(outputs, self.distribution.noise(self._predicting, outputs.shape[1])))

    def _shaped(self, action: Actions) -> Actions:
        return action.reshape(*action.shape[:2], *self.spaces.action_shape)

    def _metrics(self) -> dict[str, Any]:
        if self._last is None:
            return {}
        losses, value, returns = self._last
        log_std = None if self.net.policy_log_std is None else self.net.policy_log_std.detach()
        metrics = actor_critic_metrics(losses, value, returns, log_std)
        return metrics | {"train/learning_rate": self._rate, "train/n_updates": self.n_updates}

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights and the state of the optimiser, by name, [S, policy or critic, ...] each."""
        arrays = joined(net=self.net.values, optimizer=self.optimizer.state())
        return {name: array.view(-1, 2, *array.shape[1:]) for name, array in arrays.items()}


if __name__ == "__main__":
    from agents.base.cli import main

    main(RecurrentA2C, PRESETS)
