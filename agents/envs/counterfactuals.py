"""Envs that give the outcomes of all actions, because nothing in them but the agent's account reacts to its actions.

An env gives them by its method `counterfactual()`: after a step, the pair of the rewards [A] and the next observations
[A, *obs] of all actions, with `terminated` [A] as an attribute; [N, A, ...] for a vector env. A time limit is the same
for all actions, so truncated episodes are bootstrapped from their next observations. Nothing else about the env is
assumed here.

Axis letters: S seeds, N envs per seed, A actions, D observation (flattened).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from agents.envs.afterstates import offered
from agents.envs.seed_envs import Floats, SeedEnvs, Step, check_finite


class Outcomes(NamedTuple):
    """Outcomes of all actions in the last step."""

    reward: npt.NDArray[Any]  # [S, N, A]
    terminated: npt.NDArray[np.bool_]  # [S, N, A]
    next_obs: Floats  # [S, N, A, D]


class CounterfactualEnvs(SeedEnvs):
    """Envs of S seeds that are asked after each step for the outcomes of all actions.

    Attributes:
        outcomes: Outcomes of the last step.
    """

    autoreset_mode = AutoresetMode.DISABLED  # the last step of an episode must be asked about before its reset
    outcomes: Outcomes

    def __init__(self, envs: VectorEnv[Any, Any, Any], seeds: Sequence[int], n_envs: int, purpose: str) -> None:
        super().__init__(envs, seeds, n_envs, purpose)
        self._counterfactual = counterfactual_of(envs)

    def step(self, action: npt.NDArray[Any]) -> Step:
        """Takes the actions, as `SeedEnvs.step`."""
        step = super().step(action)
        if not step.ended.any():  # else it was asked before the reset
            self._ask()
        return step

    def _renewed(self, seen: Floats, info: dict[str, Any], ended: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
        self._ask()
        return self._seen(self.vector_env.reset(options={"reset_mask": ended})[0]), seen

    def _ask(self) -> None:
        reward, terminated, next_obs = self._counterfactual()
        rows = np.asarray(next_obs, np.float32).reshape(*self._shape, self.spaces.n_actions, -1)
        shape = rows.shape[:3]
        check_finite("counterfactual observations", rows)
        check_finite("counterfactual rewards", reward)
        self.outcomes = Outcomes(reward.reshape(shape), terminated.reshape(shape), rows)


Asked = tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[Any]]


def counterfactual_of(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Callable[[], Asked]:
    """A function that returns rewards, terminated and next observations of all actions of an env or a vector env.

    Raises:
        ValueError: If there is none, or a wrapper changes observations or rewards.
    """
    if isinstance(env, SyncVectorEnv):
        singles = [counterfactual_of(single) for single in env.envs]

        def ask_each() -> Asked:
            reward, terminated, next_obs = zip(*(ask() for ask in singles), strict=True)
            return np.stack(reward), np.stack(terminated), np.stack(next_obs)

        return ask_each
    method = offered(env, "counterfactual", "what every action would have brought in the last step")

    def ask() -> Asked:
        reward, next_obs = pair = method()
        return np.asarray(reward), np.asarray(pair.terminated), next_obs

    return ask
