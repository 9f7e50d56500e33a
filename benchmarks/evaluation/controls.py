"""Controls to run beside any study: markets and features for which the answer is known before.

A study is a function (train, test, features) -> log growth per bar [S, T] of its agents on the test market, above
whatever it compares with; `features` is what TradingEnv takes by that name. A control changes one of the three, and
says what must come of it:

    null       both markets without anything to foresee: the edge must touch 0, or lie below.
    shuffled   the training returns in other orders, the test as it is: the edge must touch 0, or lie below.
    peek       the next bar's return among the features: the edge must lie above the honest one, by far.
    hindsight  nobody may earn more than who knows all prices.

What none of them sees: a further column of the market that knew the future when it was made. It goes with its bar, and
is lost with the honest part of an edge. See how much of the edge is left with such columns a bar late.

Axis letters: S seeds, T bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.two_level import edge_interval
from trading_env import Market, hindsight

Floats = npt.NDArray[np.float64]
Study = Callable[[Market, Market, Any], Floats]
_ROUNDING = 1e-9


class ControlFailedError(AssertionError):
    """A control did not come out as it must."""


@dataclass(frozen=True)
class Control:
    """What came of a control.

    Attributes:
        name: of the control.
        edge: mean log growth per bar.
        interval: its 95% interval, over seeds and time.
        expected: what must be, for a reader.
        passed: whether it is.
    """

    name: str
    edge: float
    interval: tuple[float, float]
    expected: str
    passed: bool

    def require(self) -> None:
        """Raises unless it passed.

        Raises:
            ControlFailedError: it did not.
        """
        if not self.passed:
            low, high = self.interval
            raise ControlFailedError(
                f"{self.name}: the edge is {self.edge:.3g} [{low:.3g}, {high:.3g}] a bar, but {self.expected}"
            )


def null_control(study: Study, train: Market, test: Market, features: Any = "default", *, seed: int = 0) -> Control:
    """The study on markets as long and as volatile as these two, in which nobody can win.

    Simple returns have mean 0 there, so holding has a log growth of -sigma^2 / 2 a bar: a study whose edge is counted
    above holding should count it above half of it, as `benchmarks.suites.certify_controls` does; else staying flat
    wins.
    """
    growth = study(null_like(train, seed), null_like(test, seed + 1), features)
    return _no_edge("null market", growth)


def shuffled_control(
    study: Study, train: Market, test: Market, features: Any = "default", *, shuffles: int = 8, seed: int = 0
) -> Control:
    """The study trained on the bars of ``train`` in random order, tested as it is.

    One order may by chance teach all seeds the side that the test rewards. So there are several, and the interval
    resamples them, each the mean of its seeds.

    Args:
        study: see the module, and so for the next three.
        train: the market whose bars change places.
        test: the market that stays.
        features: of both.
        shuffles: how many orders, 2 at least.
        seed: of the first.
    """
    if shuffles < 2:
        raise ValueError(f"shuffles must be at least 2, got {shuffles}")
    orders = [study(shuffled(train, seed + i), test, features).mean(0) for i in range(shuffles)]
    return _no_edge("shuffled training returns", np.stack(orders))


def peek_control(
    study: Study, train: Market, test: Market, features: Any = "default", *, honest: Floats | None = None
) -> Control:
    """The study with the next bar's return among its features; ``honest`` are its results without."""
    honest = study(train, test, features) if honest is None else honest
    growth = study(train, test, with_peek(features))
    interval, (_, bar) = edge_interval(growth), edge_interval(honest)
    bar = max(bar, 0.0)
    return Control(
        "one-bar peek",
        float(growth.mean()),
        interval,
        f"it must lie above 0 and the honest one, {bar / 1e-4:.2f} basis points",
        interval[0] > bar,
    )


def hindsight_control(growth: Floats, test: Market, **keywords: Any) -> Control:
    """Whether no seed's log growth [S, T] on ``test`` is above the bound.

    Args:
        growth: plain log growth of equity, above nothing.
        test: the market.
        keywords: of TradingEnv, as in the test.

    Raises:
        ValueError: growth is not of the bars that the bound covers.
    """
    best_path = hindsight(test, **keywords)
    if growth.ndim != 2 or growth.shape[1] != len(best_path.actions):
        raise ValueError(
            f"growth must have shape (S, {len(best_path.actions)}), a bar of the test each: {growth.shape}"
        )
    bound = best_path.log_growth
    best = float(growth.sum(1).max())
    passed = best <= bound + _ROUNDING * max(1.0, abs(bound))
    expected = f"the best seed's sum, {best:.4g}, must not exceed the hindsight bound {bound:.4g}"
    return Control("hindsight bound", float(growth.mean()), edge_interval(growth), expected, passed)


def run_controls(
    study: Study, train: Market, test: Market, features: Any = "default", *, shuffles: int = 8
) -> list[Control]:
    """The honest study, which must pass nothing, and the controls that change its data."""
    honest = study(train, test, features)
    edge = Control("as it is", float(honest.mean()), edge_interval(honest), "nothing is expected", True)
    return [
        edge,
        null_control(study, train, test, features),
        shuffled_control(study, train, test, features, shuffles=shuffles),
        peek_control(study, train, test, features, honest=honest),
    ]


def _no_edge(name: str, growth: Floats) -> Control:
    interval = edge_interval(growth)
    return Control(name, float(growth.mean()), interval, "it must touch 0 or lie below", interval[0] <= 0.0)


# -- markets and features ----------------------------------------------------------------------------------------


def null_like(market: Market, seed: int) -> Market:
    """Independent returns with the market's volatility, and simple returns of mean 0: nothing to foresee."""
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

    Returns keep their distribution and lose their order. Further columns go along with their bars.
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
    if "high" in bars and "low" in bars:  # rounding must not put a close out of its bar
        ends = np.maximum(bars.get("open", close), close), np.minimum(bars.get("open", close), close)
        bars["high"], bars["low"] = np.maximum(bars["high"], ends[0]), np.minimum(bars["low"], ends[1])
    if market.volume is not None:
        bars["volume"] = np.concatenate([market.volume[:1], market.volume[order]])
    columns = {name: np.concatenate([values[:1], values[order]]) for name, values in market.columns.items()}
    return Market(**bars, columns=columns, **_kept(market))


def with_peek(features: Any) -> Callable[[Market], Any]:
    """The features and, beside them, the log return of the next bar: what no honest study can see."""

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
