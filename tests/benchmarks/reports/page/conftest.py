"""A small study, run once: rules, random traders, and two learners, one of them with a hostile name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from benchmarks.__main__ import main
from benchmarks.study.engines.place import Place
from benchmarks.study.engines.run import rows_of
from benchmarks.study.job import jobs_of
from benchmarks.study.suite import Suite
from tests.trading_env.markets import random_bars

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}&amp;_%$"
SUITE = """
name = "small"
data = {data}
seeds = 3
points = 2
block = 4

[env]
window = 3
actions = [-1.0, 0.0, 1.0]
costs = {{ commission = 1e-3 }}

[walk_forward]
folds = 2
test = 0.4
validation = 50

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
strategy = "flat"

[[contenders]]
random = 20.0
seeds = 24

[[contenders]]
agent = "DQN"
steps = 120
hyperparameters = {{ net_arch = [8] }}

[[contenders]]
agent = "A2C"
name = {name}
steps = 120
hyperparameters = {{ net_arch = [8] }}
"""


@dataclass
class Study:
    """The study's folder, suite and rows."""

    folder: Path
    suite: Suite
    rows: list[Any]

    @property
    def page(self):
        return (self.folder / "index.html").read_text()


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    root = tmp_path_factory.mktemp("study")
    names = []
    for seed, name in enumerate(("one", "<b>two")):
        bars = random_bars(seed, 700, 0.01)
        time = pd.date_range("2018-01-01", periods=700)
        pd.DataFrame({"date": time, **bars}).to_csv(root / f"{name}.csv", index=False)
        names.append(str(root / f"{name}.csv"))
    (root / "small.toml").write_text(SUITE.format(data=json.dumps(names), name=json.dumps(HOSTILE)))
    line = ["run", str(root / "small.toml"), "--folder", str(root / "results"), "--processes", "0", "--no-progress"]
    assert main(line) == 0
    folder = root / "results" / "small"
    assert main(["report", str(folder)]) == 0
    suite = Suite.kept(folder)
    rows = rows_of(list(jobs_of(suite)), Place(folder, root / "results" / "ledger.jsonl", "small"))
    return Study(folder, suite, rows)
