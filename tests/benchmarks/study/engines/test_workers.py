"""Processes of a study: what they leave behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.study.engines.workers import DiedError, Worker, workers

ROOT = Path(__file__).parents[4]
HELD = """
import multiprocessing
kept = []
def hold(task):
    kept.append(multiprocessing.Lock())
"""
SLOW = """
import atexit, os, time
from multiprocessing import util

def work(path):
    path.write_text(str(os.getpid()))
    while path.name == "ends" and not path.with_name("sleeps").exists():
        time.sleep(0.01)
    time.sleep(60.0 if path.name == "sleeps" else 0.2)

def leave(path):
    def put_away():
        time.sleep(0.3)
        path.write_text("put away")
    util.Finalize(None, put_away, exitpriority=1)
"""
PROGRAM = """
import held
from benchmarks.study.engines.workers import DiedError, Worker, workers
if __name__ == "__main__":
    with workers(1) as share:
        print([outcome for _, outcome in share(held.hold, [1, 2])])
"""


def test_idle_processes_put_their_locks_away(tmp_path):
    (tmp_path / "held.py").write_text(HELD)
    (tmp_path / "program.py").write_text(PROGRAM)
    result = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == ("[None, None]\n", "")


def test_a_process_at_work_is_ended_at_once_when_the_others_fail(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        import slow

        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
        with workers(2) as share:
            for task, _ in share(slow.work, [tmp_path / "sleeps", tmp_path / "ends"]):
                assert task.name == "ends"
                break
            start = time.monotonic()
        assert time.monotonic() - start < 5.0  # an idle one would have ten seconds
    pid = int((tmp_path / "sleeps").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def die(task):
    if task == "dies":
        os._exit(3)
    return os.getpid()


def test_a_process_that_has_died_is_replaced_once_and_only_for_a_further_task(monkeypatch):
    begun = []
    begin = Worker._begin
    monkeypatch.setattr(Worker, "_begin", lambda worker: (begun.append(worker), begin(worker)))
    with workers(1) as share:
        outcomes = [outcome for _, outcome in share(die, ["lives", "dies", "lives", "dies"])]
    assert [type(outcome) for outcome in outcomes] == [int, DiedError, int, DiedError]
    assert "ended abruptly with code 3" in str(outcomes[1])
    assert outcomes[0] != outcomes[2]
    assert len(begun) == 2


def test_a_process_that_has_ended_its_task_may_put_its_things_away(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        import slow

        patch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
        with workers(1) as share:
            assert [outcome for _, outcome in share(slow.leave, [tmp_path / "left"])] == [None]
    assert (tmp_path / "left").read_text() == "put away"
