"""Base classes of agents with a policy: networks, sampling, weights; and learning from rollouts.

Axis letters: S seeds, N envs per seed, B batch, T time, D observation, A outputs of the policy,
K numbers per action.
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from agents.base.agent import SeedAgent
from agents.base.learner import Actions, joined
from agents.common.checks import check_choice, check_flag, check_float, check_widths
from agents.common.returns import explained_variance
from agents.common.schedules import as_schedule
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats, SeedEnvs, Step
from agents.memory.obs_scale import ObsScale
from agents.memory.reward_scale import RewardScale, scaled
from agents.memory.rollout import Rollout
from agents.nn.actor_critic import ACTIVATIONS, ActorCritic
from agents.nn.adam import Adam
from agents.nn.built_actor_critic import BuiltActorCritic
from agents.nn.distributions import distribution_for
from agents.nn.fused.actor_critics import Networks
from agents.nn.rmsprop import RMSprop


class PolicyAgent(SeedAgent):
    """An agent that samples its actions from a policy; its configuration has the fields of `check_policy`."""

    takes_box_actions = True
    takes_features = takes_network = True
    net: ActorCritic | BuiltActorCritic
    optimizer: Adam | RMSprop

    def _build_policy(self, critic: str) -> None:
        """Makes the networks and the random streams of actions; `critic` as in `ActorCritic`."""
        config, spaces = self.config, self.spaces
        normalizes = getattr(config, "normalize_obs", False)
        if normalizes and self.features is not None:
            raise ValueError("normalize_obs must be False with a features_extractor, which takes the observations")
        self._obs_scale = ObsScale(len(self.seeds), spaces.obs_size) if normalizes else None
        self.distribution = distribution_for(spaces)
        self.net = self._network(critic)
        width, normal = self.n_envs * self.distribution.noise_size, self.distribution.normal
        self._acting = Streams(self.seeds, "explore", width, normal=normal)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        self._ent_coef = as_schedule(config.ent_coef, "ent_coef", zero=True)
        self._fused = config.fused and self.network is None and self.device.type == "cpu"
        # Learning rate and entropy coefficient of the last update
        self._rate = 0.0
        self._entropy_weight = float(config.ent_coef) if isinstance(config.ent_coef, int | float) else 0.0

    def _network(self, critic: str) -> ActorCritic | BuiltActorCritic:
        """Networks of the user's function, or else perceptrons of `net_arch`."""
        config, shared = self.config, (self.distribution, self.seeds, self.device, critic)
        if self.network is not None:
            return BuiltActorCritic(self.network, self.input_size, *shared, config.log_std_init, self.features)
        options = (config.activation, config.log_std_init, self.features)
        return ActorCritic(self.input_size, config.net_arch, *shared, *options)

    def _shown(self, obs: Floats) -> Floats:
        """Observations [S, B, D] as the networks see them: normalised, if asked for."""
        return obs if self._obs_scale is None else self._obs_scale(obs)

    @property
    def _kernels(self) -> Networks:
        """The networks as compiled gradients take them."""
        assert isinstance(self.net, ActorCritic)
        return self.net.for_kernels()

    def _act(self, obs: Floats) -> Actions:
        """Actions sampled from the policy for obs [S, N, D]: ints [S, N] or floats [S, N, K]."""
        return self._drawn(obs, self._acting.draw())

    def _drawn(self, obs: Floats, noise: npt.NDArray[np.float64]) -> Actions:
        log_std = self._log_std
        return self.distribution.sample(
            self.net.act(self._shown(obs)), noise, None if log_std is None else log_std.cpu().numpy()
        )

    @property
    def _log_std(self) -> torch.Tensor | None:
        """Logarithms of the standard deviations of Box actions, [S, 1, A]; None for Discrete ones."""
        return self.net.log_std_values

    def _greedy(self, obs: Floats) -> Actions:
        return self._shaped(self.distribution.mode(self.net.act(self._shown(obs))))

    def _sampled(self, obs: Floats) -> Actions:
        return self._shaped(self._drawn(obs, self.distribution.noise(self._predicting, obs.shape[1])))

    def _with_features(self, rows: torch.Tensor) -> torch.Tensor:
        """Rows [S, B, D + ...] with the networks' inputs in place of their observations."""
        if self.features is None:
            return rows
        D = self.spaces.obs_size
        return torch.cat((self.features(rows[..., :D]), rows[..., D:]), -1)

    def _shaped(self, action: Actions) -> Actions:
        return action.reshape(*action.shape[:2], *self.spaces.action_shape)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Weights, statistics of observations, and the state of the optimiser, by name, [S, ...] each."""
        scale = {} if self._obs_scale is None else self._obs_scale.state()
        return joined(net=self.net.values, obs_scale=scale, optimizer=self.optimizer.state())


class Rollouts(SeedAgent):
    """An agent that takes T steps in each of its envs, learns from them, and discards them."""

    def _build_rollout(self, action_size: int) -> None:
        config, S = self.config, len(self.seeds)
        self.rollout = Rollout(S, config.n_steps, self.n_envs, self.spaces.obs_size, action_size)
        self._reward_scale = RewardScale(S, self.n_envs, config.gamma) if config.normalize_reward else None

    @abstractmethod
    def _value(self, obs: Floats) -> Floats:
        """Values [S, N] of the obs to act on next, [S, N, D]."""

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0:
            self.rollout.clear()
            if self._reward_scale is not None:
                self._reward_scale.begin()

    def _cut(self, obs: Floats) -> None:
        self.rollout.cut(self._value(obs))
        if self._reward_scale is not None:
            self._reward_scale.begin()

    def _break_off(self, obs: Floats) -> None:
        super()._break_off(obs)
        self.rollout.clear()

    def _whole(self, total_timesteps: int) -> int:
        return self.rollout.whole(total_timesteps)


class MarkovRollouts(Rollouts):
    """Such an agent whose actions and values depend on the observation alone: `_value` takes any [S, B, D]."""

    @abstractmethod
    def _act(self, obs: Floats) -> Actions:
        """Actions for obs [S, N, D]: ints [S, N] or floats [S, N, K]."""

    @abstractmethod
    def _train(self, last_value: Floats, remaining: float) -> None:
        """Learns from the rollout; last_value [S, N] is V of the observations after it."""

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env, stores it, and learns once the rollout is full."""
        seen = self._counted(obs)
        action = self._act(obs)  # [S, N] or [S, N, K]
        step = scaled(envs.step(action), self._reward_scale)
        self.rollout.add(seen, action, step, self._values_of_truncated(step))
        self.num_timesteps += self.n_envs
        if self.rollout.full:
            self._train(self._value(step.obs), max(1.0 - self.num_timesteps / goal, 0.0))
            self.rollout.clear()
        return step.obs

    def _counted(self, obs: Floats) -> Floats:
        """Observations to act on, [S, N, D], as the networks see them and the rollout stores them."""
        return obs

    def _values_of_truncated(self, step: Step) -> Floats | None:
        """Values [S, N] of the last observations of episodes truncated by this step, elsewhere 0."""
        truncated = step.ended & ~step.terminated  # [S, N]
        most = truncated.sum(1).max()
        if most == 0:
            return None
        first = np.argsort(~truncated, axis=1, kind="stable")[:, :most]  # [S, most], where they are
        value = self._value(np.take_along_axis(step.next_obs, first[..., None], 1))  # [S, most]
        values = np.zeros(truncated.shape, np.float32)
        np.put_along_axis(values, first, value, 1)
        return np.where(truncated, values, np.float32(0.0))


