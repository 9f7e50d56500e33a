"""Policies: everything that chooses actions, behind one interface. K = runs, T = bars, D = observation, A = actions.

`as_policy` accepts:

    an object with `predict`   such as Stable-Baselines3's models and our agents; its ``len``, if it has one, is K
    a strategy                 a function whose first parameter is called ``market``: Market -> target exposures (T,)
    any other function         observation -> action
    a list of them             one run each
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import numpy as np

from trading_env._checks import brief
from trading_env.data.market import Market
from trading_env.envs.acting.strategy_policy import StrategyPolicy


class Policy(Protocol):
    """Anything with the `predict` of Stable-Baselines3."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions (K,) for observations (K, D), and the state for the next call."""


class PerSeed:
    """K policies of one run each, acting as one: policy k acts on row k of the observations."""

    def __init__(self, policies: Sequence[Any]) -> None:
        self.policies = list(policies)

    def __len__(self) -> int:
        return len(self.policies)

    def __getitem__(self, k: int) -> Any:
        return self.policies[k]

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
        action_masks: Any = None,
    ) -> tuple[Any, Any]:
        """Actions (K,) of the policies, each for its own observation, and their states."""
        states = [None] * len(self) if state is None else state
        actions, after = [], []
        for k, policy in enumerate(self.policies):
            start = None if episode_start is None else episode_start[k : k + 1]
            mask = {"action_masks": action_masks[k : k + 1]} if action_masks is not None and takes_masks(policy) else {}
            action, next_state = policy.predict(
                _rows(observation, slice(k, k + 1)), states[k], start, deterministic, **mask
            )
            actions.append(action[0])
            after.append(next_state)
        return np.stack(actions), after


class FunctionPolicy:
    """A function of one observation, with `predict`."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.function = function

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions (K,) for observations (K, D), and the state as it was given: there is none."""
        first = next(iter(observation.values())) if isinstance(observation, dict) else observation
        return np.stack([np.asarray(self.function(_rows(observation, k))) for k in range(len(first))]), state


def as_policy(policy: Any, env: Any) -> tuple[Any, int]:
    """The policy as an object with `predict` that acts in the env, and the number K of its runs.

    Args:
        policy: as described in the module; or an object with `acting_in(envs)`, which returns a policy that may query
            the envs.
        env: the TradingEnv or TradingVectorEnv in which a strategy is to trade, with one dataset.

    Raises:
        TypeError: it is none of these.
        ValueError: an empty list, one with a policy of several runs, or a strategy that the actions cannot follow.
    """
    if isinstance(policy, (list, tuple)):
        return _several(policy, env)
    if not isinstance(policy, type):
        if hasattr(policy, "predict") or hasattr(policy, "acting_in"):
            return policy, len(policy) if hasattr(policy, "__len__") else 1
        if is_strategy(policy):
            return StrategyPolicy(policy(env.unwrapped.task.markets[0]), env), 1
        if callable(policy):
            return FunctionPolicy(policy), 1
    raise TypeError(
        "policy must have predict, or be a strategy (market -> exposures), a function (observation -> action) or a "
        f"list of them, got {brief(policy)}"
    )


def _several(policies: Sequence[Any], env: Any) -> tuple[PerSeed, int]:
    """The policies as one, a run each."""
    made = [as_policy(policy, env) for policy in policies]
    if not made:
        raise ValueError("policy must not be an empty list")
    for k, (_, runs) in enumerate(made):
        if runs != 1:
            raise ValueError(f"policy[{k}] has {runs} runs: a list takes policies of one run each, such as agent[0]")
    return PerSeed([policy for policy, _ in made]), len(made)


def is_strategy(policy: Any) -> bool:
    """True for a function whose first parameter is called ``market``."""
    return first_parameter(policy) == "market"


def first_parameter(policy: Any) -> str | None:
    """The name of a function's first parameter; None for objects with `predict`, classes and builtins."""
    if hasattr(policy, "predict") or not callable(policy) or isinstance(policy, type):
        return None
    try:
        return next(iter(inspect.signature(policy).parameters), None)
    except (TypeError, ValueError):  # a builtin
        return None


def actions_for_strategies(policy: Any, market: Market) -> dict[str, Any]:
    """The keyword ``actions`` with which an env can follow the strategies in the policy; {} where the default can."""
    parts = policy if isinstance(policy, (list, tuple)) else [policy]
    exposures = [np.asarray(part(market)) for part in parts if is_strategy(part)]
    return {} if all(np.isin(each, (0.0, 1.0)).all() for each in exposures) else {"actions": "continuous"}


def takes_masks(policy: Any) -> bool:
    """True if `predict` has the parameter ``action_masks``, as sb3-contrib's MaskablePPO."""
    return "action_masks" in inspect.signature(policy.predict).parameters


@contextmanager
def looking_at(policy: Any, env: Any) -> Iterator[None]:
    """Lets the features extractors of our agents read this env's table for the duration of a block.

    Raises:
        ValueError: a model of Stable-Baselines3 reads another table, which would show it other data.
    """
    with ExitStack() as stack:
        for part in policy.policies if isinstance(policy, PerSeed) else [policy]:
            features: Any = getattr(part, "features", None)
            if hasattr(features, "looking_at"):
                stack.enter_context(features.looking_at(env))
            options = getattr(part, "policy_kwargs", None) or {}
            table = getattr(options.get("features_extractor_kwargs", {}).get("windows"), "table", None)
            if table is not None and not np.array_equal(table, env.unwrapped.task.features, equal_nan=True):
                raise ValueError("policy reads other data: first call trading_env.sb3.look_at(policy, env)")
        yield


def _rows(observation: Any, rows: Any) -> Any:
    """These rows of a batch of observations."""
    if isinstance(observation, dict):
        return {key: values[rows] for key, values in observation.items()}
    return observation[rows]
