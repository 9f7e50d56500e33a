"""The numbers beside a study's table, each with its meaning, and how the study was made."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.reports.beside import ATTEMPTS
from benchmarks.reports.controls import BASIS_POINT, control_cells, kept_controls
from benchmarks.study import provenance
from benchmarks.study.job import data
from benchmarks.study.results import plain
from benchmarks.study.rows import Row
from trading_env.report.measures import decimal, percent
from trading_env.report.page import Cell, Table, Words

BENCHMARK = "benchmark"  # as the model confidence set calls it
Fact = tuple[str, str, str]


def statistics_of(results: Mapping[str, Any]) -> Words:
    """Tests over all rows, and the best learner's deflated Sharpe ratio, with what they mean."""
    return Words(facts=[*_attempts(results), *_together(results), *_best(results), *_luck(results)])


def _attempts(results: Mapping[str, Any]) -> list[Fact]:
    trials = results["trials"]
    return [
        (
            "attempts N",
            f"{trials['count']:,}",
            f"{ATTEMPTS[0].upper()}{ATTEMPTS[1:]}. The more attempts, the better the best one looks by luck alone.",
        )
    ]


def _together(results: Mapping[str, Any]) -> list[Fact]:
    found, benchmark = results["superior"], results["suite"]["benchmark"]
    if found is None:
        return [("tests of all rows", "too few bars or rows", "SPA, StepM, MCS and PBO need 32 bars and two rows.")]
    better = ", ".join(found["better"]) or "none"
    best = ", ".join(benchmark if name == BENCHMARK else name for name in found["confidence_set"])
    return [
        (
            "SPA p-value",
            _p(found["p_value"]),
            f"Test for superior predictive ability (Hansen 2005): probability of a best row this good if no row truly "
            f"grew faster than {benchmark}. From {_p(found['p_lower'])} (liberal) to {_p(found['p_upper'])}.",
        ),
        (
            "better by StepM",
            better,
            "Rows that are better than the benchmark, with a probability of 5% at most of naming any wrongly "
            "(Romano and Wolf 2005).",
        ),
        (
            "may be the best by MCS",
            best,
            "Model confidence set: contains the best row with 95% probability (Hansen, Lunde and Nason 2011).",
        ),
        (
            "overfitting, PBO",
            _percent(results["overfitting"]),
            "Probability that the row that is best on one half of the bars is below the median on the other half "
            "(Bailey and others 2017). About a half if rows differ by luck alone.",
        ),
    ]


def _best(results: Mapping[str, Any]) -> list[Fact]:
    best = results["best_learner"]
    if best is None:
        return []
    bars = best["minimum_track_record"]
    needed = "no number of bars" if not math.isfinite(bars) else f"{math.ceil(bars):,} bars"
    return [
        ("best learner", best["name"], "The contender that learns with the highest mean Sharpe ratio on these tests."),
        (
            "its deflated Sharpe ratio",
            _number(best["deflated_sharpe"]),
            "Probability that its true ratio exceeds what the luckiest of N attempts without skill would show (Bailey "
            "and Lopez de Prado 2014). 0.95 is the usual bar.",
        ),
        (
            "its minimum track record",
            needed,
            "Bars needed to show, with 95% confidence, that its ratio is above 0 (Bailey and Lopez de Prado 2012).",
        ),
    ]


def _luck(results: Mapping[str, Any]) -> list[Fact]:
    """The best row beside random traders and hindsight, where the study has them."""
    found, facts = results.get("selection"), []
    if found:
        facts.append(
            (
                "luck of random traders, p",
                _p(found["p_value"]),
                f"Probability that the best of {found['trials']} random traders has a Sharpe ratio as high as "
                f"{found['best']}'s, from {found['traders']} random traders.",
            )
        )
    bound = results.get("hindsight")
    if bound:
        facts.append(
            (
                "share of hindsight",
                _percent(bound["largest_share"]),
                "Largest growth of a learner's seed on a fold, as a share of that of the best actions with all prices "
                f"known; above 100% on {len(bound['exceeded'])} folds.",
            )
        )
    return facts


def controls_table(results: Mapping[str, Any]) -> Table | None:
    """The controls of a contender, in basis points a bar; None if they were not run."""
    kept = results.get("stress", {}).get("controls")
    if not kept:
        return None
    rows = []
    for one in kept_controls(kept["rows"]):
        name, edge, *rest = control_cells(one)
        rows.append([Cell(name), Cell(edge, one.edge / BASIS_POINT), *map(Cell, rest)])
    heads = [
        ("control", "What was changed in the data."),
        ("edge", "Mean log growth of timing, basis points a bar."),
        ("95%", "Its interval, over seeds and bars."),
        ("passed", ""),
        ("requirement", ""),
    ]
    text = "The same training on data for which the right answer is known: without an edge, or with the future shown."
    return Table("controls", f"Controls of {kept['contender']}", text, heads, {"": rows})


def data_table(results: Mapping[str, Any], rows: Sequence[Row]) -> Table:
    """The datasets: bars tested, hashes, and whether they were chosen because they survived."""
    lines = []
    for name in results["suite"]["data"]:
        mine = [row for row in rows if row.dataset == name]
        if not mine:
            continue
        flag = data(name).metadata.get("survivorship_biased")
        stretches = {row.fold: row for row in mine}
        days = [str(time)[:10] for time in (stretches[min(stretches)].time[0], stretches[max(stretches)].time[-1])]
        bars = sum(len(row.time) - 1 for row in stretches.values())
        hash_ = str(mine[0].facts.get("data", "unknown"))[:16]
        biased = "unknown" if flag is None else "yes" if flag else "no"
        lines.append([Cell(name), Cell(" to ".join(days)), Cell(f"{bars:,}", float(bars)), Cell(biased), Cell(hash_)])
    heads = [
        ("dataset", ""),
        ("tested", "First and last close of the test stretches."),
        ("bars", "Of all test stretches."),
        ("survivorship-biased", "Yes if the instruments are known to have survived: returns are too good then."),
        ("hash", "Of all bars."),
    ]
    return Table("data", "Data", "What was tested on.", heads, {"": lines})


def made_of(results: Mapping[str, Any], rows: Sequence[Row], command: str) -> list[Words]:
    """The commands, the provenance, and the configuration."""
    found = {str(row.facts.get("commit")) for row in rows}
    lines = [
        f"{len(rows):,} rows; N = {results['trials']['count']:,} {ATTEMPTS}.",
        f"Rows were made at commit {', '.join(sorted(found))}; the page at {provenance.in_words(results)}.",
    ]
    suite = json.dumps(_given(plain(results["suite"])), indent=1, default=str)
    return [Words(lines, code=command), Words(code=suite, folded="Configuration")]


def _given(value: Any) -> Any:
    """The value without entries that are None or empty."""
    if isinstance(value, Mapping):
        return {key: _given(one) for key, one in value.items() if one not in (None, {}, [])}
    return [_given(one) for one in value] if isinstance(value, list) else value


def _p(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _number(value: float) -> str:
    return "undefined" if math.isnan(value) else decimal(value)


def _percent(value: float) -> str:
    return "undefined" if math.isnan(value) else percent(value)
