import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.reports.curves import print_curves
from benchmarks.study.learning_curves import Curve
from benchmarks.suites import curves
from benchmarks.suites.curves import CurveSettings


def run(tmp_path, *options):
    where = ["--folder", str(tmp_path), "--figure", str(tmp_path / "curves.png"), "--no-progress"]
    return main(["curves", "--quick", "--algorithms", "PPO", "--envs", "regime", *options, *where])


def test_a_quick_run_draws_prints_and_keeps_its_curves(tmp_path, capsys, monkeypatch):
    assert run(tmp_path) == 0
    text = capsys.readouterr().out
    assert text.count("PPO") == 2
    assert "Stable-Baselines3" in text
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    kept = [json.loads((tmp_path / "regime" / f"PPO-{side}.json").read_text()) for side in curves.SIDES]
    ours, theirs = (one["curve"] for one in kept)
    assert kept[0]["setting"] == kept[1]["setting"]
    assert ours["steps"] == theirs["steps"]
    assert ours["steps"][0] == ours["seconds"][0] == theirs["seconds"][0] == 0
    for curve in (ours, theirs):
        assert np.shape(curve["scores"]) == (2, 4)  # 3 evaluations, and that of the untrained agent
        assert (np.diff(curve["seconds"]) > 0).all()

    def never(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(curves, "train", never)
    assert run(tmp_path) == 0
    assert capsys.readouterr().out == text
    with pytest.raises(AssertionError, match="trained again"):
        run(tmp_path, "--seeds", "3")


def test_the_table_is_printed_whole(capsys):
    scores = np.full((10, 2), -0.005)
    names = [("CartPole-v1", "DQN"), ("regime", "A2C")]
    steps = np.array([0.0, 123_456.0])
    print_curves({(*name, side): Curve(steps, steps, scores, 2) for name in names for side in curves.SIDES}, True)
    text = capsys.readouterr().out
    assert "algorithm" in text
    assert "123,456.0" in text
    assert "…" not in text  # nothing is cut off


def test_bad_settings_are_named():
    for field, value in {"seeds": 0, "points": 0, "episodes": 0, "budget_scale": 0.0}.items():
        with pytest.raises(ValueError, match=field):
            CurveSettings(**{field: value})
