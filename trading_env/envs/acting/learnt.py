"""Configurations of the envs that policies learnt in: a policy may keep one as ``env_config``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from trading_env._checks import brief
from trading_env.envs.config import EnvConfig
from trading_env.envs.declaration import meaning
from trading_env.envs.keywords import config_of
from trading_env.envs.task import Task

Config = EnvConfig | Mapping[str, Any] | None


def config_for(
    owner: Callable[..., Any], policy: Any, config: Config, keywords: Mapping[str, Any], learnt: bool = True
) -> EnvConfig:
    """The config to act with: the given one, or else the one that the policy keeps, with the keywords changed.

    Args:
        owner: the function that was called, for messages.
        policy: a policy, or a list of policies, of which the first is read.
        config: of the call.
        keywords: of the call.
        learnt: False to leave out what the policy keeps.

    Raises:
        TypeError: config is neither an EnvConfig nor a mapping of its fields, or a keyword is unknown.
        ValueError: what the policy keeps cannot make its env again; see `EnvConfig.of`.
    """
    if config is not None and not isinstance(config, (EnvConfig, Mapping)):
        raise TypeError(f"config must be an EnvConfig or a mapping of its fields, got {brief(config)}")
    first = policy[0] if isinstance(policy, (list, tuple)) and policy else policy
    if config is None and learnt and _kept(first):
        asked = config_of(owner, keywords)
        config = EnvConfig.of(first, **{"reward": asked.reward, **keywords})
    own = vars(config) if isinstance(config, EnvConfig) else config or {}
    return config_of(owner, {**own, **keywords})


def check_learnt(policy: Any, task: Task) -> None:
    """Checks that observations and actions mean what they meant in training, if the policy keeps that.

    Raises:
        ValueError: naming the first thing that differs, and both values.
    """
    for part in policy if isinstance(policy, (list, tuple)) else [policy]:
        if not _kept(part):
            continue
        present = {**meaning(task), "wrappers": []}
        for name, value in part.env_config["meaning"].items():
            if present.get(name) != value:
                raise ValueError(
                    f"policy learnt with {name}={brief(value)}, but here it is {name}={brief(present.get(name))}; "
                    "check_env=False lets it act all the same"
                )


def _kept(policy: Any) -> bool:
    """True if the policy keeps the configuration of a TradingEnv."""
    kept = getattr(policy, "env_config", None)
    return isinstance(kept, Mapping) and isinstance(kept.get("meaning"), Mapping) and "keywords" in kept
