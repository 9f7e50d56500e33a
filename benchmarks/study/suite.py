"""Suites: a study as data. A TOML file or a `Suite` says what is trained on which markets, and how it is tested."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.contenders.named import Contender
from benchmarks.study.folds import Plan
from benchmarks.tasks.checks import check_distinct, check_name
from trading_env import EnvConfig
from trading_env._checks import brief, flag, integer

BUILT_IN = Path(__file__).parents[1] / "suites"


class SuiteError(ValueError):
    """A suite is wrong; the message names file and key."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A study: contenders on datasets, walk-forward.

    Attributes:
        name: names the folder of its results.
        data: datasets, as `trading_env.load` takes them.
        contenders: what is compared; names are unique.
        walk_forward: the folds of each dataset.
        env: keywords of TradingEnv, for training and test.
        seeds: seeds 0..n-1 of each contender that learns.
        block: seeds per job; results of a seed depend on it in the last digits of float32.
        episode_length: bars of a training episode, which starts at a random bar.
        points: scores on the validation stretch during each training.
        scale: whether features are scaled, by the training stretch of each fold.
        benchmark: the contender with which the others are compared.
    """

    name: str
    data: tuple[str, ...]
    contenders: tuple[Contender, ...]
    walk_forward: Plan = field(default_factory=Plan)
    env: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 5
    block: int = 20
    episode_length: int = 250
    points: int = 4
    scale: bool = True
    benchmark: str = "buy_and_hold"

    def __post_init__(self) -> None:
        check_name(self.name)
        for name, most in (("seeds", 10_000), ("block", 10_000), ("episode_length", None), ("points", 1_000)):
            integer(name, getattr(self, name), 1, most)
        flag("scale", self.scale)
        check_distinct("data", self.data)
        names = [contender.name for contender in self.contenders]
        check_distinct("contenders", names)
        if self.benchmark not in names:
            raise ValueError(f"benchmark must be one of the contenders {names}, got {self.benchmark!r}")
        taken = {"scaler", "random_start", "episode_length", "bars_per_year"} & set(self.env)
        if taken:
            raise ValueError(f"env must not have {sorted(taken)}: the suite sets them")
        EnvConfig(**self.env)

    @cached_property
    def purge(self) -> int:
        """Bars between the stretches of a fold."""
        return EnvConfig(**self.env).window + self.walk_forward.horizon

    def contender(self, name: str) -> Contender:
        """The contender of that name."""
        return next(one for one in self.contenders if one.name == name)

    def description(self) -> dict[str, Any]:
        """Everything that results depend on, as JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, suite: str | Path) -> Suite:
        """A built-in suite by name, or the one in a TOML file.

        Raises:
            SuiteError: there is none, or a key is missing, unknown or wrong; the message names file and key.
        """
        path = path_of(suite)
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SuiteError(f"{path}: {error}") from error
        try:
            return cls._of(found)
        except (TypeError, ValueError) as error:
            raise SuiteError(f"{path}: {error}") from error

    @classmethod
    def kept(cls, folder: Path) -> Suite:
        """The suite of the study in this folder, as `run` keeps it in suite.json.

        Raises:
            SuiteError: there is none, or it is damaged.
        """
        path = folder / "suite.json"
        try:
            return cls._of(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise SuiteError(f"{path}: {error}") from error

    @classmethod
    def _of(cls, found: Mapping[str, Any]) -> Suite:
        _known("the suite", found, cls)
        missing = {"name", "data", "contenders"} - set(found)
        if missing:
            raise ValueError(f"the suite has no {sorted(missing)}")
        plan, entries = found.get("walk_forward", {}), found["contenders"]
        _known("walk_forward", plan, Plan)
        if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping) for entry in entries):
            raise ValueError("contenders must be tables [[contenders]]")
        if not isinstance(found["data"], list) or not all(isinstance(name, str) for name in found["data"]):
            raise ValueError(f"data must be a list of names, got {brief(found['data'])}")
        if not isinstance(keywords := found.get("env", {}), Mapping):
            raise ValueError(f"env must be a table, got {brief(keywords)}")
        contenders = tuple(Contender.of(i, entry) for i, entry in enumerate(entries))
        env = {key: tuple(value) if isinstance(value, list) else value for key, value in keywords.items()}
        parts = {"data": tuple(found["data"]), "contenders": contenders, "walk_forward": Plan(**plan), "env": env}
        return cls(**{**found, **parts})


def path_of(suite: str | Path) -> Path:
    """The file of a built-in suite, or the path itself; SuiteError if there is no such file."""
    path = Path(suite)
    if path.suffix != ".toml":
        path = BUILT_IN / f"{suite}.toml"
        if not path.exists():
            names = ", ".join(built_in())
            raise SuiteError(f"no suite {str(suite)!r}: give a .toml file, or one of {names}")
    return path


def built_in() -> list[str]:
    """Names of the built-in suites."""
    return sorted(path.stem for path in BUILT_IN.glob("*.toml"))


def _known(what: str, found: Any, kind: Any) -> None:
    """Raises ValueError unless it is a mapping with keys among the fields of this dataclass."""
    if not isinstance(found, Mapping):
        raise ValueError(f"{what} must be a table, got {brief(found)}")
    names = [one.name for one in fields(kind)]
    unknown = [key for key in found if key not in names]
    if unknown:
        raise ValueError(f"{what} has an unknown key {unknown[0]!r}; known: {names}")
