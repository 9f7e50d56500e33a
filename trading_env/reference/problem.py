"""Problem: a trading problem whose optimum is known exactly, so that scores are fractions of the optimum.

A Problem has an exogenous path, drawn for each episode from one seed, and a position that the actions change. Its envs
are in `trading_env.reference.envs`. `optimum()` is the best mean reward per step, `optimal_policy()` earns it.

Letters: N sub-envs, A actions, D observation, L length of a path, C its columns, K instruments, W rows seen
at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from trading_env.data.bars import Floats

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Policy(ABC):
    """An agent with Stable-Baselines3's `predict`, for one observation or a batch."""

    obs_ndim: int = 1  # axes of one observation

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Actions for one observation (D,) or a batch (N, D), and the state to pass to the next call.

        Args:
            observation: of the env.
            state: returned by the last call; None at the first decision.
            episode_start: True for envs that begin an episode now (N,).
            deterministic: ignored.
        """
        obs = np.asarray(observation)
        single = obs.ndim == self.obs_ndim
        batch = obs[None] if single else obs
        start = np.zeros(len(batch), np.bool_) if episode_start is None else np.atleast_1d(episode_start)
        actions, state = self._act(batch, state, start | (state is None))
        return (actions[0] if single else actions), state

    @abstractmethod
    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        """Actions (N, ...) and the next state; ``state`` is None, and ``start`` all True, at the first call."""


class Problem(ABC):
    """Parameters, dynamics and solution of a reference environment, without the bookkeeping of episodes.

    Attributes:
        meant: names of the parameters that give observations and actions their meaning.
    """

    meant: ClassVar[tuple[str, ...]]

    @property
    def meaning(self) -> dict[str, Any]:
        """Meaning of observations and actions as plain JSON: the problem, and the parameters named in ``meant``."""
        values = {name: getattr(self, name) for name in self.meant}
        plain = {name: np.asarray(value).tolist() for name, value in values.items()}
        return {"problem": type(self).__name__, **plain}

    @property
    @abstractmethod
    def episode_length(self) -> int:
        """Steps of an episode, after which it is truncated. None of these problems terminates."""

    @property
    def lead(self) -> int:
        """Rows of a path before the first decision, which the first observation may show."""
        return 0

    @property
    def position_shape(self) -> tuple[int, ...]:
        """Shape of a position: () for one number; (K,) where N below means (N, K)."""
        return ()

    @abstractmethod
    def path(self, noise_seed: int) -> Floats:
        """The exogenous rows of an episode (lead + episode_length + 1, C)."""

    @abstractmethod
    def action_space(self) -> spaces.Space[Any]:
        """Action space of one env: Discrete, or Box(-1, 1, (k,))."""

    @abstractmethod
    def observation_space(self) -> spaces.Space[Any]:
        """Observation space of one env."""

    @abstractmethod
    def moved(self, position: Floats, actions: Any) -> Floats:
        """Positions (N,) after the actions (N,), continuous (N, k)."""

    @abstractmethod
    def reward(self, now: Floats, then: Floats, before: Floats, after: Floats) -> tuple[Floats, Floats]:
        """Rewards (N,), and the costs (N,) in them, of a step between two rows (N, C) with these positions (N,)."""

    @abstractmethod
    def observe(self, seen: Floats, position: Floats) -> Any:
        """Observations (N, D) of the last rows (N, lead + 1, C), up to now, and the positions (N,)."""

    @abstractmethod
    def optimum(self) -> float:
        """The best mean reward per step of any policy that sees the observations only."""

    @abstractmethod
    def optimal_policy(self) -> Policy:
        """The policy whose mean reward is the optimum."""
