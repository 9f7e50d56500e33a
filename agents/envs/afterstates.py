"""Envs observed through their afterstates: the observation right after each action, before anything else happens.

An env gives them by its method `afterstates()`, [A, *obs], a vector env [N, A, *obs]. Nothing else about the env is
assumed here.

Axis letters: S seeds, N envs per seed, A actions, D observation (flattened).
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import flatdim
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit

from agents.envs.seed_envs import Floats, SeedEnvs

HARMLESS = (OrderEnforcing, PassiveEnvChecker, RecordEpisodeStatistics, TimeLimit)
"""Wrappers that leave observations and rewards alone."""


class AfterstateEnvs(SeedEnvs):
    """Envs of S seeds whose observations are their afterstates, [A, *obs], one row per action.

    An env must also answer after the step that ended its episode: a truncated one is bootstrapped from its value.

    Attributes:
        obs: Current observation of the env itself, [S, N, D].
        next_obs: Its observation after the last step, before any reset, [S, N, D].
    """

    autoreset_mode = AutoresetMode.DISABLED  # the last afterstates of an episode must be seen before its reset

    def __init__(self, envs: VectorEnv[Any, Any, Any], seeds: Sequence[int], n_envs: int, purpose: str) -> None:
        super().__init__(envs, seeds, n_envs, purpose)
        self._afterstates = afterstates_of(envs)
        shape = (self.spaces.n_actions, *self.spaces.obs_shape)
        self.spaces = dataclasses.replace(self.spaces, obs_shape=shape)
        size = flatdim(envs.single_observation_space)
        self.obs, self.next_obs = (np.zeros((*self._shape, size), np.float32) for _ in range(2))

    def parts(self) -> dict[str, Any]:
        """The counts of episodes and the observations, by attribute."""
        return super().parts() | {"obs": self.obs, "next_obs": self.next_obs}

    def _seen(self, obs: Any) -> Floats:
        """The afterstates of all sub-envs, [S, N, A * D]."""
        self.obs = self.next_obs = super()._seen(obs)
        return super()._seen(self._afterstates())

    def _renewed(self, seen: Floats, info: dict[str, Any], ended: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        last = self.obs
        first = self._seen(self.vector_env.reset(options={"reset_mask": ended})[0])
        self.next_obs = last
        return first, seen


def afterstates_of(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Callable[[], npt.NDArray[Any]]:
    """The function that returns the afterstates of an env or a vector env.

    Raises:
        ValueError: If there is none, or a wrapper changes observations or rewards.
    """
    if isinstance(env, SyncVectorEnv):
        offers = [afterstates_of(single) for single in env.envs]
        return lambda: np.stack([offer() for offer in offers])
    return offered(env, "afterstates", "the observation right after each action")


def offered(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any], name: str, what: str) -> Callable[[], Any]:
    """The env's own method of that name, which returns `what`.

    Raises:
        ValueError: If there is none, or a wrapper changes observations or rewards.
    """
    while isinstance(env, gym.Wrapper) and isinstance(env, HARMLESS):
        env = env.env
    offer = getattr(env, name, None)
    if not callable(offer):
        raise ValueError(f"env must offer {name}(), {what}: {env} has none")
    method: Callable[[], Any] = offer
    return method
