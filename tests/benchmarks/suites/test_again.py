"""A kept row is trained again and compared."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.study.rows import Row
from benchmarks.suites.again import largest_difference, picked
from benchmarks.suites.run import prepared

TEXT = """
name = "mine"
data = ["us-stocks/MSFT"]
seeds = 2
points = 1

[env]
window = 3
actions = [0.0, 1.0]

[walk_forward]
folds = 1
test = 0.1
validation = 50

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
agent = "DQN"
steps = 100
hyperparameters = { net_arch = [8] }
"""


def test_a_row_comes_out_again_and_a_changed_one_is_told(tmp_path, capsys):
    (tmp_path / "mine.toml").write_text(TEXT)
    line = [str(tmp_path / "mine.toml"), "--folder", str(tmp_path)]
    with pytest.raises(SystemExit, match="nothing to train again"):
        main(["again", *line])
    assert main(["run", *line, "--processes", "0", "--no-progress"]) == 0
    capsys.readouterr()
    _, place, jobs = prepared(*line[:1], tmp_path)
    learner = next(job for job in jobs if job.contender == "DQN")
    assert main(["again", *line, "--job", learner.id]) == 0
    said = capsys.readouterr().out
    assert "DQN on us-stocks/MSFT, fold 0, seeds 0-1: the same numbers" in said
    assert "kept at commit" in said
    row = Row.read(place.row(learner))
    exposure = row.curves["exposure"].copy()
    exposure[1, 7] += 0.25
    changed = replace(row, curves={**row.curves, "exposure": exposure})
    assert largest_difference(row, changed) == ("curves exposure", pytest.approx(0.25))
    exposure[0, 3] = np.nan
    assert largest_difference(row, replace(row, curves={**row.curves, "exposure": exposure}))[1] == np.inf
    exposure[0, 3] = row.curves["exposure"][0, 3]
    changed.write(place.row(learner))
    assert main(["again", *line, "--job", learner.id]) == 1
    assert "curves exposure differs by up to 0.25" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["again", *line, "--job", "nope"])


def test_rows_of_other_shapes_differ_without_bound_and_nan_equals_nan(tmp_path):
    row = Row("a", 0, "b", (0,), np.zeros(0), 1.0, {}, {"x": np.array([np.nan])}, {}, None, None, None, {})
    assert largest_difference(row, row) == ("", 0.0)
    assert largest_difference(row, replace(row, metrics={"x": np.zeros(2)})) == ("metrics x", np.inf)
    assert largest_difference(row, replace(row, metrics={"x": np.zeros(1)})) == ("metrics x", np.inf)


def test_each_day_has_its_row(monkeypatch):
    jobs = ["a", "b", "c"]
    monkeypatch.setattr("time.time", lambda: 86_400.0 * 4)
    assert picked(jobs, None) == "b"
    assert picked([], None) is None
