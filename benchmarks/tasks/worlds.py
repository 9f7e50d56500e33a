"""Envs in which learning curves are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec

from trading_env import Market
from trading_env.data import simulators

TRADING = "trading_env:TradingEnv-v0"
PATH_BARS = 20_000  # of the path that agents learn on


@dataclass(frozen=True)
class World:
    """An env to learn in.

    Attributes:
        env_id: its id.
        keywords: of the env.
        threshold: score that counts as solved; NaN without one.
        unit: of the score.
        optimal: True if scores are divided by the optimal policy's return on the same episodes.
        path: simulates (bars, seed) -> the market of a TradingEnv. Agents learn on a long path in episodes of 200 bars,
            and their score is the log growth per bar on a shorter one that they have not seen.
    """

    env_id: str
    keywords: Mapping[str, Any]
    threshold: float
    unit: str
    optimal: bool = False
    path: Callable[[int, int], Market] | None = None

    def spec(self) -> EnvSpec:
        """The spec that copies of the env are made from."""
        episodes: dict[str, Any] = {}
        if self.path is not None:
            episodes = {"data": self.path(PATH_BARS, 1), "random_start": True, "episode_length": 200}
        found = gym.make(self.env_id, **self.keywords, **episodes).spec
        assert found is not None
        return found

    def unseen(self) -> Market:
        """The path on which agents are scored, in a world of paths."""
        assert self.path is not None
        return self.path(PATH_BARS // 4, 2)


def regime_path(bars: int, seed: int) -> Market:
    """Two regimes without noise: the state of a bar is the sign of the next return."""
    return simulators.regime_switching(bars, seed, stay=0.9, step=0.01)


def reverting_path(bars: int, seed: int) -> Market:
    """A price that reverts to its mean."""
    return simulators.ornstein_uhlenbeck(bars, seed, kappa=0.1, sigma=0.02)


def deviation(market: Market) -> Any:
    """The deviation of the log price from its mean, log 100, in tenths: the feature that predicts the next return."""
    import pandas as pd

    return pd.DataFrame({"deviation": 10.0 * np.log(market.close / 100.0)})


_CLOSE: dict[str, Any] = {"window": 1, "fill": "close"}
WORLDS = {
    "CartPole-v1": World("CartPole-v1", {}, 475.0, "return"),
    "regime": World(
        "trading_env:reference/RegimeObserved-v0",
        {"stay": 0.95, "step": 0.005, "sigma": 0.01, "episode_length": 200},
        0.95,
        "return / optimum",
        optimal=True,
    ),
    "regime, observed": World(
        TRADING,
        {"features": ["state"], "actions": (0.0, 1.0), **_CLOSE},
        math.nan,
        "log growth per bar",
        path=regime_path,
    ),
    "Ornstein-Uhlenbeck": World(
        TRADING,
        {"features": deviation, "actions": (-1.0, 0.0, 1.0), **_CLOSE},
        math.nan,
        "log growth per bar",
        path=reverting_path,
    ),
}
