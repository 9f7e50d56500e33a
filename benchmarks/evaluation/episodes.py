"""Returns of whole episodes of any policy in any vector env. Axis letters: S runs, K episodes, D observation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env.envs.acting.greedy import greedy_steps
from trading_env.envs.acting.policies import Policy

Floats = npt.NDArray[np.float64]


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
