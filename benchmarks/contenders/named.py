"""Contenders of a suite: our agents, Stable-Baselines3's, strategies, random traders, and a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import gymnasium as gym

import agents
from benchmarks.contenders import ours, sb3
from benchmarks.contenders.own import function_of
from benchmarks.contenders.rules import FRACTIONS
from benchmarks.contenders.sb3_options import with_schedules
from benchmarks.contenders.training import Judge, Points
from benchmarks.evaluation.tracks import ENV_ID
from trading_env import Market
from trading_env._checks import integer, number
from trading_env.analysis import strategies

KINDS = ("agent", "sb3", "strategy", "random", "make")
STRATEGIES = (
    "flat",
    "buy_and_hold",
    "volatility_target",
    "time_series_momentum",
    "moving_average_crossover",
    "mean_reversion",
)


class Ready(NamedTuple):
    """A contender that may be tested."""

    policy: Any
    """As `trading_env.backtest` takes it: an object with `predict`, a strategy, or a list of them."""
    keywords: Mapping[str, Any]
    """Keywords of TradingEnv in the test."""
    seconds: float | None = None
    """Duration of the training."""
    steps: int | None = None
    """Steps that each seed was trained."""
    points: Points | None = None
    """Scores on the validation stretch during training."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of a study. Exactly one of the first five fields is given.

    Attributes:
        agent: class name in `agents`.
        sb3: class name in stable_baselines3 or sb3_contrib.
        strategy: function name in `trading_env.analysis.strategies`.
        random: turnover per year of random traders.
        make: "module:function", the function (train market, validation market, env keywords, seeds) -> object with
            `predict`, as `trading_env.backtest` takes it.
        name: of the row; the class or function name unless given.
        steps: training steps of each seed.
        n_envs: envs of each seed.
        policy: policy class of Stable-Baselines3.
        hyperparameters: of the agent; "lin_1e-3" is a rate that falls to zero.
        seeds: runs of random traders, or of ``make``; the suite's number unless given.
    """

    agent: str | None = None
    sb3: str | None = None
    strategy: str | None = None
    random: float | None = None
    make: str | None = None
    name: str = ""
    steps: int = 20_000
    n_envs: int = 1
    policy: str = "MlpPolicy"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None

    @classmethod
    def of(cls, number_: int, entry: Mapping[str, Any]) -> Contender:
        """The contender that a table of a suite describes; ValueError names the table and its key."""
        names = [one.name for one in fields(cls)]
        where = f"contenders[{number_}]"
        unknown = [key for key in entry if key not in names]
        if unknown:
            raise ValueError(f"{where} has an unknown key {unknown[0]!r}; known: {names}")
        try:
            return cls(**entry)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {KINDS} must be given, got {given}")
        object.__setattr__(self, "name", self.name or self._own_name())
        integer("steps", self.steps, 1)
        integer("n_envs", self.n_envs, 1)
        if self.seeds is not None:
            integer("seeds", self.seeds, 1)
        if self.random is not None:
            number("random", self.random, least=0.0)
        self._check_known()

    def _own_name(self) -> str:
        if self.make is not None:
            return self.make.partition(":")[2] or self.make
        named = self.agent or (self.sb3 and f"SB3 {self.sb3}") or self.strategy
        return named or "random"

    def _check_known(self) -> None:
        """Raises ValueError for an agent, algorithm, strategy or function that does not exist."""
        if self.agent is not None:
            if self.agent not in agents.AGENTS:
                raise ValueError(f"agent must be one of {sorted(agents.AGENTS)}, got {self.agent!r}")
            ours.agent_class(self.agent).Config(**self.hyperparameters)
        if self.sb3 is not None:
            sb3.algorithm_class(self.sb3)
        if self.strategy is not None and self.strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {STRATEGIES}, got {self.strategy!r}")
        if self.make is not None:
            function_of(self.make)

    @property
    def learns(self) -> bool:
        """True if its seeds differ by training."""
        return self.agent is not None or self.sb3 is not None

    def runs(self, seeds: int) -> int:
        """Number of its runs in a suite with this number of seeds."""
        if self.strategy is not None:
            return 1
        return self.seeds or seeds

    def ready(
        self,
        train: Market,
        validation: Market,
        test: Market,
        keywords: Mapping[str, Any],
        seeds: tuple[int, ...],
        episodes: Mapping[str, Any],
        judge: Judge,
        points: int,
    ) -> Ready:
        """Trains the contender, if it learns, and returns what the test needs.

        Args:
            train: The stretch to learn from.
            validation: The stretch to choose by.
            test: The stretch of the test, of which only rules see anything before they trade, a bar at a time.
            keywords: Of TradingEnv.
            seeds: The runs.
            episodes: Keywords of TradingEnv for training alone.
            judge: Scores models on the validation stretch.
            points: Number of scores.
        """
        named = isinstance(keywords.get("actions", ""), str)  # a tuple names its exposures itself
        rule = {**keywords, **({"allow_short": False} if named else {})}
        if self.strategy is not None:
            fractions = FRACTIONS if self.strategy == "volatility_target" else {}
            return Ready(getattr(strategies, self.strategy), {**rule, **fractions})
        if self.random is not None:
            most = min(self.random, test.bars_per_year or self.random)
            return Ready([_random(most, seed) for seed in seeds], rule)
        if self.make is not None:
            return Ready(function_of(str(self.make))(train, validation, dict(keywords), seeds), keywords)
        env = gym.make(ENV_ID, data=train, **episodes, **keywords)
        shared: dict[str, Any] = {"n_envs": self.n_envs, "progress_bar": False, "judge": judge}
        shared["every"] = max(self.steps // points, 1)
        if self.agent is not None:
            trained = ours.train(self.agent, env, seeds, self.steps, **shared, **self.hyperparameters)
        else:
            options = {"policy": self.policy, "processes": 0, **with_schedules(self.hyperparameters)}
            trained = sb3.train(str(self.sb3), env, seeds, self.steps, **shared, **options)
        return Ready(trained.agent, keywords, trained.seconds, self.steps, trained.points)


def _random(turnover: float, seed: int) -> Callable[[Market], Any]:
    return lambda market: strategies.random_policy(market, turnover, seed)
