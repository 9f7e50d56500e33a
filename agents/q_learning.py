"""Q-learning for S seeds at once, with a table of action values (Watkins and Dayan 1992).

Every step acts epsilon-greedily and moves one entry of the table towards the return estimated from that step,

    Q[obs, action] += rate * (reward + gamma * continues * max_a Q[next_obs, a] - Q[obs, action]),

where `continues` is 0 only if the episode terminated: after a time limit the value of the last observation counts.
The tables of S seeds are stacked; each seed has its own envs and random stream.

Observations are Discrete, MultiDiscrete, or a Tuple of Discrete; the table has a row for each combination.

Differences from the paper: (1) the rate is constant by default, as is usual; the paper's proof of convergence needs
rates whose sum diverges while the sum of their squares converges, as with `visit_power` in (0.5, 1] and a constant
`learning_rate`; (2) with N envs per seed, the N transitions of a step are learnt one after the other.

    python -m agents.q_learning --help

Axis letters: S seeds, N envs per seed, B batch, D parts of an observation, A actions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import torch

from agents.base.agent import SeedAgent
from agents.base.learner import Actions
from agents.common.checks import check_float, keep_plain
from agents.common.compiled import compiled
from agents.common.schedules import Schedule, as_schedule, linear
from agents.common.streams import Streams
from agents.envs.seed_envs import Floats, SeedEnvs, Spaces

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
MOST_STATES = 2**24  # observations are stored as float32, which is exact up to here


@dataclass(frozen=True)
class QLearningConfig:
    """The hyperparameters of Q-learning; exploration is named as in Stable-Baselines3's DQN."""

    learning_rate: float | str | Schedule = 0.1
    """Fraction of the error by which an entry moves: a number, "lin_0.1" (linear to zero), or a function of the
    remaining progress."""
    visit_power: float = 0.0
    """Power of an entry's visits by which its rate is divided: 0 leaves it, 1 with `learning_rate=1` averages."""
    gamma: float = 0.99
    """Discount factor."""
    initial_value: float = 0.0
    """Initial value of every entry; above the highest return, it makes the agent try every action."""
    exploration_fraction: float = 0.5
    """Fraction of training over which exploration decreases."""
    exploration_initial_eps: float = 1.0
    """Initial probability of a random action."""
    exploration_final_eps: float = 0.05
    """Final probability of a random action."""

    def __post_init__(self) -> None:
        keep_plain(self)
        as_schedule(self.learning_rate, "learning_rate")
        for field in ("gamma", "exploration_fraction", "exploration_initial_eps", "exploration_final_eps"):
            check_float(field, getattr(self, field), 0.0, 1.0)
        check_float("visit_power", self.visit_power, 0.0)
        check_float("initial_value", self.initial_value, -math.inf)


PRESETS: dict[str, tuple[int, QLearningConfig]] = {
    "CliffWalking-v1": (20_000, QLearningConfig(learning_rate=0.5)),
    "FrozenLake-v1": (
        200_000,
        QLearningConfig(
            learning_rate=1.0,
            visit_power=0.6,
            initial_value=1.0,
            exploration_initial_eps=0.3,
            exploration_final_eps=0.3,
        ),
    ),
    "Taxi-v4": (100_000, QLearningConfig(learning_rate=0.7, exploration_fraction=0.6)),
}
"""Timesteps per seed and hyperparameters that solve an env, by its id."""


@dataclass(frozen=True)
class TableSpaces(Spaces):
    """Spaces of an env whose observations can be counted.

    Attributes:
        obs_counts: Number of values of each part of an observation, (D,).
        first_obs: Smallest value of each part, (D,).
    """

    obs_counts: tuple[int, ...] = ()
    first_obs: tuple[int, ...] = ()

    @classmethod
    def of(cls, observation_space: gym.Space[Any], action_space: gym.Space[Any]) -> "TableSpaces":
        """The spaces of an env; ValueError if they cannot be tabulated, or the table would be too large."""
        if not isinstance(action_space, gym.spaces.Discrete):
            raise ValueError(f"action_space must be Discrete, got {action_space}")
        counts, first = _counts(observation_space)
        if math.prod(counts) > MOST_STATES:
            raise ValueError(f"observation_space must have at most {MOST_STATES:,} values, got {observation_space}")
        shape = () if isinstance(observation_space, gym.spaces.Discrete) else (len(counts),)
        return cls(shape, int(action_space.n), int(action_space.start), obs_counts=counts, first_obs=first)

    @property
    def n_states(self) -> int:
        """Rows of the table."""
        return math.prod(self.obs_counts)


