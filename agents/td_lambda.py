"""TD(lambda) on afterstates for S seeds at once, the method of TD-Gammon (Tesauro 1995).

The immediate effect of an action is known before anything else happens: the board after the move, the account after
the trade. The observation at that moment is the action's afterstate z. Two actions that lead to the same afterstate
have the same value from there on, so one network V(z) gives the values of all actions:

    Q(obs, a) = c(obs, a) + V(z(obs, a)),      act by argmax_a Q(obs, a).

c is the part of the reward that the action itself causes. In backgammon it is 0. In trading it is minus the cost of the
trade, which is paid at once and included in the env's later reward. A position has the same value however it was
reached, but reaching it has different costs. Without c, V would average over these costs, and the agent would trade too
often. An observation can contain the fraction of wealth lost so far (`loss_column`): if the action changes it from d to
d', c is log((1 - d') / (1 - d)), known exactly before the step. After the action, which leads from obs to z, and the
step, which brings the reward and next_obs, V is updated by online TD(lambda):

    delta = reward - c(obs, a) + gamma * continues * max_b [c(next_obs, b) + V(z(next_obs, b))] - V(z)
    e     <- gamma * lambda * e + grad V(z)
    theta <- theta + learning_rate * delta * e

where `continues` is 0 only if the episode terminated; a truncated episode bootstraps from the best action at its last
observation. The eligibility trace e is reset to 0 at the start of every episode, and after every non-greedy action,
because the rewards after such an action do not measure the value of the greedy policy before it (Watkins 1989).

Differences from the paper: (1) V is a discounted return instead of a probability of winning, so its output is linear,
and starts at 0; (2) ReLU instead of sigmoid units; (3) actions are random with probability epsilon, since not every env
has dice; (4) with N envs per seed, each has its own trace, and the update is the mean of theirs.

    python -m agents.td_lambda --help

Axis letters: S seeds, N envs per seed, B batch, A actions, D observation (flattened), H hidden, P parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import VectorEnv

from agents.base.agent import SeedAgent
from agents.base.learner import Actions, epsilon_greedy, joined
from agents.common.checks import check_float, check_int, check_widths, keep_plain
from agents.common.schedules import Schedule, as_schedule, linear
from agents.common.streams import Streams
from agents.envs.afterstates import AfterstateEnvs, afterstates_of
from agents.envs.seed_envs import Floats, SeedEnvs
from agents.nn.layers import layer_outputs
from agents.nn.mlp import MLP
from agents.nn.parameters import Layer

MOST_LOST = np.float32(1 - 2**-20)


@dataclass(frozen=True)
class TDLambdaConfig:
    """The hyperparameters of TD(lambda); exploration is named as in Stable-Baselines3's DQN."""

    learning_rate: float | str | Schedule = 0.01
    """Step size: a number, "lin_0.01" (linear to zero), or a function of the remaining progress."""
    gamma: float = 0.99
    """Discount factor."""
    trace_decay: float = 0.7
    """Lambda: 0 learns from the next value alone, 1 from the whole return."""
    loss_column: int | None = None
    """Column of an observation that shows a loss as a fraction, whose change by an action is what the action costs:
    TradingEnv's drawdown is -1. None: actions cost nothing by themselves."""
    clip_obs: float | None = None
    """The network sees observations clipped to [-clip_obs, clip_obs]; None: as they are. Costs are never clipped."""
    exploration_fraction: float = 0.5
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 0.5
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""
    net_arch: tuple[int, ...] = (64,)
    """Widths of the hidden layers; none makes V linear."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field in ("gamma", "trace_decay", "exploration_fraction"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        for field in ("exploration_initial_eps", "exploration_final_eps"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        check_widths("net_arch", self.net_arch)
        if self.loss_column is not None:
            check_int("loss_column", self.loss_column, -(2**31))
        if self.clip_obs is not None:
            check_float("clip_obs", self.clip_obs, 0.0, above=True)


PRESETS: dict[str, tuple[int, TDLambdaConfig]] = {
    "trading_env:TradingEnv-v0": (50_000, TDLambdaConfig(learning_rate="lin_0.01", gamma=0.9, loss_column=-1)),
}
"""Timesteps per seed and hyperparameters that suit an env, by its id."""


class TDLambda(SeedAgent):
    """TD(lambda) on afterstates, of S seeds in one pass.

    Its observations are afterstates: `predict` takes what `env.unwrapped.afterstates()` returns, [A, *obs], in
    place of an observation. `acting_in(env)` gives a policy that asks the env for them, and so runs wherever
    policies act on observations.

    Args:
        env: A Gymnasium env with Box observations, Discrete actions and a method `afterstates()`.
        seeds: An int n (0..n-1) or a sequence of ints; each is an independent run.
        hyperparameters: See `TDLambdaConfig`; the others see `SeedAgent`.

    Attributes:
        v_net: The networks of the value, [D, H, ..., 1].
        trace: Eligibility of each parameter, [S, N, P].
    """

    Config = TDLambdaConfig
    config: TDLambdaConfig
    envs_type = AfterstateEnvs

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        if spaces.obs_shape[:1] != (spaces.n_actions,):
            raise ValueError(f"spaces.obs_shape must begin with n_actions={spaces.n_actions}, got {spaces.obs_shape}")
        return pairwise((inputs // spaces.n_actions, *config.net_arch, 1))

    def _build(self) -> None:
        config = self.config
        D, column = self.spaces.obs_size // self.spaces.n_actions, config.loss_column
        if column is not None and not -D <= column < D:
            raise ValueError(f"loss_column must be a column of {D}, got {column}")
        self.v_net = MLP((D, *config.net_arch, 1), self.seeds, self.device)
        for last in self.v_net.layers[-1]:
            last.zero_()
        S, N = len(self.seeds), self.n_envs
        self.trace = torch.zeros(S, N, sum(self.v_net.sizes), device=self.device)
        self._traces = trace_layers(self.trace, self.v_net)
        self._values = [value.view(S, -1) for value in self.v_net.values.values()]
        self._exploring = Streams(self.seeds, "explore", 2 * N)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps
        self._rate = 0.0  # learning rate of the last update

    def parts(self) -> dict[str, Any]:
        """The state of training, with the traces."""
        return super().parts() | {"trace": self.trace}

    def _begin(self, total_timesteps: int) -> None:
        if self.num_timesteps == 0:  # new episodes
            self.trace.zero_()

    def _cut(self, obs: Floats) -> None:
        self.trace.zero_()

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env and learns from it; obs are afterstates [S, N, A * D]."""
        assert isinstance(envs, AfterstateEnvs)
        gamma = self.config.gamma
        action, best = self._act(obs)  # [S, N]
        chosen = np.take_along_axis(self._split(obs), action[..., None, None], 2)[:, :, 0]  # [S, N, D]
        cost = self._kept(chosen) - self._kept(envs.obs)  # [S, N]
        value = self._remember(chosen, gamma * self.config.trace_decay * (action == best))  # [S, N]
        step = envs.step(action)
        ahead = self._worth(step.next_obs).max(-1) - self._kept(envs.next_obs)  # [S, N]
        self._last = error = step.reward - cost + gamma * np.where(step.terminated, 0.0, ahead) - value
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        self.exploration_rate = self._exploration(remaining)
        self._learn(error, self._learning_rate(remaining))
        if step.ended.any():
            self.trace[torch.from_numpy(step.ended)] = 0.0
        return step.obs

    def _act(self, obs: Floats) -> tuple[Actions, Actions]:
        """Epsilon-greedy actions [S, N], and the greedy ones."""
        best = self._greedy(obs)
        return epsilon_greedy(best, self._exploring.draw(), self.exploration_rate, self.spaces.n_actions), best

    def _greedy(self, obs: Floats) -> Actions:
        actions: Actions = self._worth(obs).argmax(-1)
        return actions

    def _split(self, obs: Floats) -> Floats:
        return obs.reshape(*obs.shape[:2], self.spaces.n_actions, -1)  # [S, B, A, D]

    def _worth(self, obs: Floats) -> npt.NDArray[Any]:
        """log(1 - loss) after each action plus the value of its afterstate, [S, B, A] for obs [S, B, A * D]."""
        options = self._split(obs)
        value = self.v_net.act(self._inputs(options.reshape(len(obs), -1, options.shape[-1])))  # [S, B * A, 1]
        worth: npt.NDArray[Any] = self._kept(options) + value.reshape(options.shape[:3])
        return worth

    def _inputs(self, obs: Floats) -> Floats:
        """Observations [..., D] as the network sees them, within `clip_obs`."""
        bound = self.config.clip_obs
        return obs if bound is None else np.clip(obs, -bound, bound)

    def _kept(self, obs: Floats) -> npt.NDArray[np.float64] | float:
        """Log of the fraction left after the loss in `loss_column` of observations [..., D], [...]."""
        column = self.config.loss_column
        if column is None:
            return 0.0
        loss = np.minimum(obs[..., column], MOST_LOST)  # more is lost only where the episode terminates
        return np.log1p(-loss, dtype=np.float64)

    @torch.inference_mode()
    def _remember(self, obs: Floats, decay: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Multiplies the traces by `decay` [S, N] and adds the gradients of V; returns V, [S, N]."""
        x = torch.from_numpy(np.ascontiguousarray(self._inputs(obs))).to(self.device)  # [S, N, D]
        self.trace.mul_(torch.from_numpy(decay.astype(np.float32)).to(self.device)[..., None])
        return add_gradients(x, self.v_net.layers, self._traces).cpu().numpy().astype(np.float64)

    @torch.inference_mode()
    def _learn(self, error: npt.NDArray[np.float64], learning_rate: float) -> None:
        """Moves the parameters by learning_rate * error * trace, the mean over N."""
        scaled = torch.from_numpy((error * (learning_rate / self.n_envs)).astype(np.float32)).to(self.device)
        step = torch.bmm(scaled[:, None], self.trace)[:, 0]  # [S, P]
        for value, part in zip(self._values, torch.split(step, list(self.v_net.sizes), -1), strict=True):
            value.add_(part)
        self.n_updates += 1
        self._rate = learning_rate

    def acting_in(self, env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> "Acting":
        """A policy for this env alone, which asks it for its afterstates before each action."""
        return Acting(self, env)

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self._last is not None:
            loss = np.square(self._last).mean(1)  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The weights, by name, [S, ...] each."""
        return joined(v_net=self.v_net.values)


class Acting:
    """An agent of afterstates in one env, as a policy that acts on the env's observations.

    Args:
        agent: The agent.
        env: The env, or the vector env, in which it acts: S sub-envs for S seeds, any number for one.
    """

    def __init__(self, agent: TDLambda, env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> None:
        self.agent, self._env = agent, env
        self._afterstates = afterstates_of(env)

    def __reduce__(self) -> tuple[Any, ...]:
        """Support for copies and pickles: the copy asks the copied env."""
        return Acting, (self.agent, self._env)

    def predict(
        self, observation: npt.ArrayLike, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Actions, Any]:
        """Actions for the env's present state; `observation`, the present one, is used for its shape only."""
        shape = self.agent.spaces.obs_shape  # [A, *obs]
        lead = np.shape(observation)[: np.ndim(observation) - len(shape) + 1]
        options = np.reshape(self._afterstates(), (*lead, *shape))
        return self.agent.predict(options, state, episode_start, deterministic)


def trace_layers(trace: torch.Tensor, net: MLP) -> list[Layer]:
    """Views of traces [S, N, P] by layer: of weights [S, N, in, out], of biases [S, N, 1, out]."""
    parts, lead = iter(torch.split(trace, list(net.sizes), -1)), trace.shape[:2]

    def view(like: torch.Tensor) -> torch.Tensor:
        return next(parts).view(*lead, *like.shape[1:])

    return [(view(weight), view(bias)) for weight, bias in net.layers]


def add_gradients(x: torch.Tensor, layers: Sequence[Layer], traces: Sequence[Layer]) -> torch.Tensor:
    """Adds the gradient of each V(x) to its own trace; returns V, [S, N], of afterstates [S, N, D]."""
    outputs = layer_outputs(x, layers)
    d_out = torch.ones_like(outputs[-1])  # [S, N, 1]
    for i in range(len(layers) - 1, -1, -1):
        weight, bias = traces[i]
        weight.addcmul_(outputs[i][..., None], d_out[..., None, :])  # [S, N, in, out]
        bias.add_(d_out[..., None, :])
        if i:
            d_in = torch.bmm(d_out, layers[i][0].mT)  # [S, N, H]
            d_out = torch.ops.aten.threshold_backward(d_in, outputs[i], 0)  # zero where ReLU was off
    return outputs[-1][..., 0]


if __name__ == "__main__":
    from agents.base.cli import main

    main(TDLambda, PRESETS)
