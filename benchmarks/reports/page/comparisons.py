"""Charts of all contenders of a study together. S = seeds, P = points, C = costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.reports.page.names import short_names
from benchmarks.statistics.scores import iqm_estimate
from benchmarks.study.rows import Row
from trading_env.report import curves
from trading_env.report.account import Account
from trading_env.report.arrays import Arrays, short, spread
from trading_env.report.colours import series
from trading_env.report.figures import PERCENT, RATIO, band, borders, fan, figure, heat, line, log_axis, time_axis, zero
from trading_env.report.measures import decimal
from trading_env.report.page import literals

POINTS = 200  # of a curve


def intervals_chart(results: Mapping[str, Any]) -> dict[str, Any]:
    """Mean Sharpe ratios with their 95% intervals, highest first."""
    found = {
        name: one["sharpe"] for name, one in results["contenders"].items() if not math.isnan(one["sharpe"]["mean"])
    }
    names = sorted(found, key=lambda name: found[name]["mean"])
    means = [found[name]["mean"] for name in names]
    ends = [found[name]["interval_95"] for name in names]
    error = {
        "type": "data",
        "array": [short(high - mean) for (_, high), mean in zip(ends, means, strict=True)],
        "arrayminus": [short(mean - low) for (low, _), mean in zip(ends, means, strict=True)],
        "color": "@strategy",
        "thickness": 2,
        "width": 5,
    }
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": means,
        "y": literals(names),
        "error_x": error,
        "marker": {"color": "@strategy", "size": 9},
        "name": "mean and 95% interval",
        "hovertemplate": "%{y}: %{x:.2f}<extra></extra>",
    }
    words = "; ".join(
        f"{name} {decimal(mean)}, {decimal(low)} to {decimal(high)}"
        for name, mean, (low, high) in zip(names, means, ends, strict=True)
    )
    at_zero = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 0, "x1": 0, "line": {"color": "@muted"}}
    x = {**RATIO, "title": {"text": "Sharpe ratio per year"}}
    return figure([trace], f"Sharpe ratios: {words}.", x, {"type": "category"}, shapes=[at_zero], showlegend=False)


def growth_chart(accounts: Mapping[str, Account], arrays: Arrays, marks: Sequence[Any]) -> dict[str, Any]:
    """Growth of all contenders on one dataset: median over seeds, with the range of seeds as a band."""
    data, words = [], []
    for i, (name, account) in enumerate(accounts.items()):
        places = spread(account.tracks.equity.shape[1], POINTS)
        values = np.where(account.tracks.equity > 0.0, account.tracks.equity, np.nan)[:, places]
        colour, dash = series(i)
        data += fan(arrays, curves.x_of(account, places), values, name, colour, dash, f"group {i}", meta=i)
        words.append(f"{name} {np.median(account.tracks.equity[:, -1]):z.2f}")
    x = time_axis(curves.x_of(next(iter(accounts.values()))))
    ends = [np.median(account.tracks.equity, axis=0) for account in accounts.values()]
    y = log_axis(np.concatenate([end[end > 0.0] for end in ends]), "equity / initial")
    alt = f"Median growth factors at the end: {', '.join(words)}."
    return figure(data, alt, x, y, shapes=borders(marks))


def falls_chart(accounts: Mapping[str, Account], arrays: Arrays, marks: Sequence[Any]) -> dict[str, Any]:
    """Drawdowns of all contenders on one dataset: median over seeds of the worst of a point's bars."""
    data, words = [], []
    for i, (name, account) in enumerate(accounts.items()):
        values = curves.falls(account)
        starts = spread(values.shape[1], POINTS)
        lows = np.median(np.minimum.reduceat(values, starts, axis=1), axis=0)
        colour, dash = series(i)
        x = arrays.add(curves.x_of(account, starts))
        data.append(line(x, arrays.add(lows), name, colour, dash, meta=i))
        words.append(f"{name} {-np.median(values.min(1)):z.0%}")
    axis = time_axis(curves.x_of(next(iter(accounts.values()))))
    return figure(data, f"Median largest drawdowns: {', '.join(words)}.", axis, PERCENT, shapes=borders(marks))


