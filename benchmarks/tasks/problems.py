"""Problems whose optimum is known, and the record of an agent to train on one.

Rewards of some problems are about a thousandth of a unit. Where the dynamics are linear in the unit, it is changed
(`scale`, `step`, `sigma` and `cost` times a thousand): the same problem, scaled to suit a network's first weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import gymnasium as gym
from gymnasium.envs.registration import EnvSpec

import trading_env  # noqa: F401  # registers the problems
from trading_env.reference.cfm import QUARTER_TRADES, published_noise_seeds

PATHS = 20  # test paths of a problem that does not name them


@dataclass(frozen=True)
class Problem:
    """A reference env, and the paths that agents are tested on.

    Attributes:
        env_id: of the reference env.
        keywords: of the env.
        training: further keywords, in training only.
        testing: further keywords, in tests only.
        noise_seeds: paths of the test, by reset's option "noise_seed"; None draws them by reset's seed.
        market_seeds: markets of the test by that keyword, each with ``per_market`` paths; None takes all from one.
        per_market: paths of the test in each of them.
        optimum_is_zero: True if the optimal policy never trades, so that scores are differences, not fractions.
        about: description of the problem in one line.
        family: the family that this problem is a point of; "" for a problem without a family.
        point: the parameters that distinguish it within its family.
    """

    env_id: str
    keywords: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    testing: Mapping[str, Any] = field(default_factory=dict)
    noise_seeds: tuple[int, ...] | None = None
    optimum_is_zero: bool = False
    about: str = ""
    market_seeds: tuple[int, ...] | None = None
    family: str = ""
    point: str = ""
    per_market: int = 1

    def spec(self, **changes: Any) -> EnvSpec:
        """The spec from which training envs are made."""
        spec = gym.make(self.env_id, **{**self.keywords, **self.training, **changes}).spec
        assert spec is not None
        return spec

    @property
    def n_paths(self) -> int:
        """K, the paths of the test."""
        if self.market_seeds is not None:
            return len(self.market_seeds) * self.per_market
        return PATHS if self.noise_seeds is None else len(self.noise_seeds)


@dataclass(frozen=True)
class Entry:
    """An agent to train on a problem.

    Attributes:
        problem: a key of PROBLEMS.
        agent: name of the class.
        side: "ours", "sb3", or "structural" for a rule whose numbers are chosen in training.
        total_timesteps: per seed.
        n_envs: per seed.
        hyperparameters: by our names; others have our defaults on both sides.
        goal: the score to reach; None if the score is only reported.
        goal_reward: the mean reward per step to reach, instead of a score.
        keywords: further keywords of the env, such as this agent's observation.
        note: remark that is part of the name.
    """

    problem: str
    agent: str
    side: Literal["ours", "sb3", "structural"]
    total_timesteps: int
    n_envs: int = 1
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    goal: float | None = None
    goal_reward: float | None = None
    keywords: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    @property
    def name(self) -> str:
        """Name that is unique among the entries of a problem."""
        side = "SB3 " if self.side == "sb3" else ""
        return f"{side}{self.agent}" + (f", {self.note}" if self.note else "")


FIRST_NOISE = 1_000_000  # seed of the first test path; training draws it with probability 1 in 2,000,000,000
NOISE = tuple(range(FIRST_NOISE, FIRST_NOISE + PATHS))
MARKETS = tuple(range(1_000, 1_000 + PATHS))  # an independent path each; training has market 0

PROBLEMS: dict[str, Problem] = {
    "regime": Problem(
        "reference/RegimeObserved-v0",
        {"stay": 0.95, "step": 0.005, "sigma": 0.01},
        training={"episode_length": 200},
        market_seeds=MARKETS,
        about="TradingEnv, long or flat, the regime observed",
    ),
    "drift": Problem(
        "reference/Drift-v0",
        {"drift": 0.002},
        training={"episode_length": 200},
        market_seeds=MARKETS,
        about="TradingEnv, long or flat, returns with a drift",
    ),
    "null": Problem(
        "reference/Null-v0",
        training={"episode_length": 200},
        market_seeds=MARKETS,
        optimum_is_zero=True,
        about="TradingEnv, returns that nobody can foresee",
    ),
    "ritter": Problem("reference/Ritter-v0", noise_seeds=NOISE, about="Ritter 2017: a mean-reverting price"),
    "cfm-linear": Problem(
        "reference/CFMLinear-v0",
        {"actions": QUARTER_TRADES},
        noise_seeds=tuple(published_noise_seeds()),
        about="Chaouki et al. 2020: linear costs, nine trades, the published test paths",
    ),
    "cfm-max-position": Problem(
        "reference/CFMMaxPosition-v0",
        {"actions": (-4.0, -2.0, 0.0, 2.0, 4.0)},
        noise_seeds=tuple(published_noise_seeds()),
        about="Chaouki et al. 2020: linear costs, a largest position instead of risk, the published test paths",
    ),
    "cfm-quadratic": Problem(
        "reference/CFMQuadratic-v0",
        {"max_trade": 4.0},
        noise_seeds=tuple(published_noise_seeds()),
        about="Chaouki et al. 2020: quadratic costs, continuous trades",
    ),
    "moody-saffell": Problem(
        "reference/MoodySaffell-v0",
        {"scale": 1.5537, "cost": 2.0},
        noise_seeds=NOISE,
        about="Moody and Saffell 2001 at cost .002, times a thousand: a hidden trend",
    ),
    "regime-hidden": Problem(
        "reference/RegimeHidden-v0",
        {"step": 1.0, "sigma": 10.0, "cost": 1.0},
        testing={"n_steps": 5000},
        noise_seeds=tuple(range(FIRST_NOISE, FIRST_NOISE + 200)),  # a step's noise is 65 times what can be earned
        about="the regime hidden, times a thousand",
    ),
    "kelly": Problem(
        "reference/Kelly-v0",
        training={"n_paths": 1000},
        testing={"n_paths": 2000, "episode_length": 70},  # nearly whole paths, which end before prices leave the range
        market_seeds=MARKETS[:1],
        per_market=200,
        about="Kelly 1956: three instruments in PortfolioEnv, one of which wins; log growth",
    ),
    "garleanu-pedersen": Problem(
        "reference/GarleanuPedersen-v0",
        noise_seeds=NOISE,
        about="Garleanu and Pedersen 2013: two instruments, predictable returns, quadratic costs",
    ),
}
