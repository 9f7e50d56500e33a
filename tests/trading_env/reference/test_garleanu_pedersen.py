import math

import gymnasium as gym
import numpy as np
import pytest

from trading_env.reference.cfm_solution import quadratic_solution
from trading_env.reference.garleanu_pedersen import GarleanuPedersen, GarleanuPedersenVectorEnv
from trading_env.reference.garleanu_pedersen_solution import root_of, stationary_covariance


def mixed(seed, instruments, factors):
    """A problem of no symmetry: full matrices, factors that turn into each other."""
    rng = np.random.default_rng(seed)
    S, Omega = (m @ m.T + 0.1 * np.eye(len(m)) for m in (rng.normal(size=(n, n)) for n in (instruments, factors)))
    Phi = 0.3 * np.eye(factors) + 0.1 * rng.normal(size=(factors, factors))
    return {"B": rng.normal(size=(instruments, factors)), "Phi": Phi, "S": S, "Omega": Omega}


CASES = [
    {},
    {"gamma": 0.3, "lam": 20.0},
    {"gamma": 5.0, "lam": 0.0},
    {**mixed(0, 3, 2), "gamma": 0.7, "lam": 2.5},
    {**mixed(1, 2, 4), "gamma": 2.0, "lam": 0.5},
    {"B": 1.0, "Phi": 1.2, "S": 2.0, "Omega": 0.3, "gamma": 1.5, "lam": 3.0},
]


def by_dynamic_programming(problem, iterations=4000):
    """Rate matrix (K, K), aim matrix (K, J) and mean reward, by iterating the quadratic value function.

    V(f, x) = f'Mf / 2 + f'Nx + x'Qx / 2, where x are the positions held. Nothing of the closed form is used.
    """
    B, S, cost, R = problem.B, problem.S, problem.lam * problem.S, np.eye(len(problem.Phi)) - problem.Phi
    M, N, Q = np.zeros((len(R), len(R))), np.zeros(B.T.shape), np.zeros(S.shape)
    for _ in range(iterations):
        H = problem.gamma * S + cost - Q  # of the maximum over x of x'(Gf + cost x_before) - x'Hx / 2
        G = B + N.T @ R
        M, N, Q = (
            G.T @ np.linalg.solve(H, G) + R.T @ M @ R,
            G.T @ np.linalg.solve(H, cost),
            cost @ np.linalg.solve(H, cost) - cost,
        )
    kept = np.linalg.solve(H, cost)
    rate = np.eye(len(S)) - kept
    return rate, np.linalg.solve(rate, np.linalg.solve(H, G)), 0.5 * np.trace(M @ problem.Omega)


@pytest.mark.parametrize("keywords", CASES)
def test_the_closed_form_is_that_of_dynamic_programming(keywords):
    problem = GarleanuPedersen(**keywords)
    rate, aim, value = by_dynamic_programming(problem)
    assert rate == pytest.approx(problem.solution.rate * np.eye(len(rate)), abs=1e-9)
    assert problem.solution.aim == pytest.approx(aim, rel=1e-8, abs=1e-10)
    assert problem.optimum() == pytest.approx(value, rel=1e-9)


def test_the_numbers_of_two_instruments():
    solution = GarleanuPedersen().solution
    assert solution.rate == pytest.approx(0.3903882032, abs=5e-11)
    assert solution.aim == pytest.approx(np.array([[1.0548, -0.49828], [-0.63288, 1.660934]]), abs=5e-6)
    assert solution.value == pytest.approx(0.5910646877, abs=5e-11)


def test_one_instrument_is_cfms_quadratic_problem():
    for risk, psi, theta in ((0.3, 1.0, 0.1), (0.8, 0.3, 0.4)):
        sigma = 2.0 * theta  # variance of the noise of CFM's normalised signal
        own = GarleanuPedersen(B=1.0, Phi=theta, S=1.0, Omega=sigma, gamma=2.0 * risk, lam=2.0 * psi)
        theirs = quadratic_solution(risk, psi, theta)
        assert own.optimum() == pytest.approx(theirs.value, rel=1e-12)
        assert 1.0 - own.solution.rate == pytest.approx(theirs.a, rel=1e-12)
        assert own.solution.rate * own.solution.aim == pytest.approx(theirs.b, rel=1e-12)
    assert GarleanuPedersen(B=1.0, Phi=0.1, S=1.0, Omega=0.2, gamma=0.6, lam=2.0).optimum() == pytest.approx(
        0.6758048, abs=5e-8
    )


def mean_rewards(envs, act, seed=0):
    """Mean reward of a step in each env, after the first 100 steps, in which positions are built up."""
    obs, total = envs.reset(seed=seed)[0], np.zeros(envs.num_envs)
    for t in range(1000):
        obs, reward, *_ = envs.step(act(obs))
        total += reward * (t >= 100)
    return total / 900


