"""The table of a study, and the sentence that says what it shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.reports import beside
from benchmarks.reports import table as tables
from benchmarks.reports.compare import between, decimal, percent, tenths
from benchmarks.statistics.sharpe import mean_sharpe_over
from benchmarks.study import analysis, provenance
from benchmarks.study.finished import finished
from benchmarks.study.ledger import Ledger
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
_PARTS = {"retrained": "Policies at other costs", "controls": "Controls"}
SPARE = ("seeds\nagree", "max\ndrawdown", "turnover\nper year", "return\nper year")


def results(
    suite: Suite, rows: Sequence[Row], ledger: Ledger, stress: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """All numbers of the report, as JSON values; of the folds that all contenders have finished.

    Args:
        suite: of the study.
        rows: those that are there.
        ledger: of all tests; attempts that only the rows know count, too.
        stress: what `python -m benchmarks stress` found, if it was run.
    """
    every, (rows, missing) = rows, finished(suite, rows)
    trials, unlisted = analysis.trials_of(suite, every, ledger)
    found, stale = beside.current(stress or {}, suite)
    tracks = analysis.tracks_of(rows)
    complete = suite.benchmark in tracks
    learners = [one.name for one in suite.contenders if one.learns or one.make is not None]
    best = analysis.best_of(tracks, learners)
    together, overfitting = analysis.tested_together(tracks, suite.benchmark) if complete else (None, math.nan)
    contenders = {name: _contender(name, tracks, rows, every, suite) for name in tracks}
    for name, gap in _less_benchmark(tracks, suite.benchmark).items() if complete else ():
        contenders[name]["less_benchmark"] = gap
    return {
        "suite": suite.description(),
        **provenance.made(),
        "contenders": contenders,
        "shown_from": {
            name: one["less_benchmark"]["detectable"]
            for name, one in contenders.items()
            if "less_benchmark" in one and not math.isnan(one["less_benchmark"]["detectable"])
        },
        "missing": missing,
        "trials": trials._asdict(),
        "trials_not_in_ledger": unlisted,
        "best_learner": None if best is None else {"name": best, **analysis.deflated(tracks[best], trials)},
        "superior": None if together is None else together._asdict(),
        "overfitting": overfitting,
        "selection": analysis.luck_of(tracks, suite, trials),
        "hindsight": analysis.hindsight_of(suite, rows),
        "stress": found,
        "stress_of_other_rows": stale,
        "rows": len(every),
        "rows_made": rows_made(every),
    }


def _contender(
    name: str, tracks: Mapping[str, analysis.Tracks], rows: Sequence[Row], every: Sequence[Row], suite: Suite
) -> dict[str, Any]:
    """What the report says of a contender alone; ``every`` row counts, but only finished ``rows`` are measured."""
    mine, sharpe = [row for row in rows if row.contender == name], mean_sharpe_over(tracks[name])
    return {
        "rows": sum(row.contender == name for row in every),
        "seeds": max(len(track.returns) for track in tracks[name].values()),
        "sharpe": {"mean": sharpe.value, "standard_error": sharpe.standard_error, "interval_95": sharpe.interval()},
        "agreement": math.nan if suite.panels else analysis.agreement(mine),  # a panel has no one side
        "stress": analysis.stress_of(mine),
        **{key: _mean(mine, key) for key in ("annual_return", "max_drawdown", "turnover")},
    }


def _less_benchmark(tracks: Mapping[str, analysis.Tracks], benchmark: str) -> dict[str, dict[str, Any]]:
    """Sharpe ratios less the benchmark's, with intervals that all hold at once with a probability of 95%."""
    gaps = analysis.gaps_of(tracks, benchmark)
    level = 1.0 - 0.05 / max(sum(bool(gap.parts) for gap in gaps.values()), 1)  # of those that are defined
    return {
        name: {
            "value": gap.value,
            "interval": gap.interval(level),
            "detectable": gap.detectable(level=level) if gap.parts else math.nan,
        }
        for name, gap in gaps.items()
    }


def rows_made(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The provenance of the rows, each once, whatever the day."""
    found = {}
    for row in rows:
        facts = {key: row.facts.get(key) for key in ("commit", "versions", "processor", "cores", "date")}
        if facts["versions"] is not None:
            found.setdefault(str({**facts, "date": None}), facts)
    return list(found.values())


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
    tables.say([*warnings(results), sentence(results), ""], console)
    costs = [beside.costs_table(results)] if results["contenders"] else []
    for one in (*costs, beside.beside(results), *beside.tables_of(results["stress"])):
        tables.show(one, console, wide)
    tables.say(notes(results), console)


def warnings(results: Mapping[str, Any]) -> list[str]:
    """What is missing, and what is not counted where it should be."""
    said = [f"{results['missing']}."] if results["missing"] else []
    lost = results["trials_not_in_ledger"]
    if lost:
        said.append(
            f"WARNING: {lost} of the configurations of these rows are not in the ledger, so it is not the one of this "
            f"study, or not whole; N is at least {results['trials']['count']}."
        )
    missing = results["stress"].get("retrained", {}).get("missing")
    said += [f"Trained at each cost: {missing}."] if missing else []
    for part in results["stress_of_other_rows"]:
        said.append(f"WARNING: {part} of stress.json is of other rows, and left out: run `stress` again.")
    return said


def notes(results: Mapping[str, Any]) -> list[str]:
    """How the numbers were made."""
    trained = [f"Rows trained at {provenance.in_words(one)}." for one in results["rows_made"]]
    found = results["stress"].items()
    trained += [f"{_PARTS.get(part, part)} trained at {provenance.in_words(one)}." for part, one in found]
    return [
        "Sharpe ratios are means over datasets and seeds, with intervals over seeds and dependent bars; bars of the "
        "same time move together on all datasets.",
        "Each fold trains on the past, with a purged gap before validation and test; the last weights are tested.",
        *trained,
        f"Table made at {provenance.in_words(results)}.",
    ]


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
    found = f"No row is shown to have a higher Sharpe ratio than {benchmark}"
    if better:
        found = f"{_shown(better)} to have a higher Sharpe ratio than {benchmark}{_luck(results, better)}"
    lost = f"; {_shown(worse)} to have a lower one" if worse else ""
    return f"{found}{lost}.{_power(results)}"


def _power(results: Mapping[str, Any]) -> str:
    """What could have been shown; nothing if all rows are the benchmark's like."""
    if not results["shown_from"]:
        return ""
    low, high = (f"{end:.1f}" for end in beside.ends_of(results))
    return f" To be shown four times in five, a true difference must be {low} to {high} a year, depending on the row."


def _shown(names: Sequence[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} shown"


def _luck(results: Mapping[str, Any], better: Sequence[str]) -> str:
    """A warning if what was found may be the luck of many attempts."""
    best = results["best_learner"]
    if best is None or best["name"] not in better or best["deflated_sharpe"] >= 0.95:
        return ""
    return (
        f", but {results['trials']['count']} attempts may have found it by luck: the deflated Sharpe ratio of "
        f"{best['name']} is {decimal(best['deflated_sharpe'])}"
    )
