"""Rows that earlier versions kept stay valid: their names, and what can be read of them."""

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks.contenders.named import Contender
from benchmarks.study import job
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import Place
from benchmarks.study.engines.run import rows_of, run_all
from benchmarks.study.folds import Plan
from benchmarks.study.job import jobs_of
from benchmarks.study.rows import account_of
from benchmarks.study.suite import Suite
from trading_env import __version__

LATER = ("split", "forecast", "block", "tasks")  # fields that came after the first rows
SUITE = Suite(
    name="quick",
    data=("us-stocks/IBM",),
    walk_forward=Plan(folds=2, test=0.3, validation=50),
    env={"window": 3, "actions": (0.0, 1.0)},
    seeds=2,
    contenders=(Contender(strategy="buy_and_hold"), Contender(random=20.0, seeds=3)),
)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "quick", tmp_path / "ledger.jsonl", "quick.toml")


def test_ids_of_rows_that_were_kept_before_later_fields_came_stay_the_same():
    """As commit 02bdaa3 computed them."""
    suite = replace(SUITE, contenders=(*SUITE.contenders, Contender(sb3="PPO", steps=7)))
    for one in jobs_of(suite):
        described = {name: value for name, value in asdict(one.by).items() if name not in LATER}
        plan = {name: value for name, value in asdict(suite.walk_forward).items() if name not in LATER}
        kept = {"walk_forward": plan, "env": suite.env, "episode_length": 250, "points": 4, "scale": True}
        parts = [kept, described, one.dataset, job.data(one.dataset).fingerprint, one.fold, one.seeds, __version__]
        text = json.dumps(parts, sort_keys=True, default=str)
        assert one.id == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_row_of_an_earlier_version_without_units_is_read(place):
    jobs = list(jobs_of(SUITE))[:1]
    run_all(jobs, place, local(0))
    row = rows_of(jobs, place)[0]
    assert (np.diff(row.curves["units"][0]) == 0.0).all()  # holding trades once
    old = {name: values for name, values in row.curves.items() if name != "units"}
    replace(row, curves=old).write(place.row(jobs[0]))
    again = rows_of(jobs, place)
    assert "units" not in again[0].curves
    np.testing.assert_array_equal(again[0].returns, row.returns)
    account = account_of(again)
    np.testing.assert_allclose(account.equity, row.curves["equity"] / row.curves["equity"][:, :1])
    assert np.isnan(account.units).all()