def folds_chart(rows: Sequence[Row], contenders: Sequence[str], metric: str, form: str) -> dict[str, Any]:
    """Heat map of a metric, mean over the seeds at which it is defined: contenders by folds of all datasets."""
    columns = list(dict.fromkeys((row.dataset, row.fold) for row in rows))
    values = np.full((len(contenders), len(columns)), np.nan)
    for i, name in enumerate(contenders):
        for j, place in enumerate(columns):
            found = [row.metrics[metric] for row in rows if (row.contender, row.dataset, row.fold) == (name, *place)]
            known = np.concatenate(found) if found else np.empty(0)
            known = known[np.isfinite(known)]
            values[i, j] = known.mean() if known.size else np.nan
    short_ = short_names(list(dict.fromkeys(dataset for dataset, _ in columns)))
    labels = [f"{short_[dataset]} {fold}" for dataset, fold in columns]
    alt = f"{len(columns)} folds; the mean over folds is highest for {_best(contenders, values)}."
    return heat(list(contenders), labels, values, alt, form)


def _best(names: Sequence[str], values: Any) -> str:
    known = {
        name: float(row[~np.isnan(row)].mean())
        for name, row in zip(names, values, strict=True)
        if np.isfinite(row).any()
    }
    return max(known, key=lambda name: known[name]) if known else "none"


def costs_chart(results: Mapping[str, Any], retrained: bool) -> dict[str, Any] | None:
    """Log growth per year at each cost, of the policies as they are or trained at each cost; None without any."""
    if retrained:
        kept = results.get("stress", {}).get("retrained")
        found = {} if not kept else {name: (kept["costs"], one) for name, one in kept["growth_per_year"].items()}
    else:
        found = {
            name: (one["stress"]["costs"], one["stress"]["growth_per_year"])
            for name, one in results["contenders"].items()
        }
    data = []
    for i, name in enumerate(results["contenders"]):
        if name in found:
            colour, dash = series(i)
            costs, growth = found[name]
            y = [short(value) for value in growth]
            data.append(line([1e4 * cost for cost in costs], y, name, colour, dash, meta=i, mode="lines+markers"))
    x = {"title": {"text": "cost of trading, bps of the notional"}, "hoverformat": ",.0f"}
    y = {**PERCENT, "title": {"text": "log growth per year"}}
    left = [name for name, (_, growth) in found.items() if growth[-1] is not None and growth[-1] > 0.0]
    alt = f"At the highest cost, these still grow: {', '.join(left) or 'none'}."
    return figure(data, alt, x, y, shapes=[zero()]) if data else None


def learning_chart(rows: Sequence[Row], contenders: Sequence[str], by: str) -> dict[str, Any] | None:
    """Log growth per year on validation by "steps" or "seconds" of training: IQM over all seeds, with 95% intervals.

    A seed's score is its mean over folds and datasets; seconds are those of a seed, a mean over jobs. None without a
    learner.
    """
    data, words = [], []
    for i, name in enumerate(contenders):
        found = [row for row in rows if row.contender == name and row.learning is not None]
        if not found:
            continue
        x, scores = learned(found, by)
        estimates = [iqm_estimate(one) for one in scores]
        middle = [one.value for one in estimates]
        low, high = zip(*(one.interval() for one in estimates), strict=True)
        colour, dash = series(i)
        ends = [[short(float(value)) for value in one] for one in (low, high)]
        data += [{**one, "meta": i} for one in band(x, *ends, colour, f"group {i}")]
        data.append(line(x, middle, name, colour, dash, legendgroup=f"group {i}", meta=i))
        words.append(f"{name} {middle[-1]:+z.1%}")
    axis = {"title": {"text": f"{by} of training, a seed"}}
    y = {**PERCENT, "title": {"text": "log growth per year"}}
    return figure(data, f"At the end: {', '.join(words)}.", axis, y) if data else None


def learned(rows: Sequence[Row], by: str) -> tuple[list[float], Any]:
    """Where a contender was scored, mean over its rows, and its scores [P, S]: log growth per year, mean over folds."""
    places: dict[int, list[Any]] = {}
    for row in rows:
        assert row.learning is not None
        for s, seed in enumerate(row.seeds):
            places.setdefault(seed, []).append(row.learning["scores"][:, s] * row.bars_per_year)
    x = np.sum([row.learning[by] * (1 if by == "seconds" else len(row.seeds)) for row in rows if row.learning], axis=0)
    x = x / sum(len(row.seeds) for row in rows)
    return x.tolist(), np.stack([np.mean(places[seed], axis=0) for seed in sorted(places)], axis=1)
