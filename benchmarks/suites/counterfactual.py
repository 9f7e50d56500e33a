"""``python -m benchmarks counterfactual``: the steps that DQN saves where it learns from the actions not taken.

The market does not react to one trader, so every action has an outcome that can be computed. Two agents with the same
seeds, network and hyperparameters train side by side, one on the outcomes of the actions taken, one on those of all
(`counterfactual=True`); at each budget both are scored on a market that they have not seen.
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
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.reports import table as tables
from benchmarks.study import provenance
from benchmarks.tasks.checks import check_counts
from trading_env import TradingVectorEnv
from trading_env.data import simulators

Floats = npt.NDArray[np.float64]

DESCRIPTION = """\
Trains DQN with and without counterfactual=True on two simulated markets, and prints for each the steps per seed after
which the median seed reaches 95% of the score aimed at. Scores are log growth per step on another path."""


@dataclass(frozen=True)
class CounterfactualSettings:
    """Options of ``python -m benchmarks counterfactual``."""

    seeds: int = 10
    """How many."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """A few seconds in all: shows that everything runs, its numbers mean little."""

    def __post_init__(self) -> None:
        check_counts(self, ["seeds"])


@dataclass(frozen=True)
class Study:
    """A market to learn in, and what to reach.

    Attributes:
        name: of the market.
        market: n_bars and seed -> a path.
        keywords: of TradingEnv.
        options: of DQN.
        budgets: steps per seed after which agents are scored, rising.
        rule: the optimal policy, obs (1, D) -> actions (1,); None aims at the best score of either agent.
    """

    name: str
    market: Callable[[int, int], Any]
    keywords: dict[str, Any]
    options: dict[str, Any]
    budgets: tuple[int, ...]
    rule: Callable[[Any], Any] | None


@dataclass(frozen=True)
class Curves:
    """Scores at each budget, (budgets, seeds), and the one aimed at.

    Attributes:
        plain: of DQN on the actions taken.
        counterfactual: of DQN on all.
        aim: score of the optimum, or the best median of either.
    """

    study: Study
    plain: Floats
    counterfactual: Floats
    aim: float

    def steps(self, scores: Floats, part: float = 0.95) -> int | None:
        """The first budget from which on the median seed stays at ``part`` of the aim; None if there is none."""
        below = np.flatnonzero(np.median(scores, axis=1) < part * self.aim)
        first = 0 if not len(below) else int(below[-1]) + 1
        return self.study.budgets[first] if first < len(self.study.budgets) else None


def studies(quick: bool = False) -> list[Study]:
    """The observed regime market, whose optimum is known, and a mean-reverting one."""
    shared: dict[str, Any] = {
        "batch_size": 32,
        "learning_starts": 100,
        "train_freq": 1,
        "gamma": 0.9,
        "target_update_interval": 200,
    }
    shared |= {"learning_rate": 1e-3, "exploration_final_eps": 0.1, "exploration_fraction": 0.2}
    budgets = tuple(range(250, 6_001, 250))
    regime = Study(
        "regime, observed",
        lambda n_bars, seed: simulators.regime_switching(n_bars, seed, stay=0.9, step=0.01),
        {"features": ["state"], "window": 1, "actions": (0.0, 1.0), "fill": "close"},
        shared,
        (200, 400) if quick else budgets,
        lambda obs: (obs[:, 0] > 0).astype(np.int64),
    )
    reverting = Study(
        "Ornstein-Uhlenbeck",
        lambda n_bars, seed: simulators.ornstein_uhlenbeck(n_bars, seed, kappa=0.1, sigma=0.02),
        {"features": deviation, "window": 1, "actions": (-1.0, 0.0, 1.0), "fill": "close"},
        shared | {"learning_rate": "lin_1e-3"},
        (200, 400) if quick else tuple(range(500, 8_001, 500)),
        None,
    )
    return [regime, reverting]


def deviation(market: Any) -> Any:
    """The log price over its mean of 100, in tenths: what the mean-reverting market turns on."""
    import pandas as pd

    return pd.DataFrame({"deviation": 10.0 * np.log(market.close / 100.0)})


def compare(study: Study, seeds: int, quick: bool = False) -> Curves:
    """Trains both agents and scores them at each budget."""
    bars = 2_000 if quick else 20_000
    train, test = (study.market(n_bars, seed) for n_bars, seed in ((bars, 1), (bars // 4, 2)))
    env = gym.make(ENV_ID, data=train, random_start=True, episode_length=200, **study.keywords)
    plain, full = (_curve(study, env, test, seeds, counterfactual=on) for on in (False, True))
    if study.rule is None:
        aim = max(float(np.median(scores, axis=1).max()) for scores in (plain, full))
    else:
        aim = float(log_growth(study.rule, test, 1, study.keywords)[0])
    return Curves(study, plain, full, aim)


def _curve(study: Study, env: Any, test: Any, seeds: int, counterfactual: bool) -> Floats:
    """Scores (budgets, seeds) of one training; the agent's schedules run to the last budget."""
    from agents.dqn import DQN

    agent = DQN(env, seeds=seeds, device="cpu", counterfactual=counterfactual, **study.options)
    scores: list[Floats] = []

    def score(agent: Any) -> None:
        if agent.num_timesteps in study.budgets:
            scores.append(log_growth(_greedy(agent), test, seeds, study.keywords))

    agent.learn(study.budgets[-1], callback=score)
    return np.array(scores)


