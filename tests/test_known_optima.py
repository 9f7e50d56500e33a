"""Agents reach the optimum where it is known: TradingEnv on the observed regime market, long or flat."""

import math

import gymnasium as gym
import numpy as np

from agents.dqn import DQN
from trading_env import Costs, TradingVectorEnv
from trading_env.simulators import regime_switching

STAY, MOVE = 0.9, 0.01
TASK = {"features": ["state"], "window": 1, "actions": (0.0, 1.0), "fill": "close"}


def log_wealth(policy, market, n):
    """Log growth per step of n runs of ``policy`` (obs (n, D) -> actions (n,)) over the whole market."""
    env = TradingVectorEnv(n, market, **TASK)
    obs, _ = env.reset()
    steps, ended = 0, False
    while not ended:
        obs, _, _, truncated, info = env.step(policy(obs))
        steps, ended = steps + 1, truncated.all()
    return np.log(info["equity"] / 100_000.0) / steps


def follow(obs):
    """The optimal policy: long in the rising regime, flat in the falling one."""
    return (obs[:, 0] > 0).astype(int)


def test_following_the_regime_earns_its_closed_form():
    costs = Costs()
    expected = math.log(1 + MOVE) / 2
    expected -= (1 - STAY) / 2 * (math.log(1 + costs.buy_rate) - math.log(1 - costs.sell_rate))
    n = 100_000
    earned = log_wealth(follow, regime_switching(n, 3, stay=STAY, step=MOVE), 1)[0]
    # The share of bars in the rising regime has a standard error of sqrt(q / (1 - q) / n) / 2.
    error = math.log(1 + MOVE) * math.sqrt(STAY / (1 - STAY) / n) / 2
    assert abs(earned - expected) < 4 * error


def test_dqn_follows_the_regime_to_99_percent_of_the_optimal_log_wealth():
    train, test = (regime_switching(n, seed, stay=STAY, step=MOVE) for n, seed in ((20_000, 1), (10_000, 2)))
    env = gym.make("trading_env:TradingEnv-v0", data=train, random_start=True, episode_length=200, **TASK)
    agent = DQN(
        env,
        seeds=4,
        learning_rate="lin_1e-3",
        gamma=0.9,
        batch_size=64,
        learning_starts=500,
        train_freq=1,
        target_update_interval=200,
        exploration_fraction=0.5,
    ).learn(20_000)
    scores = log_wealth(lambda obs: agent.predict(obs, deterministic=True)[0], test, 4)
    assert (scores / log_wealth(follow, test, 1) >= 0.99).all(), scores
