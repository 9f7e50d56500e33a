"""Controls of results: what the growth of a test may be, given its market, its exposures, and the number of attempts.

Axis letters: S seeds, T bars, N configurations, R random traders.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.evaluation.control import Control
from benchmarks.statistics.estimates import mean_over_seeds_and_bars
from benchmarks.statistics.intervals import Floats, numbers
from trading_env import Market, backtest, hindsight
from trading_env._checks import integer

_ROUNDING = 1e-9
LEAST_TRADERS = 20
_SHARE = 0.1  # of the costs, which a claim may leave out: fills differ by a bar's drift


def hindsight_control(growth: Floats, test: Market, **keywords: Any) -> Control:
    """The check that no seed's log growth [S, T] on ``test`` exceeds the hindsight bound.

    Args:
        growth: log growth of equity, without subtracting a benchmark.
        test: the market.
        keywords: of TradingEnv, as in the test.

    Raises:
        ValueError: growth does not cover the bars of the bound.
    """
    best_path = hindsight(test, **keywords)
    if growth.ndim != 2 or growth.shape[1] != len(best_path.actions):
        raise ValueError(
            f"growth must have shape (S, {len(best_path.actions)}), one column per bar of the test: {growth.shape}"
        )
    bound = best_path.log_growth
    best = float(growth.sum(1).max())
    passed = best <= bound + _ROUNDING * max(1.0, abs(bound))
    expected = f"the best seed's sum, {best:.4g}, must not exceed the hindsight bound {bound:.4g}"
    return Control(
        "hindsight bound", float(growth.mean()), mean_over_seeds_and_bars(growth).interval(), expected, passed
    )


def cost_control(growth: Floats, exposures: Floats, test: Market, **keywords: Any) -> Control:
    """The check that the growth which is claimed is left after the costs of its own trades.

    The kernel trades the exposures again, with the costs of ``keywords``. The claim must not exceed what is left by
    more than a tenth of these costs, or by noise.

    Args:
        growth: log growth per bar that the study claims [S, T].
        exposures: its target exposures, each chosen at the close before the bar [S, T].
        test: the market; the last T bars are those of the test.
        keywords: of TradingEnv; actions are continuous unless given.
    """
    targets = numbers("exposures", exposures, 2)
    if growth.shape != targets.shape or not 0 < targets.shape[1] < len(test):
        raise ValueError(f"growth and exposures must have one shape (S, T), got {growth.shape} and {targets.shape}")
    lead, after = np.zeros(len(test) - 1 - targets.shape[1]), targets[:, -1:]
    paths = [np.concatenate([lead, path, last]) for path, last in zip(targets, after, strict=True)]
    given = {"actions": "continuous", "allow_short": bool((targets < 0.0).any()), "features": ["close"], "window": 1}
    free = {**keywords, "costs": {"commission": 0.0, "slippage": 0.0}}
    paid, unpaid = (_traded(paths, test, targets.shape[1], {**given, **options}) for options in (keywords, free))
    costs = float((unpaid - paid).mean())
    gap = mean_over_seeds_and_bars(growth - paid)
    low = gap.interval()[0]
    allowed = _SHARE * max(costs, 0.0) + _ROUNDING
    expected = (
        f"the kernel's costs for these exposures are {costs / 1e-4:.2f} basis points, and the claim exceeds what they "
        f"leave by {gap.value / 1e-4:.2f}; a tenth of them is allowed"
    )
    interval = mean_over_seeds_and_bars(paid).interval()
    return Control(
        "costs paid again", float(paid.mean()), interval, expected, not (gap.value > allowed and not low <= allowed)
    )


def _traded(paths: list[Floats], test: Market, bars: int, keywords: dict[str, Any]) -> Floats:
    """Log growth [S, T] of the kernel's accounts that follow target exposures, over the last ``bars`` bars."""
    equity = backtest(
        [lambda market, path=path: path for path in paths], test, check_env=False, **keywords
    ).tracks.equity
    return np.asarray(np.diff(np.log(equity), axis=1)[:, -bars:])


def selection_control(scores: npt.ArrayLike, random: npt.ArrayLike, trials: int | None = None) -> Control:
    """The best of N configurations against the best of N random traders: is it more than the luckiest of as many?

    A random trader's score is taken as normal, with mean and deviation estimated from the R that there are, so that a
    score has Student's distribution; the best of N independent ones has it to the power N.

    Args:
        scores: one of each configuration [N], in the unit of ``random``.
        random: scores of random traders that trade as often [R].
        trials: number of configurations ever tried, if it is more than those in ``scores``.
    """
    tried, luck = numbers("scores", scores, 1), numbers("random", random, 1)
    if not tried.size or luck.size < LEAST_TRADERS or not (np.isfinite(tried).all() and np.isfinite(luck).all()):
        raise ValueError(
            f"scores must be finite, those of at least {LEAST_TRADERS} traders too, got {tried.size}, {luck.size}"
        )
    count = max(integer("trials", tried.size if trials is None else trials, 1), tried.size)
    p_value, interval = best_of_random(float(tried.max()), luck, count)
    expected = f"luckier than the best of {count} random traders with p = {p_value:.2g}, which must be at most 0.05"
    return Control("best of all attempts", float(tried.max()), interval, expected, p_value <= 0.05)


def best_of_random(best: float, random: Floats, trials: int) -> tuple[float, tuple[float, float]]:
    """The probability that the best of ``trials`` random traders reaches ``best``, and the 95% interval of that one."""
    spread = float(random.std(ddof=1)) * math.sqrt(1.0 + 1.0 / random.size)
    one = stats.t(random.size - 1, float(random.mean()), max(spread, _ROUNDING))
    p_value = -math.expm1(trials * math.log1p(-min(float(one.sf(best)), 1.0 - 1e-16)))  # 1 - (1 - p)^N
    low, high = (float(one.ppf(share ** (1.0 / trials))) for share in (0.025, 0.975))
    return p_value, (low, high)
