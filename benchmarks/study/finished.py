"""The rows that can be compared: those of folds on which the same contenders have all of their seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite

Test = tuple[str, int]
"""A dataset and one of its folds."""


class Finished(NamedTuple):
    """Rows of some contenders on the same folds."""

    rows: list[Row]
    missing: str
    """A note on what is left out; empty if all rows of the suite are there."""


def finished(suite: Suite, rows: Sequence[Row]) -> Finished:
    """The rows of folds that all contenders have finished, so that all are compared on the same bars.

    A contender without a finished fold is left out, and if no fold is common to all others, so are those with the
    fewest finished folds, later ones in the suite first.
    """
    places = [(dataset, fold) for dataset in suite.data for fold in range(suite.walk_forward.folds)]
    done = {one.name: _done(rows, one.name, one.runs(suite.seeds), places) for one in suite.contenders}
    compared = [name for name in done if done[name]]
    common: set[Test] = set()
    while compared and not (common := set.intersection(*(done[name] for name in compared))):
        compared.remove(min(reversed(compared), key=lambda name: len(done[name])))
    whole = [row for row in rows if row.contender in compared and (row.dataset, row.fold) in common]
    left = [name for name in done if name not in compared]
    lacking = {name: len(places) - len(done[name]) for name in compared if len(done[name]) < len(places)}
    if not left and not lacking:
        return Finished(whole, "")
    words = [f"{len(common)} of {len(places)} folds are compared"]
    words += [f"not finished: {', '.join(f'{name} on {count}' for name, count in lacking.items())}"] if lacking else []
    words += [f"left out: {', '.join(left)}"] if left else []
    return Finished(whole, "; ".join(words))


def _done(rows: Sequence[Row], contender: str, runs: int, places: Sequence[Test]) -> set[Test]:
    """The folds on which the contender has a result for every seed."""
    seeds: dict[Test, set[int]] = {place: set() for place in places}
    for row in rows:
        if row.contender == contender and (row.dataset, row.fold) in seeds:
            seeds[row.dataset, row.fold] |= set(row.seeds)
    return {place for place, found in seeds.items() if found == set(range(runs))}
