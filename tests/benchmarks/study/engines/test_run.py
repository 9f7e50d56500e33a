import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.contenders.named import Contender
from benchmarks.study import job
from benchmarks.study.engines import place as files
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import BUSY, DONE, FAILED, KEPT, Keeper, Place, work
from benchmarks.study.engines.run import rows_of, run_all, shard_of
from benchmarks.study.folds import Plan
from benchmarks.study.job import jobs_of
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import KeptError
from benchmarks.study.suite import Suite
from trading_env import backtest
from trading_env.analysis import strategies

SUITE = Suite(
    name="quick",
    data=("us-stocks/IBM",),
    walk_forward=Plan(folds=2, test=0.3, validation=50),
    env={"window": 3, "actions": (0.0, 1.0)},
    seeds=2,
    contenders=(
        Contender(strategy="buy_and_hold"),
        Contender(strategy="mean_reversion"),
        Contender(random=20.0, seeds=3),
    ),
)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "quick", tmp_path / "ledger.jsonl", "quick.toml")


def test_rows_hold_what_a_backtest_of_the_test_stretch_gives(place):
    jobs = list(jobs_of(SUITE))
    assert set(run_all(jobs, place, local(0)).values()) == {DONE}
    rows = rows_of(jobs, place)
    assert [(row.contender, row.fold, len(row.seeds)) for row in rows] == [
        *(("buy_and_hold", 0, 1), ("mean_reversion", 0, 1), ("random", 0, 3)),
        *(("buy_and_hold", 1, 1), ("mean_reversion", 1, 1), ("random", 1, 3)),
    ]
    _, _, test = job.fold_of(jobs[1]).markets(job.data("us-stocks/IBM"))
    expected = backtest(strategies.mean_reversion, test, window=3, actions=(0.0, 1.0)).tracks
    np.testing.assert_array_equal(rows[1].curves["equity"], expected.equity)
    np.testing.assert_array_equal(rows[1].returns, expected.returns)
    assert str(rows[1].time[0]).startswith(test.time_of(test.first)[:10])


def test_what_is_there_is_not_run_again_and_looks_at_no_test(place, monkeypatch):
    jobs = list(jobs_of(SUITE))
    run_all(jobs[:2], place, local(0))
    lines = len(Ledger(place.ledger).lines())
    states = run_all(jobs, place, local(0))
    assert [states[one.id] for one in jobs] == [KEPT, KEPT, DONE, DONE, DONE, DONE]
    assert len(Ledger(place.ledger).lines()) == lines + 8
    monkeypatch.setattr(job, "run", None)
    assert set(run_all(jobs, place, local(0)).values()) == {KEPT}


def test_the_ledger_has_the_opening_before_the_test_is_scored(place, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no score")

    monkeypatch.setattr(job, "tested", broken)
    assert work(next(jobs_of(SUITE)), Keeper(place)) == FAILED
    assert [line["event"] for line in Ledger(place.ledger).lines()] == ["opened"]


def test_a_failed_job_is_told_with_its_command_and_the_others_go_on(place):
    broken = Contender(make="builtins:print", name="broken")
    suite = replace(SUITE, contenders=(*SUITE.contenders, broken))
    jobs = list(jobs_of(suite))
    states = run_all(jobs, place, local(0))
    failed = [one for one in jobs if states[one.id] == FAILED]
    assert [one.contender for one in failed] == ["broken", "broken"]
    report = json.loads(place.failure(failed[0]).read_text())
    folder = place.folder.parent
    assert report["command"] == f"python -m benchmarks run quick.toml --folder {folder} --job {failed[0].id}"
    assert "TypeError" in report["error"]
    assert len(rows_of(jobs, place)) == 6


def test_ids_name_what_rows_depend_on_and_nothing_else():
    first = next(jobs_of(SUITE))
    assert first.id == next(jobs_of(replace(SUITE, name="other", seeds=7))).id
    for change in ({"env": {"window": 4, "actions": (0.0, 1.0)}}, {"walk_forward": Plan(folds=3)}, {"scale": False}):
        assert next(jobs_of(replace(SUITE, **change))).id != first.id
    assert len({one.id for one in jobs_of(SUITE)}) == 6
    assert len({one.config for one in jobs_of(SUITE)}) == 3


def test_shards_share_the_jobs_out():
    jobs = list(jobs_of(SUITE))
    parts = [shard_of(jobs, f"{i}/4") for i in range(1, 5)]
    assert sorted(one.id for part in parts for one in part) == sorted(one.id for one in jobs)
    for wrong in ("0/2", "3/2", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(ValueError, match="shard must be i/n"):
            shard_of(jobs, wrong)


def test_a_job_that_another_program_runs_is_left_to_it(place):
    first = next(jobs_of(SUITE))
    held = files.Lock(place.row(first))
    held.acquire()
    try:
        assert work(first, Keeper(place)) == BUSY
    finally:
        held.release()
    assert work(first, Keeper(place)) == DONE


def test_a_damaged_row_is_named(place):
    jobs = list(jobs_of(SUITE))[:1]
    run_all(jobs, place, local(0))
    content = place.row(jobs[0]).read_bytes()
    for damage in (content[: len(content) // 2], b"", b"text"):
        place.row(jobs[0]).write_bytes(damage)
        with pytest.raises(KeptError, match="is no row of a study, remove it"):
            rows_of(jobs, place)


CRASHING = """
import os, signal

def make(train, validation, keywords, seeds):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_that_dies_costs_its_own_rows_and_a_file_that_cannot_be_written_ends_the_study(
    place, tmp_path, monkeypatch
):
    (tmp_path / "crashing_contender.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(str(tmp_path))
    contenders = (Contender(make="crashing_contender:make", name="crashing"), *SUITE.contenders)
    jobs = list(jobs_of(replace(SUITE, contenders=contenders, walk_forward=Plan(folds=1, test=0.3, validation=50))))
    blocked = replace(place, folder=tmp_path / "blocked")
    blocked.folder.mkdir()
    (blocked.folder / "rows").write_text("")
    with local(1) as run_each:
        assert [state for _, state in run_each(jobs, place)] == [FAILED, DONE, DONE, DONE]
        assert "ended abruptly with code -9" in json.loads(place.failure(jobs[0]).read_text())["error"]
        with pytest.raises(NotADirectoryError, match="rows"):
            list(run_each(jobs, blocked))
