"""The evaluation loop: one greedy episode in each sub-env of a vector env. N = sub-envs, D = observation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env.envs.acting.policies import takes_masks
from trading_env.kernel.rules import Bools, Floats


class Step(NamedTuple):
    """One step of all sub-envs.

    Attributes:
        running: True where the first episode had not ended before this step [N].
        action: taken [N, ...].
        reward: of this step [N].
        info: of this step, arrays [N] by name.
    """

    running: Bools
    action: npt.NDArray[Any]
    reward: Floats
    info: dict[str, Any]


def greedy_steps(policy: Any, envs: Any, obs: Any, lead: tuple[int, ...] | None = None) -> Iterator[Step]:
    """Steps with the policy's greedy actions until every sub-env has ended its first episode.

    Args:
        policy: has `predict`; or `acting_in(envs)`, which returns a policy that may query the envs.
        envs: a vector env that has been reset.
        obs: the observations of that reset [N, D].
        lead: leading shape in which the policy takes observations, such as (S, K) of N = S * K; (N,) unless given.
    """
    acting = policy.acting_in(envs) if hasattr(policy, "acting_in") else policy
    lead = lead or (envs.num_envs,)
    masks = _masks(acting, envs)
    running, starts, state = np.ones(envs.num_envs, np.bool_), np.ones(lead, np.bool_), None
    while running.any():
        seen = obs if isinstance(obs, dict) else obs.reshape(*lead, *obs.shape[1:])  # [*lead, D]
        action, state = acting.predict(seen, state=state, episode_start=starts, deterministic=True, **masks())
        action = np.asarray(action).reshape(envs.action_space.shape)
        obs, reward, terminated, truncated, info = envs.step(action)
        yield Step(running, action, reward, info)
        ended = terminated | truncated
        running, starts = running & ~ended, ended.reshape(lead)


def _masks(policy: Any, envs: Any) -> Any:
    """A function that returns the keyword ``action_masks`` for a policy that takes them."""
    masked = hasattr(envs.unwrapped, "action_masks") and envs.action_space.dtype.kind == "i" and takes_masks(policy)
    return (lambda: {"action_masks": envs.unwrapped.action_masks()}) if masked else dict
