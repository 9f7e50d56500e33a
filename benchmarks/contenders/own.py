"""Contenders of a user: functions of one's own that make a policy, called "module:function" on the command line.

A function takes (train, validation, keywords, seeds) and returns the policy. ``train`` and ``validation`` are Markets,
the earlier and the later part of the training period; neither has a bar of the test period. ``keywords`` are those of
TradingEnv, with a scaler fitted on the training period. ``seeds`` are ints, a run each if the policy has any chance in
it. What comes back has the ``predict`` of Stable-Baselines3, or is a list of such policies, a run each: everything that
`trading_env.backtest` takes will do.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, cast

from trading_env._checks import brief

ARGUMENTS = ("train", "validation", "keywords", "seeds")
Make = Callable[..., Any]


def function_of(name: str) -> Make:
    """The function called "module:function".

    Raises:
        ValueError: there is no such module or function, or it does not take the four arguments.
    """
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise ValueError(f"contender must be module:function, got {name!r}")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"contender {name!r}: {error}") from error
    try:
        inspect.signature(found).bind(*ARGUMENTS)
    except (TypeError, ValueError) as error:
        raise ValueError(f"contender {name!r} must take {', '.join(ARGUMENTS)}: {error}") from error
    return cast(Make, found)


def made(name: str, *arguments: Any) -> Any:
    """What the function returns for the four arguments.

    Raises:
        TypeError: it is no policy; the message names the contender.
    """
    policy = function_of(name)(*arguments)
    parts = policy if isinstance(policy, (list, tuple)) and policy else [policy]
    if not all(hasattr(part, "predict") or callable(part) for part in parts):
        known = "an object with predict, or what backtest takes"
        raise TypeError(f"contender {name!r} must return {known}, got {brief(policy)}")
    return policy
