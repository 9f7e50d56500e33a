"""Env specs with keywords that JSON cannot hold: they can make the env again, and name what cannot be written."""

from __future__ import annotations

import copy
import enum
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from gymnasium.envs.registration import EnvSpec

from trading_env._checks import brief
from trading_env.config import Costs, Margin
from trading_env.envs.rewards import ParametricReward

INSTEAD = {
    "data": "the name of a dataset or the path of a file (a DataFrame's to_parquet or to_csv makes one)",
    "features": "'default' or names of columns",
    "scaler": "its to_dict()",
    "reward": "one of the names",
    "actions": "a name or a list of numbers",
    "autoreset_mode": "its name",
}

Parameters = Costs | Margin | ParametricReward  # dataclasses, written to JSON as mappings of their fields


class KeptSpec(EnvSpec):
    """An EnvSpec with keywords that JSON cannot hold."""

    def to_json(self) -> str:
        """The spec as JSON.

        Raises:
            TypeError: a keyword cannot be written; the message names it, and what to give instead.
        """
        check_json(f"the spec of {self.id}", self.kwargs)
        return super().to_json()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EnvSpec):
            return NotImplemented
        names = [field.name for field in fields(self) if field.compare]
        return [getattr(self, name) for name in names] == [getattr(other, name) for name in names]

    __hash__ = None  # type: ignore[assignment]  # like EnvSpec


class HasSpec:
    """Base of an env whose ``spec`` names the keywords that cannot be written to JSON."""

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """The spec from which `gym.make` or `gym.make_vec` made the env; None otherwise."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if type(spec) is EnvSpec and not all(fits_json(value) for value in spec.kwargs.values()):
            spec = copy.copy(spec)
            spec.__class__ = KeptSpec
        self._spec = spec


def check_json(owner: str, keywords: Mapping[str, Any]) -> None:
    """Raises TypeError, naming the keyword and what to give instead, unless JSON can hold all of them."""
    for name, value in keywords.items():
        if not fits_json(value):
            instead = INSTEAD.get(name, "a plain number, text, list or dict")
            raise TypeError(
                f"{owner} cannot be written to JSON with {name}={brief(value)} "
                f"({type(value).__name__}): give {instead} as {name}"
            )


def fits_json(value: Any) -> bool:
    """True if JSON can hold the value, and the env accepts it when it is read back."""
    if isinstance(value, Parameters):
        return True
    if isinstance(value, (list, tuple)):
        return all(fits_json(part) for part in value)
    if isinstance(value, Mapping):
        return isinstance(value, dict) and all(isinstance(k, str) and fits_json(v) for k, v in value.items())
    return value is None or (isinstance(value, (str, int, float, bool)) and not isinstance(value, enum.Enum))
