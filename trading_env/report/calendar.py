"""Charts and tables of one run by month and year, of its distribution and of its worst drawdowns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trading_env.analysis import periods
from trading_env.report.account import Account
from trading_env.report.benchmark import Benchmark
from trading_env.report.figures import bars, boxes, histogram, monthly
from trading_env.report.measures import percent, whole
from trading_env.report.page import Cell

DRAWDOWNS = (
    ("from", "The peak before the fall."),
    ("lowest", "The trough."),
    ("back", "The first close as high as the peak; not yet if the data end before."),
    ("loss", "At the trough, as a share of the peak."),
    ("bars down", "From the peak to the trough."),
    ("bars in all", "From the peak until it is reached again, or to the end."),
)


def of_run(account: Account, k: int, unit: str) -> periods.Periods | None:
    """Returns of the calendar periods of a run; None without timestamps or without a bar."""
    if account.time is None:
        return None
    equity = account.until_ruin(k)
    return periods.period_returns(equity, account.time[: equity.size], unit) if equity.size > 1 else None


def of_benchmark(benchmark: Benchmark, unit: str) -> dict[Any, float]:
    """Returns of the calendar periods of a benchmark, by first day."""
    found = of_run(benchmark.account, 0, unit)
    return {} if found is None else dict(zip(found.start.tolist(), found.returns.tolist(), strict=True))


def monthly_chart(account: Account, k: int) -> dict[str, Any] | None:
    """Heat map of monthly returns."""
    found = of_run(account, k, "month")
    return None if found is None else monthly(found.start, found.returns, account.labels[k])


def yearly_chart(account: Account, k: int, benchmark: Benchmark | None) -> dict[str, Any] | None:
    """Bars of yearly returns."""
    found = of_run(account, k, "year")
    if found is None:
        return None
    series = {account.labels[k]: found.returns.tolist()}
    if benchmark is not None:
        theirs = of_benchmark(benchmark, "year")
        series[benchmark.name] = [theirs.get(start, np.nan) for start in found.start.tolist()]
    years = [str(start) for start in found.start]
    words = ", ".join(f"{year} {value:+z.1%}" for year, value in zip(years, found.returns, strict=True))
    return bars(years, series, f"Returns by year: {words}.")


def months_chart(account: Account, k: int, benchmark: Benchmark | None) -> dict[str, Any] | None:
    """Histogram of monthly returns."""
    found = of_run(account, k, "month")
    if found is None:
        return None
    samples = {account.labels[k]: found.returns}
    if benchmark is not None:
        samples[benchmark.name] = np.array(list(of_benchmark(benchmark, "month").values()))
    return histogram(samples, f"{len(found.returns)} monthly returns with a mean of {found.returns.mean():+z.2%}.")


def boxes_chart(account: Account, k: int) -> dict[str, Any]:
    """Quantiles of the returns by bar, day, week, month, quarter and year, of those that have four or more."""
    samples = {"bar": account.tracks.returns[k]}
    for unit in periods.UNITS:
        found = of_run(account, k, unit)
        if found is not None and 4 <= len(found.returns) < len(list(samples.values())[-1]):
            samples[unit] = found.returns
    words = ", ".join(f"{name} {np.median(values):+z.2%}" for name, values in samples.items())
    return boxes(samples, f"Median returns by length of period: {words}.")


def yearly_rows(account: Account, k: int, benchmark: Benchmark | None) -> list[list[Cell]]:
    """Year, return, and the benchmark's and the difference."""
    found = of_run(account, k, "year")
    if found is None:
        return []
    theirs = {} if benchmark is None else of_benchmark(benchmark, "year")
    rows = []
    for start, value in zip(found.start, found.returns.tolist(), strict=True):
        numbers = [value]
        if benchmark is not None:
            other = theirs.get(start.item(), float("nan"))
            numbers += [other, value - other]
        rows.append([Cell(str(start)), *(Cell(percent(one), cell_value(one)) for one in numbers)])
    return rows


def drawdown_rows(account: Account, k: int) -> list[list[Cell]]:
    """The ten deepest drawdowns."""
    equity, rows = account.until_ruin(k), []
    for one in periods.worst_drawdowns(equity):
        last = equity.size - 1 if one.end is None else one.end
        names = [
            _named(account, one.peak),
            _named(account, one.trough),
            "not yet" if one.end is None else _named(account, one.end),
        ]
        counts = [Cell(whole(bars_), float(bars_)) for bars_ in (one.trough - one.peak, last - one.peak)]
        rows.append([*map(Cell, names), Cell(percent(one.depth), one.depth), *counts])
    return rows


def _named(account: Account, place: int) -> str:
    """The close as a date, with the time of day where bars are shorter than a day."""
    if account.time is None:
        return f"bar {place}"
    stamp = account.time[place].astype("datetime64[m]")
    return str(stamp).replace("T", " ") if _intraday(account.time) else str(stamp.astype("datetime64[D]"))


def _intraday(time: Any) -> bool:
    return bool((time != time.astype("datetime64[D]")).any())


def cell_value(value: float) -> float | None:
    """The number behind a cell; None if it is not finite."""
    return value if np.isfinite(value) else None


def keyed(account: Account, make: Any, *more: Any) -> dict[str, Any]:
    """What ``make`` brings for each run, by the number of the run, or by "" for a single one; less those of None."""
    runs = range(len(account.labels))
    found = {"" if len(runs) == 1 else str(k): make(account, k, *more) for k in runs}
    return {key: one for key, one in found.items() if one is not None}


def headings_of_years(benchmark: Benchmark | None) -> Sequence[tuple[str, str]]:
    """Headings of the yearly table."""
    own = [("year", ""), ("return", "From the last close before the year to its last close.")]
    if benchmark is None:
        return own
    return [*own, (benchmark.name, "The benchmark's return."), ("difference", "Return less the benchmark's.")]
