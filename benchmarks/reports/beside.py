"""The numbers beside a study's table: attempts, tests over all rows, and what is left of the best learner."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.reports import table as tables
from benchmarks.reports.compare import between, decimal, percent
from benchmarks.reports.controls import controls_table, kept_controls
from benchmarks.study import retrained, study_controls
from benchmarks.study.results import KeptError
from benchmarks.study.suite import Suite

ATTEMPTS = "different configurations that were tested on these data or tried in tuning, by the ledger"
PARTS = ("retrained", "controls")
FILE = "stress.json"  # in the study's folder, written by `python -m benchmarks stress`


def read(path: Path) -> dict[str, Any]:
    """What `python -m benchmarks stress` found; empty without it. KeptError if the file is damaged."""
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {part: dict(found[part]) for part in PARTS if part in found}
    except (ValueError, TypeError) as error:
        raise KeptError(f"{path} is no result of an earlier run, remove it to train anew: {error}") from error


def current(found: Mapping[str, Any], suite: Suite) -> tuple[dict[str, Any], list[str]]:
    """The parts of what `stress` found that are of this suite, data and version, and the names of the others."""
    learners = [one.name for one in suite.contenders if one.learns or one.make is not None]
    parts, stale = {}, []
    for part, one in found.items():
        if part == "retrained":
            known = retrained.identity(suite) if learners else None
        else:
            known = study_controls.identity(suite, one["contender"]) if one.get("contender") in learners else None
        if known is not None and one.get("of") == known:
            parts[part] = one
        else:
            stale.append(part)
    return parts, stale


def beside(results: Mapping[str, Any]) -> tables.Columns:
    """The table of these numbers, with what each says."""
    rows: list[Sequence[str] | None] = [*_of_all(results)]
    if results["best_learner"] is not None:
        rows += [None, *_of_best(results)]
    title = "All rows" + (
        f", and the best learner, {results['best_learner']['name']}" if results["best_learner"] else ""
    )
    return tables.Columns(title, ["statistic"], ["value", "meaning"], rows, wrapped=["meaning"])


def costs_table(results: Mapping[str, Any]) -> tables.Columns:
    """The growth of each row at other costs and a bar late, of policies that are not trained again."""
    kept = {name: one["stress"] for name, one in results["contenders"].items()}
    costs = [f"{1e4 * cost:g} bps" for cost in next(iter(kept.values()))["costs"]]
    heads = [*costs, "in the\nstudy", "a bar\nlate", "breaks\neven"]
    table = tables.Columns("Log growth per year at each cost, not trained again", ["contender"], heads)
    for name, stress in kept.items():
        moved = (stress["growth_per_year_in_time"], stress["growth_per_year_a_bar_late"])
        table.rows.append([name, *map(percent, (*stress["growth_per_year"], *moved)), _even(stress)])
    return table


def tables_of(found: Mapping[str, Any]) -> list[tables.Columns]:
    """The cost curves of retrained policies, and the controls."""
    shown = []
    again, controls = found.get("retrained"), found.get("controls")
    if again and again["growth_per_year"]:
        costs = [f"{1e4 * cost:g} bps" for cost in again["costs"]]
        shown.append(tables.Columns("Log growth per year, trained at each cost", ["contender"], costs))
        for name, growth in again["growth_per_year"].items():
            shown[-1].rows.append([name, *map(percent, growth)])
    if controls:
        shown += controls_table(kept_controls(controls["rows"]), controls["contender"])
    return shown


def _of_all(results: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Rows about the whole table."""
    benchmark, count = results["suite"]["benchmark"], results["trials"]["count"]
    yield "attempts N", str(count), ATTEMPTS
    if results["shown_from"]:
        words = f"true difference to {benchmark}'s Sharpe ratio that a row shows four times in five, by row"
        yield "shown from", between(ends_of(results), decimal), words
    if results["superior"] is not None:
        yield "SPA", f"p = {results['superior']['p_value']:.2f}", f"that no row grows faster than {benchmark}"
        yield (
            "overfitting",
            percent(results["overfitting"]),
            "probability that the best of one half is below the median in the other",
        )
    luck = results["selection"]
    if luck is not None:
        words = f"that the best of {luck['trials']} random traders reaches the best row's ratio, {luck['best']}'s"
        yield "luck", f"p = {luck['p_value']:.2f}", words
    if results["hindsight"] is not None:
        held = results["hindsight"]["exceeded"] == []
        yield (
            "hindsight",
            "held" if held else "EXCEEDED",
            "bound: growth with all prices known, for each learner's seed",
        )


def _of_best(results: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """Rows about the best learner."""
    best, count = results["best_learner"], results["trials"]["count"]
    one = results["contenders"][best["name"]]
    yield (
        "deflated Sharpe",
        decimal(best["deflated_sharpe"]),
        f"probability that its ratio exceeds the luckiest of {count} without skill; shown from 0.95",
    )
    track = best["minimum_track_record"]
    unknown = math.isinf(track) or math.isnan(track)
    needed = "never" if unknown else f"{math.ceil(track):,} bars"
    yield "track record", needed, f"needed to show a ratio above 0; it has {best['bars']:,}"
    if not math.isnan(one["agreement"]):
        words = f"share of seeds with the most common side, mean over bars; coins: {percent(coins_agree(one['seeds']))}"
        yield "seeds agree", percent(one["agreement"]), words


def coins_agree(seeds: int) -> float:
    """The share of tosses with the more common side, expected of that number of fair coins."""
    heads = range(seeds + 1)
    return sum(math.comb(seeds, k) * max(k, seeds - k) for k in heads) / (seeds * 2**seeds)


def _even(stress: Mapping[str, Any]) -> str:
    least = stress["break_even"]
    if math.isnan(least):
        return "none"
    return f"> {1e4 * stress['costs'][-1]:g} bps" if math.isinf(least) else f"{1e4 * least:.0f} bps"


def ends_of(results: Mapping[str, Any]) -> tuple[float, float]:
    """The least and the largest true difference to the benchmark that a row shows with probability 0.8."""
    return min(results["shown_from"].values()), max(results["shown_from"].values())
