"""Controls to run beside any study: markets and features for which the right answer is known in advance.

A study is a function (train, test, features) -> log growth per bar [S, T] of its agents on the test market, in excess
of its benchmark; `features` is as in TradingEnv. A control changes one of the three and states what must follow:

    null       both markets have unpredictable returns: the interval of the edge must contain 0 or lie below it.
    late       further columns arrive a bar late: half of the edge must remain.
    shuffled   the training returns are reordered, the test stays: the same must hold.
    peek       the next bar's return is a feature: the edge and its gain over the honest one must lie above 0.
    hindsight  nothing changes: no seed may earn more than the best path with all prices known.

A further column that was computed from future prices moves with its bar, so that shuffling destroys its edge together
with the honest one; a delay of one bar destroys its edge alone. Training and test must have no bars in common.

Axis letters: S seeds, T bars.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.statistics.estimates import Estimate, gap_over_seeds_and_bars, mean_over_seeds, mean_over_seeds_and_bars
from trading_env import Market, hindsight
from trading_env._checks import integer

Floats = npt.NDArray[np.float64]
Study = Callable[[Market, Market, Any], Floats]
_ROUNDING = 1e-9


class ControlFailedError(AssertionError):
    """A control failed."""


@dataclass(frozen=True)
class Control:
    """The outcome of a control.

    Attributes:
        name: of the control.
        edge: mean log growth per bar.
        interval: its 95% interval, over seeds and time.
        expected: the condition, in words.
        passed: True if it holds.
    """

    name: str
    edge: float
    interval: tuple[float, float]
    expected: str
    passed: bool

    def require(self) -> None:
        """Raises unless the control passed.

        Raises:
            ControlFailedError: it failed.
        """
        if not self.passed:
            low, high = self.interval
            raise ControlFailedError(
                f"{self.name}: the edge is {self.edge:.3g} [{low:.3g}, {high:.3g}] a bar, but {self.expected}"
            )


def null_control(
    study: Study, train: Market, test: Market, features: Any = "default", *, draws: int = 8, seed: int = 0
) -> Control:
    """The study on markets as long and as volatile as these two, with unpredictable returns.

    By chance, one such market may reward the side that all seeds took. So there are several pairs of markets, and the
    interval is Student's over pairs, each with its mean over seeds and time.

    Simple returns have mean 0 there, so the log growth of holding is -sigma^2 / 2 a bar, and staying flat beats
    holding. A study that measures its edge against holding should take half of it instead, as
    `benchmarks.suites.certify_controls` does.

    Args:
        study: as described in the module.
        train: the market whose length and volatility those to train on have.
        test: the same of those to test on.
        features: of both.
        draws: number of pairs of markets, at least 2.
        seed: of the first pair.
    """
    integer("draws", draws, 2)
    pairs = [(null_like(train, seed + 2 * i), null_like(test, seed + 2 * i + 1)) for i in range(draws)]
    edges = mean_over_seeds([study(*pair, features).mean() for pair in pairs])
    return _no_edge("null market", edges)


def shuffled_control(
    study: Study, train: Market, test: Market, features: Any = "default", *, shuffles: int = 8, seed: int = 0
) -> Control:
    """The study trained on the bars of ``train`` in random order, and tested on ``test`` unchanged.

    By chance, one order may teach all seeds the side that the test rewards. So there are several orders, and the
    interval resamples orders, each the mean over its seeds.

    Args:
        study: as described in the module.
        train: the market whose bars are reordered.
        test: the market that stays.
        features: of both.
        shuffles: number of orders, at least 2.
        seed: of the first order.
    """
    integer("shuffles", shuffles, 2)
    orders = [study(shuffled(train, seed + i), test, features).mean(0) for i in range(shuffles)]
    return _no_edge("shuffled training returns", mean_over_seeds_and_bars(np.stack(orders)))


def late_control(
    study: Study, train: Market, test: Market, features: Any = "default", *, honest: Floats | None = None
) -> Control:
    """The study with every further column of both markets a bar late; ``honest`` are its results without the delay.

    It fails if less than half of an edge remains and the loss is no noise: either the columns were not known at their
    bar's close, or what they say is worth nothing a bar later, which only their source can tell.
    """
    honest = study(train, test, features) if honest is None else honest
    growth = study(late(train), late(test), features)
    lost = mean_over_seeds_and_bars(honest.mean(0, keepdims=True) - growth.mean(0, keepdims=True)).interval()
    before, after = float(honest.mean()), float(growth.mean())
    expected = f"half of the edge of {before / 1e-4:.2f} basis points must remain, or the loss be within noise"
    passed = not (lost[0] > 0.0 and after < 0.5 * before)
    return Control("columns a bar late", after, _interval(growth), expected, passed)


def peek_control(
    study: Study, train: Market, test: Market, features: Any = "default", *, honest: Floats | None = None
) -> Control:
    """The study with the next bar's return among its features; ``honest`` are its results without that feature."""
    honest = study(train, test, features) if honest is None else honest
    growth = study(train, test, with_peek(features))
    interval, gain = _interval(growth), gap_over_seeds_and_bars(growth, honest)
    low, high = (end / 1e-4 for end in gain.interval())
    return Control(
        "one-bar peek",
        float(growth.mean()),
        interval,
        f"it must lie above 0, and so must the gain over the honest study, {low:.2f} to {high:.2f} basis points",
        interval[0] > 0.0 and low > 0.0,
    )


