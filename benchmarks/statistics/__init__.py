"""Intervals and tests as pure functions; ``python -m benchmarks coverage`` simulates how often they hold."""

from benchmarks.statistics.estimates import (
    Estimate,
    failure_rate,
    mean_over_seeds,
    mean_over_seeds_and_bars,
    mean_over_seeds_and_paths,
)
from benchmarks.statistics.ledoit_wolf import SharpeDifference, sharpe_difference
from benchmarks.statistics.multiple_testing import Superior, probability_of_backtest_overfitting, superior
from benchmarks.statistics.scores import (
    iqm,
    iqm_estimate,
    performance_profile,
    probability_of_improvement,
    tolerance_interval,
)
from benchmarks.statistics.sharpe import (
    deflated_sharpe,
    expected_maximum_sharpe,
    mean_sharpe,
    minimum_track_record,
    probabilistic_sharpe,
    sharpe_gap,
)

__all__ = [
    "Estimate",
    "SharpeDifference",
    "Superior",
    "deflated_sharpe",
    "expected_maximum_sharpe",
    "failure_rate",
    "iqm",
    "iqm_estimate",
    "mean_over_seeds",
    "mean_over_seeds_and_bars",
    "mean_over_seeds_and_paths",
    "mean_sharpe",
    "minimum_track_record",
    "performance_profile",
    "probabilistic_sharpe",
    "probability_of_backtest_overfitting",
    "probability_of_improvement",
    "sharpe_difference",
    "sharpe_gap",
    "superior",
    "tolerance_interval",
]