def _counts(space: gym.Space[Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Number of values of each part of an observation, and the smallest value of each."""
    if isinstance(space, gym.spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return tuple(space.nvec.tolist()), tuple(space.start.tolist())
    parts = space.spaces if isinstance(space, gym.spaces.Tuple) else [space]
    discrete = [part for part in parts if isinstance(part, gym.spaces.Discrete)]
    if len(discrete) < len(parts):
        raise ValueError(f"observation_space must be Discrete, MultiDiscrete or a Tuple of Discrete, got {space}")
    return tuple(int(part.n) for part in discrete), tuple(int(part.start) for part in discrete)


class TableEnvs(SeedEnvs):
    """Envs of S seeds whose observations are whole numbers, [S, N, D]."""

    spaces_type = TableSpaces
    spaces: TableSpaces

    def _seen(self, obs: Any) -> Floats:
        """Observations of all sub-envs; a Tuple space batches them as one array per part."""
        return super()._seen(np.stack(obs, axis=-1) if isinstance(obs, tuple) else obs)


class QLearning(SeedAgent):
    """Q-learning of S seeds in one pass.

    Args:
        env: A Gymnasium env with Discrete actions and Discrete, MultiDiscrete or Tuple-of-Discrete observations.
        seeds: An int n (0..n-1) or a sequence of ints; each is an independent run.
        hyperparameters: See `QLearningConfig`; the others see `SeedAgent`.

    Attributes:
        table: The values, [S, n_states, A].
        visits: Number of updates of each, the same shape; [S, 0, A] without `visit_power`.
    """

    Config = QLearningConfig
    config: QLearningConfig
    envs_type = TableEnvs
    spaces: TableSpaces

    @classmethod
    def _weight_shapes(cls, config: Any, spaces: Any, inputs: int) -> Iterator[tuple[int, ...]]:
        parts = len(spaces.obs_counts)
        if len(spaces.first_obs) != parts or math.prod(spaces.obs_shape) != parts:
            raise ValueError(f"spaces.first_obs and obs_shape must be of {parts} parts, as obs_counts is")
        return iter([(spaces.n_states, spaces.n_actions)])

    def _build(self) -> None:
        config, S = self.config, len(self.seeds)
        n_states, A = self.spaces.n_states, self.spaces.n_actions
        self.table: Doubles = np.full((S, n_states, A), float(config.initial_value))
        self.visits: Ints = np.zeros((S, n_states if config.visit_power else 0, A), np.int64)
        self._exploring = Streams(self.seeds, "explore", 2 * self.n_envs)
        self._learning_rate = as_schedule(config.learning_rate, "learning_rate")
        ends = config.exploration_initial_eps, config.exploration_final_eps
        self._exploration = linear(*ends, config.exploration_fraction)
        self.exploration_rate = config.exploration_initial_eps
        self._rate = 0.0  # learning rate of the last update

    def _begin(self, total_timesteps: int) -> None:
        pass

    def _advance(self, envs: SeedEnvs, obs: Floats, goal: int) -> Floats:
        """Takes one step in every env and learns from it."""
        state = self._states(obs)  # [S, N]
        action = np.empty_like(state)
        choose(self.table, state, self._exploring.draw(), self.exploration_rate, action)
        step = envs.step(action)
        self.num_timesteps += self.n_envs
        remaining = max(1.0 - self.num_timesteps / goal, 0.0)
        self.exploration_rate = self._exploration(remaining)
        self._rate = self._learning_rate(remaining)
        came = action, np.asarray(step.reward, np.float64), step.terminated, self._states(step.next_obs)
        rates = self._rate, self.config.visit_power, self.config.gamma
        self._last = np.empty(state.shape)  # errors [S, N]
        update(self.table, self.visits, state, *came, *rates, self._last)
        self.n_updates += 1
        return step.obs

    def _states(self, obs: Floats) -> Ints:
        """Rows of the table [S, B] for observations [S, B, D]."""
        spaces = self.spaces
        if len(spaces.obs_counts) == 1:
            return obs[..., 0].astype(np.int64) - spaces.first_obs[0]
        parts = np.moveaxis(obs.astype(np.int64) - spaces.first_obs, -1, 0)  # [D, S, B]
        rows: Ints = np.ravel_multi_index(tuple(parts), spaces.obs_counts)
        return rows

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Actions, Any]:
        """As `SeedAgent.predict`; a tuple of arrays, one per part of a Tuple space, is a batch as SB3 makes it."""
        if isinstance(observation, tuple) and np.ndim(observation[0]) > 0:
            observation = np.stack(observation, axis=-1)
        return super().predict(observation, state, episode_start, deterministic)

    def _greedy(self, obs: Floats) -> Actions:
        least = np.array(self.spaces.first_obs)  # [D]
        known = (obs >= least) & (obs < least + self.spaces.obs_counts) & (obs == np.floor(obs))  # [S, B, D]
        if not known.all():
            wrong = obs[~known.all(-1)][0]
            raise ValueError(f"observation must be one of the env's observation_space, got {wrong}")
        state = self._states(obs)  # [S, B]
        actions: Actions = self.table[np.arange(len(state))[:, None], state].argmax(-1)
        return actions

    def _metrics(self) -> dict[str, Any]:
        metrics: dict[str, Any] = {"rollout/exploration_rate": self.exploration_rate}
        if self._last is not None:
            loss = np.square(self._last).mean(1)  # [S]
            metrics |= {"train/loss": loss, "train/learning_rate": self._rate, "train/n_updates": self.n_updates}
        return metrics

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The table and its visits."""
        return {"table": torch.from_numpy(self.table), "visits": torch.from_numpy(self.visits)}


@compiled
def choose(table: Doubles, state: Ints, drawn: Doubles, epsilon: float, action: Ints) -> None:
    """Writes epsilon-greedy actions [S, N] for the states [S, N]; ties are broken at random.

    Always taking the first would explore few states while the table is still flat.

    Args:
        table: [S, n_states, A].
        state: [S, N].
        drawn: Numbers in [0, 1), [S, 2N]: N that decide whether to explore, N that pick the action.
        epsilon: Probability of a random action.
        action: The output, [S, N].
    """
    S, N = state.shape
    A = table.shape[2]
    for s in range(S):
        for n in range(N):
            if drawn[s, n] < epsilon:
                action[s, n] = int(drawn[s, N + n] * A)
                continue
            values = table[s, state[s, n]]
            highest, equal = values[0], 0
            for a in range(A):
                if values[a] > highest:
                    highest, equal = values[a], 0
                equal += values[a] == highest
            left = int(drawn[s, N + n] * equal)  # ties to skip before the chosen one
            for a in range(A):
                if values[a] == highest:
                    action[s, n] = a
                    if left == 0:
                        break
                    left -= 1


@compiled
def update(
    table: Doubles,
    visits: Ints,
    state: Ints,
    action: Ints,
    reward: Doubles,
    terminated: npt.NDArray[np.bool_],
    next_state: Ints,
    rate: float,
    visit_power: float,
    gamma: float,
    error: Doubles,
) -> None:
    """Learns N transitions of each seed, one after the other, in place; writes their errors [S, N].

    Table [S, n_states, A]; visits the same, or [S, 0, A] where `visit_power` is 0; the other arrays [S, N].
    """
    S, N = state.shape
    for s in range(S):
        for n in range(N):
            i, a = state[s, n], action[s, n]
            target = reward[s, n]
            if not terminated[s, n]:
                target += gamma * table[s, next_state[s, n]].max()
            error[s, n] = target - table[s, i, a]
            step = rate
            if visit_power:
                visits[s, i, a] += 1
                step = rate / visits[s, i, a] ** visit_power
            table[s, i, a] += step * error[s, n]


if __name__ == "__main__":
    from agents.base.cli import main

    main(QLearning, PRESETS)
