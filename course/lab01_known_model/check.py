"""Checks of lab 1."""

from typing import Any

import gymnasium as gym
import numpy as np

from course.checking import Checks, Wrong, agree

CHECKS = Checks()


def drawn(rng: np.random.Generator, n: int = 7, m: int = 3) -> tuple[Any, Any, float]:
    """A random model, chances [S, A, S] and rewards [S, A], and gamma; some rows terminate."""
    chance = rng.dirichlet(np.full(n, 0.5), (n, m)) * (rng.random((n, m, 1)) > 0.2)
    return chance, rng.normal(size=(n, m)), float(rng.uniform(0.7, 0.9))


def optimum(chance: Any, reward: Any, gamma: float) -> Any:
    """Optimal values, by many rounds."""
    values = np.zeros(len(reward))
    for _ in range(2_000):
        values = (reward + gamma * chance @ values).max(1)
    return values


@CHECKS.add("action_values", "reward and the discounted mean of what follows", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    chance, reward, gamma = drawn(rng)
    values = rng.normal(size=len(reward))
    right = reward + gamma * chance @ values
    mistakes = {
        "gamma is missing": reward + chance @ values,
        "the reward is missing": gamma * chance @ values,
        "the reward is discounted too": gamma * (reward + chance @ values),
        "the maximum is taken already: a value for each action is needed": right.max(1),
        "the values are of the states one comes from: sum over s', the last axis": reward
        + gamma * np.einsum("sat,s->sa", chance, values),
        "the best of what may follow is taken: it is a mean": reward + gamma * (chance * values).max(2),
    }
    agree("Q", student.action_values(chance, reward, values, gamma), right, mistakes)


@CHECKS.add("value_iteration", "the optimal values", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    chance, reward, gamma = drawn(rng)
    got, right = student.value_iteration(chance, reward, gamma), optimum(chance, reward, gamma)
    mistakes = {
        "the mean over actions is taken: these are the values of chance": mean_values(chance, reward, gamma),
        "the worst action is taken: max, not min": -optimum(chance, -reward, gamma),
        "one round only: iterate until no value changes": reward.max(1),
        "this is Q: return the values, its maximum over actions": reward + gamma * chance @ right,
    }
    agree("the values", got, right, mistakes, rtol=1e-6)


def mean_values(chance: Any, reward: Any, gamma: float) -> Any:
    """Values of the policy that takes all actions alike."""
    return np.linalg.solve(np.eye(len(reward)) - gamma * chance.mean(1), reward.mean(1))


@CHECKS.add("value_iteration", "accurate where gamma is near 1", 1)
def _(student: Any, rng: np.random.Generator) -> None:
    chance, reward, _ = drawn(rng)
    chance *= 0.999 / np.maximum(chance.sum(2, keepdims=True), 1e-9)  # hardly ever an end
    got, right = student.value_iteration(chance, reward, 0.99), optimum(chance, reward, 0.99)
    if np.shape(got) == np.shape(right) and np.abs(got - right).max() > 1e-4:
        raise Wrong(
            f"values are {np.abs(got - right).max():.2g} off: stop when no value changes, not after some rounds"
        )
    agree("the values", got, right, rtol=1e-6)


@CHECKS.add("policy_values", "those of the policy given", 2)
def _(student: Any, rng: np.random.Generator) -> None:
    chance, reward, gamma = drawn(rng)
    policy = rng.integers(3, size=len(reward))
    rows, one = np.arange(len(policy)), np.eye(len(policy))
    right = np.linalg.solve(one - gamma * chance[rows, policy], reward[rows, policy])
    mistakes = {
        "these are the optimal values, not the policy's": optimum(chance, reward, gamma),
        "the system is transposed: rows are where one comes from": np.linalg.solve(
            one - gamma * chance[rows, policy].T, reward[rows, policy]
        ),
        "gamma is missing": np.linalg.lstsq(one - chance[rows, policy], reward[rows, policy])[0],
        "this is the reward of one step": reward[rows, policy],
        "the policy is ignored: all actions are taken alike": mean_values(chance, reward, gamma),
    }
    agree("the values", student.policy_values(chance, reward, policy, gamma), right, mistakes)


@CHECKS.add("policy_iteration", "an optimal policy with its values", 3)
def _(student: Any, rng: np.random.Generator) -> None:
    lake = gym.make("FrozenLake-v1", is_slippery=True)
    for chance, reward, gamma in (drawn(rng), (*student_model(lake), 0.95)):
        found = student.policy_iteration(chance, reward, gamma)
        if not isinstance(found, tuple | list) or len(found) != 3:
            raise Wrong("policy_iteration must return three things: policy, values, rounds")
        policy, values, rounds = found
        right = optimum(chance, reward, gamma)
        first = np.linalg.solve(np.eye(len(reward)) - gamma * chance[:, 0], reward[:, 0])
        mistakes = {"the first policy is never improved": first}
        agree("the values", values, right, mistakes, rtol=1e-6)
        if np.shape(policy) != (len(reward),):
            raise Wrong(f"policy must be an action for each state, shape {(len(reward),)}, got {np.shape(policy)}")
        rows = np.arange(len(reward))
        of_policy = np.linalg.solve(np.eye(len(reward)) - gamma * chance[rows, policy], reward[rows, policy])
        agree("the value of the policy returned", of_policy, right, rtol=1e-6)
        if not 1 <= rounds <= 30:
            raise Wrong(f"rounds must be the number of improvements, got {rounds}")


def student_model(env: Any) -> tuple[Any, Any]:
    """Chances and rewards of a toy env."""
    n, m = env.observation_space.n, env.action_space.n
    chance, reward = np.zeros((n, m, n)), np.zeros((n, m))
    for state, actions in env.unwrapped.P.items():
        for action, outcomes in actions.items():
            for p, after, gain, over in outcomes:
                reward[state, action] += p * gain
                chance[state, action, after] += 0.0 if over else p
    return chance, reward
