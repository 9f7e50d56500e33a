"""A structural baseline: a filter of one signal with thresholds, chosen on training episodes. S seeds, C candidates.

The filtered signal is m' = decay m + signal, the steady Kalman filter of a hidden autoregressive drift up to its unit.
The rule is long above one threshold, short (or out, where it cannot be short) below another, and holds between them,
which is the shape of the best policy under proportional costs. Three numbers are chosen, from the same information that
agents have: observations, rewards, and nothing of the model.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.contenders.training import Judge, Points, Trained
from benchmarks.evaluation.episodes import episode_returns

Floats = npt.NDArray[np.float64]
DECAYS = (0.0, 0.5, 0.65, 0.75, 0.8, 0.85, 0.9, 0.95)
BANDS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.2, 1.6)  # thresholds, in deviations of the filtered signal
EPISODES = 10  # that all candidates are tried on
_FIRST = 1_000_000_000  # reset seed of the first one


class FilterRule:
    """The policy of S rules, one per seed.

    Args:
        parameters: Decay, threshold to be long above, threshold to be short below [S, 3].
        n_actions: 3 for short, flat and long; 2 for flat and long.
    """

    def __init__(self, parameters: Floats, n_actions: int) -> None:
        self.parameters, self.n_actions = parameters, n_actions

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions for observations [S, K, D], or [K, D] of a single rule, whose first entry is the signal."""
        signal = np.asarray(observation, np.float64)[..., 0]
        decay, above, below = self.parameters.T[:, :, None] if signal.ndim > 1 else self.parameters[0][:, None]
        level, side = state or (np.zeros_like(signal), np.zeros_like(signal))
        level = decay * level + signal
        side = np.where(level > above, 1.0, np.where(level < below, -1.0, side))
        action = side + 1.0 if self.n_actions == 3 else np.maximum(side, 0.0)
        return action.astype(np.int64), (level, side)


def candidates() -> Floats:
    """All parameters that are tried [C, 3]: bands about 0 for each decay, always long, and never in."""
    scaled = ((decay, band / (1.0 - decay**2) ** 0.5) for decay, band in itertools.product(DECAYS, BANDS))
    return np.array(
        [*((decay, band, -band) for decay, band in scaled), (0.0, -np.inf, -np.inf), (0.0, np.inf, -np.inf)]
    )


def train(spec: Any, seeds: Sequence[int], judge: Judge, steps: int) -> Trained:
    """The best candidates of each seed's training episodes, with their score.

    Args:
        spec: of the env.
        seeds: each draws its own episodes.
        judge: scores the chosen rules.
        steps: that training counts.
    """
    start, tried = time.perf_counter(), candidates()
    envs: Any = gym.make_vec(spec, len(tried) * EPISODES)
    n_actions = int(envs.single_action_space.n)
    chosen = []
    for seed in seeds:
        episodes = [_FIRST + seed * EPISODES + k for k in range(EPISODES)]
        obs, _ = envs.reset(seed=episodes * len(tried))
        returns, _ = episode_returns(FilterRule(tried, n_actions), envs, obs, len(tried))
        chosen.append(tried[returns.mean(1).argmax()])
    envs.close()
    seconds = time.perf_counter() - start
    rule = FilterRule(np.array(chosen), n_actions)
    scores = judge(rule, runs=len(seeds))
    points = Points(np.array([float(steps)]), np.array([seconds]), scores[None])
    return Trained(rule, seconds, steps * len(seeds) / seconds, 1, points)
