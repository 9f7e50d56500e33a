"""Checks of the facts in a file before anything is made from them: a file may come from anybody.

Axis letters: S seeds, N envs per seed.
"""

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from agents.common.checks import check_float, check_int, check_seeds, short

MOST_ACTIONS = 2**20
KEYS = ("config", "seeds", "n_envs", "spaces", "features_dim", "counters")
_BLOCK = 256  # numbers that random streams draw ahead
_MOST_DRAWN = 2**33  # bytes of numbers drawn ahead
_INT64 = 2**63


def check_facts(facts: Mapping[str, Any], config: type[Any], counters: Iterable[str]) -> None:
    """Checks that all facts are there and have the right types, apart from the spaces.

    Args:
        facts: The facts in the file.
        config: The class of the algorithm's configuration.
        counters: Names of its counters.

    Raises:
        TypeError: Naming the fact, if it has another type.
        ValueError: If it is missing, unknown, or out of range.
    """
    missing = [key for key in KEYS if key not in facts]
    if missing:
        raise ValueError(f"it says nothing of {', '.join(missing)}")
    check_keys("config", facts["config"], [field.name for field in dataclasses.fields(config)])
    if not isinstance(facts["seeds"], list):
        raise TypeError(f"seeds must be a list of ints, got {short(facts['seeds'])}")
    check_seeds(facts["seeds"])
    check_int("n_envs", facts["n_envs"], 1)
    if facts["features_dim"] is not None:
        check_int("features_dim", facts["features_dim"], 1)
    check_env_config(facts.get("env_config"))
    check_keys("counters", facts["counters"], counters)
    for name, value in facts["counters"].items():
        if name == "exploration_rate":
            check_float("counters.exploration_rate", value, 0.0, 1.0)
        else:
            check_int("counters." + name, value, 0, below=_INT64)
    if "training" in facts and not isinstance(facts["training"], dict):
        raise TypeError(f"training must be an object, got {short(facts['training'])}")


def check_env_config(config: Any) -> None:
    """Checks the configuration of an env that was read from a file, as far as it is used; None is one too."""
    if config is None:
        return
    parts = {"env_config": config}
    if isinstance(config, dict):
        parts |= {"env_config.meaning": config.get("meaning"), "env_config.terms": config.get("terms", {})}
    for name, part in parts.items():
        if not isinstance(part, dict):
            raise TypeError(f"{name} must be an object, got {short(part)}")


def check_keys(field: str, value: Any, names: Iterable[str]) -> None:
    """Checks that `value` is a dict with these keys and no others; TypeError or ValueError otherwise."""
    if not isinstance(value, dict):
        raise TypeError(f"{field} must be an object, got {short(value)}")
    if set(value) != (known := set(names)):
        missing, unknown = sorted(known - set(value)), sorted(set(value) - known)
        raise ValueError(f"{field} lacks {missing} and has {short(unknown)}, which is unknown")


def check_spaces(spaces: Any) -> None:
    """Checks the fields of `Spaces` that were read from a file.

    Raises:
        TypeError: Naming the fact, if it has another type.
        ValueError: If it is out of range.
    """
    for field in dataclasses.fields(spaces):
        name, value = f"spaces.{field.name}", getattr(spaces, field.name)
        if isinstance(value, tuple) != (field.name not in ("n_actions", "first_action")):
            raise TypeError(f"{name} must be {'an int' if isinstance(value, tuple) else 'a list'}, got {short(value)}")
        for number in value if isinstance(value, tuple) else ():
            if field.name in ("action_low", "action_high"):
                check_float(name, number, -math.inf)
            else:
                check_int(name, number, -_INT64 if field.name == "first_obs" else 1)
                check_int(name, abs(number), 0, below=_INT64)
    if check_int("spaces.n_actions", spaces.n_actions, 0) > MOST_ACTIONS:
        raise ValueError(f"spaces.n_actions must be at most {MOST_ACTIONS:,}, got {short(spaces.n_actions)}")
    check_int(
        "spaces.first_action", abs(check_int("spaces.first_action", spaces.first_action, -_INT64)), 0, below=2**62
    )
    _check_box(spaces)


