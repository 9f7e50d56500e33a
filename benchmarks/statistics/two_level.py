"""Means over two levels, seeds and bars or paths, with bootstrap intervals that resample both.

Axis letters: S seeds, N bars or paths, B bootstrap samples.
"""

from __future__ import annotations

import numpy as np

from benchmarks.statistics.intervals import (
    Floats,
    Ints,
    check_sampling,
    counts,
    numbers,
    percentile_interval,
    stationary_bootstrap,
)


def resampled_means(values: Floats, seeds: Ints, columns: Ints) -> Floats:
    """Means [B] of values [S, N] over the drawn seeds [B, S] and, jointly for all seeds, the drawn columns [B, N]."""
    weights = counts(seeds, values.shape[0]), counts(columns, values.shape[1])  # [B, S], [B, N]
    total: Floats = np.einsum("bs,sn,bn->b", weights[0], values, weights[1], optimize=True)
    return total / values.size


def edge_interval(
    growth: Floats, *, level: float = 0.95, samples: int = 2000, mean_block: float = 20.0, seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of the mean log growth [S, T]: resamples seeds, and blocks of time jointly for all seeds."""
    growth = numbers("growth", growth, 2)
    check_sampling(samples, seed, level)
    if not growth.size or not np.isfinite(growth).all():
        raise ValueError(f"growth must be finite, of at least one seed and one bar, got shape {growth.shape}")
    rng = np.random.default_rng(seed)
    S, T = growth.shape
    bars = stationary_bootstrap(T, min(mean_block, T), samples, rng)  # [B, T]
    seeds = rng.integers(S, size=(samples, S))
    return percentile_interval(resampled_means(growth, seeds, bars), level)


def score(rewards: Floats, optimal: Floats, *, difference: bool = False) -> float:
    """Mean reward [S, K] divided by the optimal policy's [K], or the difference of the two."""
    ours, best = float(rewards.mean()), float(optimal.mean())
    if best == 0.0 and not difference:
        raise ValueError("optimal must have a nonzero mean to divide by: use difference=True")
    return ours - best if difference else ours / best


def score_interval(
    rewards: Floats,
    optimal: Floats,
    *,
    difference: bool = False,
    level: float = 0.95,
    samples: int = 5000,
    seed: int = 0,
) -> tuple[float, float]:
    """Bootstrap interval of `score`: resamples seeds, and paths jointly for both policies."""
    rewards, optimal = numbers("rewards", rewards, 2), numbers("optimal", optimal, 1)
    check_sampling(samples, seed, level)
    if not rewards.size or rewards.shape[1] != len(optimal):
        raise ValueError(f"rewards must be [S, {len(optimal)}], one column per optimal path, got shape {rewards.shape}")
    rng = np.random.default_rng(seed)
    S, K = rewards.shape
    seeds, paths = rng.integers(S, size=(samples, S)), rng.integers(K, size=(samples, K))
    ours, best = resampled_means(rewards, seeds, paths), counts(paths, K) @ optimal / K
    return percentile_interval(ours - best if difference else ours / best, level)
