"""How well agents do: returns of whole episodes. Axis letters: S seeds, N episodes, D observation."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from agents.envs import EnvLike, make_envs
from agents.validation import check_int

if TYPE_CHECKING:
    from agents.base import SeedAgent


def evaluate(
    agent: "SeedAgent", env: EnvLike, episodes: int = 100, deterministic: bool = True
) -> npt.NDArray[np.float64]:
    """Undiscounted returns of `episodes` episodes of every seed, [S, N].

    Each episode has an env of its own, seeded from the agent's seed but not as in training, so that short
    episodes are not counted more often than long ones. What an agent remembers goes from step to step.
    """
    seeds = agent.seeds
    envs = make_envs(env, seeds, check_int("episodes", episodes, 1), "evaluate", agent.envs_type)
    total = np.zeros((len(seeds), episodes))
    running, starts = np.ones(total.shape, np.bool_), np.ones(total.shape, np.bool_)
    obs, state = envs.reset(), None  # [S, N, D]
    lead = total.shape[len(seeds) == 1 :]
    while running.any():
        seen: Any = obs.reshape((*lead, *agent.spaces.obs_shape))
        action, state = agent.predict(seen, state, starts.reshape(lead), deterministic=deterministic)
        step = envs.step(action.reshape(*total.shape, *agent.spaces.action_shape) - agent.spaces.first_action)
        total += np.where(running, step.reward, 0.0)
        running &= ~step.ended
        obs, starts = step.obs, step.ended
    envs.vector_env.close()
    return total
