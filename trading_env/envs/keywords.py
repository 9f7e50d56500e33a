"""EnvConfig as ``**keywords`` of other callables: shown in their signatures, unknown names refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from trading_env.envs.config import EnvConfig

F = TypeVar("F", bound=Callable[..., Any])

_PARAMETERS = dict(inspect.signature(EnvConfig).parameters)

ELSEWHERE = {  # their names in gym-anytrading, Gym-Trading-Env and gym.make
    "df": "data",
    "window_size": "window",
    "windows": "window",
    "positions": "actions",
    "trading_fees": "costs",
    "borrow_interest_rate": "margin",
    "reward_function": "reward",
    "portfolio_initial_value": "initial_cash",
    "max_episode_duration": "episode_length",
    "max_episode_steps": "episode_length",
}


def shows_keywords(function: F) -> F:
    """The function, with the fields of EnvConfig instead of ``**keywords`` in its signature."""
    signature = inspect.signature(function)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    shown = signature.replace(parameters=[*own, *_PARAMETERS.values()])
    function.__signature__ = shown  # type: ignore[attr-defined]
    return function


def config_of(owner: Callable[..., Any], keywords: Mapping[str, Any]) -> EnvConfig:
    """The keywords as an EnvConfig; TypeError, naming the owner, where one is unknown.

    The message starts like Python's own, on which callers rely: TorchRL's GymEnv then tries without ``frameskip``.
    """
    unknown = [name for name in keywords if name not in _PARAMETERS]
    if unknown:
        known = list(inspect.signature(owner).parameters)
        here = f" (here it is {ELSEWHERE[unknown[0]]!r})" if unknown[0] in ELSEWHERE else ""
        raise TypeError(f"{owner.__name__} got an unexpected keyword argument {unknown[0]!r}{here}; known are {known}")
    return EnvConfig(**keywords)
