"""What a job depends on, and what its env may be."""

import subprocess
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from benchmarks.contenders.named import Contender
from benchmarks.study import provenance, study_controls
from benchmarks.study.checks import check
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import Place
from benchmarks.study.engines.run import rows_of, run_all
from benchmarks.study.folds import Plan
from benchmarks.study.job import config_of, hash_of, jobs_of
from benchmarks.study.suite import Suite

SUITE = Suite(
    name="quick",
    data=("us-stocks/IBM",),
    walk_forward=Plan(folds=1, test=0.3, validation=50),
    env={"window": 3, "actions": (0.0, 1.0)},
    seeds=2,
    points=1,
    contenders=(
        Contender(strategy="buy_and_hold"),
        Contender(agent="A2C", steps=64, hyperparameters={"net_arch": [8]}),
        Contender(sb3="A2C", steps=20),
    ),
)


def rows(suite, tmp_path):
    check(suite)
    place = Place(tmp_path / "quick", tmp_path / "ledger.jsonl", "quick.toml")
    jobs = list(jobs_of(suite))
    assert set(run_all(jobs, place, local(0)).values()) == {"done"}
    return rows_of(jobs, place)


def test_a_suite_may_have_features_of_its_own(tmp_path):
    own = replace(SUITE, env={**SUITE.env, "features": ("log_return_5", "range")})
    assert len(rows(own, tmp_path)) == 3
    names = [one.name for one in study_controls.controls_of(replace(own, seeds=1), "A2C", 1, draws=2)]
    assert "hindsight bound" in names


def test_features_that_there_are_not_are_refused_by_their_key():
    with pytest.raises(ValueError, match=r"env: .*log_retrun_5"):
        check(replace(SUITE, env={**SUITE.env, "features": ("log_retrun_5",)}))


def test_learners_may_have_continuous_actions(tmp_path):
    found = rows(replace(SUITE, env={"window": 3, "actions": "continuous"}), tmp_path)
    assert all(np.isfinite(row.returns).all() for row in found)


def test_the_honest_run_of_the_controls_is_trained_once(monkeypatch):
    trained = []
    grown = study_controls.grown

    def counted(train, test, features, *rest):
        trained.append(features if isinstance(features, str) else "peek")
        return grown(train, test, features, *rest)

    monkeypatch.setattr(study_controls, "grown", counted)
    study_controls.controls_of(SUITE, "A2C", 1, draws=2)
    assert len(trained) == 1 + 2 + 2 + 1 + 1  # honest, null, shuffled, peek, other future


# -- names ------------------------------------------------------------------------------------------------------


def test_a_configuration_is_the_same_whatever_the_contenders_name_and_seeds():
    one = SUITE.contenders[1]
    config = config_of(SUITE, one)
    for alike in (replace(one, name="other"), replace(one, seeds=9), replace(one, block=1)):
        assert config_of(SUITE, alike) == config
    assert config_of(replace(SUITE, name="x", seeds=9, points=7, data=("us-stocks/MSFT",)), one) == config
    for changed in (replace(one, steps=65), replace(one, n_envs=2), replace(one, hyperparameters={})):
        assert config_of(SUITE, changed) != config
    for changed in ({"scale": False}, {"episode_length": 9}, {"env": {"window": 4}}):
        assert config_of(replace(SUITE, **changed), one) != config


class Reward:
    def __init__(self, scale):
        self.scale = scale


def test_functions_and_objects_count_by_their_names_not_by_their_addresses():
    assert hash_of([len, partial(max, 1), Reward(2)]) == hash_of([len, partial(max, 1), Reward(2)])
    assert len({hash_of(part) for part in (len, max, partial(max, 1), partial(max, 2), Reward(1), Reward(2))}) == 6


def test_a_git_that_does_not_answer_leaves_the_commit_unknown(monkeypatch):
    def slow(*arguments, **keywords):
        raise subprocess.TimeoutExpired("git", 30)

    monkeypatch.setattr(subprocess, "run", slow)
    assert provenance.commit.__wrapped__() is None
