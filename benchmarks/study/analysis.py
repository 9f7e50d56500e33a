"""Statistics of a study's rows: Sharpe ratios over datasets, folds and seeds, and tests corrected for all attempts.

Axis letters: S seeds, T bars, U bars of all datasets together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.evaluation.stress import break_even
from benchmarks.evaluation.track_controls import LEAST_TRADERS, best_of_random
from benchmarks.statistics.estimates import Estimate
from benchmarks.statistics.intervals import Floats
from benchmarks.statistics.multiple_testing import Superior, probability_of_backtest_overfitting, superior
from benchmarks.statistics.sharpe import (
    Track,
    deflated_sharpe,
    mean_ratio,
    mean_sharpe_over,
    minimum_track_record,
    sharpe_gap_over,
    sharpe_ratios,
)
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from benchmarks.study.ledger import SCORED, Ledger, Trials
from benchmarks.study.rows import Row, merged
from benchmarks.study.suite import Suite
from trading_env import EnvConfig, Market, hindsight

Tracks = Mapping[str, Track]


def tracks_of(rows: Sequence[Row]) -> dict[str, dict[str, Track]]:
    """By contender and dataset: the returns of all seeds over the test stretches of all folds, oldest first."""
    found: dict[str, dict[str, Track]] = {}
    every = merged(rows)
    for contender, dataset in dict.fromkeys((row.contender, row.dataset) for row in every):
        mine = [row for row in every if (row.contender, row.dataset) == (contender, dataset)]
        mine.sort(key=lambda row: row.fold)
        returns = np.concatenate([row.returns for row in mine], axis=1)  # [S, T]
        bars = np.concatenate([row.time[1:] for row in mine])
        found.setdefault(contender, {})[dataset] = Track(bars, returns, mine[0].bars_per_year)
    return found


def pooled(tracks: Tracks) -> dict[Any, float]:
    """Log return of each bar, mean over seeds and over the datasets that have the bar: timestamp -> number."""
    sums: dict[Any, list[float]] = {}
    for track in tracks.values():
        with np.errstate(divide="ignore"):
            log_returns = np.log1p(np.maximum(track.returns, -1.0 + 1e-12)).mean(0)
        for bar, value in zip(track.bars.tolist(), log_returns.tolist(), strict=True):
            sums.setdefault(bar, []).append(value)
    return {bar: math.fsum(values) / len(values) for bar, values in sorted(sums.items())}


def trials_of(suite: Suite, rows: Sequence[Row], ledger: Ledger) -> tuple[Trials, int]:
    """The trials on the suite's data, by the ledger and by the rows; and how many only the rows know.

    A ledger that was lost, or is another one, cannot make the rows fewer than they are.
    """
    data_, tested = [data(name).fingerprint for name in suite.data], lines_of(rows)
    listed = ledger.configurations(data_)
    return ledger.trials(data_, tested), len({line["config"] for line in tested} - listed)


def lines_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What a ledger says of the rows; those of early versions may not know their configuration, and have no line."""
    known = ("config", "data", "job")
    told = [row for row in rows if all(name in row.facts for name in known)]
    lines = [{name: row.facts[name] for name in known} for row in told]
    return [
        {**line, "event": SCORED, "sharpe_per_bar": mean_ratio(row.returns)}
        for line, row in zip(lines, told, strict=True)
    ]


def matrix_of(tracks: Mapping[str, Tracks]) -> tuple[list[str], Floats]:
    """Names and pooled log returns [U, N] of the contenders, on the bars that all of them have."""
    series = {name: pooled(one) for name, one in tracks.items()}
    common = sorted(set.intersection(*(set(values) for values in series.values())))
    return list(series), np.column_stack([[values[bar] for bar in common] for values in series.values()])


def agreement(rows: Sequence[Row]) -> float:
    """Share of a contender's seeds that hold the most common side (short, flat, long) of a bar, mean over bars.

    NaN for one seed.
    """
    shares = []
    for row in merged(rows):
        if len(row.seeds) > 1:
            sides = np.sign(np.where(np.abs(row.curves["exposure"]) > 1e-9, row.curves["exposure"], 0.0))  # [S, T]
            shares.append(np.max([(sides == side).mean(0) for side in (-1.0, 0.0, 1.0)], axis=0))
    return float(np.concatenate(shares).mean()) if shares else math.nan


