"""Traders that follow forecasts: they buy above the cost threshold and sell below minus it.

Axis letters: S seeds, n forecasts, T bars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.forecasting import forecasters
from benchmarks.forecasting.windows import Windows
from benchmarks.statistics.intervals import numbers
from trading_env import Costs, EnvConfig, Market, backtest
from trading_env._checks import integer, number
from trading_env.analysis.strategies import StrategyPolicy

Floats = npt.NDArray[np.float64]
MARGINS = (0.0, 0.0025, 0.005, 0.01)


@dataclass(frozen=True, kw_only=True)
class Follows:
    """How a trader forecasts and trades.

    Attributes:
        window: bars that a forecast is made from.
        horizon: bars whose return is forecast.
        margins: by which a forecast must exceed the cost of a round trip; the validation stretch chooses one.
        options: of the forecaster, as `forecasters.make` takes them.
    """

    window: int = 20
    horizon: int = 5
    margins: Sequence[float] = MARGINS
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        integer("window", self.window, 1)
        integer("horizon", self.horizon, 1)
        if not isinstance(self.margins, Sequence) or isinstance(self.margins, str) or not self.margins:
            raise ValueError(f"margins must have at least one entry, got {self.margins!r}")
        for margin in self.margins:
            number("margins", margin, least=0.0)

    @classmethod
    def of(cls, forecaster: str, hyperparameters: Mapping[str, Any]) -> Follows:
        """The hyperparameters of a forecaster with this name; ValueError or TypeError if one is wrong."""
        own = {name: hyperparameters[name] for name in ("window", "horizon", "margins") if name in hyperparameters}
        found = cls(**own, options={name: value for name, value in hyperparameters.items() if name not in own})
        forecasters.make(forecaster, found.horizon, (0,), **found.options)
        return found

    def check(self, *stretches: Market) -> None:
        """Raises ValueError for a stretch in which no forecast can be compared with what followed."""
        for market in stretches:
            windows = Windows.of(market, self.window, self.horizon)
            if not (np.isfinite(windows.y) & (windows.bar >= market.first)).any():
                own = len(market) - market.first
                raise ValueError(f"window and horizon must fit {own} bars, got {self.window} and {self.horizon}")


@dataclass(frozen=True)
class ForecastTrader:
    """Fitted forecasts of all seeds, followed in the account.

    Attributes:
        forecaster: fitted.
        follows: window and horizon.
        threshold: the cost of a round trip and the margin chosen.
        margin: above the cost.
        runs: S.
    """

    forecaster: Any
    follows: Follows
    threshold: float
    margin: float
    runs: int
    _made: dict[str, Floats] = field(default_factory=dict)

    @classmethod
    def fitted(
        cls,
        name: str,
        hyperparameters: Mapping[str, Any],
        train: Market,
        validation: Market,
        keywords: Mapping[str, Any],
        seeds: Sequence[int],
    ) -> ForecastTrader:
        """Fits on the training stretch, and chooses model and margin on the validation stretch.

        Args:
            name: of the forecaster.
            hyperparameters: of `Follows`, and the forecaster's.
            train: the stretch to fit on.
            validation: the later stretch to choose by.
            keywords: of TradingEnv; its costs are the least that a forecast must exceed.
            seeds: of a forecaster with a seed axis.
        """
        follows = Follows.of(name, hyperparameters)
        forecaster = forecasters.make(name, follows.horizon, tuple(seeds), **follows.options)
        later = Windows.of(validation, follows.window, follows.horizon)
        own = later.bar >= validation.first
        known = own & np.isfinite(later.y)
        fitted = Windows.of(train, follows.window, follows.horizon)
        past = np.isfinite(fitted.y)
        forecaster.fit(fitted.X[past], fitted.y[past], validation=(later.X[known], later.y[known]))
        trading = {**keywords, "window": 1, "scaler": None, "costs": EnvConfig(**keywords).costs}
        forecasts = aligned(forecaster.predict(later.X[own]), validation)
        margin = choose_margin(forecasts, validation, follows.margins, trading)
        return cls(forecaster, follows, round_trip_cost(trading["costs"]) + margin, margin, len(forecasts))

    def strategies(self) -> list[Callable[[Market], Floats]]:
        """Market -> exposures (T,), for each seed."""
        return [lambda market, s=s: forecast_exposures(self._of(market)[s], self.threshold) for s in range(self.runs)]

    def _of(self, market: Market) -> Floats:
        """Forecasts (S, T) at every bar that has a window, NaN before; those of a market are made once."""
        if market.fingerprint not in self._made:
            windows = Windows.of(market, self.follows.window, self.follows.horizon)
            forecast = np.full((self.runs, len(market)), np.nan)
            forecast[:, windows.bar] = self.forecaster.predict(windows.X)
            self._made[market.fingerprint] = forecast
        return self._made[market.fingerprint]

    def forecasts(self, market: Market) -> dict[str, Floats]:
        """Forecasts (S, n) at the market's own bars (n,), the returns that followed (n,), and the margin (1,)."""
        bar = np.arange(market.first, len(market) - self.follows.horizon)
        truth = market.close[bar + self.follows.horizon] / market.close[bar] - 1.0
        margin = np.array([self.margin])
        return {"forecast": self._of(market)[:, bar], "bar": bar.astype(np.float64), "truth": truth, "margin": margin}


