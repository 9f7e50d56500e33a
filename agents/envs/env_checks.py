"""Checks of user-made envs, with clear errors: one env returned twice, the API of the old `gym`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv

_GYMNASIUM = str(Path(gym.__file__).parent)
_OLD = "the API of gym before 0.26; Gymnasium's is"


def made_by(factory: Callable[[], Any]) -> Any:
    """The env that the factory makes; TypeError if it is not a single env."""
    env = factory()
    if isinstance(env, VectorEnv) or not (hasattr(env, "step") and hasattr(env, "reset")):
        raise TypeError(f"env must be a function that returns an env, but {factory} returned {env!r}")
    return env


def check_apart(envs: VectorEnv[Any, Any, Any], source: Any, others: VectorEnv[Any, Any, Any] | None = None) -> None:
    """Checks that all sub-envs are different objects, and none is one of `others`.

    Raises:
        ValueError: If one occurs twice: its runs would all step the same env.
    """
    taken = set() if others is None else {id(env) for env in _innermost(others)}
    for env in _innermost(envs):
        if id(env) in taken:
            raise ValueError(
                f"env must be a function that makes a new env at each call, but {source} returned the same object "
                f"again, {env}: its runs would all step that one"
            )
        taken.add(id(env))


def _innermost(envs: VectorEnv[Any, Any, Any]) -> Sequence[Any]:
    return [env.unwrapped for env in envs.envs] if isinstance(envs, SyncVectorEnv) else []


def named(error: Exception, envs: VectorEnv[Any, Any, Any], call: str) -> Exception | None:
    """A clearer error that names the env and its API, if Gymnasium failed to read what `call` returned; else None."""
    text = str(error)
    if not _raised_in_gymnasium(error.__traceback__) or not isinstance(envs, SyncVectorEnv):
        return None
    name = f"env {envs.envs[0].unwrapped}"
    if call == "step" and "values to unpack" in text:
        got = f"{name} must return 5 values from step(action): obs, reward, terminated, truncated, info"
        return ValueError(f"{got}. It returns 4, {_OLD} that" if "got 4" in text else f"{got} ({text})")
    if call == "reset" and "unexpected keyword argument" in text:
        return TypeError(f"{name} must take reset(seed=None, options=None), {_OLD} that ({text})")
    if call == "reset" and ("to unpack" in text or isinstance(error, AttributeError)):
        return ValueError(f"{name} must return 2 values from reset(), obs and info. One is {_OLD} that ({text})")
    return None


def _raised_in_gymnasium(trace: TracebackType | None) -> bool:
    """True if the error was raised in Gymnasium's own code."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename.startswith(_GYMNASIUM)
