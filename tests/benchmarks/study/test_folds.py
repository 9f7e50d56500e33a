import numpy as np
import pytest

from benchmarks.study.folds import Fold, Plan, folds_of, stretch
from trading_env import Market

MARKET = Market.from_arrays(np.linspace(1.0, 2.0, 1000), name="ramp")


def test_stretches_follow_each_other_with_a_purge_between():
    folds = folds_of(MARKET, Plan(folds=4, test=0.4, validation=100), purge=11)
    assert folds[0] == Fold((0, 478), (489, 589), (600, 700))
    for fold in folds:
        assert fold.validation[0] - fold.train[1] == 11
        assert fold.test[0] - fold.validation[1] == 11
        assert fold.validation[1] - fold.validation[0] == 100


def test_tests_are_of_equal_length_do_not_overlap_and_cover_the_end():
    folds = folds_of(MARKET, Plan(folds=3, test=0.5, validation=50), purge=5)
    bounds = [fold.test for fold in folds]
    assert [stop - start for start, stop in bounds] == [166] * 3
    assert bounds[0][1] == bounds[1][0]
    assert bounds[1][1] == bounds[2][0]
    assert bounds[2][1] == 1000


def test_training_expands_or_rolls():
    expanding = folds_of(MARKET, Plan(folds=3, test=0.5, validation=50), purge=5)
    assert [fold.train[0] for fold in expanding] == [0, 0, 0]
    rolling = folds_of(MARKET, Plan(folds=3, test=0.5, validation=50, train=200), purge=5)
    assert [fold.train[1] - fold.train[0] for fold in rolling] == [200] * 3


def test_no_stretch_shows_later_bars_and_decisions_begin_at_its_first():
    fold = folds_of(MARKET, Plan(folds=4, test=0.4, validation=100), purge=11)[1]
    train, validation, test = fold.markets(MARKET)
    for market, (start, stop) in zip((train, validation, test), (fold.train, fold.validation, fold.test), strict=True):
        assert market.first == start
        assert len(market) == stop
        np.testing.assert_array_equal(market.close, MARKET.close[:stop])


def test_a_market_with_history_keeps_it():
    _, later = MARKET.split(0.2)
    fold = folds_of(later, Plan(folds=2, test=0.4, validation=50), purge=3)[0]
    assert fold.train[0] == later.first == 200
    assert stretch(later, *fold.train).first == 200


def test_too_few_bars_are_named():
    with pytest.raises(ValueError, match="'ramp' has 1000 bars, too few for walk_forward: 5 folds of 180 test bars"):
        folds_of(MARKET, Plan(folds=5, test=0.9, validation=250), purge=11)


@pytest.mark.parametrize(
    ("name", "value"), [("folds", 0), ("test", 0.0), ("test", 1.0), ("validation", 1), ("horizon", 0), ("train", 1)]
)
def test_wrong_plans_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        Plan(**{name: value})
