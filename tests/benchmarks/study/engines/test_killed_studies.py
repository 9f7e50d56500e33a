"""Studies that are killed, that run twice at once, or whose disk is full."""

import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.contenders.named import Contender
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import DONE, KEPT, Place
from benchmarks.study.engines.run import rows_of, run_all
from benchmarks.study.folds import Plan
from benchmarks.study.job import jobs_of
from benchmarks.study.ledger import Ledger, LedgerError
from benchmarks.study.suite import Suite

SUITE = Suite(
    name="quick",
    data=("us-stocks/IBM",),
    walk_forward=Plan(folds=3, test=0.3, validation=50),
    env={"window": 3, "actions": (0.0, 1.0)},
    seeds=2,
    points=1,
    contenders=(
        Contender(strategy="buy_and_hold"),
        Contender(agent="DQN", steps=200, hyperparameters={"net_arch": [8], "learning_starts": 50}),
        Contender(random=20.0, seeds=3),
    ),
)
JOBS = list(jobs_of(SUITE))


def place_in(folder):
    return Place(folder / "quick", folder / "ledger.jsonl", "quick.toml")


def the_rest(folder):
    """Runs what is missing in this process."""
    return run_all(JOBS, place_in(folder), local(0))


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from test_killed_studies import {function}
from pathlib import Path
if __name__ == "__main__":
    {function}(Path(sys.argv[1]))
"""


def start(function, folder):
    """Starts one of this file's functions in a process of its own."""
    program = PROGRAM.format(tests=str(Path(__file__).parent), function=function.__name__)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", program, str(folder)], env=environment)


def ten_times(folder):
    """Kills the study at ten random moments, and writes down what was there each time."""
    import random
    import signal
    import time

    (folder / "alone").mkdir()
    the_rest(folder / "alone")  # compiles
    begin = time.monotonic()
    (folder / "again").mkdir()
    the_rest(folder / "again")
    seconds, moments, notes = time.monotonic() - begin, random.Random(0), []
    for _ in range(10):
        child = os.fork()
        if child == 0:
            the_rest(folder)
            os._exit(0)
        time.sleep(seconds * moments.uniform(0.0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        rows = {path.stem: path.stat().st_mtime_ns for path in (folder / "quick").rglob("*.npz")}
        notes.append({"rows": rows, "lines": len(Ledger(folder / "ledger.jsonl").lines())})
    (folder / "notes.json").write_text(json.dumps(notes))


def assert_same_rows(folder, other):
    rows, others = rows_of(JOBS, place_in(folder)), rows_of(JOBS, place_in(other))
    assert len(rows) == len(others) == len(JOBS)
    for row, expected in zip(rows, others, strict=True):
        for name, values in expected.curves.items():
            np.testing.assert_array_equal(row.curves[name], values, strict=True)


def test_a_study_killed_at_ten_random_moments_loses_no_row_and_trains_none_again(tmp_path):
    assert start(ten_times, tmp_path).wait(600) == 0
    notes = json.loads((tmp_path / "notes.json").read_text())
    assert 0 < len(notes[-1]["rows"]) < len(JOBS)  # it was killed while it ran
    assert set(the_rest(tmp_path).values()) == {KEPT, DONE}
    lines = Ledger(tmp_path / "ledger.jsonl").lines()
    for note in notes:
        for name, written in note["rows"].items():
            assert (tmp_path / "quick" / "rows" / f"{name}.npz").stat().st_mtime_ns == written
        assert not note["rows"].keys() & {line["job"] for line in lines[note["lines"] :]}
    assert_same_rows(tmp_path, tmp_path / "alone")
    assert not [*tmp_path.rglob("*.part"), *(tmp_path / "quick").rglob(".*.lock")]
    data = {line["data"] for line in lines}
    assert Ledger(tmp_path / "ledger.jsonl").trials(data) == Ledger(tmp_path / "alone" / "ledger.jsonl").trials(data)


def test_two_programs_at_once_share_the_jobs(tmp_path):
    both = [start(the_rest, tmp_path) for _ in range(2)]
    assert set(the_rest(tmp_path / "alone").values()) == {DONE}
    assert [one.wait(600) for one in both] == [0, 0]
    scored = [line["job"] for line in Ledger(tmp_path / "ledger.jsonl").lines() if line["event"] == "scored"]
    assert sorted(scored) == sorted(job.id for job in JOBS)
    assert_same_rows(tmp_path, tmp_path / "alone")


@contextmanager
def files_of_at_most(size):
    """Lets this process write no more than so many bytes to a file: the system takes a part, and then refuses."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_ends_the_study_and_tears_nothing(tmp_path):
    the_rest(tmp_path / "alone")
    with files_of_at_most(4_096), pytest.raises(OSError, match="a row cannot be written: File too large"):
        the_rest(tmp_path)
    assert [path for path in (tmp_path / "quick").rglob("*") if path.is_file()] == []
    assert set(the_rest(tmp_path).values()) == {DONE}
    assert_same_rows(tmp_path, tmp_path / "alone")


def test_a_ledger_on_a_full_disk_stops_the_study_before_the_test_is_opened(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(event="opened", config="a", data="x")
    before = ledger.path.read_bytes()
    with files_of_at_most(len(before) + 20):
        with pytest.raises(LedgerError, match="the ledger cannot be written: File too large"):
            ledger.append(event="opened", config="b", data="x")
        with pytest.raises(LedgerError):
            the_rest(tmp_path)
    assert ledger.path.read_bytes() == before
    assert [path for path in (tmp_path / "quick").rglob("*") if path.is_file()] == []
