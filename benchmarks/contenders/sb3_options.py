"""Our hyperparameters translated to Stable-Baselines3's."""

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
    """All of our hyperparameters by SB3's names.

    Raises:
        ValueError: one that SB3 lacks is not at its default.
    """
    from torch import nn

    options = dict(hyperparameters)
    policy: dict[str, Any] = {"net_arch": list(options.pop("net_arch"))}
    if algorithm == "DQN":
        policy["optimizer_kwargs"] = {"eps": options.pop("adam_eps")}
    else:
        policy["activation_fn"] = {"tanh": nn.Tanh, "relu": nn.ReLU}[options.pop("activation")]
        policy["log_std_init"] = options.pop("log_std_init")
    known = inspect.signature(sb3.algorithm_class(algorithm)).parameters
    default = asdict(agent_class(algorithm).Config())
    for name in [name for name in options if name not in known]:
        if options.pop(name) != default[name]:
            raise ValueError(f"{name} must be {default[name]!r}: Stable-Baselines3 has no such option")
    return {**with_schedules(options), "policy_kwargs": policy}


def with_schedules(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with a schedule in place of each string "lin_<start>"."""
    return {
        name: Linear(float(value[4:])) if isinstance(value, str) and value.startswith("lin_") else value
        for name, value in options.items()
    }
