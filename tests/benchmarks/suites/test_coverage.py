import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.study.simulations import Case, cases
from benchmarks.suites.coverage import Counted, CoverageSettings, count


def test_the_command_prints_and_writes_every_simulation(tmp_path, capsys):
    assert main(["coverage", "--samples", "1", "--processes", "1", "--folder", str(tmp_path)]) == 0
    kept = json.loads((tmp_path / "coverage.json").read_text())
    assert [row["case"] for row in kept["rows"]] == [case.case for case in cases()]
    page = (tmp_path / "coverage.md").read_text()
    assert "--samples 1" in page
    assert "Clopper" not in page
    assert "Ledoit and Wolf" in capsys.readouterr().out


def test_intervals_over_seeds_and_paths_hold_as_often_as_they_say():
    rows = {(case.what, case.case): i for i, case in enumerate(cases())}
    for S in (2, 5):
        counted = count(rows["certified score: interval holds", f"normal seeds, S = {S}"], 400, 1)
        assert counted.right, counted.share


def test_a_share_is_right_within_two_standard_errors_of_the_wanted_range():
    case = Case("", "", 0.93, 0.97, lambda rng: True)
    assert Counted(case, 0.95, 100).right
    assert Counted(case, 0.90, 100).right  # 3% more or less
    assert not Counted(case, 0.90, 2000).right
    assert not Counted(case, 1.00, 2000).right


def test_processes_of_simulations_have_variance_1():
    from benchmarks.study.simulations import PROCESSES

    for draw in PROCESSES.values():
        drawn = [draw(np.random.default_rng(i), 500) for i in range(40)]
        assert np.var(drawn) == pytest.approx(1.0, rel=0.1)


def test_bad_settings_are_named():
    for field, value in {"samples": 0, "processes": 0, "seed": -1}.items():
        with pytest.raises(ValueError, match=field):
            CoverageSettings(**{field: value})
