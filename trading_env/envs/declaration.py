"""The configuration that an env declares as plain JSON, so that a policy can be kept with the env that it learnt in."""

from __future__ import annotations

import math
import platform
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from typing import Any

from trading_env import __version__
from trading_env.data.market import Market
from trading_env.envs.config import json_keywords
from trading_env.envs.task import Task
from trading_env.features.scaler import FeatureScaler

_BOUNDS = (2, 7, 25, 100, 700, 4_000, 12_000, 60_000, 300_000)  # bars per year, far from those of common bars


def declaration(task: Task) -> dict[str, Any]:
    """Everything that describes the env of a task, as plain JSON.

    Returns:
        ``meaning``: what observations and actions mean, see `meaning`; a policy can only act where it is the same.
        ``terms``: costs, margin, and how orders are filled; a policy can act under other ones, with other results.
        ``keywords``: those of TradingEnv but data, as `EnvConfig.of` reads them; ``left_out``: names of those that JSON
        cannot hold. ``data``: name, span, bars per year and fingerprint of each market. ``versions``.
    """
    keywords, left_out = json_keywords(task.config)
    return {
        "meaning": meaning(task),
        "terms": _terms(task),
        "keywords": keywords,
        "left_out": left_out,
        "data": [_data(market) for market in task.markets],
        "versions": _versions(),
    }


def meaning(task: Task) -> dict[str, Any]:
    """The meaning of observations and actions: everything except prices, costs and rewards.

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


def _terms(task: Task) -> dict[str, Any]:
    return {
        "costs": asdict(task.costs),
        "fill": task.fill,
        "margin": asdict(task.margin),
        "rebalances": task.config.rebalances,
        "min_trade": task.min_trade,
    }


def _data(market: Market) -> dict[str, Any]:
    """Facts by which a market can be recognised: its own bars, without the history before them."""
    return {
        "name": market.name,
        "first": market.time_of(market.first),
        "last": market.time_of(len(market) - 1),
        "bars": len(market) - market.first,
        "bars_per_year": market.bars_per_year,
        "fingerprint": market.fingerprint,
    }


@cache
def _versions() -> dict[str, str]:
    installed = {name: version(name) for name in ("gymnasium", "numpy", "numba")}
    return {"trading_env": __version__, **installed, "python": platform.python_version()}


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