def _check_box(spaces: Any) -> None:
    """Checks that actions are either Discrete or a Box with bounds for each component."""
    size, low, high = math.prod(spaces.action_shape), spaces.action_low, spaces.action_high
    if spaces.n_actions and (spaces.action_shape or low or high):
        raise ValueError("spaces.n_actions must be 0 where there are action_shape, action_low and action_high")
    if not spaces.n_actions and not (spaces.action_shape and len(low) == len(high) == size):
        raise ValueError(
            f"spaces.action_low and action_high must have {size} numbers each, as action_shape says and n_actions=0 "
            f"needs, got {len(low)} and {len(high)}"
        )
    if any(one > other for one, other in zip(low, high, strict=True)):
        raise ValueError("spaces.action_low must not be above action_high")


def check_arrays(arrays: Mapping[str, torch.Tensor], seeds: int, shapes: Iterable[tuple[int, ...]]) -> None:
    """Checks the weights before memory is allocated for them.

    Args:
        arrays: The arrays in the file.
        seeds: S.
        shapes: Last two axes of arrays that must exist by the facts.

    Raises:
        ValueError: If one is not of S seeds, holds a number that is not finite, or there is none of a shape.
    """
    learnt = {name: array for name, array in arrays.items() if not name.startswith("training.")}
    for name, array in learnt.items():
        if not array.ndim or len(array) != seeds:
            raise ValueError(f"seeds are {seeds}, but {name} has shape {tuple(array.shape)}")
    check_finite(learnt)
    there = {tuple(array.shape[-2:]) for name, array in learnt.items() if not name.endswith("bias")}
    for count, shape in enumerate(shapes):
        if shape not in there or count > len(learnt):
            raise ValueError(f"config, spaces and features_dim say that an array is {short(shape)}, and none is")


def check_finite(arrays: Mapping[str, torch.Tensor]) -> None:
    """Raises ValueError naming an array that holds a number that is not finite."""
    for name, array in arrays.items():
        if array.is_floating_point() and not bool(torch.isfinite(array).all()):
            raise ValueError(f"{name} must be finite, and holds NaN or an infinite number")


def check_room(config: Any, seeds: int, n_envs: int, width: int) -> None:
    """Checks that buffers of the declared sizes fit into this machine's memory.

    Args:
        config: The algorithm's configuration.
        seeds: S.
        n_envs: N.
        width: Numbers per stored step.

    Raises:
        ValueError: Naming the size that is too large.
    """
    sizes = {name: value for name in _SIZES if isinstance(value := getattr(config, name, 1), int)}
    rows = {
        "n_envs": n_envs,
        "n_steps": n_envs * sizes["n_steps"],
        "batch_size": sizes["batch_size"] * max(sizes["n_steps"], sizes["burn_in"] + sizes["sequence_length"]),
        "burn_in and sequence_length": sizes["batch_size"] * (sizes["burn_in"] + sizes["sequence_length"]),
    }
    for name, count in rows.items():
        if 4 * seeds * count * width > _memory():
            raise ValueError(f"{name} is too large: its buffers take more than this machine's memory")
    for name, count in (("batch_size", sizes["batch_size"]), ("n_envs", 2 * n_envs)):
        if 8 * _BLOCK * seeds * count > _MOST_DRAWN:
            raise ValueError(f"{name} is too large: random numbers for it take more than {_MOST_DRAWN:,} bytes")


_SIZES = ("n_steps", "batch_size", "burn_in", "sequence_length")


def _memory() -> int:
    """Bytes of memory of this machine; 2^63 if unknown."""
    if not hasattr(os, "sysconf"):
        return _INT64
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
