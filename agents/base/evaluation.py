"""Returns of whole episodes. Axis letters: S seeds, N episodes, D observation."""

import warnings
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import SyncVectorEnv

from agents.base.env_config import check_fits
from agents.base.learner import Learner
from agents.common.checks import check_flag, check_int
from agents.envs.env_checks import check_apart
from agents.envs.seed_envs import EnvLike, SeedEnvs, make_envs


def evaluate(
    agent: Learner,
    env: EnvLike,
    episodes: int = 100,
    deterministic: bool = True,
    max_steps: int | None = 10_000,
    check_env: bool = True,
) -> npt.NDArray[np.float64]:
    """Undiscounted returns of `episodes` episodes of every seed, [S, N].

    Each episode has an env of its own, seeded from the agent's seed but not as in training, so that short
    episodes are not counted more often than long ones. Recurrent state is carried from step to step. A features
    extractor with `look_at(env)` looks at this env for the time being, not at the one trained in.

    Args:
        agent: The agent, all of whose seeds act.
        env: As `env` of the agent.
        episodes: N.
        deterministic: Whether to act greedily.
        max_steps: Longest episode in steps; None for no limit. If the env has no limit either, an agent that goes in
            circles never ends one. A longer episode counts with its return so far, and a warning says so.
        check_env: Whether to refuse an env whose observations or actions have another meaning than those that the
            agent learnt with; TradingEnv declares its features, scaler, window and actions.

    Raises:
        ValueError: If the env has other spaces than the agent was made for, or they have another meaning.
    """
    return evaluate_episodes(agent, env, episodes, deterministic, max_steps, check_env)[0]


def evaluate_episodes(
    agent: Learner,
    env: EnvLike,
    episodes: int = 100,
    deterministic: bool = True,
    max_steps: int | None = 10_000,
    check_env: bool = True,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Returns of episodes as from `evaluate`, and their lengths, [S, N] each."""
    count = check_int("episodes", episodes, 1)
    limit = None if max_steps is None else check_int("max_steps", max_steps, 1)
    envs = make_envs(env, agent.seeds, count, "evaluate", agent.envs_type)
    if agent.get_env() is not None:
        check_apart(envs.vector_env, env, agent.get_env())  # nor the env it trains in
    try:
        check_fits(envs, agent.spaces, agent.env_config if check_flag("check_env", check_env) else None)
        with nullcontext() if agent.features is None else agent.features.looking_at(one_of(envs)):
            return _returns(agent, envs, (len(agent.seeds), count), deterministic, limit)
    finally:
        envs.vector_env.close()


def _returns(
    agent: Learner, envs: SeedEnvs, shape: tuple[int, int], deterministic: bool, limit: int | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Returns and lengths [S, N] of the first episode of each sub-env, of at most `limit` steps."""
    total, lengths = np.zeros(shape), np.zeros(shape, np.int64)
    running, starts = np.ones(shape, np.bool_), np.ones(shape, np.bool_)
    obs, state, steps = envs.reset(), None, 0  # [S, N, D]
    lead = shape[len(agent.seeds) == 1 :]
    while running.any():
        if steps == limit:
            left = f"{running.sum()} of {running.size} episodes"
            warnings.warn(f"{left} did not end in max_steps={limit} and count as they stand", stacklevel=4)
            break
        seen: Any = obs.reshape((*lead, *agent.spaces.obs_shape))
        action, state = agent.predict(seen, state, starts.reshape(lead), deterministic=deterministic)
        step = envs.step(action.reshape(*shape, *agent.spaces.action_shape) - agent.spaces.first_action)
        total += np.where(running, step.reward, 0.0)
        lengths += running
        running &= ~step.ended
        obs, starts, steps = step.obs, step.ended, steps + 1
    return total, lengths


def one_of(envs: SeedEnvs) -> Any:
    """The vector env, or one of its sub-envs if it is a `SyncVectorEnv`, which does not have their attributes."""
    vector = envs.vector_env
    return vector.envs[0] if isinstance(vector, SyncVectorEnv) else vector
