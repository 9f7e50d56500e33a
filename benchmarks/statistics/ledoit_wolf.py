"""Ledoit and Wolf's test of the difference of two Sharpe ratios on the same bars.

Source:
    Ledoit and Wolf (2008), Robust Performance Hypothesis Testing with the Sharpe Ratio, sections 3.1 and 3.2.

Axis letters: T bars, B bootstrap samples, L blocks of a sample.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import Floats, numbers
from benchmarks.statistics.sharpe import sharpe_ratios
from trading_env._checks import integer

_FEWEST = 10  # bars
_CHUNK = 2_000_000  # numbers that a part of the bootstrap holds at once


class SharpeDifference(NamedTuple):
    """The difference of two Sharpe ratios per bar."""

    difference: float
    standard_error: float
    p_value: float
    block: int


def sharpe_difference(
    a: npt.ArrayLike, b: npt.ArrayLike, block: int | None = None, samples: int = 4999, seed: int = 0
) -> SharpeDifference:
    """Ratio per bar of a [T] less that of b [T] on the same bars, with a two-sided p-value for equal ratios.

    Args:
        a: Returns.
        b: Returns on the same bars.
        block: Bars in a block of the bootstrap; None lets the data choose (`arch.bootstrap.optimal_block_length`).
        samples: Bootstrap samples.
        seed: Seed of the draws.

    Returns:
        The difference, its standard error (HAC, quadratic-spectral kernel, prewhitened), the p-value of the studentised
        circular block bootstrap, and the length of its blocks.

    Raises:
        ValueError: The lengths differ or are below 10, a return is not finite, or a series does not vary.
    """
    pair = [numbers(name, values, 1) for name, values in (("a", a), ("b", b))]
    if pair[0].size != pair[1].size:
        raise ValueError(f"a and b must have the same bars, got {pair[0].size} and {pair[1].size}")
    returns = np.stack(pair)  # [2, T]
    samples, seed, T = integer("samples", samples, 1), integer("seed", seed, 0), returns.shape[1]
    if T < _FEWEST:
        raise ValueError(f"a and b must have at least {_FEWEST} bars, got {T}")
    ratio, influence = sharpe_ratios(returns)
    if np.isnan(ratio).any():
        raise ValueError("a and b must both vary: a series of equal returns has no Sharpe ratio")
    series = influence[0] - influence[1]
    if np.abs(series).max() <= 1e-9:  # the same returns, up to their scale
        return SharpeDifference(0.0, 0.0, 1.0, 1)
    block = block_length(series) if block is None else integer("block", block, 1, T)
    difference, error = float(ratio[0] - ratio[1]), math.sqrt(hac_variance(series) / T)
    drawn = _studentised(returns, block, samples, np.random.default_rng(seed))
    exceed = int(np.count_nonzero(drawn >= abs(difference) / error))
    return SharpeDifference(difference, error, (exceed + 1) / (samples + 1), block)


def hac_variance(series: npt.ArrayLike) -> float:
    """Long-run variance of a series [T]: quadratic-spectral kernel with Andrews' bandwidth, prewhitened by an AR(1).

    Source:
        Andrews (1991); Andrews and Monahan (1992), with the autoregressive root at most 0.97 in size.
    """
    centred = numbers("series", series, 1)
    centred = centred - centred.mean()
    T = centred.size
    power = float(centred[:-1] @ centred[:-1])
    if power == 0.0:
        return 0.0
    root = float(np.clip(centred[1:] @ centred[:-1] / power, -0.97, 0.97))
    white = centred[1:] - root * centred[:-1]
    rest = float(np.clip(white[1:] @ white[:-1] / max(float(white[:-1] @ white[:-1]), 1e-300), -0.97, 0.97))
    alpha = 4.0 * rest**2 / (1.0 - rest) ** 4
    bandwidth = max(1.3221 * (alpha * T) ** 0.2, 1e-3)
    lags = np.arange(1, white.size)
    x = 6.0 * np.pi * lags / (5.0 * bandwidth)
    weights = 3.0 / x**2 * (np.sin(x) / x - np.cos(x))
    kept = np.flatnonzero(np.abs(weights) > 1e-4)
    lagged = (weights[k] * float(white[k + 1 :] @ white[: -k - 1]) for k in kept)
    variance = (float(white @ white) + 2.0 * sum(lagged)) / white.size
    return max(variance, 0.0) / (1.0 - root) ** 2


def block_length(series: npt.ArrayLike) -> int:
    """Bars in a block of the circular bootstrap of a series [T]: Politis and White's choice, at most a fifth of T."""
    from arch.bootstrap import optimal_block_length

    values = numbers("series", series, 1)
    with np.errstate(divide="ignore", invalid="ignore"):  # autocorrelations of a handful of bars
        chosen = float(optimal_block_length(values)["circular"].iloc[0])
    return int(np.clip(math.ceil(chosen) if math.isfinite(chosen) else 1, 1, max(values.size // 5, 1)))


def _studentised(returns: Floats, block: int, samples: int, rng: np.random.Generator) -> Floats:
    """|difference in the sample - difference| / its standard error in the sample, [B], of returns [2, T]."""
    T = returns.shape[1]
    n_blocks = max(T // block, 1)
    wrapped = np.concatenate((returns, returns[:, : block - 1]), axis=1)
    sums = [np.apply_along_axis(np.convolve, 1, wrapped**power, np.ones(block), "valid") for power in (1, 2)]  # [2, T]
    _, true = _differences(*(total[:, None, :] for total in (returns, returns**2)), 1)
    parts = []
    for first in range(0, samples, step := max(_CHUNK // n_blocks, 1)):
        starts = rng.integers(T, size=(min(step, samples - first), n_blocks))  # [B, L]
        blocks, difference = _differences(sums[0][:, starts], sums[1][:, starts], block)
        error = np.sqrt((blocks**2).mean(-1) / block / (n_blocks * block))  # [B]
        with np.errstate(divide="ignore", invalid="ignore"):
            parts.append(np.nan_to_num(np.abs(difference - true) / error, nan=0.0, posinf=np.inf))
    return np.concatenate(parts)


def _differences(first: Floats, second: Floats, block: int) -> tuple[Floats, Floats]:
    """Influence on the difference, summed in each block [B, L], and the difference [B].

    Args:
        first: Sums of returns in each block, [2, B, L].
        second: Sums of squared returns, the same.
        block: Bars in a block.
    """
    bars = first.shape[-1] * block
    mean = first.sum(-1, keepdims=True) / bars  # [2, B, 1]
    variance = second.sum(-1, keepdims=True) / bars - mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = mean / np.sqrt(variance)
        z = (first - block * mean) / np.sqrt(variance)  # [2, B, L]
        squares = (second - 2.0 * mean * first + block * mean**2) / variance
    influence = z - ratio / 2.0 * (squares - block)
    return influence[0] - influence[1], (ratio[0] - ratio[1])[:, 0]
