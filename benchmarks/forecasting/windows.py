"""Windows of a market with the returns to forecast. n windows, W bars, F features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trading_env import Market
from trading_env._checks import integer
from trading_env.features.build import default_features, feature_table

CALENDAR = ("month", "n_holidays")


@dataclass(frozen=True)
class Windows:
    """The features known at each bar, and the return that follows.

    Attributes:
        X: the feature rows of the last W bars, oldest first (n, W, F).
        y: return over the next ``horizon`` bars, NaN where the market ends earlier (n,).
        bar: the last bar of each window, consecutive (n,).
        window, horizon: W, and the number of bars that a return covers.
    """

    X: npt.NDArray[np.float32]
    y: npt.NDArray[np.float64]
    bar: npt.NDArray[np.int64]
    window: int
    horizon: int

    @classmethod
    def of(cls, market: Market, window: int, horizon: int) -> Windows:
        """The windows of all bars with W complete rows of the default features and the calendar."""
        if not isinstance(market, Market):
            raise TypeError(f"market must be a Market, as load(...) gives it, got {type(market).__name__}")
        integer("window", window, 1)
        integer("horizon", horizon, 1)
        calendar = CALENDAR if market.time is not None else ()
        table = feature_table(market, [*default_features(market), *calendar])
        rows = table.values[table.warmup :]
        if len(rows) < window + horizon:
            raise ValueError(f"{market.name!r} has {len(rows)} complete rows, a window needs {window + horizon}")
        X = np.lib.stride_tricks.sliding_window_view(rows, window, axis=0).swapaxes(1, 2)  # (n, W, F)
        bar = np.arange(table.warmup + window - 1, len(market))
        y = np.full(len(bar), np.nan)
        y[:-horizon] = market.close[bar[:-horizon] + horizon] / market.close[bar[:-horizon]] - 1.0
        return cls(np.ascontiguousarray(X), y, bar, window, horizon)

    def part(self, rows: slice) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """X and y of these rows."""
        return self.X[rows], self.y[rows]
