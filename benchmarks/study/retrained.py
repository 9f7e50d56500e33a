"""The cost curve of policies that are trained at each cost: the suite at other costs, as jobs of the same study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.evaluation.stress import COSTS
from benchmarks.study.analysis import growth_per_year
from benchmarks.study.finished import finished
from benchmarks.study.job import Job, hash_of, jobs_of
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite


def at_cost(suite: Suite, cost: float) -> Suite:
    """The suite's learners and its benchmark, with ``cost`` as the commission and no slippage.

    Raises:
        ValueError: no contender of the suite learns.
    """
    learners = tuple(one for one in suite.contenders if one.learns or one.make is not None)
    if not learners:
        raise ValueError(f"no contender of {suite.name!r} learns, so none can be trained at other costs")
    benchmark = suite.contender(suite.benchmark)
    env = {**suite.env, "costs": {"commission": cost, "slippage": 0.0}}
    contenders = learners if benchmark in learners else (benchmark, *learners)
    return replace(suite, name=f"{suite.name} at {1e4 * cost:g} bps", env=env, contenders=contenders)


def jobs_at_costs(suite: Suite) -> dict[float, list[Job]]:
    """The jobs at each cost of the curve; none of them is an attempt."""
    return {cost: list(jobs_of(at_cost(suite, cost), counted=False)) for cost in COSTS}


def identity(suite: Suite) -> str:
    """Hash of the jobs of the curve, and so of data, contenders, folds, seeds and version."""
    return hash_of([job.id for jobs in jobs_at_costs(suite).values() for job in jobs])


def retrained_curves(suite: Suite, rows: Mapping[float, Sequence[Row]]) -> dict[str, Any]:
    """Log growth per year at each cost, means over seeds, then over the folds that all have finished at every cost.

    `costs`, `growth_per_year` by contender, and `missing`, a note on what is left out.
    """
    at_each = {cost: finished(at_cost(suite, cost), found) for cost, found in rows.items()}
    tests = [{(row.dataset, row.fold) for row in one.rows} for one in at_each.values()]
    names = [{row.contender for row in one.rows} for one in at_each.values()]
    common, compared = (set.intersection(*sets) if sets else set() for sets in (tests, names))
    curves: dict[str, list[float]] = {}
    for one in at_each.values():
        whole = [row for row in one.rows if row.contender in compared and (row.dataset, row.fold) in common]
        for name in dict.fromkeys(row.contender for row in whole):
            curves.setdefault(name, []).append(growth_per_year([row for row in whole if row.contender == name]))
    missing = [f"at {1e4 * cost:g} bps, {one.missing}" for cost, one in at_each.items() if one.missing]
    return {"costs": list(rows), "growth_per_year": curves, "missing": "; ".join(missing)}
