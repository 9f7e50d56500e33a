"""The meaning of an env's observations and actions, kept by an agent so that it refuses envs with another one.

An env can describe it in an attribute `meaning`, a dict of plain JSON; of other envs only the spaces are compared.
"""

import json
from typing import Any

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv

from agents.common.checks import short
from agents.envs.seed_envs import SeedEnvs, Spaces

Meaning = dict[str, Any]


def meaning_of(envs: VectorEnv[Any, Any, Any]) -> Meaning | None:
    """The meaning that the envs declare, and the wrappers that change observations or actions; None if undeclared.

    Raises:
        TypeError: If `meaning` is a dict, but not plain JSON.
    """
    single: Any = envs.envs[0] if isinstance(envs, SyncVectorEnv) else envs.unwrapped
    try:
        found = single.get_wrapper_attr("meaning") if isinstance(single, gym.Env) else single.meaning
    except AttributeError:
        return None
    if not isinstance(found, dict):
        return None
    try:
        plain: Meaning = json.loads(json.dumps(found))
    except (TypeError, ValueError) as error:
        raise TypeError(f"env.meaning must be plain JSON: {error}") from error
    return {**plain, "wrappers": _changing(single)}


def _changing(env: Any) -> list[str]:
    """Names of the wrappers that change observations or actions, outermost first."""
    names = []
    while isinstance(env, gym.Wrapper):
        if isinstance(env, gym.ObservationWrapper | gym.ActionWrapper):
            names.append(type(env).__name__)
        env = env.env
    return names


def check_fits(envs: SeedEnvs, spaces: Spaces, learnt: Meaning | None) -> None:
    """Checks that an agent can act in these envs.

    Args:
        envs: The envs.
        spaces: The spaces that the agent was made for.
        learnt: The meaning that it learnt with; None to compare the spaces only.

    Raises:
        ValueError: If the spaces or the meaning are others.
    """
    if envs.spaces != spaces:
        raise ValueError(f"env has {envs.spaces}, but the agent was made for {spaces}")
    check_meaning(learnt, meaning_of(envs.vector_env))


def check_meaning(learnt: Meaning | None, present: Meaning | None) -> None:
    """Checks that an env has the meaning that the agent learnt with; passes if `learnt` is None.

    Raises:
        ValueError: Naming the first key that differs, and both values.
    """
    if learnt is None:
        return
    if present is None:
        raise ValueError(
            f"env does not say what its observations mean, but the agent learnt in one with {_few(learnt)}{_ANYWAY}"
        )
    for key in [*learnt, *(key for key in present if key not in learnt)]:
        theirs, ours = present.get(key), learnt.get(key)
        if theirs != ours:
            where, theirs, ours = _first_difference(key, theirs, ours)
            raise ValueError(
                f"env has {where}={short(theirs)}, but the agent learnt with {where}={short(ours)}{_ANYWAY}"
            )


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


def _few(meaning: Meaning) -> str:
    return short(", ".join(f"{key}={short(value)}" for key, value in meaning.items()))
