"""Scores over grids of two hyperparameters."""

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.reports import sensitivity as report
from benchmarks.study.certificates.certified import Certificate
from benchmarks.study.sensitivity import Grid, surfaces
from benchmarks.suites.sensitivity import SensitivitySettings


def certificate(entry, *levels):
    rewards = np.ones((1, len(levels), 4)) * np.array(levels)[:, None]
    return Certificate(entry, np.zeros(1), np.zeros(1), rewards, np.ones(4))


def test_both_sides_have_the_same_hyperparameters_at_a_point_but_for_the_two_of_the_grid():
    grid = Grid("PPO", (1e-3, 1e-2), (0.0, 0.1), 1_000)
    found = list(grid.entries())
    assert len(found) == 8
    assert len({entry.name for entry in found}) == 8
    ours, theirs = grid.entry("ours", 1e-2, 0.1), grid.entry("sb3", 1e-2, 0.1)
    assert ours.hyperparameters == theirs.hyperparameters
    assert (ours.hyperparameters["learning_rate"], ours.hyperparameters["ent_coef"]) == ("lin_0.01", 0.1)
    assert (ours.total_timesteps, ours.n_envs) == (theirs.total_timesteps, theirs.n_envs)
    assert Grid("DQN", (1e-3,), (64,), 10).entry("ours", 1e-3, 64).hyperparameters["batch_size"] == 64


def test_scores_stand_at_their_point_and_missing_ones_are_nan():
    grid = Grid("DQN", (1e-3, 1e-2), (32, 64), 1_000)
    kept = [certificate(grid.entry("ours", 1e-3, 64), 0.9, 0.7), certificate(grid.entry("ours", 1e-2, 32), 0.5, 0.3)]
    ours, theirs = surfaces([grid], kept)
    np.testing.assert_allclose(ours.score, [[np.nan, 0.8], [0.4, np.nan]])
    np.testing.assert_allclose(ours.worst, [[np.nan, 0.7], [0.3, np.nan]])
    assert np.isnan(theirs.score).all()
    table = report.table_of([ours, theirs])
    assert table.rows == [["DQN, ours", "2", "80.0%", "60.0%", "40.0%", "1 of 2", "rate 0.001, batch size 64"]]
    assert len(report.draw([ours, theirs]).axes) == 3  # two maps and their bar


def test_a_grid_is_trained_kept_and_drawn(tmp_path, capsys):
    line = ["sensitivity", "--agents", "DQN", "--rates", "1e-3", "1e-2", "--batches", "16", "--seeds", "2"]
    line += ["--steps", "700", "--folder", str(tmp_path), "--processes", "0"]
    assert main(line) == 0
    printed = capsys.readouterr()
    assert "DQN, Stable-Baselines3" in printed.out
    assert printed.err.count("done: ") == 4
    assert (tmp_path / "sensitivity.png").read_bytes().startswith(b"\x89PNG")
    assert main(line) == 0
    assert capsys.readouterr().err.count("kept: ") == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": ()}, "rates must be"),
        ({"rates": (0.0,)}, "rates must be"),
        ({"batches": (32, 32)}, "batches must be different"),
        ({"entropies": (-0.1,)}, "entropies must be"),
        ({"seeds": 0}, "seeds"),
        ({"agents": ()}, "agents"),
    ],
)
def test_a_wrong_option_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        SensitivitySettings(**changes)
