"""A study on a real Ray cluster of two nodes, in a process of its own: Ray's warnings are not those of this project."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.study.engines.local import local
from benchmarks.study.engines.on_ray import on_ray
from benchmarks.study.engines.place import Place
from benchmarks.study.engines.run import rows_of, run_all
from benchmarks.study.job import jobs_of
from benchmarks.study.ledger import Ledger
from benchmarks.study.suite import Suite

ROOT = Path(__file__).parents[4]
TEXT = """
name = "mine"
data = ["us-stocks/IBM"]
seeds = 2
points = 1

[env]
window = 3
actions = [0.0, 1.0]

[walk_forward]
folds = 3
test = 0.2
validation = 50

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
agent = "DQN"
steps = 150
hyperparameters = { net_arch = [8], learning_starts = 50 }

[[contenders]]
make = "held_contender:make"

[[contenders]]
make = "held_contender:broken"
seeds = 1
"""
MODULE = """
import os, time
from pathlib import Path


class Held:
    def __init__(self, seeds):
        self.seeds = seeds

    def __len__(self):
        return len(self.seeds)

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        node = os.environ.get("NODE")
        if node == "lost":  # the test is open now, and the node is killed before it has ended
            Path(os.environ["REACHED"]).touch()
            time.sleep(600)
        ends = time.monotonic() + 150
        while node == "head" and not Path(os.environ["REACHED"]).exists():
            if time.monotonic() > ends:
                raise TimeoutError("no job came to the other node")
            time.sleep(0.05)
        return [0] * len(observation), state


def make(train, validation, keywords, seeds):
    return Held(seeds)


def broken(train, validation, keywords, seeds):
    if "NODE" in os.environ:
        raise KeyError("broken on purpose")
    return Held(seeds)
"""
PROGRAM = """
import faulthandler, os, sys, threading, time, traceback
from pathlib import Path

folder = Path(sys.argv[1])
os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
import json
import ray
from ray.cluster_utils import Cluster
from benchmarks.__main__ import main
from benchmarks.study.engines.on_ray import _got


@ray.remote(num_cpus=0, max_concurrency=2)
class Slow:
    asked = 0

    def answer(self):  # at once to a second task, which a core of its own would let in
        self.asked += 1
        ends = time.monotonic() + 10
        while self.asked < 2 and time.monotonic() < ends:
            time.sleep(0.05)


@ray.remote(num_cpus=1)
def ask(slow):
    began = time.time()
    _got(slow.answer.remote())
    return began, time.time()


def kill(cluster, node):
    try:
        while not (folder / "reached").exists():
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        (folder / "killed").touch()
    except BaseException:
        traceback.print_exc()
        os._exit(3)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(270, exit=True)  # where it stands, should it ever wait for good
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    os.environ |= {"NODE": "head", "REACHED": str(folder / "reached")}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    os.environ["NODE"] = "lost"
    lost = cluster.add_node(**small)
    del os.environ["NODE"]  # the first fold of each function is tried here
    threading.Thread(target=kill, args=(cluster, lost), daemon=True).start()
    line = ["run", str(folder / "mine.toml"), "--folder", str(folder / "ray")]
    code = main([*line, "--engine", "ray", "--address", cluster.address])
    (folder / "full" / "ledger.jsonl").mkdir(parents=True)
    try:
        main([*line[:2], "--folder", str(folder / "full"), "--engine", "ray", "--address", cluster.address])
    except SystemExit as left:
        (folder / "refused").write_text(str(left.code))
    ray.init(address=cluster.address, logging_level="warning")
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    here = {"scheduling_strategy": strategy(ray.get_runtime_context().get_node_id(), soft=False)}
    slow = Slow.options(**here).remote()
    (folder / "spans.json").write_text(json.dumps(ray.get([ask.options(**here).remote(slow) for _ in range(2)])))
    ray.shutdown()
    faulthandler.cancel_dump_traceback_later()
    cluster.shutdown()
    sys.exit(10 + code)  # that of an error here is 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    for name, text in (("mine.toml", TEXT), ("held_contender.py", MODULE), ("program.py", PROGRAM)):
        (folder / name).write_text(text)
    path = os.pathsep.join([str(ROOT), str(folder)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(folder / "program.py"), str(folder)]
    ended = subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=300, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 11, said  # a contender is broken
    (folder / "said").write_text(ended.stderr)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


def numbers(row):
    """All arrays of a row that do not depend on the clock."""
    learning = {name: values for name, values in (row.learning or {}).items() if name != "seconds"}
    parts = {"curves": row.curves, "metrics": row.metrics, "stress": row.stress, "learning": learning}
    return {"time": row.time} | {
        f"{part}.{name}": values for part, all_ in parts.items() for name, values in all_.items()
    }


def test_a_study_whose_node_was_killed_completes_with_the_rows_of_the_local_engine(folder):
    jobs = [one for one in jobs_of(Suite.read(folder / "mine.toml")) if one.contender != "broken"]
    here, there = (Place(folder / name / "mine", folder / name / "ledger.jsonl", "mine.toml") for name in ("l", "ray"))
    run_all(jobs, here, local(0))
    assert (folder / "killed").exists()
    ours, theirs = rows_of(jobs, here), rows_of(jobs, there)
    assert len(theirs) == len(jobs)
    for row, other in zip(ours, theirs, strict=True):
        assert (row.dataset, row.fold, row.contender, row.seeds) == (
            *(other.dataset, other.fold),
            *(other.contender, other.seeds),
        )
        for name, values in numbers(row).items():
            np.testing.assert_array_equal(values, numbers(other)[name], strict=True, err_msg=name)


def test_the_job_that_was_killed_is_opened_twice_in_the_ledger_and_counts_once(folder):
    jobs = list(jobs_of(Suite.read(folder / "mine.toml")))
    lines = Ledger(folder / "ray" / "ledger.jsonl").lines()
    opened, scored = ([line["job"] for line in lines if line["event"] == event] for event in ("opened", "scored"))
    jobs = [one for one in jobs if one.contender != "broken" or one.fold == 0]
    assert sorted(scored) == sorted(one.id for one in jobs)
    again = [name for name in opened if opened.count(name) == 2]
    assert len(opened) == len(jobs) + 1
    assert len(set(again)) == 1
    expected, found = (
        Ledger(folder / name / "ledger.jsonl").trials({line["data"] for line in lines}) for name in ("l", "ray")
    )
    assert found.count == expected.count + 1 == 4  # the broken one's first fold was tested
    assert found.variance == pytest.approx(expected.variance)


def test_a_failed_job_is_told_with_its_command_and_the_others_go_on(folder):
    failed = [json.loads(path.read_text()) for path in (folder / "ray" / "mine" / "failed").glob("*.json")]
    assert [report["error"] for report in failed] == ["KeyError: 'broken on purpose'"] * 2
    assert all("--job" in report["command"] and "in broken" in report["traceback"] for report in failed)


def test_a_ledger_that_cannot_be_written_ends_the_study_with_a_line(folder):
    assert (folder / "refused").read_text() == "2"
    assert "the ledger cannot be written: Is a directory" in (folder / "said").read_text()
    assert not list((folder / "full").rglob("*.npz"))


def test_a_job_that_waits_for_the_keeper_keeps_its_core(folder):
    first, second = sorted(json.loads((folder / "spans.json").read_text()))
    assert first[1] <= second[0]


def test_a_client_is_no_node():
    with pytest.raises(ValueError, match=r"address must be host:port or auto, on a node of the cluster"):
        on_ray("ray://somewhere:10001")