def round_trip_cost(costs: Costs | Mapping[str, float]) -> float:
    """Fraction lost by buying and selling again at an unchanged price, without fixed and minimum fees."""
    if not isinstance(costs, Costs | Mapping):
        raise TypeError(f"costs must be Costs or a mapping of its fields, got {costs!r}")
    costs = costs if isinstance(costs, Costs) else Costs(**costs)
    spread, rate = costs.half_spread + costs.slippage, costs.commission
    return 1.0 - (1.0 - spread) * (1.0 - rate) / ((1.0 + spread) * (1.0 + rate))


def forecast_exposures(forecast: npt.ArrayLike, threshold: npt.ArrayLike, short: bool = False) -> Floats:
    """Exposures (T,): 1 from a forecast above the threshold, 0 (or -1) from one below minus it, else as before.

    Exposure is 0 before the first such forecast. The exposure of a bar depends only on forecasts up to that bar.

    Args:
        forecast: of the return that follows each bar (T,); NaN where there is none, which keeps the exposure.
        threshold: a nonnegative number, or one for each bar (T,).
        short: True to sell short instead of being flat.
    """
    given, bounds = numbers("forecast", forecast, 1), numbers("threshold", threshold, 0, 1)
    if bounds.shape not in ((), given.shape):
        raise ValueError(f"threshold must be one, or {len(given)} as forecast has, got shape {bounds.shape}")
    values, least = np.broadcast_arrays(given, bounds)
    if not (least >= 0.0).all():
        raise ValueError(f"threshold must not be negative or NaN, got {least[~(least >= 0.0)][0]}")
    signals = np.where(values > least, 1.0, np.where(values < -least, -1.0 if short else 0.0, np.nan))
    last = np.maximum.accumulate(np.where(np.isnan(signals), -1, np.arange(len(signals))))
    return np.where(last >= 0, signals[last], 0.0)


def forecast_trader(forecast: npt.ArrayLike, env: Any, threshold: npt.ArrayLike, short: bool = False) -> StrategyPolicy:
    """A policy with Stable-Baselines3's `predict` that holds the exposures of `forecast_exposures` in a TradingEnv.

    Args:
        forecast: made at each bar of the env's market from the bars up to it (T,).
        env: a TradingEnv with one dataset and without random_start.
        threshold: as in `forecast_exposures`: the round-trip cost plus a margin.
        short: True to sell short; env must allow it.
    """
    return StrategyPolicy(forecast_exposures(forecast, threshold, short), env)


def choose_margin(forecasts: Floats, market: Market, margins: Sequence[float], keywords: Mapping[str, Any]) -> float:
    """The margin above the round-trip cost with the highest mean log return over seeds on the market's own bars.

    Among equally good margins it is the largest, which trades least.

    Args:
        forecasts: of each seed at each bar (S, T).
        market: the validation period.
        margins: to choose from.
        keywords: of TradingEnv.
    """
    cost, env = round_trip_cost(keywords["costs"]), gym.make(ENV_ID, data=market, **keywords)
    ordered = sorted(margins, reverse=True)
    traders = [forecast_trader(row, env, cost + margin) for margin in ordered for row in forecasts]
    equity = backtest(traders, market, **keywords).tracks.equity  # [margins * S, T + 1]
    gained = np.log(equity[:, -1] / equity[:, 0]).reshape(len(ordered), -1).mean(axis=1)
    return ordered[int(np.argmax(gained))]


def aligned(values: Floats, market: Market) -> Floats:
    """Values [S, n] of the market's own bars at all of its bars [S, T], NaN before."""
    result = np.full((len(values), len(market)), np.nan)
    result[:, market.first :] = values
    return result
