"""What a trial may see: no bar of any test, and no day of one."""

import numpy as np
import pytest

from benchmarks.contenders.named import Contender
from benchmarks.study import job
from benchmarks.study.folds import Plan, folds_of
from benchmarks.study.suite import Suite
from benchmarks.study.tuning.trial import Trial, first_fold, result_of, untested
from trading_env import Market

DAY = np.timedelta64(1, "D")


def suite_of(*data):
    learner = Contender(agent="DQN", steps=30, hyperparameters={"net_arch": [4], "learning_starts": 10})
    env = {"window": 2, "actions": (0.0, 1.0), "fill": "next_close", "features": ("log_return_1",)}
    plan = Plan(folds=3, test=0.5, validation=40)
    rules = Contender(strategy="buy_and_hold"), learner
    return Suite(name="mine", data=data, seeds=1, env=env, walk_forward=plan, contenders=rules)


@pytest.fixture(autouse=True)
def markets(monkeypatch):
    """Of 400 days each, the later one 120 days later; its validation lies in the time of the others' first test."""
    for seed, (name, begin) in enumerate((("early", 0), ("same", 3), ("later", 120), ("undated", None))):
        close = np.exp(np.random.default_rng(seed).normal(0.0, 0.01, 400).cumsum())
        first = np.datetime64("2001-01-01", "ns")
        time = None if begin is None else first + (begin + np.arange(400)) * DAY
        monkeypatch.setitem(job._LOADED, name, Market.from_arrays(close, time=time, name=name, bars_per_year=252.0))


def test_a_trial_sees_the_first_fold_which_ends_before_all_tests():
    suite = suite_of("early")
    market, fold = first_fold(suite, "early")
    folds = folds_of(market, suite.walk_forward, suite.purge)
    assert fold == folds[0]
    assert fold.validation[1] <= min(one.test[0] for one in folds)
    assert max(one.validation[1] for one in folds[1:]) > folds[0].test[0]  # which those of later folds do not


def test_no_validation_day_is_one_of_the_tests_of_another_dataset():
    suite = suite_of("early", "later", "same")
    assert untested(suite) == ["early", "same"]
    first = min(job.data(name).time[first_fold(suite, name)[1].test[0]] for name in suite.data)
    for name in untested(suite):
        market, fold = first_fold(suite, name)
        assert market.time[: fold.validation[1]].max() < first
    assert untested(suite_of("later")) == ["later"]
    assert untested(suite_of("later", "undated")) == ["later", "undated"]  # no common clock


def test_scores_and_lines_are_those_of_the_datasets_that_may_be_seen():
    suite = suite_of("early", "later")
    trial = Trial(0, suite, suite.contenders[1])
    found = result_of(trial)
    assert "error" not in found, found["error"]
    assert list(found["scores"]) == ["early"]
    assert found["score"] == pytest.approx(np.mean(found["scores"]["early"]))
    assert [line["dataset"] for line in trial.lines()] == ["early"]
