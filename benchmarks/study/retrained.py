"""The cost curve of policies that are trained at each cost: the suite at other costs, as jobs of the same study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.evaluation.stress import COSTS
from benchmarks.study.job import Job, jobs_of
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
    """The jobs at each cost of the curve."""
    return {cost: list(jobs_of(at_cost(suite, cost))) for cost in COSTS}


def retrained_curves(rows: dict[float, Sequence[Row]]) -> dict[str, Any]:
    """Log growth per year at each cost, of contenders with a row on the same folds at every cost: means over these.

    `costs`, and `growth_per_year` by contender.
    """
    places = [{(row.contender, row.dataset, row.fold) for row in found} for found in rows.values()]
    whole = set.intersection(*places) if places else set()
    curves = {}
    for name in dict.fromkeys(row.contender for found in rows.values() for row in found):
        chosen = [
            [row for row in found if row.contender == name and (name, row.dataset, row.fold) in whole]
            for found in rows.values()
        ]
        if all(chosen):
            curves[name] = [float(np.mean([_growth(row) for row in found])) for found in chosen]
    return {"costs": list(rows), "growth_per_year": curves}


def _growth(row: Row) -> float:
    """Mean log growth per year of the row's seeds."""
    return float(row.log_returns.mean() * row.bars_per_year)
