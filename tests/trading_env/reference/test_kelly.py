import math

import gymnasium as gym
import numpy as np
import pytest
from scipy.optimize import minimize

from trading_env.reference.kelly import PROBABILITIES, RETURNS, KellyEnv, KellyVectorEnv
from trading_env.reference.kelly_solution import best_weights, certified_gap


def growth_of(weights, returns, probabilities):
    return float(probabilities @ np.log1p(returns @ weights))


def random_table(seed):
    """Returns (M, K), probabilities (M,), leverage, and whether short positions are allowed."""
    rng = np.random.default_rng(seed)
    instruments, outcomes = rng.integers(1, 7), rng.integers(2, 30)
    size = 10.0 ** rng.uniform(-4, -0.5)
    returns = np.maximum(rng.normal(0.2 * size, size, (outcomes, instruments)), -0.99)
    return returns, rng.dirichlet(np.ones(outcomes)), float(rng.choice([0.5, 1.0, 3.0])), bool(rng.random() < 0.4)


def test_a_bet_has_kellys_fraction():
    for p, win, loss in ((0.5, 1.0, 0.5), (0.6, 1.0, 0.999), (0.9, 0.02, 0.1)):
        found = best_weights(np.array([[win], [-loss]]), np.array([p, 1.0 - p]), leverage=10.0)
        fraction = p / loss - (1.0 - p) / win
        assert found.weights == pytest.approx([fraction], rel=1e-12)
        assert found.growth == pytest.approx(p * np.log1p(fraction * win) + (1 - p) * np.log1p(-fraction * loss))
    assert best_weights(np.array([[1.0], [-0.999]]), np.array([0.4, 0.6])).weights.tolist() == [0.0]
    short = best_weights(np.array([[1.0], [-0.9]]), np.array([0.4, 0.6]), short=True)
    assert short.weights == pytest.approx([0.4 / 0.9 - 0.6], rel=1e-12)


def test_two_bets_by_hand():
    # one of two equal, exclusive wins: 2 log(1 + w (r1 + r2)) at best in equal parts; 1.2 and -.5 with chances 1/2
    returns = np.array([[1.2, -0.5], [-0.5, 1.2]])
    found = best_weights(returns, np.array([0.5, 0.5]))
    assert found.weights == pytest.approx([0.5, 0.5], rel=1e-12)
    assert found.growth == pytest.approx(np.log(1.35))


@pytest.mark.parametrize("seed", range(25))
def test_no_weights_are_better(seed):
    returns, probabilities, leverage, short = random_table(seed)
    found = best_weights(returns, probabilities, leverage, short)
    assert np.abs(found.weights).sum() <= leverage * (1.0 + 1e-12)
    assert short or found.weights.min() >= 0.0
    assert found.growth == pytest.approx(growth_of(found.weights, returns, probabilities), rel=1e-12, abs=1e-18)
    assert found.gap <= 1e-12 * np.abs(returns).max()
    rng = np.random.default_rng(seed)
    others = rng.dirichlet(np.ones(returns.shape[1] + 1), 2000)[:, :-1] * leverage
    others *= rng.choice([-1.0, 1.0], others.shape) if short else 1.0
    others[1000:] = found.weights + 0.01 * (others[1000:] - found.weights)
    wealth = 1.0 + others @ returns.T
    values = np.where((wealth > 0.0).all(1), np.log(np.maximum(wealth, 1e-300)) @ probabilities, -np.inf)
    assert values.max() <= found.growth + found.gap + 1e-15


