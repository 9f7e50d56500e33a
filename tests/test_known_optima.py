"""Agents reach the optimum where it is known."""

import math

import gymnasium as gym
import numpy as np
import pytest

from agents.a2c import A2C
from agents.dqn import DQN
from agents.pqn import PQN
from agents.qrdqn import QRDQN
from agents.recurrent_a2c import RecurrentA2C
from agents.sac import SAC
from trading_env import Costs, TradingVectorEnv
from trading_env.data.simulators import regime_switching

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


REPLAY = {"batch_size": 64, "learning_starts": 500, "target_update_interval": 200, "exploration_fraction": 0.5}
FOLLOWERS = {
    "DQN": (DQN, 20_000, {**REPLAY, "learning_rate": "lin_1e-3", "train_freq": 1}),
    "QRDQN": (
        QRDQN,
        20_000,
        {**REPLAY, "learning_rate": "lin_3e-3", "train_freq": 2, "n_quantiles": 11, "normalize_reward": True},
    ),
    "PQN": (
        PQN,
        64_000,
        {"learning_rate": "lin_3e-3", "n_envs": 16, "normalize_reward": True, "exploration_fraction": 0.5},
    ),
}


@pytest.mark.parametrize("name", FOLLOWERS)
def test_agents_with_action_values_follow_the_regime_to_99_percent_of_the_optimal_log_wealth(name):
    train, test = (regime_switching(n, seed, stay=STAY, step=MOVE) for n, seed in ((20_000, 1), (10_000, 2)))
    env = gym.make("trading_env:TradingEnv-v0", data=train, random_start=True, episode_length=200, **TASK)
    algorithm, steps, options = FOLLOWERS[name]
    agent = algorithm(env, seeds=4, gamma=0.9, **options).learn(steps)
    scores = log_wealth(lambda obs: agent.predict(obs, deterministic=True)[0], test, 4)
    assert (scores / log_wealth(follow, test, 1) >= 0.99).all(), scores


def earned(policy, paths, lead, env="reference/MoodySaffell-v0", **keywords):
    """Mean reward per step [*lead] in an env of the reference, K paths each, the last of lead."""
    envs = gym.make_vec(env, math.prod(lead), **(keywords or HIDDEN_TREND))
    obs, _ = envs.reset(options={"noise_seed": np.broadcast_to(paths, lead).ravel()})
    total, state, start = np.zeros(lead), None, np.ones(lead, bool)
    for _ in range(1000):
        action, state = policy.predict(obs.reshape(*lead, -1), state, start, deterministic=True)
        obs, reward, *_ = envs.step(action.reshape(-1, *envs.single_action_space.shape))
        total, start = total + reward.reshape(lead) / 1000, np.zeros(lead, bool)
    return total


HIDDEN_TREND = {"scale": 1.5537, "cost": 2.0}  # cost .002 in the unit of a thousandth


def test_an_lstm_that_sees_one_return_at_a_time_nears_the_optimum_of_a_hidden_trend():
    env = gym.make("reference/MoodySaffell-v0", **HIDDEN_TREND)
    agent = RecurrentA2C(
        env.spec,
        seeds=2,
        n_envs=16,
        learning_rate="lin_4e-3",
        n_steps=32,
        gamma=0.9,
        ent_coef=0.3,
        normalize_advantage=True,
        lstm_size=32,
    ).learn(100_000)
    paths = np.arange(1_000_000, 1_000_020)
    best = earned(env.unwrapped.optimal_policy(), paths, (20,))
    scores = earned(agent, paths, (2, 20)).mean(1) / best.mean()
    assert (scores > 0.9).all(), scores  # the best thresholds for the last return, by position, earn 0.875


def test_sac_nears_the_optimum_of_quadratic_costs_with_continuous_trades():
    env = gym.make("reference/CFMQuadratic-v0", max_trade=4.0)
    agent = SAC(
        env.spec,
        seeds=2,
        n_envs=16,
        learning_rate="lin_3e-3",
        batch_size=256,
        gamma=0.95,
        learning_starts=1_000,
        ent_coef="auto_0.1",
        net_arch=(64, 64),
    ).learn(24_000)
    paths = np.arange(1_000_000, 1_000_010)
    best, scores = (
        earned(policy, paths, lead, env.spec.id, max_trade=4.0)
        for policy, lead in ((env.unwrapped.optimal_policy(), (10,)), (agent, (2, 10)))
    )
    assert (scores.mean(1) / best.mean() > 0.93).all(), scores.mean(1) / best.mean()


def test_dear_costs_do_not_keep_a_policy_from_trading():
    """Without `normalize_reward` and entropy, these seeds end always long or never: critics' first errors decide."""
    costs = {"commission": 2e-3, "slippage": 2e-3}
    train, test = (regime_switching(20_000, seed, stay=0.98, step=0.005, sigma=0.01) for seed in (0, 5))
    env = gym.make("trading_env:TradingEnv-v0", data=train, random_start=True, episode_length=200, costs=costs, **TASK)
    agent = A2C(
        env,
        seeds=[12, 13, 15],
        n_envs=8,
        learning_rate="lin_1e-3",
        gamma=0.9,
        normalize_advantage=True,
        normalize_reward=True,
        ent_coef="lin_0.1",
    ).learn(40_000)
    envs = TradingVectorEnv(3, test, costs=costs, episode_length=5_000, **TASK)
    best = TradingVectorEnv(1, test, costs=costs, episode_length=5_000, **TASK)
    mine = grown(envs, lambda obs: agent.predict(obs, deterministic=True)[0])
    assert (mine > 0.9 * grown(best, follow)).all(), mine


def grown(envs, policy):
    """Log growth of each sub-env over one episode."""
    obs, _ = envs.reset()
    total, ended = np.zeros(envs.num_envs), False
    while not ended:
        obs, reward, _, truncated, _ = envs.step(policy(obs))
        total, ended = total + reward, truncated.all()
    return total
