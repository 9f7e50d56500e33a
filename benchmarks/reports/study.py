"""The table of a study, and the sentence that says what it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.reports import table as tables
from benchmarks.reports.compare import between, decimal, percent, tenths
from benchmarks.statistics.sharpe import mean_sharpe_over
from benchmarks.study import analysis, provenance
from benchmarks.study.ledger import Trials
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite

COLUMNS = (
    "seeds",
    "return\nper year",
    "Sharpe\n± s.e.",
    "Sharpe\n95%",
    "less benchmark\nfamily-wise 95%",
    "max\ndrawdown",
    "turnover\nper year",
    "seeds\nagree",
)
SPARE = ("seeds\nagree", "max\ndrawdown", "turnover\nper year", "return\nper year")


def results(suite: Suite, rows: Sequence[Row], trials: Trials) -> dict[str, Any]:
    """All numbers of the report, as JSON values.

    Args:
        suite: of the study.
        rows: those that are there.
        trials: what the ledger knows of the data.
    """
    tracks = analysis.tracks_of(rows)
    complete = suite.benchmark in tracks
    gaps = analysis.gaps_of(tracks, suite.benchmark) if complete else {}
    level = 1.0 - 0.05 / max(len(gaps), 1)
    learners = [one.name for one in suite.contenders if one.learns or one.make is not None]
    best = analysis.best_of(tracks, learners)
    together, overfitting = analysis.tested_together(tracks, suite.benchmark) if complete else (None, math.nan)
    contenders: dict[str, Any] = {}
    for name, one in tracks.items():
        mine = [row for row in rows if row.contender == name]
        sharpe = mean_sharpe_over(one)
        contenders[name] = {
            "rows": len(mine),
            "seeds": max(len(track.returns) for track in one.values()),
            "sharpe": {"mean": sharpe.value, "standard_error": sharpe.standard_error, "interval_95": sharpe.interval()},
            "agreement": analysis.agreement(mine),
            "stress": analysis.stress_of(mine),
            **{key: _mean(mine, key) for key in ("annual_return", "max_drawdown", "turnover")},
        }
        if name in gaps:
            gap = gaps[name]
            detectable = gap.detectable(level=level) if gap.parts else math.nan
            less = {"value": gap.value, "interval": gap.interval(level), "detectable": detectable}
            contenders[name]["less_benchmark"] = less
    return {
        "suite": suite.description(),
        **provenance.made(),
        "contenders": contenders,
        "trials": trials._asdict(),
        "best_learner": None if best is None else {"name": best, **analysis.deflated(tracks[best], trials)},
        "superior": None if together is None else together._asdict(),
        "overfitting": overfitting,
        "rows": len(rows),
    }


def _mean(rows: Sequence[Row], metric: str) -> float:
    """Mean over seeds, folds and datasets where it is defined."""
    values = np.concatenate([row.metrics[metric] for row in rows])
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else math.nan


def show(results: Mapping[str, Any], console: Console | None = None, wide: bool = False) -> None:
    """Prints the table and what may be concluded."""
    console = tables.console_of(console)
    suite = results["suite"]
    title = f"{suite['name']}: {len(suite['data'])} datasets, {suite['walk_forward']['folds']} folds"
    table = tables.Columns(title, ["contender"], COLUMNS, spare=SPARE)
    for name, one in results["contenders"].items():
        sharpe, less = one["sharpe"], one.get("less_benchmark")
        defined = not math.isnan(sharpe["mean"])
        mean = f"{decimal(sharpe['mean'])} ± {decimal(sharpe['standard_error'])}" if defined else "undefined"
        gap = "" if less is None or math.isnan(less["value"]) else between(less["interval"], decimal)
        agreed = "" if math.isnan(one["agreement"]) else percent(one["agreement"])
        cells = [str(one["seeds"]), percent(one["annual_return"]), mean, between(sharpe["interval_95"], decimal), gap]
        table.rows.append([name, *cells, percent(one["max_drawdown"]), tenths(one["turnover"]), agreed])
    tables.show(table, console, wide)
    tables.say(notes(results), console)


def notes(results: Mapping[str, Any]) -> list[str]:
    """The sentence first, then the numbers behind it and their meaning."""
    suite, trials = results["suite"], results["trials"]
    lines = [sentence(results)]
    if results["superior"] is not None:
        found = results["superior"]
        lines.append(
            f"SPA, that no row has higher log returns than {suite['benchmark']}: p = {found['p_value']:.3f}. "
            f"Probability of backtest overfitting: {percent(results['overfitting'])}."
        )
    if results["best_learner"] is not None:
        best = results["best_learner"]
        lines.append(
            f"{trials['count']} configurations have seen these tests (ledger). The best learner, {best['name']}, has a "
            f"deflated Sharpe ratio of {decimal(best['deflated_sharpe'])}; {_bars(best['minimum_track_record'])} "
            "needed to show a ratio above 0."
        )
        lines.append(_stress(best["name"], results["contenders"][best["name"]]["stress"]))
    lines += [
        "Sharpe ratios are means over datasets and seeds, with intervals over seeds and dependent bars; bars of the "
        "same time move together on all datasets.",
        "Each fold trains on the past, with a purged gap before validation and test; the last weights are tested.",
        f"Made at {provenance.in_words(results)}.",
    ]
    return lines


def _stress(name: str, found: Mapping[str, Any]) -> str:
    """The cost curve of a contender, its break-even cost, and what is left a bar late."""
    points = zip(found["costs"], found["growth_per_year"], strict=True)
    curve = ", ".join(f"{percent(growth)} at {1e4 * cost:g}" for cost, growth in points)
    least = found["break_even"]
    if math.isnan(least):
        even = "no cost leaves it a growth above 0"
    else:
        even = f"it breaks even at {'more' if math.isinf(least) else f'{1e4 * least:.0f}'} bps"
    late = percent(found["growth_per_year_a_bar_late"])
    return f"{name}, without training again: log growth per year {curve} bps of costs; {even}; {late} a bar late."


def sentence(results: Mapping[str, Any]) -> str:
    """What may be concluded."""
    suite, contenders = results["suite"], results["contenders"]
    benchmark = suite["benchmark"]
    gaps = {name: one["less_benchmark"] for name, one in contenders.items() if "less_benchmark" in one}
    gaps = {name: gap for name, gap in gaps.items() if not math.isnan(gap["value"])}
    if not gaps:
        return f"No row can be compared with {benchmark} yet."
    better = [name for name, gap in gaps.items() if gap["interval"][0] > 0.0]
    worse = [name for name, gap in gaps.items() if gap["interval"][1] < 0.0]
    least = min(gap["detectable"] for gap in gaps.values())
    found = f"No row is shown to be better than {benchmark}"
    if better:
        found = f"{', '.join(better)} had a higher Sharpe ratio than {benchmark}"
    lost = f"; {', '.join(worse)} had a lower one" if worse else ""
    power = f" At best a true difference of {decimal(least)} would have been shown four times in five."
    return f"{found}{lost}.{power}"


def _bars(count: float) -> str:
    return "no number of bars is" if math.isinf(count) or math.isnan(count) else f"{math.ceil(count):,} bars are"