def _greedy(agent: Any) -> Callable[[Any], Any]:
    """The agent's best actions (S,) for obs (S, D), one row per seed."""
    return lambda obs: np.reshape(agent.predict(obs, deterministic=True)[0], -1)


def log_growth(policy: Callable[[Any], Any], market: Any, runs: int, keywords: dict[str, Any]) -> Floats:
    """Log growth of equity per step, (runs,), of a policy over the whole market."""
    envs = TradingVectorEnv(runs, market, **keywords)
    obs, _ = envs.reset()
    equity, steps, running = np.full(runs, envs.task.initial_cash), 0, np.ones(runs, np.bool_)
    while running.any():
        obs, _, terminated, truncated, info = envs.step(policy(obs))
        equity = np.where(running, info["equity"], equity)
        running, steps = running & ~(terminated | truncated), steps + 1
    growth: Floats = np.log(np.maximum(equity, 1.0) / envs.task.initial_cash) / steps
    return growth


def table(curves: Sequence[Curves]) -> tables.Columns:
    """Steps to 95% of the aim, and their ratio."""
    numbers = ("aim", "score", "DQN", "counterfactual", "ratio")
    result = tables.Columns("Steps per seed to 95%", ["market"], numbers)
    for each in curves:
        plain, full = each.steps(each.plain), each.steps(each.counterfactual)
        shown = ["never" if steps is None else f"{steps:,}" for steps in (plain, full)]
        ratio = "-" if plain is None or full is None else f"{plain / full:.1f}"
        aim = "best score" if each.study.rule is None else "optimum"
        result.rows.append([each.study.name, aim, f"{1e4 * each.aim:.2f} bp", *shown, ratio])
    return result


def main(arguments: Sequence[str]) -> None:
    """Runs the experiment that the command line describes."""
    settings = parse("python -m benchmarks counterfactual", CounterfactualSettings, arguments, description=DESCRIPTION)
    curves = [compare(study, settings.seeds, settings.quick) for study in studies(settings.quick)]
    console = tables.console_of()
    tables.show(table(curves), console)
    lines = [f"median of {settings.seeds} seeds, scored every {_spacing(curves)} steps"]
    tables.say([*lines, f"made at {provenance.in_words(provenance.made())}"], console)


def _spacing(curves: Sequence[Curves]) -> str:
    return " and ".join(f"{each.study.budgets[1] - each.study.budgets[0]:,}" for each in curves)
