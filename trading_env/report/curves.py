"""Charts along the time axis: growth, drawdown, rolling numbers, exposure, costs. K = runs, T = bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trading_env.analysis import periods
from trading_env.analysis.tracks import Floats
from trading_env.report.account import Account
from trading_env.report.arrays import Arrays, Ints, spread
from trading_env.report.benchmark import Benchmark
from trading_env.report.figures import PERCENT, RATIO, borders, fan, figure, line, log_axis, time_axis, zero
from trading_env.report.measures import rolling
from trading_env.report.trading import falls_of

POINTS = 600  # of a curve, at most
ROLLING = 250  # of a rolling number


def x_of(account: Account, places: Ints | None = None) -> Any:
    """The closes on the time axis: timestamps, or bars by number."""
    x = np.arange(account.tracks.equity.shape[1]) if account.time is None else account.time
    return x if places is None else x[places]


def growth(account: Account) -> Floats:
    """Equity relative to its start (K, T+1)."""
    return account.tracks.equity / account.tracks.equity[:, :1]


def falls(account: Account) -> Floats:
    """Drawdowns (K, T+1), <= 0; after a ruin, that of the ruin."""
    return np.stack([-falls_of(equity) for equity in account.tracks.equity])


def growth_chart(account: Account, arrays: Arrays, benchmark: Benchmark | None, log: bool) -> dict[str, Any]:
    """Growth of the runs, and of the benchmark from its first close on, at the strategy's growth there."""
    places = spread(account.tracks.equity.shape[1], POINTS)
    x, values = x_of(account, places), growth(account)
    shown = np.where(values > 0.0, values, np.nan) if log else values - 1.0
    data = fan(arrays, x, shown[:, places], account.name, "@strategy")
    if benchmark is not None:
        first = benchmark.known.start
        relative = benchmark.value / benchmark.value[first] * np.median(values[:, first])
        theirs = np.where(relative > 0.0, relative, np.nan) if log else relative - 1.0
        data.append(line(arrays.add(x), arrays.add(theirs[places]), benchmark.name, "@benchmark", "dash"))
    ends = values[:, -1] - 1.0
    span = (
        f"{ends[0]:+z,.1%}"
        if len(ends) == 1
        else f"median {np.median(ends):+z,.1%}, {ends.min():+z,.1%} to {ends.max():+z,.1%}"
    )
    alt = f"Growth of {account.name} over {values.shape[1] - 1:,} bars: {span} at the end."
    y = log_axis(shown, "equity / initial") if log else {**PERCENT, "title": {"text": "return"}}
    return figure(data, alt, time_axis(x), y, shapes=[] if log else [zero()], hovermode="x unified")


def matched_chart(account: Account, arrays: Arrays, benchmark: Benchmark) -> dict[str, Any]:
    """Growth of both if the benchmark had the volatility of each run, from the benchmark's first close on."""
    from_, stop = benchmark.known.start, benchmark.known.stop
    theirs, ours = benchmark.account.tracks.returns[0], account.tracks.returns[:, from_ : stop - 1]
    scale = np.divide(ours.std(1), theirs.std(), out=np.zeros(len(ours)), where=theirs.std() > 0.0)
    matched: Floats = np.cumprod(1.0 + np.maximum(np.median(scale) * theirs, -1.0)) - 1.0
    grown = np.asarray(np.cumprod(1.0 + ours, axis=1) - 1.0, np.float64)
    places = spread(theirs.size, POINTS)
    x = x_of(account)[from_ + 1 : stop][places]
    data = fan(arrays, x, grown[:, places], account.name, "@strategy")
    data.append(line(arrays.add(x), arrays.add(matched[places]), f"{benchmark.name}, scaled", "@benchmark", "dash"))
    alt = f"{account.name} {np.median(grown[:, -1]):+z,.1%}, the benchmark at the same volatility {matched[-1]:+z,.1%}."
    return figure(data, alt, time_axis(x), PERCENT, shapes=[zero()], hovermode="x unified")


def drawdown_chart(account: Account, arrays: Arrays) -> dict[str, Any]:
    """How far each run is below its peak: the worst of a point's bars; with several runs, median and range."""
    values = falls(account)
    count = values.shape[1]
    starts = spread(count, POINTS)
    lows = np.minimum.reduceat(values, starts, axis=1)
    data = fan(arrays, x_of(account, starts), lows, account.name, "@loss")
    if len(values) == 1:
        data[0] |= {"fill": "tozeroy", "fillcolor": "@loss/0.25"}
    worst = values.min(1)
    alt = f"Largest drawdown {-np.median(worst):z.1%}" + (
        f", {-worst.max():z.1%} to {-worst.min():z.1%}." if len(worst) > 1 else "."
    )
    return figure(data, alt, time_axis(x_of(account)), PERCENT, hovermode="x unified")


def worst_chart(account: Account, arrays: Arrays, k: int) -> dict[str, Any]:
    """Growth of one run, with its ten deepest drawdowns shaded."""
    x, places = x_of(account), spread(account.tracks.equity.shape[1], POINTS)
    values = growth(account)[k] - 1.0
    found = periods.worst_drawdowns(account.until_ruin(k))
    shades = [
        {
            "type": "rect",
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "x0": _at(x, one.peak),
            "x1": _at(x, values.size - 1 if one.end is None else one.end),
            "fillcolor": "@loss/0.2",
            "line": {"width": 0},
            "layer": "below",
        }
        for one in found
    ]
    data = [line(arrays.add(x[places]), arrays.add(values[places]), account.labels[k], "@strategy")]
    alt = f"{len(found)} drawdowns shaded" + (f"; the deepest {found[0].depth:z.1%}." if found else ".")
    return figure(data, alt, time_axis(x), PERCENT, shapes=[*shades, zero()], showlegend=False)


