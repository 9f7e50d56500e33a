"""Envs in which learning curves are drawn, and the recipes that agents learn with there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from typing import Any

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

import agents


@dataclass(frozen=True)
class World:
    """An env to learn in.

    Attributes:
        env_id: its id.
        keywords: of the env.
        threshold: score that counts as solved.
        unit: of the score.
        optimal: True if scores are divided by the optimal policy's return on the same episodes.
    """

    env_id: str
    keywords: Mapping[str, Any]
    threshold: float
    unit: str
    optimal: bool = False

    def spec(self) -> EnvSpec:
        """The spec that copies of the env are made from."""
        found = gym.make(self.env_id, **self.keywords).spec
        assert found is not None
        return found


WORLDS = {
    "CartPole-v1": World("CartPole-v1", {}, 475.0, "return"),
    "regime": World(
        "trading_env:reference/RegimeObserved-v0",
        {"stay": 0.95, "step": 0.005, "sigma": 0.01, "episode_length": 200},
        0.95,
        "return / optimum",
        optimal=True,
    ),
}


@dataclass(frozen=True)
class Recipe:
    """Steps, envs per seed, and hyperparameters, the same for both sides; unnamed ones are the agents' defaults."""

    total_timesteps: int
    n_envs: int
    hyperparameters: Mapping[str, Any]


REGIME: dict[str, Recipe] = {
    "DQN": Recipe(
        20_000,
        1,
        {
            "learning_rate": "lin_1e-3",
            "gamma": 0.9,
            "batch_size": 64,
            "learning_starts": 500,
            "train_freq": 1,
            "target_update_interval": 200,
            "exploration_fraction": 0.5,
        },
    ),
    "A2C": Recipe(8_000, 8, {"learning_rate": "lin_1e-3", "gamma": 0.9, "normalize_advantage": True}),
    "PPO": Recipe(
        8_000,
        8,
        {"learning_rate": "lin_1e-3", "n_steps": 32, "batch_size": 64, "gamma": 0.9, "gae_lambda": 0.9},
    ),
}


CARTPOLE: dict[str, dict[str, Any]] = {
    "DQN": {"learning_rate": "lin_2e-3", "n_steps": 1, "gradient_steps": 1, "exploration_final_eps": 0.1},
}
"""Differences from the preset: one-step targets, with half the updates."""
MOST_STEPS = 100_000  # in CartPole, where A2C's preset has 500,000: use --budget-scale 5


def recipe_of(env: str, algorithm: str, budget_scale: float = 1.0, points: int = 1) -> Recipe:
    """The recipe of both sides, with all hyperparameters by our names.

    Args:
        env: a key of WORLDS.
        algorithm: name of the class.
        budget_scale: multiplies the steps.
        points: the least number of steps.
    """
    kind = getattr(agents, algorithm)
    if env == "regime":
        recipe = REGIME[algorithm]
        steps, n_envs, config = recipe.total_timesteps, recipe.n_envs, kind.Config(**recipe.hyperparameters)
    else:
        steps, config, n_envs = import_module(kind.__module__).PRESETS[env]
        steps, config = min(steps, MOST_STEPS), replace(config, **CARTPOLE.get(algorithm, {}))
    return Recipe(max(round(steps * budget_scale), points), n_envs, asdict(config))