@pytest.mark.parametrize("keywords", [CASES[i] for i in (0, 3, 4)])
def test_the_policy_earns_the_optimum_and_its_moments_are_those_of_the_positions(keywords):
    envs = GarleanuPedersenVectorEnv(200, **keywords)
    policy = envs.optimal_policy()
    means = mean_rewards(envs, lambda obs: policy.predict(obs)[0])
    assert abs(means.mean() - envs.optimum()) < 4.0 * means.std(ddof=1) / math.sqrt(200)
    assert means.std(ddof=1) / math.sqrt(200) < 0.02 * envs.optimum()
    obs = envs.reset(seed=1)[0]
    for _ in range(60):
        before = obs
        obs = envs.step(policy.predict(obs)[0])[0]
    position = obs[:, len(envs.problem.Phi) :]
    trade = position - before[:, len(envs.problem.Phi) :]
    assert position.std(0) == pytest.approx(envs.problem.solution.position, rel=0.2)
    assert trade.std(0) == pytest.approx(envs.problem.solution.trade, rel=0.2)


def test_going_straight_to_markowitzs_weights_loses_money():
    envs = GarleanuPedersenVectorEnv(200, max_trade=20.0, limit=20.0)
    problem = envs.problem
    best_without_costs = np.linalg.solve(problem.gamma * problem.S, problem.B)

    def act(obs):
        trade = obs[:, :2] @ best_without_costs.T - obs[:, 2:]
        return (trade / problem.largest_trade).astype(np.float32)

    assert mean_rewards(envs, act).mean() == pytest.approx(-0.2064, abs=0.02)


def test_the_reward_by_hand():
    env = gym.make("reference/GarleanuPedersen-v0", max_trade=2.0, limit=6.0).unwrapped
    f = env.reset(seed=3)[0][:2].astype(float)
    factors = env.problem.path(env._episodes.noise_seed[0])
    assert factors[0] == pytest.approx(f, rel=1e-6)
    _, reward, _, _, info = env.step(np.array([0.5, -0.25], np.float32))
    # x = dx = (1, -.5): x'Sx = 1 - 2 (.3)(.5) + .5 (.25) = .825; risk 1/2 of it, cost 4/2 of it
    assert info["cost"] == pytest.approx(1.65, abs=1e-12)
    assert reward == pytest.approx(factors[0, 0] - 0.5 * factors[0, 1] - 0.4125 - 1.65, abs=1e-12)
    obs, reward, _, _, info = env.step(np.array([0.0, 0.5], np.float32))
    # x = (1, .5), dx = (0, 1): x'Sx = 1 + .3 + .125 = 1.425; dx'S dx = .5
    assert info["position"].tolist() == [1.0, 0.5]
    assert reward == pytest.approx(factors[1, 0] + 0.5 * factors[1, 1] - 0.7125 - 1.0, abs=1e-12)
    assert obs == pytest.approx([*factors[2], 1.0, 0.5], rel=1e-6)


def test_the_path_has_the_dynamics_and_is_stationary_from_its_first_row():
    problem = GarleanuPedersen(**CASES[4], n_steps=3)
    rows = np.stack([problem.path(seed) for seed in range(4000)])  # [N, 4, J]
    V = stationary_covariance(np.eye(4) - problem.Phi, problem.Omega)
    for t in (0, 3):
        assert np.cov(rows[:, t].T) == pytest.approx(V, abs=0.12 * V.max())
    shocks = rows[:, 1] - rows[:, 0] @ (np.eye(4) - problem.Phi).T
    assert np.cov(shocks.T) == pytest.approx(problem.Omega, abs=0.12 * problem.Omega.max())


def test_the_covariance_of_factors_solves_its_equation():
    for case in CASES[3:]:
        problem = GarleanuPedersen(**case)
        A = np.eye(len(problem.Phi)) - problem.Phi
        V = stationary_covariance(A, problem.Omega)
        assert pytest.approx(A @ V @ A.T + problem.Omega, rel=1e-12) == V
    slow = stationary_covariance(np.array([[1.0 - 1e-9]]), np.array([[1.0]]))
    assert slow[0, 0] == pytest.approx(1.0 / (2e-9 - 1e-18), rel=1e-6)
    singular = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert root_of(singular) @ root_of(singular).T == pytest.approx(singular)


def test_a_state_brings_back_the_positions():
    envs = GarleanuPedersenVectorEnv(3, n_steps=20)
    envs.reset(seed=0)
    envs.action_space.seed(0)
    for _ in range(4):
        envs.step(envs.action_space.sample())
    state, action = envs.get_state(), envs.action_space.sample()
    first = envs.step(action)
    other = GarleanuPedersenVectorEnv(3, n_steps=20)
    other.set_state(state)
    again = other.step(action)
    for a, b in zip(first[:4], again[:4], strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="position"):
        other.set_state({**state, "episodes": {**state["episodes"], "position": np.zeros(3)}})
