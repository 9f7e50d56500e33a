"""Grade a student's policy against the optimum: a mean-reverting price, with costs and aversion to risk (Ritter 2017).

The optimum is exact. The score is the policy's mean reward as a part of it, on many episodes with fixed seeds, with a
95% interval over episodes; the optimal policy runs on the same noise, so that luck cancels.

    python examples/grade_a_policy.py [episodes]
"""

import sys

import gymnasium as gym
import numpy as np

EPISODES = int(sys.argv[1]) if len(sys.argv) > 1 else 200
PROBLEM = {"observation": "box", "n_steps": 500}  # log(price / mean) in standard deviations, position in [-1, 1]
ENV = "trading_env:reference/Ritter-v0"


class Student:
    """What a student hands in: anything with `predict`, such as a model of Stable-Baselines3 or one of our agents."""

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        """Holds half the limit for each standard deviation that the price is away, for observations (N, 2)."""
        target = np.clip(-0.5 * observation[:, 0], -1.0, 1.0)
        lots = np.clip(np.rint(10 * (target - observation[:, 1])), -5, 5)
        return lots.astype(np.int64) + 5, state  # action 5 trades nothing


def mean_rewards(policy):
    """Mean reward per step of each episode (N,), all in one vector env."""
    envs = gym.make_vec(ENV, num_envs=EPISODES, **PROBLEM)
    obs, _ = envs.reset(seed=list(range(1_000, 1_000 + EPISODES)))
    total, steps, running = np.zeros(EPISODES), np.zeros(EPISODES), np.ones(EPISODES, bool)
    state = None
    while running.any():
        action, state = policy.predict(obs, state, deterministic=True)
        obs, reward, terminated, truncated, _ = envs.step(action)
        total, steps = total + reward * running, steps + running
        running &= ~(terminated | truncated)
    return total / steps


env = gym.make(ENV, **PROBLEM).unwrapped
student, best = mean_rewards(Student()), mean_rewards(env.optimal_policy())
ratio = student.mean() / best.mean()
residual = (student - ratio * best) / best.mean()  # the delta method for a ratio of means
margin = 1.96 * residual.std(ddof=1) / np.sqrt(EPISODES)
print(f"optimum {env.optimum():.1f} per step; the optimal policy earned {best.mean():.1f} here")
print(f"score {ratio:.1%}, 95% interval {ratio - margin:.1%} to {ratio + margin:.1%}")
print("passed" if ratio - margin > 0.9 else "not passed: the lower end must exceed 90%")