class RolloutAgent(PolicyAgent, MarkovRollouts):
    """An agent that learns from rollouts of its policy, and whose critic sees the observation alone."""

    def _value(self, obs: Floats) -> Floats:
        return self.net.value(self._shown(obs))

    def _counted(self, obs: Floats) -> Floats:
        if self._obs_scale is not None:
            self._obs_scale.add(obs)
        return self._shown(obs)


class Losses(NamedTuple):
    """The terms of an actor-critic's loss, whose means over the batch are reported."""

    policy: torch.Tensor  # [S, B]
    value: torch.Tensor  # [S, B], squared errors
    entropy: torch.Tensor  # [S, B]


def std_metric(log_std: torch.Tensor | None) -> dict[str, Any]:
    """The mean standard deviation of Box actions, [S]; nothing for Discrete ones."""
    return {} if log_std is None else {"train/std": log_std.exp().mean((1, 2)).cpu().numpy()}


def actor_critic_metrics(
    losses: Losses, value: torch.Tensor, returns: torch.Tensor, log_std: torch.Tensor | None
) -> dict[str, Any]:
    """Metrics of an update, [S] each: means of the losses, and how well values explain returns, [S, B] each."""
    policy, squared_error, entropy = (term.mean(1).cpu().numpy() for term in losses)
    return std_metric(log_std) | {
        "train/policy_loss": policy,
        "train/value_loss": squared_error,
        "train/entropy_loss": -entropy,
        "train/explained_variance": explained_variance(value.cpu().numpy(), returns.cpu().numpy()),
    }


def check_policy(config: Any) -> None:
    """Checks the fields that configurations of agents with a policy have in common.

    Raises:
        TypeError: If one has a wrong type.
        ValueError: If one is out of range.
    """
    as_schedule(config.learning_rate, "learning_rate")
    check_float("gamma", config.gamma, 0.0, 1.0)
    as_schedule(config.ent_coef, "ent_coef", zero=True)
    check_float("vf_coef", config.vf_coef, 0.0)
    check_float("max_grad_norm", config.max_grad_norm, 0.0, above=True)
    check_float("log_std_init", config.log_std_init, -20.0, 20.0)
    check_choice("activation", config.activation, tuple(ACTIVATIONS))
    for field in ("normalize_advantage", "shared_network", "fused"):
        check_flag(field, getattr(config, field))
    check_widths("net_arch", config.net_arch)
