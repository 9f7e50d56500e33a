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
from benchmarks.evaluation.instruments import AND, config_of, is_panel
from benchmarks.study.folds import Plan
from benchmarks.tasks.checks import check_distinct, check_name
from benchmarks.tasks.worlds import WORLDS
from trading_env import EnvConfig, PortfolioConfig
from trading_env._checks import brief, flag, integer

BUILT_IN = Path(__file__).parents[1] / "suites"


class SuiteError(ValueError):
    """A suite is wrong; the message names file and key."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A study: contenders on datasets, walk-forward, or their learning curves on tasks.

    Attributes:
        name: names the folder of its results.
        contenders: what is compared; names are unique.
        data: datasets, all as `trading_env.load` takes them, or all as `trading_env.load_panel` does: panels, whose
            instruments are traded in one account. "a + b" is the panel of the datasets a and b.
        tasks: names of `benchmarks.tasks.worlds.WORLDS`, in place of datasets. On a task, contenders are scored while
            they learn; nothing is tested on a market.
        walk_forward: the folds of each dataset.
        env: keywords of TradingEnv, or PortfolioEnv, for training and test on datasets.
        seeds: seeds 0..n-1 of each contender that learns.
        block: seeds per job; results of a seed depend on it in the last digits of float32.
        episode_length: bars of a training episode on a dataset, which starts at a random bar.
        points: scores during each training, on the validation stretch or in the task; 0 for none.
        episodes: of a score in a task.
        scale: whether features are scaled, by the training stretch of each fold.
        benchmark: the contender with which the others are compared on datasets.
    """

    name: str
    contenders: tuple[Contender, ...]
    data: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    walk_forward: Plan = field(default_factory=Plan)
    env: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 5
    block: int = 20
    episode_length: int = 250
    points: int = 4
    episodes: int = 10
    scale: bool = True
    benchmark: str = "buy_and_hold"

    def __post_init__(self) -> None:
        check_name(self.name)
        for name, least, most in (
            *(("seeds", 1, 10_000), ("block", 1, 10_000), ("episode_length", 1, None)),
            *(("points", 0, 1_000), ("episodes", 1, 10_000)),
        ):
            integer(name, getattr(self, name), least, most)
        flag("scale", self.scale)
        if bool(self.data) == bool(self.tasks):
            raise ValueError(f"data or tasks must be given, got data {list(self.data)} and tasks {list(self.tasks)}")
        check_distinct("tasks" if self.tasks else "data", self.places)
        for place in self.places:
            check_distinct("contenders", [contender.name for contender in self.contenders_on(place)])
        self._check_tasks() if self.tasks else self._check_data()

    def _check_tasks(self) -> None:
        """Raises ValueError for an unknown task, and for a contender that does not learn tasks."""
        unknown = [name for name in self.tasks if name not in WORLDS]
        if unknown:
            raise ValueError(f"tasks must be among {list(WORLDS)}, got {brief(unknown[0])}")
        if self.points < 1:
            raise ValueError(f"points must be at least 1 for tasks, got {self.points}")
        for i, contender in enumerate(self.contenders):
            elsewhere = [name for name in contender.tasks or () if name not in self.tasks]
            if not contender.learns or elsewhere:
                what = (
                    f"tasks must be among {list(self.tasks)}" if elsewhere else "agent or sb3 must be given for tasks"
                )
                raise ValueError(f"contenders[{i}]: {what}, got {elsewhere or contender.name!r}")

    def _check_data(self) -> None:
        """Raises ValueError for a benchmark or an env that cannot be."""
        names = [contender.name for contender in self.contenders]
        if self.benchmark not in names:
            raise ValueError(f"benchmark must be one of the contenders {names}, got {brief(self.benchmark)}")
        taken = {"scaler", "random_start", "episode_length", "bars_per_year"} & set(self.env)
        if taken:
            raise ValueError(f"env must not have {sorted(taken)}: the suite sets them")
        if len({is_panel(name) for name in self.data}) > 1:
            raise ValueError(f"data must be markets, or panels of several instruments, not both, got {list(self.data)}")
        for i, contender in enumerate(self.contenders):
            if contender.tasks is not None:
                raise ValueError(f"contenders[{i}]: tasks must not be given in a suite of data, got {contender.tasks}")
            try:
                contender.check_kind(self.panels)
            except ValueError as error:
                raise ValueError(f"contenders[{i}]: {error}") from error
        try:
            self.config  # noqa: B018
        except (TypeError, ValueError) as error:
            raise ValueError(f"env: {error}") from error

    @property
    def places(self) -> tuple[str, ...]:
        """Datasets or tasks."""
        return self.tasks or self.data

    @cached_property
    def panels(self) -> bool:
        """True if the datasets are panels of several instruments, which PortfolioEnv trades in one account."""
        return bool(self.data) and is_panel(self.data[0])

    @cached_property
    def config(self) -> EnvConfig | PortfolioConfig:
        """The keywords of the env as one object."""
        return config_of(self.panels, self.env)

    @cached_property
    def purge(self) -> int:
        """Bars between the stretches of a fold."""
        return self.config.window + self.walk_forward.horizon

    def contenders_on(self, place: str) -> list[Contender]:
        """The contenders on a dataset or task."""
        return [one for one in self.contenders if one.tasks is None or place in one.tasks]

    def contender(self, name: str, place: str | None = None) -> Contender:
        """The contender of that name, on that task if names repeat."""
        return next(one for one in self.contenders if one.name == name and (not one.tasks or place in one.tasks))

    def description(self) -> dict[str, Any]:
        """Everything that results depend on, as JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, suite: str | Path) -> Suite:
        """A built-in suite by name, or the one in a TOML file, or in the suite.json of a study's folder.

        Raises:
            SuiteError: there is none, or a key is missing, unknown or wrong; the message names file and key.
        """
        path = path_of(suite)
        try:
            text = path.read_text(encoding="utf-8-sig")
            found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
            return cls._of(found)
        except (OSError, TypeError, ValueError, RecursionError) as error:
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
        missing = {"name", "contenders"} - set(found)
        if missing:
            raise ValueError(f"the suite has no {sorted(missing)}")
        plan, entries = found.get("walk_forward", {}), found["contenders"]
        _known("walk_forward", plan, Plan)
        if not isinstance(entries, Sequence) or not all(isinstance(entry, Mapping) for entry in entries):
            raise ValueError(f"contenders must be tables [[contenders]], got {brief(entries)}")
        if isinstance(names := found.get("data"), list):
            found = {**found, "data": [AND.join(map(str, name)) if isinstance(name, list) else name for name in names]}
        for key in ("data", "tasks"):
            names = found.get(key, [])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError(f"{key} must be a list of names, got {brief(names)}")
        if not isinstance(keywords := found.get("env", {}), Mapping):
            raise ValueError(f"env must be a table, got {brief(keywords)}")
        contenders = tuple(Contender.of(i, entry) for i, entry in enumerate(entries))
        env = {key: tuple(value) if isinstance(value, list) else value for key, value in keywords.items()}
        places = {key: tuple(found.get(key, ())) for key in ("data", "tasks")}
        return cls(**{**found, **places, "contenders": contenders, "walk_forward": _plan(plan), "env": env})


def _plan(table: Mapping[str, Any]) -> Plan:
    try:
        return Plan(**table)
    except (TypeError, ValueError) as error:
        raise ValueError(f"walk_forward: {error}") from error


def path_of(suite: str | Path) -> Path:
    """The file of a built-in suite, or the path itself; SuiteError if there is no such file."""
    path = Path(suite)
    if path.suffix not in (".toml", ".json"):
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
        raise ValueError(f"{what} has an unknown key {brief(unknown[0])}; known: {names}")
