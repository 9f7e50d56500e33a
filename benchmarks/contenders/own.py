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
import time
from collections.abc import Callable
from typing import Any, cast

from benchmarks.contenders.setup import Row, Setup

ARGUMENTS = ("train", "validation", "keywords", "seeds")
Make = Callable[..., Any]
VALIDATION = 250  # bars, or a quarter of the training period if that is less


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


def row(name: str, make: Make, setup: Setup) -> Row:
    """The test of the policy that the function makes.

    Raises:
        ValueError, TypeError: it is no policy, or cannot act in the env; the message names the contender.
    """
    bars = len(setup.train) - setup.train.first
    train, validation = setup.train.split(1.0 - min(VALIDATION, bars // 4) / bars)
    start = time.perf_counter()
    policy = make(train, validation, dict(setup.keywords), tuple(range(setup.settings.seeds)))
    seconds = time.perf_counter() - start
    try:
        return Row(setup.tested(policy), seconds=seconds)
    except (TypeError, ValueError) as error:
        raise type(error)(f"contender {name!r}: {error}") from error
