"""Walk-forward folds of a market: train, validation and test stretches in this order of time, with purged gaps."""

from __future__ import annotations

from dataclasses import dataclass

from trading_env import Market
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
    """

    folds: int = 5
    test: float = 0.5
    validation: int = 250
    train: int | None = None
    horizon: int = 1

    def __post_init__(self) -> None:
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

    def markets(self, market: Market) -> tuple[Market, Market, Market]:
        """The stretches as markets; each shows earlier bars as history, and training shows none before its start."""
        return stretch(market, *self.train), stretch(market, *self.validation), stretch(market, *self.test)


def folds_of(market: Market, plan: Plan, purge: int) -> list[Fold]:
    """The folds of a market, oldest first.

    Raises:
        ValueError: the market is too short for the plan.
    """
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
            f"bars, {plan.validation} of validation and gaps of {purge} leave {found[0].train[1] - first} to train on"
        )
    return found


def stretch(market: Market, start: int, stop: int) -> Market:
    """The bars [start, stop) of a market; decisions begin at ``start``, and earlier bars are history."""
    own = len(market) - market.first
    cuts = [(bar - market.first) / own for bar in (start, stop)]
    inner = [cut for cut in cuts if 0.0 < cut < 1.0]
    if not inner:
        return market
    parts = market.split(*inner)
    return parts[1] if cuts[0] > 0.0 else parts[0]
