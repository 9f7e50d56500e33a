"""Our hyperparameters by Stable-Baselines3's names, and texts of suites as its objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.contenders import sb3
from benchmarks.contenders.ours import agent_class


@dataclass(frozen=True)
class Linear:
    """A picklable schedule of Stable-Baselines3 that falls linearly to zero."""

    start: float

    def __call__(self, remaining: float) -> float:
        """The value where this fraction of training remains."""
        return self.start * remaining


def for_sb3(algorithm: str, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """All of our hyperparameters by SB3's names, as its objects.

    Raises:
        ValueError: one that SB3 lacks is not at its default.
    """
    return as_objects(named_for_sb3(algorithm, hyperparameters))


def named_for_sb3(algorithm: str, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """All of our hyperparameters by SB3's names, as numbers and texts, which a suite can hold.

    Raises:
        ValueError: one that SB3 lacks is not at its default.
    """
    options = dict(hyperparameters)
    policy: dict[str, Any] = {"net_arch": list(options.pop("net_arch"))}
    if algorithm == "DQN":
        policy["optimizer_kwargs"] = {"eps": options.pop("adam_eps")}
    elif "activation" in options:
        policy["activation_fn"] = options.pop("activation")
        policy["log_std_init"] = options.pop("log_std_init")
    known = inspect.signature(sb3.algorithm_class(algorithm)).parameters
    default = asdict(agent_class(algorithm).Config())
    for name in [name for name in options if name not in known]:
        if options.pop(name) != default[name]:
            raise ValueError(f"{name} must be {default[name]!r}: Stable-Baselines3 has no such option")
    return {**options, "policy_kwargs": policy}


def as_objects(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a schedule in place of each "lin_<start>", and the class of an activation in place of its name.

    Raises:
        ValueError: there is no such activation.
    """
    found = with_schedules(options)
    policy = found.get("policy_kwargs")
    if isinstance(policy, Mapping) and isinstance(policy.get("activation_fn"), str):
        found["policy_kwargs"] = {**policy, "activation_fn": _activation(policy["activation_fn"])}
    return found


def _activation(name: str) -> Any:
    """The class of torch.nn."""
    from torch import nn

    known = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU}
    if name.lower() not in known:
        raise ValueError(f"activation_fn must be one of {list(known)}, got {name!r}")
    return known[name.lower()]


def with_schedules(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a schedule in place of each string "lin_<start>"."""
    return {name: _schedule(name, value) for name, value in options.items()}


def _schedule(name: str, value: Any) -> Any:
    if not (isinstance(value, str) and value.startswith("lin_")):
        return value
    try:
        return Linear(float(value[4:]))
    except ValueError as error:
        raise ValueError(f"{name} must be a number, or lin_ and a number, got {value!r}") from error
