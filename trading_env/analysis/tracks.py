"""The accounts of one or more runs over the same bars, and their metrics. K = runs, T = bars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trading_env.analysis import metrics

Floats = npt.NDArray[np.float64]
CURVES = ("exposure", "turnover", "commission", "slippage", "financing")


@dataclass(frozen=True, eq=False)
class Tracks:
    """The accounts of K runs over the same T bars.

    Attributes:
        time: timestamps of the T+1 closes, from the first decision on; None where the market has none.
        bars_per_year: of the market; None if unknown: metrics per year are NaN then.
        equity: after each close (K, T+1).
        exposure, turnover, commission, slippage, financing: of each bar (K, T), as the env's info has them; 0
            after a ruin.
        units: held after each bar (K, T); None if they are not known.
    """

    time: npt.NDArray[np.datetime64] | None
    bars_per_year: float | None
    equity: Floats
    exposure: Floats
    turnover: Floats
    commission: Floats
    slippage: Floats
    financing: Floats
    units: Floats | None = None

    def __repr__(self) -> str:
        runs, closes = self.equity.shape
        ends = self.equity[:, -1]
        return f"<Tracks: {runs} runs of {closes - 1} bars; equity at the end {ends.min():,.0f} to {ends.max():,.0f}>"

    @property
    def returns(self) -> Floats:
        """Simple returns (K, T); 0 after a ruin."""
        before, after = self.equity[:, :-1], self.equity[:, 1:]
        return np.divide(after, before, out=np.ones_like(before), where=before > 0.0) - 1.0

    def metric(self, name: str) -> Floats:
        """A metric of each run (K,), by its name in `METRICS`."""
        return np.array([METRICS[name](self.run(k)) for k in range(len(self.equity))], np.float64)

    def run(self, k: int) -> Run:
        """Run k as the metrics take it."""
        equity, costs = self.equity[k], self.commission[k] + self.slippage[k]
        until = _end(equity)
        return Run(
            equity[:until],
            equity[[0, -1]],
            self.returns[k],
            self.exposure[k],
            self.turnover[k],
            self.commission[k],
            self.slippage[k],
            (self.turnover[k, : until - 1], costs[: until - 1]),
            self.bars_per_year,
        )


class Run(NamedTuple):
    """One run, as the metrics take it; ``equity`` ends where nothing is left, and so do the two in ``until``."""

    equity: Floats
    ends: Floats  # first and last equity
    returns: Floats
    exposure: Floats
    turnover: Floats
    commission: Floats
    slippage: Floats
    until: tuple[Floats, Floats]  # turnover, commission and slippage
    years: float | None


def _yearly(measure: Callable[[Run, float], float]) -> Callable[[Run], float]:
    """The measure of a run and its bars per year; NaN where these are unknown."""
    return lambda run: math.nan if run.years is None else measure(run, run.years)


METRICS: dict[str, Callable[[Run], float]] = {
    "total_return": lambda run: metrics.total_return(run.ends),
    "annual_return": _yearly(lambda run, years: metrics.annual_return(run.equity, years)),
    "annual_volatility": _yearly(lambda run, years: metrics.annual_volatility(run.returns, years)),
    "sharpe_ratio": _yearly(lambda run, years: metrics.sharpe_ratio(run.returns, years)),
    "sharpe_standard_error": _yearly(lambda run, years: metrics.sharpe_standard_error(run.returns, years)),
    "sortino_ratio": _yearly(lambda run, years: metrics.sortino_ratio(run.returns, years)),
    "calmar_ratio": _yearly(lambda run, years: metrics.calmar_ratio(run.equity, years)),
    "max_drawdown": lambda run: metrics.max_drawdown(run.equity),
    "max_drawdown_length": lambda run: metrics.max_drawdown_length(run.equity),
    "annual_turnover": _yearly(lambda run, years: metrics.annual_turnover(run.turnover, years)),
    "mean_exposure": lambda run: metrics.mean_exposure(run.exposure),
    "hit_rate": lambda run: metrics.hit_rate(run.returns),
    "cost_paid": lambda run: metrics.cost_paid(run.commission, run.slippage),
    "break_even_cost": lambda run: metrics.break_even_cost(run.equity, *run.until),
}
"""Names and formulas of `trading_env.analysis.metrics`, of a run."""


def _end(equity: Floats) -> int:
    """Length of the curve up to and including the first equity of 0 or less."""
    gone = np.flatnonzero(equity <= 0.0)
    return int(gone[0]) + 1 if gone.size else len(equity)


class HasTracks:
    """Base of results that have metrics and curves as attributes: of one run, or of K with a leading axis."""

    tracks: Tracks

    def __getattr__(self, name: str) -> Any:
        """A metric or a curve of the tracks."""
        values = None
        if name in METRICS:
            values = self.tracks.metric(name)
        elif name in ("equity", "returns", *CURVES, "units"):
            values = getattr(self.tracks, name)
        if values is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}; metrics: {[*METRICS]}")
        one = values[0] if len(values) == 1 else values
        return one.item() if one.ndim == 0 else one

    def __dir__(self) -> list[str]:
        units = [] if self.tracks.units is None else ["units"]
        return sorted({*super().__dir__(), *METRICS, "equity", "returns", *CURVES, *units})
