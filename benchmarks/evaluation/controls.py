"""Controls to run beside any study: markets and features for which the right answer is known in advance.

A study is a function (train, test, features) -> log growth per bar [S, T] of its agents on the test market, in excess
of its benchmark; `features` is as in TradingEnv. A control changes one of the three and states what must follow:

    null       both markets have unpredictable returns: the interval of the edge must contain 0 or lie below it.
    late       further columns, all and each, arrive a bar late: half of the edge must remain.
    shuffled   the training returns are reordered, the test stays: the same must hold.
    peek       the next bar's return is a feature: the edge and its gain over the honest one must lie above 0.
    future     the second half of the test is another: growth in its first half must stay.

A further column that was computed from future prices moves with its bar, so that shuffling destroys its edge together
with the honest one; a delay of one bar destroys its edge alone. Training and test must have no bars in common.
`benchmarks.evaluation.track_controls` has the controls of results: the hindsight bound, costs, and selection.

Axis letters: S seeds, T bars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.control import Control
from benchmarks.evaluation.control_markets import late, null_like, shuffled, with_peek
from benchmarks.statistics.estimates import Estimate, gap_over_seeds_and_bars, mean_over_seeds, mean_over_seeds_and_bars
from trading_env import Market
from trading_env._checks import integer
from trading_env.analysis.futures import changed_future

Floats = npt.NDArray[np.float64]
Study = Callable[[Market, Market, Any], Floats]
_ROUNDING = 1e-9


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
    study: Study,
    train: Market,
    test: Market,
    features: Any = "default",
    *,
    honest: Floats | None = None,
    column: str | None = None,
) -> Control:
    """The study with a further column of both markets, or with all of them, a bar late.

    It fails if less than half of an edge remains and the loss is no noise: either the columns were not known at their
    bar's close, or what they say is worth nothing a bar later, which only their source can tell.

    Args:
        study: as described in the module.
        train: the market to train on.
        test: the market to test on.
        features: of both.
        honest: the study's results without the delay, if they are known.
        column: the column to delay; all of them if None.
    """
    honest = study(train, test, features) if honest is None else honest
    growth = study(*(late(market, *([column] if column else [])) for market in (train, test)), features)
    lost = mean_over_seeds_and_bars(honest.mean(0, keepdims=True) - growth.mean(0, keepdims=True)).interval()
    before, after = float(honest.mean()), float(growth.mean())
    expected = f"half of the edge of {before / 1e-4:.2f} basis points must remain, or the loss be within noise"
    passed = not (lost[0] > 0.0 and after < 0.5 * before)
    name = "columns a bar late" if column is None else f"column {column!r} a bar late"
    return Control(name, after, _interval(growth), expected, passed)


def future_control(
    study: Study,
    train: Market,
    test: Market,
    features: Any = "default",
    *,
    honest: Floats | None = None,
    seed: int = 0,
) -> Control:
    """The study with other bars in the second half of the test: what it earns in the first half must not change.

    A study that trains, scales or selects on its test fails, and so does one that is not reproducible.
    """
    honest = study(train, test, features) if honest is None else honest
    half = honest.shape[1] // 2
    changed = changed_future(test, len(test) - 1 - honest.shape[1] + half, np.random.default_rng(seed))
    growth = study(train, changed, features)[:, :half]
    gaps = np.abs(growth - honest[:, :half])
    moved = np.flatnonzero(gaps.max(0) > _ROUNDING)
    where = f", but it differs from bar {moved[0]} on" if moved.size else ""
    expected = f"growth before a change of the test's later half must stay as it was{where}"
    return Control("changed future", float(growth.mean()), _interval(growth), expected, not moved.size)


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


def run_controls(
    study: Study,
    train: Market,
    test: Market,
    features: Any = "default",
    *,
    shuffles: int = 8,
    honest: Floats | None = None,
) -> list[Control]:
    """The honest study, on which nothing is required, and the controls that change its data.

    ``honest`` are its results, if they are known.
    """
    check_apart(train, test)
    honest = study(train, test, features) if honest is None else honest
    edge = Control("as it is", float(honest.mean()), _interval(honest), "nothing is required", True)
    return [
        edge,
        null_control(study, train, test, features, draws=shuffles),
        shuffled_control(study, train, test, features, shuffles=shuffles),
        peek_control(study, train, test, features, honest=honest),
        future_control(study, train, test, features, honest=honest),
        *late_controls(study, train, test, features, honest=honest),
    ]


def late_controls(study: Study, train: Market, test: Market, features: Any, honest: Floats) -> list[Control]:
    """All further columns a bar late together, and each alone if there are several; none without such columns."""
    names: list[str | None] = [None, *test.columns] if len(test.columns) > 1 else [None] * len(test.columns)
    return [late_control(study, train, test, features, honest=honest, column=name) for name in names]


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
