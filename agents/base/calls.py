"""The callbacks of `learn`: how they are given, when they are called, and what their answers mean."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

Callback = Callable[[Any], bool | np.bool_ | None]
"""Called with the agent after each step of its envs; returning False ends training."""
Callbacks = Callback | Sequence[Callback] | None
"""One callback, or several, each of which is called and can end training."""


def goes_on(answer: Any) -> bool:
    """False if a callback's answer is False; anything else lets training continue."""
    return not isinstance(answer, bool | np.bool_) or bool(answer)


def as_callbacks(callback: Callbacks) -> tuple[Callback, ...]:
    """The callbacks as a tuple: none, one, or several.

    Raises:
        TypeError: If one cannot be called, as Stable-Baselines3's cannot.
    """
    given = () if callback is None else tuple(callback) if isinstance(callback, list | tuple) else (callback,)
    for one in given:
        if not callable(one) or isinstance(one, type):
            raise TypeError(f"callback must be a function of the agent, or a list of such functions, got {one!r}")
    return given


def call_all(callbacks: Sequence[Callback], agent: Any) -> bool:
    """Calls every callback; False if one of them ends training."""
    answers = [callback(agent) for callback in callbacks]
    return all(map(goes_on, answers))


def next_call(callback: Callback, agent: Any, log_interval: int) -> int:
    """Timesteps at which a callback wants to be called next, where it is not called after each step.

    A callback with a method `next_call(agent)` decides by itself; others are called every `log_interval` steps.
    """
    if hasattr(callback, "next_call"):
        return int(max(callback.next_call(agent), agent.num_timesteps + 1))
    return int((agent.num_timesteps // log_interval + 1) * log_interval)


@contextmanager
def during_training(callbacks: Sequence[Callback]) -> Iterator[None]:
    """Enters `during_training()` of each callback that has it, to hold a lock on a file, say, while training runs."""
    with ExitStack() as stack:
        for callback in callbacks:
            if hasattr(callback, "during_training"):
                stack.enter_context(callback.during_training())
        yield