def stress_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Log growth per year of a contender's fixed policies, at each cost and with actions a bar late.

    Means over seeds, then over folds. `break_even` is the cost, as a share of the notional traded, at which the growth
    would be 0.
    """
    folds = merged(rows)
    costs = folds[0].stress["costs"]
    curve = np.mean([row.stress["growth_at_costs"].mean(1) * row.bars_per_year for row in folds], axis=0)
    late = np.mean([row.stress["growth_a_bar_late"].mean() * row.bars_per_year for row in folds])
    return {
        "costs": costs.tolist(),
        "growth_per_year": curve.tolist(),
        "growth_per_year_in_time": growth_per_year(folds),
        "growth_per_year_a_bar_late": float(late),
        "break_even": break_even(costs, curve),
    }


def growth_per_year(rows: Sequence[Row]) -> float:
    """Log growth per year of a contender: mean over seeds, then over folds."""
    return float(np.mean([row.log_returns.mean() * row.bars_per_year for row in merged(rows)]))


def best_of(tracks: Mapping[str, Tracks], learners: Sequence[str]) -> str | None:
    """The learner with the highest mean Sharpe ratio; None without any that is defined."""
    means = {name: mean_sharpe_over(tracks[name]).value for name in learners if name in tracks}
    defined = {name: value for name, value in means.items() if not math.isnan(value)}
    return max(defined, key=lambda name: defined[name]) if defined else None


def deflated(tracks: Tracks, trials: Trials) -> dict[str, Any]:
    """The deflated Sharpe ratio of a contender, and the bars that its ratio needs to be above 0.

    Ratio, skewness and kurtosis per bar are means over seeds and datasets, and T is the mean number of bars.
    """
    moments = []
    for track in tracks.values():
        for returns in track.returns:
            ratio = float(sharpe_ratios(returns[None]).ratio[0])
            if not math.isnan(ratio):
                moments.append((ratio, float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))))
    bars = round(np.mean([track.bars.size for track in tracks.values()]))
    if not moments:
        return {"bars": bars, "deflated_sharpe": math.nan, "minimum_track_record": math.nan}
    ratio, skew, kurtosis = (float(value) for value in np.mean(moments, axis=0))
    return {
        "bars": bars,
        "deflated_sharpe": deflated_sharpe(ratio, bars, skew, kurtosis, max(trials.count, 1), trials.variance),
        "minimum_track_record": minimum_track_record(ratio, 0.0, skew, kurtosis),
    }


def gaps_of(tracks: Mapping[str, Tracks], benchmark: str) -> dict[str, Estimate]:
    """Each contender's mean Sharpe ratio less the benchmark's, on the datasets that both have."""
    base = tracks[benchmark]
    found = {}
    for name, one in tracks.items():
        shared = [dataset for dataset in one if dataset in base]
        if name != benchmark and shared:
            found[name] = sharpe_gap_over({d: one[d] for d in shared}, {d: base[d] for d in shared})
    return found


def tested_together(tracks: Mapping[str, Tracks], benchmark: str) -> tuple[Superior | None, float]:
    """SPA, StepM and MCS of all contenders against the benchmark, and the probability of backtest overfitting.

    NaN, or None, if there are too few bars or contenders.
    """
    names, returns = matrix_of(tracks)
    others = [name for name in names if name != benchmark]
    if not others or len(returns) < 32:
        return None, math.nan
    losses = {name: -returns[:, names.index(name)] for name in others}
    blocks = min(16, 2 * (len(returns) // 4))
    return (
        superior(losses, -returns[:, names.index(benchmark)]),
        probability_of_backtest_overfitting(returns, blocks),
    )


def luck_of(tracks: Mapping[str, Tracks], suite: Suite, trials: Trials) -> dict[str, Any] | None:
    """The best row, the benchmark and random traders aside, against the best of N random traders.

    Scores are mean Sharpe ratios over datasets. None without enough random traders, or without a row to choose.
    """
    random = [one.name for one in suite.contenders if one.random is not None and one.name in tracks]
    others = [name for name in tracks if name not in (*random, suite.benchmark)]
    scores = {name: mean_sharpe_over(tracks[name]).value for name in others}
    scores = {name: value for name, value in scores.items() if not math.isnan(value)}
    if not random or not scores:
        return None
    ratios = [sharpe_ratios(track.returns).ratio * track.bars_per_year**0.5 for track in tracks[random[0]].values()]
    traders = np.mean([ratio[: min(map(len, ratios))] for ratio in ratios], axis=0)
    traders = traders[~np.isnan(traders)]
    if traders.size < LEAST_TRADERS:
        return None
    best, count = max(scores, key=lambda name: scores[name]), max(trials.count, len(scores))
    p_value, interval = best_of_random(scores[best], traders, count)
    return {"best": best, "p_value": p_value, "interval": interval, "trials": count, "traders": traders.size}


def hindsight_of(suite: Suite, rows: Sequence[Row]) -> dict[str, Any] | None:
    """The least share of the hindsight bound that is left above the best seed, and the rows that exceed the bound.

    The bound is the growth of the best actions with all prices known, of the suite's env; None without a learner, and
    for panels and other envs that have no such bound.
    """
    if suite.panels:
        return None
    learners = {one.name for one in suite.contenders if one.learns}
    bounds: dict[tuple[str, int], float | None] = {}
    shares, exceeded = [], []
    for row in rows:
        if row.contender in learners:
            place = row.dataset, row.fold
            if place not in bounds:
                fold = folds_of(data(row.dataset), suite.walk_forward, suite.purge)[row.fold]
                bounds[place] = bound_of(fold.markets(data(row.dataset))[2], suite.env)
            bound, best = bounds[place], float(row.log_returns.sum(1).max())
            if bound is None:
                return None
            shares.append(best / bound if bound > 0.0 else 0.0)
            if best > bound + 1e-9 * max(1.0, abs(bound)):
                exceeded.append([row.contender, row.dataset, row.fold])
    return {"largest_share": max(shares), "exceeded": exceeded} if shares else None


def bound_of(market: Market, env: Mapping[str, Any]) -> float | None:
    """The hindsight bound; None for continuous actions, costs that are not proportional, lots and a band."""
    config = EnvConfig(**env)
    scales = config.costs.proportional and not (config.lot_size or config.min_trade)
    return hindsight(market, **env).log_growth if scales and config.kind != "continuous" else None