def hindsight_control(growth: Floats, test: Market, **keywords: Any) -> Control:
    """The check that no seed's log growth [S, T] on ``test`` exceeds the hindsight bound.

    Args:
        growth: log growth of equity, without subtracting a benchmark.
        test: the market.
        keywords: of TradingEnv, as in the test.

    Raises:
        ValueError: growth does not cover the bars of the bound.
    """
    best_path = hindsight(test, **keywords)
    if growth.ndim != 2 or growth.shape[1] != len(best_path.actions):
        raise ValueError(
            f"growth must have shape (S, {len(best_path.actions)}), one column per bar of the test: {growth.shape}"
        )
    bound = best_path.log_growth
    best = float(growth.sum(1).max())
    passed = best <= bound + _ROUNDING * max(1.0, abs(bound))
    expected = f"the best seed's sum, {best:.4g}, must not exceed the hindsight bound {bound:.4g}"
    return Control("hindsight bound", float(growth.mean()), _interval(growth), expected, passed)


def run_controls(
    study: Study, train: Market, test: Market, features: Any = "default", *, shuffles: int = 8
) -> list[Control]:
    """The honest study, on which nothing is required, and the controls that change its data."""
    check_apart(train, test)
    honest = study(train, test, features)
    edge = Control("as it is", float(honest.mean()), _interval(honest), "nothing is required", True)
    return [
        edge,
        null_control(study, train, test, features, draws=shuffles),
        shuffled_control(study, train, test, features, shuffles=shuffles),
        peek_control(study, train, test, features, honest=honest),
        *([late_control(study, train, test, features, honest=honest)] if train.columns or test.columns else []),
    ]


def _interval(growth: Floats) -> tuple[float, float]:
    """95% interval of the mean log growth [S, T], over seeds and time."""
    return mean_over_seeds_and_bars(growth).interval()


def _no_edge(name: str, edge: Estimate) -> Control:
    interval = edge.interval()
    return Control(name, edge.value, interval, "the interval must contain 0 or lie below it", interval[0] <= 0.0)


def check_apart(train: Market, test: Market, run: int = 20) -> None:
    """Raises ValueError if ``run`` consecutive returns of the training are returns of the test period, too.

    The bars of ``test`` before its `first`, which are there to be seen, may be those of the training.
    """
    seen, asked = (np.diff(np.log(values)) for values in (train.close, test.close[max(test.first - 1, 0) :]))
    run = min(run, len(seen), len(asked))
    if run < 1:
        return
    windows = {part.tobytes() for part in np.lib.stride_tricks.sliding_window_view(asked, run)}
    for i, part in enumerate(np.lib.stride_tricks.sliding_window_view(seen, run)):
        if np.ptp(part) > 0.0 and part.tobytes() in windows:
            raise ValueError(
                f"train and test must have no bars in common: {run} returns from bar {i} of train are in test"
            )


# -- markets and features ----------------------------------------------------------------------------------------


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


def late(market: Market) -> Market:
    """The market with each further column's values moved to the next bar; the first is unknown."""
    columns = {name: np.append(np.nan, values[:-1]) for name, values in market.columns.items()}
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
