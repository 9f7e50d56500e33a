"""Checks of the arguments of ``reset`` and ``step``; vector envs take those of SyncVectorEnv. N = num_envs."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode

from trading_env._checks import brief, integer

Bools = npt.NDArray[np.bool_]


def check_options(options: Mapping[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """Options of ``reset`` as a dict; ValueError names unknown ones."""
    if options is not None and not isinstance(options, Mapping):
        raise TypeError(f"reset options must be a dict, got {brief(options)}")
    options = dict(options or {})
    unknown = sorted(set(options) - set(known), key=repr)
    if unknown:
        raise ValueError(f"reset options {unknown} are unknown; known are {list(known)}")
    return options


def discrete_action(action: Any, n: int) -> int:
    """A discrete action as an index in [0, n); bools of Python, NumPy and torch are refused."""
    try:
        index = operator.index(action)
    except TypeError:
        index = None
    if index is None or isinstance(action, bool) or str(getattr(action, "dtype", "")).endswith("bool"):
        raise TypeError(f"action must be an integer, got {brief(action)}")
    if not 0 <= index < n:
        raise ValueError(f"action must be in [0, {n - 1}], got {brief(action)}")
    return index


def continuous_action(action: Any, least: float) -> float:
    """A continuous action of one env (1,), in [least, 1], as a float."""
    if not isinstance(action, np.ndarray) or action.dtype.kind != "f" or action.shape != (1,):
        raise TypeError(f"action must be a float array of shape (1,), got {brief(action)}")
    if not least <= action[0] <= 1.0:  # NaN is wrong too
        raise ValueError(f"action must be in [{least:g}, 1], got {action[0]}")
    return float(action[0])


def as_array(actions: Any, name: str = "actions") -> Any:
    """Actions as a plain array.

    Raises:
        TypeError: they are masked, or a tensor that NumPy cannot read because it requires grad or is on a GPU.
        ValueError: they are rows of different lengths.
    """
    if isinstance(actions, np.ma.MaskedArray):
        raise TypeError(f"{name} must be a plain array, got a masked one: {actions!r}")
    try:
        return np.asarray(actions)
    except ValueError as error:
        raise ValueError(f"{name} must be an array, got rows of different lengths: {actions!r}") from error
    except (TypeError, RuntimeError) as error:  # torch's message names no argument
        raise TypeError(f"{name} must be an array that NumPy can read, got {brief(actions)}: {error}") from error


def reset_mask(mask: Any, n: int, begun: bool | Bools) -> Bools:
    """The sub-envs to reset, bool (N,); all where ``mask`` is None.

    Args:
        mask: ``options["reset_mask"]``.
        n: N.
        begun: sub-envs that have been reset before; one for all, or (N,).

    Raises:
        TypeError: the mask is not an array of bools.
        ValueError: its shape is not (N,), it has no True, or it leaves out a sub-env that was never reset.
    """
    if mask is None:
        mask = np.ones(n, np.bool_)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(f"options['reset_mask'] must be a bool array ({n},), got {brief(mask)}")
    if mask.shape != (n,):
        raise ValueError(f"options['reset_mask'] must be a bool array ({n},), got shape {mask.shape}: {mask!r}")
    if not (mask | begun).all():
        raise ValueError(f"options['reset_mask'] leaves out a sub-env that was never reset, got {brief(mask)}")
    if not mask.any():
        raise ValueError("options['reset_mask'] must have a True, got all False")
    return mask


def per_env(name: str, options: Mapping[str, Any], n: int) -> list[Any]:
    """Values of the option (N,), given as one for all sub-envs or as an array.

    Raises:
        ValueError: there are not N values.
    """
    value: Any = options.get(name)
    try:
        alone = np.ndim(value) == 0
    except ValueError as error:  # lists of different lengths
        raise ValueError(f"options[{name!r}] must be one value or an array, got {brief(value)}") from error
    if alone:
        return [value] * n
    if len(value) != n:
        raise ValueError(f"options[{name!r}] must have length {n}, got {len(value)}")
    return list(value)


def sub_env_seeds(seed: Any, n: int) -> list[int | None]:
    """The seed of each sub-env (N,): seed + i, seed[i], or None to continue its stream.

    Raises:
        TypeError: a seed is not an integer.
        ValueError: a seed is negative, or there are not N of them.
    """
    if seed is None:
        return [None] * n
    alone = seed.ndim == 0 if isinstance(seed, np.ndarray) else not isinstance(seed, Sequence)
    if isinstance(seed, (int, np.integer, str, bytes)) or alone:
        return [integer("seed", seed, 0) + j for j in range(n)]
    if len(seed) != n:
        raise ValueError(f"seed must be an int or a list of length {n}, got length {len(seed)}")
    return [None if s is None else integer(f"seed[{j}]", s, 0) for j, s in enumerate(seed)]


def check_kind(actions: Any, kinds: str, wanted: str, shape: tuple[int, ...]) -> None:
    """Raises TypeError if the dtype of the actions is none of the kinds, ValueError if their shape differs."""
    error = TypeError if actions.dtype.kind not in kinds else ValueError if actions.shape != shape else None
    if error is not None:
        raise error(f"actions must be {wanted}, got {actions.dtype} {actions.shape}")


def autoreset_mode_of(mode: AutoresetMode | str) -> AutoresetMode:
    """The AutoresetMode, given as such, by name (NEXT_STEP) or by value (NextStep)."""
    if isinstance(mode, AutoresetMode):
        return mode
    for known in AutoresetMode:
        if isinstance(mode, str) and mode.lower() in (known.name.lower(), known.value.lower()):
            return known
    raise ValueError(f"autoreset_mode must be one of {[m.name for m in AutoresetMode]}, got {brief(mode)}")


def refuse_drawing(render_mode: Any) -> None:
    """ValueError if a vector env has a render_mode."""
    if render_mode is not None:
        raise ValueError(
            f"render_mode must be None for the vector env, which draws nothing, got {brief(render_mode)}; "
            f"gym.make_vec(..., vectorization_mode='sync', render_mode='rgb_array') draws each sub-env"
        )
