"""Markets and features that controls put in place of a study's own. T = bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from trading_env import Market


def null_like(market: Market, seed: int) -> Market:
    """A market with the same volatility and independent, unpredictable returns; simple returns have mean 0."""
    sigma = float(np.log(market.close[1:] / market.close[:-1]).std())
    rng = np.random.default_rng(seed)
    returns = rng.normal(-0.5 * sigma**2, sigma, len(market) - 1)
    close = market.close[0] * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    bars = {"open": opened, "high": high, "low": low, "close": close, "volume": market.volume}
    return Market(**bars, columns=market.columns, **_kept(market))


def shuffled(market: Market, seed: int) -> Market:
    """The market's bars, each relative to the close before it, in random order; dates and first close stay.

    Returns keep their distribution and lose their order. Further columns move with their bars.
    """
    known = max((int(np.isnan(values).sum()) for values in market.columns.values()), default=0)  # NaN come first
    order = np.arange(1, len(market))
    order[known:] = np.random.default_rng(seed).permutation(order[known:])
    before = market.close[:-1]
    returns = np.log(market.close[1:] / before)[order - 1]
    close = market.close[0] * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    bars: dict[str, Any] = {"close": close}
    for name in ("open", "high", "low"):
        values = getattr(market, name)
        if values is not None:
            relative = (values[1:] / before)[order - 1]
            bars[name] = np.concatenate([values[:1], close[:-1] * relative])
    if "high" in bars and "low" in bars:  # rounding must not put a close outside its bar
        ends = np.maximum(bars.get("open", close), close), np.minimum(bars.get("open", close), close)
        bars["high"], bars["low"] = np.maximum(bars["high"], ends[0]), np.minimum(bars["low"], ends[1])
    if market.volume is not None:
        bars["volume"] = np.concatenate([market.volume[:1], market.volume[order]])
    columns = {name: np.concatenate([values[:1], values[order]]) for name, values in market.columns.items()}
    return Market(**bars, columns=columns, **_kept(market))


def late(market: Market, *names: str) -> Market:
    """The market with the values of these further columns, or of all, moved to the next bar; the first is unknown."""
    moved = names or market.columns
    columns = {
        name: np.append(np.nan, values[:-1]) if name in moved else values for name, values in market.columns.items()
    }
    bars = {name: getattr(market, name) for name in ("open", "high", "low", "close", "volume")}
    return Market(**bars, columns=columns, **_kept(market))


def with_peek(features: Any) -> Callable[[Market], Any]:
    """The features and, beside them, the log return of the next bar, which no honest study can see."""

    def peeking(market: Market) -> Any:
        import pandas as pd

        from trading_env.features.build import feature_table

        table = feature_table(market, features)
        values = pd.DataFrame(table.values, columns=list(table.names), dtype=np.float64)
        values.iloc[: table.warmup] = math.nan
        values["peek"] = np.append(np.log(market.close[1:] / market.close[:-1]), 0.0)
        return values

    return peeking


def _kept(market: Market) -> dict[str, Any]:
    return {"time": market.time, "name": market.name, "first": market.first, "bars_per_year": market.bars_per_year}
