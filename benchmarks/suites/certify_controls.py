"""The controls beside the certificates, on a study whose agents do have an edge.

The study trains PPO in TradingEnv on a market with two regimes and little noise, so past returns predict the next.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from agents.ppo import PPO
from benchmarks.evaluation.control import Control
from benchmarks.evaluation.controls import run_controls
from benchmarks.evaluation.track_controls import hindsight_control
from benchmarks.evaluation.tracks import ENV_ID
from trading_env import Market, backtest
from trading_env.data import simulators

Floats = npt.NDArray[np.float64]
FEATURES = ["log_return_1", "log_return_5"]
TASK: dict[str, Any] = {"actions": (0.0, 1.0), "window": 2}
PPO_OPTIONS: dict[str, Any] = {
    "learning_rate": "lin_1e-3",
    "n_envs": 8,
    "n_steps": 32,
    "batch_size": 64,
    "gamma": 0.9,
    "gae_lambda": 0.9,
}


def controls_of(quick: bool) -> list[Control]:
    """All controls of the study; ``quick`` takes 8 seeds instead of 10, 4 shuffles instead of 8, and less training."""
    bars, seeds, steps, shuffles = (3_000, 8, 16_000, 4) if quick else (10_000, 10, 40_000, 8)
    train, test = (regime(bars, seed) for seed in (1, 2))
    study = partial(ppo_study, seeds=seeds, total_timesteps=steps)
    honest = growth_of(train, test, FEATURES, seeds, steps)
    changed = run_controls(study, train, test, FEATURES, shuffles=shuffles)
    return [*changed, hindsight_control(honest, test, features=FEATURES, **TASK)]


def regime(n_bars: int, seed: int) -> Market:
    """A market whose returns reveal its regimes, and whose mean return is about 0."""
    return simulators.regime_switching(n_bars, seed, stay=0.95, step=0.005, sigma=0.005)


def ppo_study(train: Market, test: Market, features: Any, seeds: int, total_timesteps: int) -> Floats:
    """Log growth per bar [S, T] of PPO's last weights on the test market, above buy-and-hold at half exposure.

    An agent that knows nothing is long half of the time on average, so it earns this much from the market itself.
    """
    growth = growth_of(train, test, features, seeds, total_timesteps)
    market = np.log(test.close[1:] / test.close[:-1])[-growth.shape[1] :]
    return growth - 0.5 * market


def growth_of(train: Market, test: Market, features: Any, seeds: int, total_timesteps: int) -> Floats:
    """Log growth of equity per bar [S, T] on the test market."""
    task = {**TASK, "features": features}
    env = gym.make(ENV_ID, data=train, random_start=True, episode_length=200, **task)
    agent = PPO(env, seeds=range(100, 100 + seeds), **PPO_OPTIONS).learn(total_timesteps)
    equity = backtest(agent, test, **task).tracks.equity  # [S, T + 1]
    return np.diff(np.log(equity), axis=1)
