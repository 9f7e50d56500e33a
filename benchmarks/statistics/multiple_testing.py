"""Tests that count how many rows were compared: superior predictive ability, stepwise, confidence set, overfitting.

Axis letters: T bars, N rows, C ways to split the bars in two halves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.intervals import Floats, numbers
from benchmarks.statistics.ledoit_wolf import block_length
from trading_env._checks import integer, number

_MOST_SPLITS = 200_000
_ROUNDING = 1e-28  # a variance below this share of the largest return, squared, is rounding


class Superior(NamedTuple):
    """Rows that are better than the benchmark, after a correction for their number N."""

    p_value: float
    """Of "no row has a smaller expected loss than the benchmark" (SPA, consistent)."""
    p_lower: float
    """The same if poor rows are assumed to be as poor as measured: liberal."""
    p_upper: float
    """The same if poor rows are assumed to be as good as the benchmark (White's reality check): conservative."""
    better: tuple[str, ...]
    """Rows that are better, with a probability of one or more errors of at most 1 - level (StepM)."""
    confidence_set: tuple[str, ...]
    """Rows, the benchmark among them, that contain the best one with probability ``level`` (MCS)."""
    block: int
    """Bars in a mean block of the bootstrap."""


def superior(
    losses: Mapping[str, npt.ArrayLike] | npt.ArrayLike,
    benchmark: npt.ArrayLike,
    *,
    level: float = 0.95,
    block: int | None = None,
    samples: int = 1000,
    seed: int = 0,
) -> Superior:
    """Compares rows with a benchmark on the same bars; losses are negative log returns, squared errors, ...

    Rows whose losses differ by the same constant on all bars are decided by it, without a test: a row that is so below
    the benchmark is better, with a p-value of 0, and one that equals it is neither better nor worse.

    Args:
        losses: Each row's loss per bar: name -> [T], or an array [T, N] whose rows are named "0", "1", ...
        benchmark: The benchmark's loss per bar, [T]; "benchmark" in the confidence set.
        level: Confidence of `better` and of `confidence_set`.
        block: Mean block length of the stationary bootstrap; None lets the data choose, the longest over all rows.
        samples: Bootstrap samples.
        seed: Seed of the draws.

    Source:
        Hansen (2005), A Test for Superior Predictive Ability; Romano and Wolf (2005), Stepwise Multiple Testing;
        Hansen, Lunde and Nason (2011), The Model Confidence Set. Computed by `arch.bootstrap`.
    """
    names, models, base = _same_bars(losses, benchmark)
    number("level", level, above=0.0, most=0.999999)
    samples, seed = integer("samples", samples, 1), integer("seed", seed, 0)
    gaps = base[:, None] - models
    moving = ~_constant(gaps, np.abs(models).max(0) + np.abs(base).max())
    ahead = np.where(moving, 0.0, np.round(gaps.mean(0) / _scale(models, base), 12)) > 0.0
    lengths = [block_length(column) for column in gaps[:, moving].T]
    block = max(lengths, default=1) if block is None else integer("block", block, 1, base.size)
    options = {"block_size": block, "reps": samples, "bootstrap": "stationary", "seed": seed}
    p_values, better = (1.0, 1.0, 1.0), ahead.copy()
    if moving.any():
        p_values, better[moving] = _tested(base, models[:, moving], level, options)
    return Superior(
        *((0.0, 0.0, 0.0) if ahead.any() else p_values),
        tuple(name for name, is_better in zip(names, better, strict=True) if is_better),
        _confidence_set((*names, "benchmark"), np.column_stack([models, base]), level, options),
        block,
    )


def _same_bars(
    losses: Mapping[str, npt.ArrayLike] | npt.ArrayLike, benchmark: npt.ArrayLike
) -> tuple[tuple[str, ...], Floats, Floats]:
    """Names of the rows, their losses [T, N] and the benchmark's [T], checked."""
    names, models = _columns("losses", losses)  # [T, N]
    base = numbers("benchmark", benchmark, 1)
    if models.shape[0] != base.size or base.size < 10 or not names:
        shapes = f"losses of shape {models.shape} and a benchmark of {base.size} bars"
        raise ValueError(f"losses must have a row and the benchmark's bars, at least 10 of them: got {shapes}")
    if "benchmark" in names:
        raise ValueError('losses must not name a row "benchmark"')
    for name, values in (("losses", models), ("benchmark", base)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite")
    return tuple(names), models, base


def _tested(
    base: Floats, models: Floats, level: float, options: Mapping[str, Any]
) -> tuple[tuple[float, float, float], npt.NDArray[np.bool_]]:
    """SPA's p-values, consistent, lower and upper, and which rows [T, N] are better by StepM."""
    from arch.bootstrap import SPA, StepM

    spa = SPA(base, models, **options)
    spa.compute()
    step = StepM(base, models, size=1.0 - level, **options)
    step.compute()
    better = np.zeros(models.shape[1], dtype=bool)
    better[[int(i) for i in step.superior_models]] = True
    consistent, lower, upper = (float(spa.pvalues[name]) for name in ("consistent", "lower", "upper"))
    return (consistent, lower, upper), better


def _constant(differences: Floats, scale: Floats) -> npt.NDArray[np.bool_]:
    """True where a column of differences [T, N] of numbers as large as ``scale`` [N] does not vary."""
    result: npt.NDArray[np.bool_] = np.ptp(differences, axis=0) <= 1e-12 * scale
    return result


def _scale(models: Floats, base: Floats) -> float:
    return max(float(np.abs(models).max()), float(np.abs(base).max()), 1e-300)


def _confidence_set(names: Sequence[str], losses: Floats, level: float, options: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the rows [T, N] that contain the best one with probability ``level``.

    Of rows whose losses differ by constants, which have no difference to be tested, only the lowest can be the best.
    """
    from arch.bootstrap import MCS

    size = np.abs(losses).max(0)
    kinds: list[list[int]] = []  # rows that differ by constants
    for i in range(len(names)):
        mine = (k for k in kinds if _constant(losses[:, [k[0]]] - losses[:, [i]], size[[k[0]]] + size[i])[0])
        kind = next(mine, None)
        if kind is None:
            kinds.append([i])
        else:
            kind.append(i)
    means = losses.mean(0)
    lowest = [min(kind, key=lambda i: means[i]) for kind in kinds]
    included = {0}
    if len(kinds) > 1:
        kept = MCS(losses[:, lowest] + 0.0, size=1.0 - level, method="R", **options)
        kept.compute()
        included = {int(i) for i in kept.included}
    equal = 1e-12 * max(float(size.max()), 1e-300)
    chosen = {i for k in included for i in kinds[k] if means[i] <= means[lowest[k]] + equal}
    return tuple(name for i, name in enumerate(names) if i in chosen)


def probability_of_backtest_overfitting(returns: npt.ArrayLike, n_blocks: int = 16) -> float:
    """Probability that the best configuration of one half of the bars is no better than the median in the other half.

    The best configuration is that of the highest Sharpe ratio. The bars are cut into ``n_blocks`` blocks; for every
    choice of half the blocks, the best one is selected there and ranked in the other half (CSCV). Configurations with
    equal ratios share a selection equally; a configuration whose returns do not vary has a ratio of 0.

    Args:
        returns: Returns per bar of N configurations on the same bars, [T, N].
        n_blocks: An even number of blocks, of equal lengths but for one bar.

    Source:
        Bailey, Borwein, Lopez de Prado and Zhu (2017), The Probability of Backtest Overfitting.
    """
    values = numbers("returns", returns, 2)
    n_blocks = integer("n_blocks", n_blocks, 2)
    T, N = values.shape
    if n_blocks % 2 or comb(n_blocks, n_blocks // 2) > _MOST_SPLITS:
        raise ValueError(f"n_blocks must be even and at most 20, got {n_blocks}")
    if N < 2 or n_blocks > T // 2 or not np.isfinite(values).all():
        raise ValueError(
            f"returns must be finite, of at least 2 configurations and {2 * n_blocks} bars, got shape {values.shape}"
        )
    scaled = values / np.where(np.any(values, axis=0), np.abs(values).max(0), 1.0)
    level = scaled.mean(0)  # [N], taken off before squares are summed, which would lose the deviation beside it
    blocks = np.array_split(scaled - level, n_blocks)
    totals = np.array([[len(part) * np.ones(N), part.sum(0), (part**2).sum(0)] for part in blocks])  # [blocks, 3, N]
    halves = np.array(list(combinations(range(n_blocks), n_blocks // 2)))
    chosen = np.zeros((len(halves), n_blocks))
    np.put_along_axis(chosen, halves, 1.0, 1)  # [C, blocks]
    below = 0.0
    for part in np.array_split(chosen, max(len(chosen) * N // 1_000_000, 1)):
        inside, outside = (_sharpe(np.einsum("cb,bkn->kcn", use, totals), level) for use in (part, 1.0 - part))
        best = inside == inside.max(1, keepdims=True)  # [C, N]
        lost = 2.0 * _ranks(outside) <= N + 1  # [C, N], no better than the median
        below += float(((lost & best).sum(1) / best.sum(1)).sum())
    return below / len(chosen)


def _sharpe(totals: Floats, level: Floats) -> Floats:
    """Sharpe ratios [C, N] from counts, sums and sums of squares [3, C, N] about a level [N]; 0 without deviation."""
    count, first, second = totals
    mean = first / count
    variance = second / count - mean**2
    moves = variance > 1e-14 * second / count + _ROUNDING
    return np.divide(mean + level, np.sqrt(np.maximum(variance, 0.0)), out=np.zeros_like(mean), where=moves)


def _ranks(values: Floats) -> Floats:
    """Ranks 1..N along the last axis, ties at their mean."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), np.float64)


def _columns(name: str, losses: Mapping[str, npt.ArrayLike] | npt.ArrayLike) -> tuple[list[str], Floats]:
    """Names and columns [T, N] of a mapping of series or of an array."""
    if not isinstance(losses, Mapping):
        array = numbers(name, losses, 1, 2)
        array = array[:, None] if array.ndim == 1 else array
        return [str(i) for i in range(array.shape[1])], array
    series = [numbers(f"{name} of {key!r}", values, 1) for key, values in losses.items()]
    if len({len(values) for values in series}) > 1:
        raise ValueError(f"{name} must have one number of bars, got {sorted({len(values) for values in series})}")
    return list(map(str, losses)), np.column_stack(series) if series else np.zeros((0, 0))
