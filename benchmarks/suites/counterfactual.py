"""``python -m benchmarks counterfactual``: the steps saved by learning from the actions not taken.

The market does not react to one trader, so the outcome of every action can be computed. Two agents with the same seeds,
network and hyperparameters are trained: DQN learns from the outcomes of the actions taken, CounterfactualDQN from those
of all actions. At each budget both are scored on an unseen market.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
import tyro

from agents.base.commands import parse
from benchmarks.contenders import ours
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.reports import table as tables
from benchmarks.statistics.intervals import first_point_that_stays
from benchmarks.study import provenance
from benchmarks.tasks.checks import check_counts
from trading_env import Market, backtest
from trading_env.data import simulators
from trading_env.envs.acting.policies import Policy

Floats = npt.NDArray[np.float64]

DESCRIPTION = """\
Trains DQN and CounterfactualDQN on two simulated markets, and prints for each market the steps per seed after which
the median seed reaches 95% of the target score. Scores are log growth per bar on an unseen path."""


@dataclass(frozen=True)
class CounterfactualSettings:
    """Options of ``python -m benchmarks counterfactual``."""

    seeds: int = 10
    """Number of training seeds."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """A run of a few seconds that shows that everything works; its numbers mean little."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""

    def __post_init__(self) -> None:
        check_counts(self, ["seeds"])


@dataclass(frozen=True)
class Case:
    """A market to learn in, and the score to reach.

    Attributes:
        name: of the market.
        market: n_bars and seed -> a path.
        keywords: of TradingEnv.
        options: of both agents.
        budgets: steps per seed after which agents are scored, rising.
        optimal: the optimal policy; None aims at the best score of either agent.
    """

    name: str
    market: Callable[[int, int], Any]
    keywords: dict[str, Any]
    options: dict[str, Any]
    budgets: tuple[int, ...]
    optimal: Policy | None


@dataclass(frozen=True)
class Scores:
    """Scores at each budget (budgets, seeds), and the score aimed at.

    Attributes:
        case: the market and the budgets.
        plain: of DQN that learns from the actions taken.
        counterfactual: of CounterfactualDQN, which learns from all actions.
        aim: score of the optimum, or the best median of either.
    """

    case: Case
    plain: Floats
    counterfactual: Floats
    aim: float

    def steps(self, scores: Floats, fraction: float = 0.95) -> int | None:
        """The first budget from which on the median seed stays at this fraction of the aim; None if never."""
        point = first_point_that_stays(np.median(scores, axis=1), fraction * self.aim)
        return None if point is None else self.case.budgets[point]


class FollowsState:
    """The optimal policy of the observed regime market: long while the state is positive, else flat."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions (K,) for observations (K, 1)."""
        return (observation[:, 0] > 0).astype(np.int64), state


DQN_OPTIONS: dict[str, Any] = {
    "batch_size": 32,
    "learning_starts": 100,
    "train_freq": 1,
    "gamma": 0.9,
    "target_update_interval": 200,
    "learning_rate": 1e-3,
    "exploration_final_eps": 0.1,
    "exploration_fraction": 0.2,
}


def cases(quick: bool = False) -> list[Case]:
    """The observed regime market, whose optimum is known, and a mean-reverting one."""
    regime = Case(
        "regime, observed",
        lambda n_bars, seed: simulators.regime_switching(n_bars, seed, stay=0.9, step=0.01),
        {"features": ["state"], "window": 1, "actions": (0.0, 1.0), "fill": "close"},
        DQN_OPTIONS,
        (200, 400) if quick else tuple(range(250, 6_001, 250)),
        FollowsState(),
    )
    reverting = Case(
        "Ornstein-Uhlenbeck",
        lambda n_bars, seed: simulators.ornstein_uhlenbeck(n_bars, seed, kappa=0.1, sigma=0.02),
        {"features": deviation, "window": 1, "actions": (-1.0, 0.0, 1.0), "fill": "close"},
        {**DQN_OPTIONS, "learning_rate": "lin_1e-3"},
        (200, 400) if quick else tuple(range(500, 8_001, 500)),
        None,
    )
    return [regime, reverting]


def deviation(market: Any) -> Any:
    """The deviation of the log price from its mean, log 100, in tenths: the feature that predicts the next return."""
    import pandas as pd

    return pd.DataFrame({"deviation": 10.0 * np.log(market.close / 100.0)})


def compare(case: Case, seeds: int, quick: bool = False) -> Scores:
    """The scores of both agents at each budget."""
    bars = 2_000 if quick else 20_000
    train, test = (case.market(n_bars, seed) for n_bars, seed in ((bars, 1), (bars // 4, 2)))
    env = gym.make(ENV_ID, data=train, random_start=True, episode_length=200, **case.keywords)
    plain, full = (_scores(name, case, env, test, seeds) for name in ("DQN", "CounterfactualDQN"))
    if case.optimal is None:
        aim = max(float(np.median(scores, axis=1).max()) for scores in (plain, full))
    else:
        aim = float(log_growth(case.optimal, test, case.keywords)[0])
    return Scores(case, plain, full, aim)


def _scores(name: str, case: Case, env: Any, test: Market, seeds: int) -> Floats:
    """Scores (budgets, seeds) of one training; the agent's schedules run to the last budget."""
    agent = ours.agent_class(name)(env, seeds=seeds, device="cpu", **case.options)
    scores: list[Floats] = []

    def score(agent: Any) -> None:
        if agent.num_timesteps in case.budgets:
            scores.append(log_growth(agent, test, case.keywords))

    agent.learn(case.budgets[-1], callback=score)
    return np.array(scores)


def log_growth(policy: Policy, market: Market, keywords: dict[str, Any]) -> Floats:
    """Log growth of equity per bar [K] over the whole market."""
    equity = backtest(policy, market, **keywords).tracks.equity  # [K, T+1]
    growth: Floats = np.log(np.maximum(equity[:, -1], 1.0) / equity[:, 0]) / (equity.shape[1] - 1)
    return growth


def table(results: Sequence[Scores]) -> tables.Columns:
    """The table of steps to 95% of the target score, and their ratio."""
    numbers = ("aim", "score", "DQN", "counterfactual", "ratio")
    shown = tables.Columns("Steps per seed to 95%", ["market"], numbers)
    for each in results:
        plain, full = each.steps(each.plain), each.steps(each.counterfactual)
        budgets = ["never" if steps is None else f"{steps:,}" for steps in (plain, full)]
        ratio = "-" if plain is None or full is None else f"{plain / full:.1f}"
        aim = "best score" if each.case.optimal is None else "optimum"
        shown.rows.append([each.case.name, aim, f"{1e4 * each.aim:.2f} bp", *budgets, ratio])
    return shown


def main(arguments: Sequence[str]) -> None:
    """Runs the experiment that the command line describes."""
    settings = parse("python -m benchmarks counterfactual", CounterfactualSettings, arguments, description=DESCRIPTION)
    results = [compare(case, settings.seeds, settings.quick) for case in cases(settings.quick)]
    console = tables.console_of()
    tables.show(table(results), console, settings.wide)
    lines = [f"median of {settings.seeds} seeds, scored every {_spacing(results)} steps"]
    tables.say([*lines, f"made at {provenance.in_words(provenance.made())}"], console)


def _spacing(results: Sequence[Scores]) -> str:
    return " and ".join(f"{each.case.budgets[1] - each.case.budgets[0]:,}" for each in results)