def _at(x: Any, place: int) -> Any:
    """A place of the time axis as JSON has it."""
    return str(x[place].astype("datetime64[s]")) if x.dtype.kind == "M" else int(x[place])


def window_of(account: Account) -> int:
    """Bars of a rolling number: half a year, or 126 bars, and no more than a quarter of the whole."""
    rate, count = account.tracks.bars_per_year, account.tracks.equity.shape[1] - 1
    half = round(rate / 2.0) if rate else 126
    return int(max(min(half, count // 4), 2))


def rolling_chart(
    account: Account, arrays: Arrays, name: str, benchmark: Benchmark | None = None, most: int = ROLLING
) -> dict[str, Any] | None:
    """A rolling "sharpe", "sortino", "volatility" or "beta" of the runs; None for fewer than four bars."""
    count, window = account.tracks.equity.shape[1] - 1, window_of(account)
    if count < 4:
        return None
    ends = window + spread(count - window + 1, most)
    theirs = None if benchmark is None else benchmark.returns
    rate = account.tracks.bars_per_year or 1.0
    values = np.stack([rolling(one, window, ends, name, rate, theirs) for one in account.tracks.returns])
    data = fan(arrays, x_of(account, ends), values, account.name, "@strategy")
    last = values[:, -1][~np.isnan(values[:, -1])]
    alt = (
        f"Over {window} bars; at the end {np.median(last):z.2f}."
        if last.size
        else f"Over {window} bars; undefined at the end."
    )
    y = PERCENT if name == "volatility" else RATIO
    shapes = [] if name == "volatility" else [zero()]
    return figure(data, alt, time_axis(x_of(account)), y, shapes=shapes, hovermode="x unified")


def exposure_chart(account: Account, arrays: Arrays, marks: Sequence[Any] = (), most: int = POINTS) -> dict[str, Any]:
    """Exposure after each close, as the mean over the bars of a point; with several runs, median and range."""
    values = account.tracks.exposure
    starts = spread(values.shape[1], most)
    lengths = np.diff(np.append(starts, values.shape[1]))
    means = np.add.reduceat(values, starts, axis=1) / lengths
    data = fan(arrays, x_of(account)[1:][starts], means, account.name, "@other")
    alt = f"Mean exposure {values.mean():z.1%}, from {values.min():z.1%} to {values.max():z.1%}."
    return figure(data, alt, time_axis(x_of(account)), PERCENT, shapes=[*borders(marks), zero()], hovermode="x unified")


def costs_chart(account: Account, arrays: Arrays, most: int = POINTS) -> dict[str, Any]:
    """Commission, slippage and financing paid so far, as a share of the initial equity, mean over the runs."""
    places = spread(account.tracks.commission.shape[1], most)
    x, data, words = x_of(account)[1:][places], [], []
    for i, name in enumerate(("commission", "slippage", "financing")):
        paid = np.cumsum(getattr(account.tracks, name) / account.tracks.equity[:, :1], axis=1).mean(0)
        if np.any(paid != 0.0):
            data.append(line(arrays.add(x), arrays.add(paid[places]), name, f"@s{i}", ("solid", "dash", "dot")[i]))
            words.append(f"{name} {paid[-1]:z.2%}")
    alt = f"Paid in all: {', '.join(words)} of the initial equity." if words else "No costs were paid."
    return figure(data, alt, time_axis(x), PERCENT, hovermode="x unified")


def returns_chart(account: Account, arrays: Arrays, k: int) -> dict[str, Any]:
    """Return of each bar, or of each day where bars are shorter; in a long series the extremes of every few."""
    equity, x = account.until_ruin(k), x_of(account)
    values, when, unit = account.tracks.returns[k], x[1:], "bar"
    if account.time is not None:
        days = periods.period_returns(equity, account.time[: equity.size], "day")
        if 0 < len(days.returns) < values.size:
            values, when, unit = days.returns, days.start, "day"
    if values.size > 2 * POINTS:
        starts = np.arange(0, values.size, -(-values.size // POINTS))
        kept = np.unique([_extreme(values, starts, sign) for sign in (1.0, -1.0)])
        values, when = values[kept], when[kept]
    bar = {
        "type": "bar",
        "x": arrays.add(when),
        "y": arrays.add(values),
        "marker": {"color": "@strategy"},
        "name": unit,
    }
    alt = f"Returns by {unit}: best {values.max():+z.2%}, worst {values.min():+z.2%}."
    return figure([bar], alt, time_axis(x), PERCENT, showlegend=False, bargap=0)


def _extreme(values: Floats, starts: Ints, sign: float) -> Ints:
    """Index of the largest of ``sign`` times the values of each run that begins at ``starts``."""
    stops = np.append(starts[1:], values.size)
    return np.array(
        [start + int((sign * values[start:stop]).argmax()) for start, stop in zip(starts, stops, strict=True)]
    )
