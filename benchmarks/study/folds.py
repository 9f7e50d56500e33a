"""Walk-forward folds of a market: train, validation and test stretches in this order of time, with purged gaps."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.evaluation.instruments import Instruments
from trading_env._checks import integer, number


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a market is cut into folds.

    Attributes:
        folds: number of test stretches; they are of equal length and cover the market's end.
        test: share of the market's bars that all test stretches cover together.
        validation: bars of each validation stretch, which ends a purge before its test.
        train: bars of each training stretch, if it is to roll; None begins each at the market's first bar (expanding).
        horizon: bars from a decision to its outcome. Between stretches, ``window + horizon`` bars are purged.
        split: first day, or fraction, of the one test stretch of a plan without folds: all bars before it are for
            training, without gaps. Contenders that choose on a validation stretch get the last ``validation`` of them
            for that, or a quarter if that is less, and train on those before.
    """

    folds: int = 5
    test: float = 0.5
    validation: int = 250
    train: int | None = None
    horizon: int = 1
    split: str | float | None = None

    def __post_init__(self) -> None:
        if self.split is not None:
            object.__setattr__(self, "folds", 1)
            object.__setattr__(self, "split", self.split if isinstance(self.split, float) else str(self.split))
        integer("folds", self.folds, 1)
        number("test", self.test, above=0.0, most=0.9)
        integer("validation", self.validation, 2)
        integer("horizon", self.horizon, 1)
        if self.train is not None:
            integer("train", self.train, 2)


@dataclass(frozen=True)
class Fold:
    """Bars [start, stop) of each stretch."""

    train: tuple[int, int]
    validation: tuple[int, int]
    test: tuple[int, int]

    def markets(self, market: Instruments) -> tuple[Instruments, Instruments, Instruments]:
        """The stretches; each shows earlier bars as history, and training shows none before its start."""
        return stretch(market, *self.train), stretch(market, *self.validation), stretch(market, *self.test)

    def apart(self, market: Instruments, window: int = 0, horizon: int = 0) -> tuple[Instruments, Instruments]:
        """Training and validation stretch for a contender that chooses by validation.

        Those of a plan without folds are cut here so that no window and no return of this many bars reaches from one
        stretch into another, or into the test.
        """
        if self.train[1] <= self.validation[0]:
            return self.markets(market)[:2]
        stop = self.train[1] - window - horizon
        start = stop - (self.validation[1] - self.validation[0])
        if start - window - self.train[0] < 2:
            bars = self.train[1] - self.train[0]
            raise ValueError(f"split must leave bars enough to fit on and to choose by, it leaves {bars}")
        return stretch(market, self.train[0], start - window), stretch(market, start, stop)


def folds_of(market: Instruments, plan: Plan, purge: int) -> list[Fold]:
    """The folds of a market, oldest first.

    Raises:
        ValueError: the market is too short for the plan, or the split lies outside it.
    """
    if plan.split is not None:
        return [_split(market, plan)]
    first, bars = market.first, len(market)
    length = int(plan.test * (bars - first)) // plan.folds
    begin = bars - plan.folds * length
    found = []
    for fold in range(plan.folds):
        start = begin + fold * length
        validation = (start - purge - plan.validation, start - purge)
        stop = validation[0] - purge
        train = (first if plan.train is None else max(first, stop - plan.train), stop)
        found.append(Fold(train, validation, (start, start + length)))
    if length < 2 or found[0].train[1] - found[0].train[0] < max(purge, 2):
        raise ValueError(
            f"{market.name!r} has {bars - first} bars, too few for walk_forward: {plan.folds} folds of {length} test "
            f"bars, {plan.validation} of validation and gaps of {purge} (window and horizon) leave "
            f"{found[0].train[1] - first} to train on"
        )
    return found


def _split(market: Instruments, plan: Plan) -> Fold:
    """The bars before a day, and those from it on."""
    first = market.first
    try:
        cut = market.split(plan.split)[1].first
    except (TypeError, ValueError) as error:
        ends = " to ".join(market.time_of(bar) for bar in (first, len(market) - 1))
        raise ValueError(f"split must lie within data {market.name!r}, {ends}: {error}") from error
    begin = cut - min(plan.validation, (cut - first) // 4)
    if begin - first < 2 or cut - begin < 1 or len(market) - cut < 2:
        raise ValueError(f"split must leave bars to train on and to test in {market.name!r}, got {plan.split!r}")
    return Fold((first, cut), (begin, cut), (cut, len(market)))


def stretch(market: Instruments, start: int, stop: int) -> Instruments:
    """The bars [start, stop) of a market; decisions begin at ``start``, and earlier bars are history."""
    own = len(market) - market.first
    cuts = [(bar - market.first) / own for bar in (start, stop)]
    inner = [cut for cut in cuts if 0.0 < cut < 1.0]
    if not inner:
        return market
    parts = market.split(*inner)
    return parts[1] if cuts[0] > 0.0 else parts[0]