@pytest.mark.parametrize("seed", range(12))
def test_a_general_optimiser_finds_the_same(seed):
    returns, probabilities, leverage, short = random_table(seed)
    found = best_weights(returns, probabilities, leverage, short)
    gains = np.concatenate([returns, -returns], axis=1) if short else returns
    n, scale = gains.shape[1], 1.0 / np.abs(returns).max()
    result = minimize(
        lambda y: -scale * probabilities @ np.log(np.maximum(1.0 + gains @ y, 1e-9)),
        np.full(n, 0.1 * leverage / n),
        jac=lambda y: -scale * (probabilities / np.maximum(1.0 + gains @ y, 1e-9)) @ gains,
        bounds=[(0.0, None)] * n,
        constraints={"type": "ineq", "fun": lambda y: leverage - y.sum(), "jac": lambda y: -np.ones(n)},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert found.growth == pytest.approx(-result.fun / scale, rel=1e-5, abs=1e-7 / scale)


def test_the_gap_is_how_much_others_can_gain():
    returns, chances = np.array([[1.0], [-0.5]]), np.array([0.5, 0.5])
    best = best_weights(returns, chances)
    for weight in (0.0, 0.2, 0.9):
        missed = best.growth - growth_of(np.array([weight]), returns, chances)
        assert certified_gap(returns, chances, 1.0, np.array([weight])) >= missed > 0.0


def test_odd_tables_have_an_optimum():
    rows = np.random.default_rng(0).normal(0.002, 0.02, (20, 3))
    even = np.full(20, 0.05)
    twins = best_weights(np.repeat(rows, 2, axis=1), even)
    assert twins.growth == pytest.approx(best_weights(rows, even).growth, rel=1e-10)
    assert best_weights(np.zeros((2, 2)), np.array([0.5, 0.5])).growth == 0.0
    assert best_weights(np.array([[0.1, 0.2]]), np.array([1.0])).weights == pytest.approx([0.0, 1.0])
    impossible = best_weights(np.array([[1.0], [-0.5], [-0.99]]), np.array([0.5, 0.5, 0.0]))
    assert impossible.weights == pytest.approx([0.5])
    arbitrage = best_weights(np.array([[0.1, -0.05], [-0.1, 0.15]]), np.array([0.5, 0.5]), leverage=4.0)
    assert arbitrage.weights.sum() == pytest.approx(4.0)


# -- the env

TABLES = [
    {},
    {"returns": [[0.2, -0.1], [-0.1, 0.15], [0.0, 0.01]], "probabilities": [0.3, 0.3, 0.4], "max_leverage": 3.0},
    {"returns": [[0.02, 0.03], [-0.03, -0.01]], "allow_short": True, "n_bars": 300},
    {"returns": [[0.5], [-0.4]], "probabilities": [0.55, 0.45]},
]


@pytest.mark.parametrize("keywords", TABLES)
def test_the_policy_earns_the_optimum(keywords):
    envs = KellyVectorEnv(300, episode_length=50, **keywords)
    policy, total = envs.optimal_policy(), np.zeros(300)
    obs, _ = envs.reset(seed=0)
    for _ in range(50):
        obs, reward, terminated, _, _ = envs.step(policy.predict(obs)[0])
        assert not terminated.any()
        total += reward
    means = total / 50
    assert abs(means.mean() - envs.optimum()) < 5.0 * means.std(ddof=1) / math.sqrt(300)
    assert envs.optimum() > 0.0


def test_the_default_problem_needs_all_three_instruments():
    env = gym.make("reference/Kelly-v0").unwrapped
    returns, chances = np.array(RETURNS), np.array(PROBABILITIES)
    assert env.optimum() == pytest.approx(growth_of(env.solution.weights, returns, chances), rel=1e-12)
    assert env.solution.weights.min() > 0.1
    assert growth_of(np.full(3, 1 / 3), returns, chances) < 0.92 * env.optimum()
    for k in range(3):
        assert growth_of(np.eye(3)[k], returns, chances) < 0.7 * env.optimum()


def test_a_step_grows_by_the_outcome_that_was_drawn():
    env = gym.make("reference/Kelly-v0", n_paths=2, n_bars=70, episode_length=20).unwrapped
    env.reset(seed=1)
    weights, logs = np.array([0.2, 0.5, 0.1]), np.log1p(np.array(RETURNS))
    for _ in range(20):
        obs, reward, *_ = env.step(weights)
        (outcome,) = np.flatnonzero(np.abs(obs[:3] - logs).max(axis=1) < 1e-6)
        assert reward == pytest.approx(math.log1p(np.array(RETURNS)[outcome] @ weights), abs=1e-12)


def test_outcomes_are_independent_draws_of_the_table():
    panels = KellyEnv(n_paths=110, n_bars=70).task.markets
    logs = np.log1p(np.array(RETURNS))
    found = []
    for panel in panels:
        steps = np.diff(np.log(panel.close), axis=0)
        distances = np.abs(steps[:, None] - logs).max(axis=2)
        assert distances.min(axis=1).max() < 1e-12
        found.append(distances.argmin(axis=1))
    drawn = np.concatenate(found)
    assert np.bincount(drawn) / len(drawn) == pytest.approx(PROBABILITIES, abs=0.02)
    pairs = np.bincount(3 * drawn[:-1] + drawn[1:], minlength=9).reshape(3, 3) / (len(drawn) - 1)
    assert pairs == pytest.approx(np.outer(PROBABILITIES, PROBABILITIES), abs=0.015)
    others = KellyEnv(n_paths=2, n_bars=70, market_seed=1).task.markets
    assert not np.array_equal(others[0].close, panels[0].close)
    assert np.array_equal(KellyEnv(n_paths=2, n_bars=70).task.markets[0].close, panels[0].close)
