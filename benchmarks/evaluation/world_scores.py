"""Scores of policies in the worlds of learning curves, on the same greedy episodes for all. S seeds."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.episodes import episode_returns
from benchmarks.evaluation.stress import growth_of
from benchmarks.tasks.worlds import World

Floats = npt.NDArray[np.float64]
EVALUATION_SEED = 10_000  # of the first evaluation episode, the same for every agent


def world_scores(policy: Any, world: World, episodes: int, runs: int) -> Floats:
    """Mean scores [S] of greedy episodes, or growth on the unseen path, the same for every seed, policy and side."""
    if world.path is not None:
        return growth_of(policy, world.unseen(), **world.keywords)
    result = world_returns(policy, world, episodes, runs).mean(1)
    if world.optimal:
        env: Any = gym.make(world.env_id, **world.keywords).unwrapped
        result = result / world_returns(env.optimal_policy(), world, episodes, 1).mean()
    return result


def world_returns(policy: Any, world: World, episodes: int, runs: int) -> Floats:
    """Undiscounted returns [S, episodes]."""
    spec = world.spec()
    mode = "sync" if spec.max_episode_steps else "vector_entry_point"  # CartPole's own has one stream for all
    envs = gym.make_vec(spec, runs * episodes, mode)
    obs, _ = envs.reset(seed=[EVALUATION_SEED + e for _ in range(runs) for e in range(episodes)])
    returns, _ = episode_returns(policy, envs, obs, runs)
    envs.close()
    return returns
