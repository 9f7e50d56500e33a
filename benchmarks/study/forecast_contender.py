"""A trader that follows ridge forecasts, for suites: ``make = "benchmarks.study.forecast_contender:ridge"``.

It fits on the training stretch, chooses its penalty and its margin above costs on the validation stretch, and trades as
`benchmarks.contenders.forecast_trader` does. T bars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.contenders.forecast_trader import aligned, choose_margin, forecast_exposures, round_trip_cost
from benchmarks.forecasting import forecasters
from benchmarks.forecasting.windows import Windows
from benchmarks.statistics.intervals import Floats
from trading_env import EnvConfig, Market

WINDOW, HORIZON = 20, 5  # bars seen and bars forecast, as in `python -m benchmarks forecast`
MARGINS = (0.0, 0.0025, 0.005, 0.01)


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
    forecaster = forecasters.ridge()
    later = Windows.of(validation, WINDOW, HORIZON)
    own = later.bar >= validation.first
    known = own & np.isfinite(later.y)
    fitted = Windows.of(train, WINDOW, HORIZON)
    past = np.isfinite(fitted.y)
    forecaster.fit(fitted.X[past], fitted.y[past], validation=(later.X[known], later.y[known]))
    trading = {**keywords, "window": 1, "scaler": None, "costs": EnvConfig(**keywords).costs}
    margin = choose_margin(aligned(forecaster.predict(later.X[own]), validation), validation, MARGINS, trading)
    threshold = round_trip_cost(trading["costs"]) + margin

    def strategy(market: Market) -> Floats:
        """Exposures (T,) by the forecasts of every bar that has a window; none before."""
        windows = Windows.of(market, WINDOW, HORIZON)
        forecast = np.full(len(market), np.nan)
        forecast[windows.bar] = forecaster.predict(windows.X)[0]
        return forecast_exposures(forecast, threshold)

    return strategy
