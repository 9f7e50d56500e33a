"""Work done before a clock runs: what is compiled at its first call is compiled then, and no rate includes it."""

from __future__ import annotations

from typing import Any


def warm_up(kind: Any, env: Any, n_envs: int = 1, **hyperparameters: Any) -> int:
    """Trains one seed of an agent as far as a few updates, and returns how many steps it took.

    Args:
        kind: the agent's class.
        env: as the agent takes it, with a spec.
        n_envs: per seed.
        hyperparameters: of the training to come; only when learning starts is brought forward.
    """
    config = kind.Config(**hyperparameters)
    first = max(getattr(config, "batch_size", None) or 1, n_envs * getattr(config, "n_steps", 1))
    options = dict(hyperparameters)
    if hasattr(config, "learning_starts"):
        options["learning_starts"] = min(config.learning_starts, first)
    agent = kind(env, seeds=1, n_envs=n_envs, device="cpu", **options)
    agent.learn(2 * first + 64 * n_envs)
    return int(agent.num_timesteps)
