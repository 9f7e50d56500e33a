"""Warm-up before a timing, so that no rate includes compilation."""

from __future__ import annotations

from typing import Any


def warm_up(kind: Any, env: Any, n_envs: int = 1, **hyperparameters: Any) -> int:
    """Trains one seed of an agent for a few updates, and returns the number of steps.

    Args:
        kind: the agent's class.
        env: as for the agent, with a spec.
        n_envs: per seed.
        hyperparameters: of the training to come; only learning_starts is reduced.
    """
    config = kind.Config(**hyperparameters)
    first = max(getattr(config, "batch_size", None) or 1, n_envs * getattr(config, "n_steps", 1))
    options = dict(hyperparameters)
    if hasattr(config, "learning_starts"):
        options["learning_starts"] = min(config.learning_starts, first)
    agent = kind(env, seeds=1, n_envs=n_envs, device="cpu", **options)
    agent.learn(2 * first + 64 * n_envs)
    return int(agent.num_timesteps)
