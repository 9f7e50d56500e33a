"""The leaderboard of a study, for the page and for papers: every number with its interval, and no stars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from trading_env.report.measures import decimal, percent
from trading_env.report.page import Cell, Table

HEADINGS = (
    ("contender", ""),
    ("seeds", "Runs of the contender: trained anew, or drawn."),
    ("Sharpe", "Mean Sharpe ratio per year over datasets and seeds, after costs; no risk-free rate."),
    ("± s.e.", "Its standard error, over seeds and dependent bars."),
    ("95% interval", "Of the mean Sharpe ratio; by Student's t. Sorted by its lower end."),
    (
        "less benchmark",
        "Interval of the difference to the benchmark's Sharpe ratio; all together hold with 95% (Bonferroni).",
    ),
    ("detectable", "True difference that would have been shown four times in five."),
    ("return per year", "Mean over seeds, folds and datasets."),
    ("max drawdown", "Largest loss from a peak within a fold, mean over seeds, folds and datasets."),
    ("turnover", "Notional traded per year over equity, mean; buying and selling everything once is 2."),
    ("break-even", "Cost of trading at which the log growth would be 0, without training again; more: than was tried."),
    ("a bar late", "Log growth per year if every action is carried out a bar later."),
    ("seeds agree", "Share of seeds that hold the most common side of a bar, mean over bars; empty for one seed."),
)


def table_of(results: Mapping[str, Any]) -> Table:
    """The leaderboard, highest Sharpe ratio first."""
    rows = [_row(name, one) for name, one in results["contenders"].items()]
    rows.sort(key=lambda row: -math.inf if row[2].value is None else row[2].value, reverse=True)
    text = (
        f"All contenders on the same bars, after costs. The benchmark is {results['suite']['benchmark']}. An interval "
        "that contains 0 shows no difference. Press a heading to sort."
    )
    return Table("leaderboard", "Leaderboard", text, HEADINGS, {"": rows}, sortable=True)


def _row(name: str, one: Mapping[str, Any]) -> list[Cell]:
    sharpe, less, stress = one["sharpe"], one.get("less_benchmark"), one["stress"]
    gap = (math.nan, math.nan) if less is None else less["interval"]
    return [
        Cell(name),
        Cell(str(one["seeds"]), float(one["seeds"])),
        _cell(sharpe["mean"], decimal),
        _cell(math.nan if math.isnan(sharpe["mean"]) else sharpe["standard_error"], decimal),
        between(sharpe["interval_95"]),
        between(gap),
        _cell(math.nan if less is None else less["detectable"], decimal),
        _cell(one["annual_return"], percent),
        _cell(one["max_drawdown"], percent),
        _cell(one["turnover"], lambda value: f"{value:z.1f}"),
        _cell(stress["break_even"], lambda value: f"{1e4 * value:z.0f} bps" if math.isfinite(value) else "more"),
        _cell(stress["growth_per_year_a_bar_late"], percent),
        _cell(one["agreement"], percent),
    ]


def _cell(value: float, form: Callable[[float], str]) -> Cell:
    """The number as it is shown; an empty cell where it is undefined."""
    return Cell("") if math.isnan(value) else Cell(form(value), value)


def between(ends: tuple[float, float]) -> Cell:
    """An interval, sorted by its lower end; empty where it is undefined."""
    low, high = ends
    return Cell("") if math.isnan(low) else Cell(f"{decimal(low)} to {decimal(high)}", low)


def columns_of(results: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Headings and rows with every number in full, for CSV: intervals as two columns."""
    headings = ["contender", "seeds", "sharpe", "sharpe_se", "sharpe_low", "sharpe_high", "less_benchmark"]
    headings += ["less_benchmark_low", "less_benchmark_high", "detectable", "annual_return", "max_drawdown", "turnover"]
    headings += ["break_even_cost", "growth_a_bar_late", "agreement"]
    rows = []
    for name, one in results["contenders"].items():
        sharpe, less = one["sharpe"], one.get("less_benchmark")
        gap = [math.nan] * 4 if less is None else [less["value"], *less["interval"], less["detectable"]]
        error = math.nan if math.isnan(sharpe["mean"]) else sharpe["standard_error"]
        numbers = [sharpe["mean"], error, *sharpe["interval_95"], *gap]
        numbers += [one[key] for key in ("annual_return", "max_drawdown", "turnover")]
        numbers += [one["stress"]["break_even"], one["stress"]["growth_per_year_a_bar_late"], one["agreement"]]
        rows.append([name, one["seeds"], *("" if math.isnan(value) else value for value in numbers)])
    return headings, rows
