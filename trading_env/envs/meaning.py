"""Meaning of an env's observations and actions as plain JSON, so that agents can refuse an env of another kind."""

from __future__ import annotations

import math
from typing import Any

from trading_env.envs.task import Task
from trading_env.features.scaler import FeatureScaler

_BOUNDS = (2, 7, 25, 100, 700, 4_000, 12_000, 60_000, 300_000)  # bars per year, far from those of common bars


def meaning(task: Task) -> dict[str, Any]:
    """Everything that gives observations and actions of one size their meaning: not prices, costs or rewards.

    Returns:
        Plain JSON: ``observation``, ``window``, ``features`` in order, ``scaler`` (its numbers, None without one),
        ``bar`` (rough number of bars a year), ``actions`` (their kind, then the order of each), ``shorts`` (True if
        positions may be negative), ``max_leverage`` if actions are multiples of it, ``lot_size`` if they are lots.
    """
    targets = ["hold" if math.isnan(order) else order for order in task.orders.tolist()]
    scaler = task.config.scaler
    return {
        "observation": task.observation,
        "window": task.window,
        "features": list(task.feature_names),
        "scaler": scaler.to_dict() if isinstance(scaler, FeatureScaler) else None,
        "bar": sorted({_bar(market.bars_per_year) for market in task.markets}),
        "actions": [task.actions, *targets],
        "shorts": _shorts(task),
        "max_leverage": task.margin.max_leverage if task.actions == "continuous" else None,
        "lot_size": task.lot_size if task.actions == "lots" else None,
    }


def _shorts(task: Task) -> bool:
    """True if a position may be negative."""
    if task.actions in ("continuous", "lots"):
        return not task.long_only
    return bool((task.orders < 0.0).any())


def _bar(bars_per_year: float | None) -> str:
    """Range that contains the bars per year, since splits of one market may differ a little."""
    if bars_per_year is None:
        return "unknown"
    low = max((bound for bound in _BOUNDS if bound <= bars_per_year), default=0)
    high = min((bound for bound in _BOUNDS if bound > bars_per_year), default=math.inf)
    return f"{low:,} to {high:,} a year"
