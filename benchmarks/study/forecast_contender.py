"""A function for ``make`` of a suite: a trader that follows ridge forecasts, as ``forecast = "ridge"`` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.contenders.forecast_trader import ForecastTrader
from benchmarks.statistics.intervals import Floats
from trading_env import Market


def ridge(
    train: Market, validation: Market, keywords: Mapping[str, Any], seeds: tuple[int, ...]
) -> Callable[[Market], Floats]:
    """The trader as a strategy, the same for every seed.

    Args:
        train: The stretch to fit on.
        validation: The later stretch to choose by.
        keywords: Of TradingEnv; its costs are the least that a forecast must exceed.
        seeds: Not used.
    """
    return ForecastTrader.fitted("ridge", {}, train, validation, keywords, seeds).strategies()[0]
