"""Functions by name: what a file keeps of the function that made a network, and how one is found again.

Nothing is imported because a file says so: a file's name is only compared with the function that a user passes, or with
a name that a user writes.
"""

import functools
import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

from agents.common.checks import short

Named = dict[str, Any]
"""`name` "module:function", or None if it has none by which it could be imported; `arguments`, its keywords."""


def as_function(network: Any) -> Callable[..., Any]:
    """The function itself, or the one that a text "module:function" names, which is imported.

    Raises:
        TypeError: If it is neither.
        ValueError: If there is no such function.
    """
    if isinstance(network, str):
        module, _, name = network.partition(":")
        try:
            found: Any = functools.reduce(getattr, name.split("."), import_module(module))
        except (ImportError, AttributeError, ValueError) as error:
            raise ValueError(f'network must be "module:function", got {network!r}: {error}') from error
        network = found
    if not callable(network):
        raise TypeError(f'network must be a function of (obs_size, n_out), or "module:function", got {network!r}')
    return cast(Callable[..., Any], network)


def described(network: Callable[..., Any] | None) -> Named | None:
    """The name and keyword arguments of a function, of `functools.partial` too."""
    if network is None:
        return None
    arguments: dict[str, Any] = {}
    while isinstance(network, functools.partial):
        if network.args:
            return {"name": None, "arguments": {}}
        arguments, network = {**network.keywords, **arguments}, network.func
    plain = {key: _name(value) if callable(value) else value for key, value in arguments.items()}
    try:
        return {"name": _name(network), "arguments": json.loads(json.dumps(plain))}
    except (TypeError, ValueError):
        return {"name": None, "arguments": {}}


def check_same(given: Callable[..., Any] | None, stored: Named | None) -> None:
    """Checks the function passed to `load` against what the file says; a function without a name passes.

    Raises:
        ValueError: If it is missing, unexpected, another function, or has other arguments.
    """
    if stored is None:
        if given is not None:
            raise ValueError(f"network must be None: the agent was made without one, got {given!r}")
        return
    if given is None:
        raise ValueError(
            f"network is missing: the agent was made with {_shown(stored)}, pass it, load(..., network=...)"
        )
    mine = described(given)
    if mine is None or not (mine["name"] and stored["name"]):
        return
    if (_last(mine["name"]), mine["arguments"]) != (_last(stored["name"]), stored["arguments"]):
        raise ValueError(f"network must be {_shown(stored)} as the agent was made with, got {_shown(mine)}")


def check_named(stored: Any) -> None:
    """Checks what a file says of a network; TypeError if it is nothing that `described` gives."""
    fits = isinstance(stored, dict) and stored.keys() == {"name", "arguments"} and isinstance(stored["arguments"], dict)
    if stored is not None and not (fits and isinstance(stored["name"], str | None)):
        raise TypeError(f"network must be an object of name and arguments, or null, got {short(stored)}")


def _name(function: Any) -> str | None:
    """The text "module:function", if the function can be imported by that from another program."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    if not module or module == "__main__" or "<" in name or not name:
        return None
    return f"{module}:{name}"


def _last(name: str) -> str:
    """The name without its module, which may have moved."""
    return name.partition(":")[2]


def _shown(stored: Named) -> str:
    if not stored["name"]:
        return "a function without a name"
    return short(f"{stored['name']}({', '.join(f'{key}={value!r}' for key, value in stored['arguments'].items())})")
