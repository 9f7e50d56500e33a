"""The configuration of the env that an agent learnt in, kept with its weights so that another kind of env is refused.

An env can declare its configuration in an attribute `env_config`, a dict of plain JSON. Two of its keys count here:

- "meaning": what observations and actions mean. An env in which it differs is refused.
- "terms": what acting costs and how orders are filled. A warning says where they differ.

All else is kept as it is. A dict without "meaning" is no declaration, and of such envs only the spaces are compared.
"""

import json
import warnings
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv

from agents.common.checks import short
from agents.envs.seed_envs import EnvLike, SeedEnvs, Spaces, make_envs

EnvConfig = dict[str, Any]


def env_config_of(envs: VectorEnv[Any, Any, Any]) -> EnvConfig | None:
    """The configuration that the envs declare; None if they declare none.

    Wrappers that change observations or actions are added to its meaning.

    Raises:
        TypeError: If it is not plain JSON.
    """
    single: Any = envs.envs[0] if isinstance(envs, SyncVectorEnv) else envs.unwrapped
    try:
        found = single.get_wrapper_attr("env_config") if isinstance(single, gym.Env) else single.env_config
    except AttributeError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("meaning"), dict):
        return None
    try:
        plain: EnvConfig = json.loads(json.dumps(found))
    except (TypeError, ValueError) as error:
        raise TypeError(f"env.env_config must be plain JSON: {error}") from error
    return {**plain, "meaning": {**plain["meaning"], "wrappers": _changing(single)}}


def _changing(env: Any) -> list[str]:
    """Names of the wrappers that change observations or actions, outermost first."""
    names = []
    while isinstance(env, gym.Wrapper):
        if isinstance(env, gym.ObservationWrapper | gym.ActionWrapper):
            names.append(type(env).__name__)
        env = env.env
    return names


def single_envs(env: EnvLike | VectorEnv[Any, Any, Any], kind: type[SeedEnvs]) -> SeedEnvs:
    """Envs to compare with an agent's, which are not stepped: a given env itself, else a new one."""
    if isinstance(env, gym.Env):
        env = SyncVectorEnv([lambda one=env: one], autoreset_mode=kind.autoreset_mode)  # type: ignore[misc]
    if isinstance(env, VectorEnv):
        return kind(env, (0,), env.num_envs, "evaluate")
    return make_envs(env, (0,), 1, "evaluate", kind)


def check_fits(envs: SeedEnvs, spaces: Spaces, learnt: EnvConfig | None, warn: int = 0) -> None:
    """Checks that an agent can act in these envs.

    Args:
        envs: The envs.
        spaces: The spaces that the agent was made for.
        learnt: The configuration that it learnt with; None to compare the spaces only.
        warn: Stack level of the warning about other terms, counted from the caller; 0 for no warning.

    Raises:
        ValueError: If the spaces or the meaning are others.

    Warns:
        UserWarning: If the terms are others.
    """
    present = None if learnt is None else env_config_of(envs.vector_env)
    if learnt is not None and present is not None:
        check_meaning(learnt["meaning"], present["meaning"], _ANYWAY if envs.spaces == spaces else "")
    if envs.spaces != spaces:
        raise ValueError(f"env has {envs.spaces}, but the agent was made for {spaces}")
    if learnt is not None and present is None:
        raise ValueError(
            "env does not say what its observations mean, but the agent learnt in one with "
            f"{_few(learnt['meaning'])}{_ANYWAY}"
        )
    if learnt is not None and present is not None and warn:
        others = differences(learnt.get("terms", {}), present.get("terms", {}))
        if others:
            warnings.warn("; ".join(f"env has {words}" for words in others.values()), stacklevel=warn + 2)


def check_meaning(learnt: Mapping[str, Any], present: Mapping[str, Any], hint: str = "") -> None:
    """Checks that an env's observations and actions mean what those did that the agent learnt with.

    Raises:
        ValueError: Naming every key that differs, and both values of the first.
    """
    others = differences(learnt, present)
    if others:
        first, *more = others
        too = f" (also different: {', '.join(more)})" if more else ""
        raise ValueError(f"env has {others[first]}{too}{hint}")


def differences(learnt: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, str]:
    """Both values of each key that differs, in words: "window=8, but the agent learnt with window=4"."""
    found = {}
    for key in [*learnt, *(key for key in present if key not in learnt)]:
        theirs, ours = present.get(key), learnt.get(key)
        if theirs != ours:
            where, theirs, ours = _first_difference(key, theirs, ours)
            found[key] = f"{where}={short(theirs)}, but the agent learnt with {where}={short(ours)}"
    return found


_ANYWAY = "; check_env=False lets it act there all the same"


def _first_difference(where: str, one: Any, other: Any) -> tuple[str, Any, Any]:
    """The innermost part that differs: its path and both values; lists of different lengths count as a whole."""
    if isinstance(one, dict) and isinstance(other, dict):
        key = next((key for key in [*other, *one] if one.get(key) != other.get(key)), None)
        if key is not None:
            return _first_difference(f"{where}.{key}", one.get(key), other.get(key))
    if isinstance(one, list) and isinstance(other, list) and len(short(one)) + len(short(other)) > 120:
        i = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
        if i is not None:
            return _first_difference(f"{where}[{i}]", one[i], other[i])
        return f"len({where})", len(one), len(other)
    return where, one, other


def _few(meaning: Mapping[str, Any]) -> str:
    return short(", ".join(f"{key}={short(value)}" for key, value in meaning.items()))
