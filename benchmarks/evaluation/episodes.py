"""The evaluation loop: one greedy episode in each sub-env of a vector env. Axis letters: N sub-envs, D observation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Policy(Protocol):
    """Anything that can be evaluated: an agent of `agents`, a strategy, `PerSeed` models of Stable-Baselines3."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions (N,) for observations (N, D), and the state for the next call."""


class Step(NamedTuple):
    """One step of all sub-envs.

    Attributes:
        running: True where the first episode had not ended before this step [N].
        reward: of this step [N].
        info: of this step, arrays [N] by name.
    """

    running: npt.NDArray[np.bool_]
    reward: Floats
    info: dict[str, Any]


def greedy_steps(policy: Policy, envs: Any, obs: Any, lead: tuple[int, ...] | None = None) -> Iterator[Step]:
    """Steps with the policy's greedy actions until every sub-env has ended its first episode.

    Args:
        policy: has `predict`; or `acting_in(envs)`, which returns a policy that may query the envs.
        envs: a vector env that has been reset.
        obs: the observations of that reset [N, D].
        lead: leading shape in which the policy takes observations, such as (S, K) of N = S * K; (N,) unless given.
    """
    acting = policy.acting_in(envs) if hasattr(policy, "acting_in") else policy
    lead = lead or (envs.num_envs,)
    running, starts, state = np.ones(envs.num_envs, np.bool_), np.ones(lead, np.bool_), None
    while running.any():
        seen = obs if isinstance(obs, dict) else obs.reshape(*lead, *obs.shape[1:])  # [*lead, D]
        action, state = acting.predict(seen, state=state, episode_start=starts, deterministic=True)
        obs, reward, terminated, truncated, info = envs.step(np.asarray(action).reshape(envs.action_space.shape))
        yield Step(running, reward, info)
        ended = terminated | truncated
        running, starts = running & ~ended, ended.reshape(lead)


def episode_returns(policy: Policy, envs: Any, obs: Any, runs: int) -> tuple[Floats, int]:
    """Undiscounted returns [S, K] of one greedy episode in each of S * K sub-envs, and the steps of the longest.

    Args:
        policy: takes observations [S, K, D], or [K, D] where S is 1.
        envs: a vector env that has been reset.
        obs: the observations of that reset [S * K, D].
        runs: S.
    """
    total, steps = np.zeros(envs.num_envs), 0
    episodes = envs.num_envs // runs
    for step in greedy_steps(policy, envs, obs, (runs, episodes) if runs > 1 else (episodes,)):
        total[step.running] += step.reward[step.running]
        steps += 1
    return total.reshape(runs, episodes), steps
