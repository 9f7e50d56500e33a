import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.reports.curves import print_curves
from benchmarks.study import job
from benchmarks.study.learning_curves import Curve, curves_of
from benchmarks.study.rows import Row
from benchmarks.suites.curves import CurveSettings


def run(tmp_path, *options):
    where = ["--folder", str(tmp_path / "kept"), "--figure", str(tmp_path / "curves.png"), "--no-progress"]
    return main(["curves", "--quick", "--algorithms", "PPO", "--envs", "regime", *options, *where])


def test_a_quick_run_draws_prints_and_keeps_its_curves(tmp_path, capsys, monkeypatch):
    assert run(tmp_path) == 0
    text = capsys.readouterr().out
    assert text.count("PPO") == 2
    assert "Stable-Baselines3" in text
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    rows = [Row.read(path) for path in (tmp_path / "kept" / "rows").glob("*.npz")]
    assert sorted(row.seeds for row in rows) == [(0,), (0, 1), (1,)]  # ours in one pass, SB3's one by one
    for row in rows:
        assert row.learning["steps"].tolist() == rows[0].learning["steps"].tolist()
        assert row.learning["steps"][0] == row.learning["seconds"][0] == 0
        assert row.learning["scores"].shape == (4, len(row.seeds))  # 3 evaluations, and that of the untrained agent
        assert (np.diff(row.learning["seconds"]) > 0).all()
        assert row.facts["contender_settings"]["steps"] == 80
    assert main(["rows", str(tmp_path / "kept" / "suite.json"), "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[0].split(",")[7] == "score"
    monkeypatch.setattr(job, "run", lambda *given: pytest.fail("trained again"))
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == text


def test_blocks_of_seeds_are_one_curve_and_sb3s_is_the_other_side(tmp_path):
    def row(name, seeds, kind):
        settings = {"contender_settings": {"agent": None, "sb3": None, kind: "PPO"}}
        points = {"steps": np.array([0.0, 10.0]), "seconds": np.array([0.0, 2.0])}
        learning = {**points, "scores": np.array([[0.0] * len(seeds), [float(seed) for seed in seeds]])}
        return Row("regime", 0, name, seeds, np.zeros(0), np.nan, {}, {}, {}, learning, 10, 2.0, settings)

    rows = [row("PPO", (0, 1), "agent"), row("SB3 PPO", (0,), "sb3"), row("SB3 PPO", (1,), "sb3")]
    curves = curves_of([*rows, row("SB3 own", (4,), "sb3")])
    assert list(curves) == [("regime", "PPO", "ours"), ("regime", "PPO", "sb3"), ("regime", "SB3 own", "sb3")]
    assert curves["regime", "PPO", "sb3"].scores.tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert curves["regime", "PPO", "sb3"].seconds.tolist() == [0.0, 4.0]


def test_the_table_is_printed_whole(capsys):
    scores = np.full((10, 2), -0.005)
    names = [("CartPole-v1", "DQN"), ("regime", "A2C")]
    steps = np.array([0.0, 123_456.0])
    print_curves({(*name, side): Curve(steps, steps, scores) for name in names for side in ("ours", "sb3")}, True)
    text = capsys.readouterr().out
    assert "algorithm" in text
    assert "123,456.0" in text
    assert "…" not in text  # nothing is cut off


def test_bad_settings_are_named():
    for field, value in {"seeds": 0, "points": 0, "episodes": 0, "budget_scale": 0.0}.items():
        with pytest.raises(ValueError, match=field):
            CurveSettings(**{field: value})
