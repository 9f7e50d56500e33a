"""Contenders of a suite: our agents, Stable-Baselines3's, strategies, traders by forecasts or by chance, one's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import gymnasium as gym

import agents
from benchmarks.contenders import ours, sb3
from benchmarks.contenders.forecast_trader import Follows, ForecastTrader
from benchmarks.contenders.own import function_of, made
from benchmarks.contenders.rules import PORTFOLIO_STRATEGIES, STRATEGIES, keywords_for, random_trader, strategy_of
from benchmarks.contenders.sb3_options import as_objects
from benchmarks.contenders.training import Judge, Points, Trained
from benchmarks.evaluation.instruments import Instruments, env_id_of
from trading_env import Market, Panel
from trading_env._checks import brief, integer, number

KINDS = ("agent", "sb3", "strategy", "forecast", "random", "make")
LONGEST = 80  # characters of a name


class Ready(NamedTuple):
    """A contender that may be tested."""

    policy: Any
    """As `benchmarks.evaluation.instruments.tested` takes it: an object with `predict`, a strategy, or a list."""
    keywords: Mapping[str, Any]
    """Keywords of the env in the test."""
    seconds: float | None = None
    """Duration of the training."""
    steps: int | None = None
    """Steps that each seed was trained."""
    points: Points | None = None
    """Scores on the validation stretch during training."""
    forecasts: Callable[[Market], Mapping[str, Any]] | None = None
    """Forecasts on a market, of a trader that follows them."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One row of a study. Exactly one of agent, sb3, strategy, forecast, random and make is given.

    Attributes:
        agent: class name in `agents`.
        sb3: class name in stable_baselines3 or sb3_contrib.
        strategy: function name in `trading_env.analysis.strategies`; on a panel, in `analysis.portfolio`.
        random: turnover per year of random traders.
        make: "module:function", the function (train market, validation market, env keywords, seeds) -> object with
            `predict`, as `trading_env.backtest` takes it.
        forecast: name in `benchmarks.forecasting.forecasters`, for a trader that follows its forecasts.
        name: of the row; the class or function name unless given.
        steps: training steps of each seed.
        n_envs: envs of each seed.
        policy: policy class of Stable-Baselines3.
        hyperparameters: of the agent; "lin_1e-3" is a rate that falls to zero. Of a forecaster: those of `Follows`.
        seeds: runs of random traders or of ``make``, the suite's number unless given; of a forecast trader, one.
        block: seeds per job; the suite's unless given.
        tasks: that it learns, in a suite of tasks; all of them unless given.
    """

    agent: str | None = None
    sb3: str | None = None
    strategy: str | None = None
    random: float | None = None
    make: str | None = None
    forecast: str | None = None
    name: str = ""
    steps: int = 20_000
    n_envs: int = 1
    policy: str = "MlpPolicy"
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    block: int | None = None
    tasks: tuple[str, ...] | None = None

    @classmethod
    def of(cls, number_: int, entry: Mapping[str, Any]) -> Contender:
        """The contender that a table of a suite describes; ValueError names the table and its key."""
        names = [one.name for one in fields(cls)]
        where = f"contenders[{number_}]"
        unknown = [key for key in entry if key not in names]
        if unknown:
            raise ValueError(f"{where} has an unknown key {brief(unknown[0])}; known: {names}")
        try:
            tasks = entry.get("tasks")
            return cls(**{**entry, "tasks": tuple(tasks) if isinstance(tasks, list) else tasks})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: {error}") from error

    def __post_init__(self) -> None:
        given = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of {KINDS} must be given, got {given}")
        self._check_types()
        object.__setattr__(self, "name", self.name or self._own_name())
        if len(self.name) > LONGEST or not self.name.isprintable():
            raise ValueError(f"name must have at most {LONGEST} characters, all printable, got {brief(self.name)}")
        for name, most in (("steps", None), ("n_envs", 100_000), ("seeds", 10_000), ("block", 10_000)):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1, most)
        if self.random is not None:
            number("random", self.random, least=0.0)
        self._check_known()

    def _check_types(self) -> None:
        """Raises TypeError for a value of another type."""
        for name in ("agent", "sb3", "strategy", "make", "forecast", "name", "policy"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise TypeError(f"{name} must be a text, got {brief(value)}")
        if not isinstance(self.hyperparameters, Mapping):
            raise TypeError(f"hyperparameters must be a table, got {brief(self.hyperparameters)}")
        if self.tasks is not None and not (isinstance(self.tasks, tuple) and self.tasks):
            raise TypeError(f"tasks must be a list of names, got {brief(self.tasks)}")

    def _own_name(self) -> str:
        if self.make is not None:
            return self.make.partition(":")[2] or self.make
        named = self.agent or (self.sb3 and f"SB3 {self.sb3}") or self.strategy
        return named or (self.forecast and f"{self.forecast} forecasts") or "random"

    def _check_known(self) -> None:
        """Raises ValueError for an agent, algorithm, strategy or function that does not exist."""
        if self.forecast is not None:
            Follows.of(self.forecast, self.hyperparameters)
        if self.agent is not None:
            if self.agent not in agents.AGENTS:
                raise ValueError(f"agent must be one of {sorted(agents.AGENTS)}, got {self.agent!r}")
            ours.agent_class(self.agent).Config(**self.hyperparameters)
        if self.sb3 is not None:
            sb3.algorithm_class(self.sb3)
        known = dict.fromkeys((*STRATEGIES, *PORTFOLIO_STRATEGIES))
        if self.strategy is not None and self.strategy not in known:
            raise ValueError(f"strategy must be one of {tuple(known)}, got {self.strategy!r}")
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
        return self.seeds or (1 if self.forecast else seeds)

    @property
    def chooses(self) -> bool:
        """True if it chooses on the validation stretch, which it must not train on."""
        return self.make is not None or self.forecast is not None

    @property
    def reach(self) -> tuple[int, int]:
        """Bars of its own that a forecast is made from, and that it covers; 0 for others."""
        if self.forecast is None:
            return 0, 0
        follows = Follows.of(self.forecast, self.hyperparameters)
        return follows.window, follows.horizon

    def check(self, env: Any) -> None:
        """Raises, as the learner does, unless one seed can begin to learn in the env, or in copies of the spec."""
        if self.agent is not None:
            ours.agent_class(self.agent)(env, seeds=1, n_envs=self.n_envs, device="cpu", **self.hyperparameters)
        if self.sb3 is not None:
            sb3.check(self.sb3, env, policy=self.policy, n_envs=self.n_envs, **as_objects(self.hyperparameters))

    def check_kind(self, panels: bool) -> None:
        """Raises ValueError for a rule that belongs to a market if ``panels``, or to a panel if not."""
        known, what = (PORTFOLIO_STRATEGIES, "a panel") if panels else (STRATEGIES, "a market")
        if self.strategy is not None and self.strategy not in known:
            raise ValueError(f"strategy of {what} must be one of {known}, got {self.strategy!r}")
        if self.forecast is not None and panels:
            raise ValueError(f"forecast needs datasets of one instrument, got {self.forecast!r} on a panel")

    def check_rules(self, train: Instruments, validation: Instruments) -> None:
        """Raises TypeError or ValueError unless a rule can trade, and a forecaster learn, on such stretches."""
        panels = isinstance(train, Panel)
        if self.strategy is not None:
            strategy_of(self.strategy, panels)(train)
        if self.random is not None:
            trader = random_trader(min(self.random, train.bars_per_year or 0.0), 0, panels)
            trader(train, train.first) if panels else trader(train)
        if self.forecast is not None:
            Follows.of(self.forecast, self.hyperparameters).check(train, validation)

    def train(self, env: Any, seeds: tuple[int, ...], judge: Judge, points: int) -> Trained:
        """Trains an agent, ours in one pass and Stable-Baselines3's one seed after the other.

        Args:
            env: An env with a spec, or a spec.
            seeds: The runs.
            judge: Scores models.
            points: Number of scores, beside that before the first step; 0 for none at all.
        """
        shared: dict[str, Any] = {"n_envs": self.n_envs, "progress_bar": False, "judge": judge if points else None}
        shared["every"] = max(self.steps // max(points, 1), 1)
        if self.agent is not None:
            return ours.train(self.agent, env, seeds, self.steps, **shared, **self.hyperparameters)
        options = {"policy": self.policy, "processes": 0, **as_objects(self.hyperparameters)}
        return sb3.train(str(self.sb3), env, seeds, self.steps, **shared, **options)

    def ready(
        self,
        train: Instruments,
        validation: Instruments,
        test: Instruments,
        keywords: Mapping[str, Any],
        seeds: tuple[int, ...],
        episodes: Mapping[str, Any],
        judge: Judge,
        points: int,
    ) -> Ready:
        """Trains the contender, if it learns, and returns what the test needs.

        Args:
            train: The stretch to learn from; the part before validation, if the contender chooses.
            validation: The stretch to choose by.
            test: The stretch of the test, of which only rules see anything before they trade, a bar at a time.
            keywords: Of the env.
            seeds: The runs.
            episodes: Keywords of the env for training alone.
            judge: Scores models on the validation stretch.
            points: Number of scores.
        """
        rule, panels = keywords_for(self.strategy, train, keywords), isinstance(train, Panel)
        if self.strategy is not None:
            return Ready(strategy_of(self.strategy, panels), rule)
        if self.forecast is not None:
            trader = ForecastTrader.fitted(self.forecast, self.hyperparameters, train, validation, rule, seeds)
            return Ready(trader.strategies(), rule, forecasts=trader.forecasts)
        if self.random is not None:
            most = min(self.random, test.bars_per_year or self.random)
            return Ready([random_trader(most, seed, panels) for seed in seeds], rule)
        if self.make is not None:
            return Ready(made(self.make, train, validation, dict(keywords), seeds), keywords)
        trained = self.train(gym.make(env_id_of(train), data=train, **episodes, **keywords), seeds, judge, points)
        return Ready(trained.agent, keywords, trained.seconds, self.steps, trained.points)
