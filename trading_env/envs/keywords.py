"""EnvConfig as ``**keywords`` of other callables: shown in their signatures, unknown names refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from trading_env._checks import brief, did_you_mean
from trading_env.config import Costs, Margin
from trading_env.envs.config import EnvConfig

F = TypeVar("F", bound=Callable[..., Any])

_PARAMETERS = dict(inspect.signature(EnvConfig).parameters)

ELSEWHERE = {  # their names in gym-anytrading, Gym-Trading-Env, FinRL and gym.make
    "df": "data",
    "ticker": "data",
    "window_size": "window",
    "windows": "window",
    "positions": "actions",
    "reward_function": "reward",
    "initial_amount": "initial_cash",
    "initial_balance": "initial_cash",
    "portfolio_initial_value": "initial_cash",
    "max_episode_duration": "episode_length",
    "max_episode_steps": "episode_length",
}
_COSTS = ("trading_fees", "fee", "fees", "transaction_cost", "transaction_cost_pct", "buy_cost_pct", "sell_cost_pct")
INSIDE = {  # other names of fields of costs and margin: the mapping and the field
    **{field.name: ("costs", field.name) for field in fields(Costs)},
    **{field.name: ("margin", field.name) for field in fields(Margin)},
    **dict.fromkeys(_COSTS, ("costs", "commission")),
    "spread": ("costs", "half_spread"),
    "leverage": ("margin", "max_leverage"),
    "borrow_interest_rate": ("margin", "r_borrow"),
    "borrow_rate": ("margin", "r_borrow"),
    "interest_rate": ("margin", "r_cash"),
    "risk_free_rate": ("margin", "r_cash"),
}


def shows_keywords(function: F) -> F:
    """The function, with the fields of EnvConfig instead of ``**keywords`` in its signature."""
    return shows_keywords_of(EnvConfig)(function)


def shows_keywords_of(kind: type) -> Callable[[F], F]:
    """A decorator that shows the fields of a config instead of ``**keywords`` in a function's signature."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)
        own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
        shown = signature.replace(parameters=[*own, *inspect.signature(kind).parameters.values()])
        function.__signature__ = shown  # type: ignore[attr-defined]
        return function

    return decorate


def config_of(owner: Callable[..., Any], keywords: Mapping[str, Any]) -> EnvConfig:
    """The keywords as an EnvConfig; TypeError, naming the owner, where one is unknown."""
    check_known(owner, keywords, _PARAMETERS)
    return EnvConfig(**keywords)


def check_known(owner: Callable[..., Any], keywords: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises TypeError, naming the owner, for a keyword that is not known.

    The message starts like Python's own, on which callers rely: TorchRL's GymEnv then tries without ``frameskip``.
    """
    unknown = [name for name in keywords if name not in known]
    if unknown:
        name, accepted = unknown[0], list(inspect.signature(owner).parameters)
        text = f"{owner.__name__} got an unexpected keyword argument {name!r}{_here(name, keywords[name])}"
        raise TypeError(f"{text}; known are {accepted}{did_you_mean(name, accepted)}")


def _here(name: str, value: Any) -> str:
    """A hint in parentheses: the name used here for a keyword that other projects use; "" for other keywords."""
    if name in INSIDE:
        mapping, field = INSIDE[name]
        return f" (here it is {mapping}={{{field!r}: {brief(value, 40)}}})"
    return f" (here it is {ELSEWHERE[name]!r})" if name in ELSEWHERE else ""
