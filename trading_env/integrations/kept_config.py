"""Models of Stable-Baselines3 that keep the configuration of their env in their own files."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

_HARMLESS = ("VecMonitor", "VecCheckNan", "VecVideoRecorder")  # wrappers that change neither observations nor actions


def keep_env_config(model: Any) -> Any:
    """The model, with its env's configuration as attribute ``env_config``, which its own ``save`` writes.

    `EnvConfig.of` reads it again, also from the loaded model:

        >>> model = keep_env_config(PPO("MlpPolicy", env)).learn(10_000)
        >>> model.save("my")
        >>> config = EnvConfig.of(PPO.load("my"))

    Raises:
        ValueError: the model has no env, or one that is no TradingEnv.
    """
    envs = model.get_env()
    try:
        config = None if envs is None else envs.get_attr("env_config")[0]
    except AttributeError:
        config = None
    if not isinstance(config, dict) or "keywords" not in config:
        raise ValueError(f"model must have a TradingEnv as its env, got {envs!r}")
    model.env_config = {**config, "meaning": {**config["meaning"], "wrappers": _changing(envs)}}
    return model


def _changing(envs: Any) -> list[str]:
    """Names of the wrappers that change observations or actions, outermost first."""
    names = []
    while hasattr(envs, "venv"):
        names.append(type(envs).__name__)
        envs = envs.venv
    env = envs.envs[0] if hasattr(envs, "envs") and isinstance(envs.envs, list) else None
    while isinstance(env, gym.Wrapper):
        if isinstance(env, (gym.ObservationWrapper, gym.ActionWrapper)):
            names.append(type(env).__name__)
        env = env.env
    return [name for name in names if name not in _HARMLESS]
