import subprocess
import sys
from unittest.mock import MagicMock

import numpy as np
import pytest

from agents.base import cli
from agents.base.cli import _show, main
from agents.dqn import DQN, PRESETS

RUN = ["--env", "CartPole-v1", "--total-timesteps", "300", "--no-progress-bar", "--eval-episodes", "2"]


def test_it_trains_evaluates_and_saves(capsys, tmp_path):
    path = tmp_path / "agent.safetensors"
    main(DQN, {}, [*RUN, "--seeds", "5", "8", "--net-arch", "16", "--learning-rate", "lin_1e-3", "--save", str(path)])
    shown = capsys.readouterr().out
    assert "600 steps of 2 seeds" in shown
    assert all(column in shown for column in ("seed", "mean", "std", "min", "max"))
    assert DQN.load(path).config.net_arch == (16,)
    assert DQN.load(path).config.learning_rate == "lin_1e-3"
    assert DQN.load(path).seeds == (5, 8)


def test_small_returns_are_shown_too(capsys):
    _show((0,), np.array([[0.00012, 0.00034]]))
    shown = capsys.readouterr().out
    assert "Return of 2 greedy episodes" in shown
    assert all(value in shown for value in ("0.0002300", "0.0001100", "0.0001200", "0.0003400"))


def test_the_rate_is_that_of_the_later_half_when_everything_is_compiled(monkeypatch):
    now = iter([0.0, 30.0, 50.0])  # made, half way, at the end; the first half compiles
    monkeypatch.setattr(cli.time, "perf_counter", lambda: next(now))
    agent, pace = MagicMock(goal=200), cli.Pace()
    agent.__len__.return_value = 4
    for step in range(1, 201):
        agent.num_timesteps = step
        pace(agent)
    assert pace.measured(agent) == (50.0, 4 * 99 / 20.0)


def test_one_number_means_that_many_seeds(tmp_path, capsys):
    main(DQN, {}, [*RUN, "--seeds", "3", "--eval-episodes", "0", "--save", str(tmp_path / "a")])
    assert DQN.load(tmp_path / "a").seeds == (0, 1, 2)
    assert "Return" not in capsys.readouterr().out


@pytest.mark.parametrize("env", [["--env", "CartPole-v1"], ["--env=CartPole-v1"]])
def test_an_env_with_tuned_defaults_gets_them_unless_told_otherwise(env, tmp_path):
    arguments = [*env, *RUN[2:], "--batch-size", "16", "--save", str(tmp_path / "a")]
    main(DQN, PRESETS, arguments)
    config, tuned = DQN.load(tmp_path / "a").config, PRESETS["CartPole-v1"].config
    assert config.batch_size == 16
    assert (config.net_arch, config.learning_rate) == (tuned.net_arch, tuned.learning_rate)


def test_help_explains_every_option():
    command = [sys.executable, "-m", "agents.dqn", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env={"COLUMNS": "200"}).stdout
    assert "python -m agents.dqn" in shown
    for text in ("--env", "--seeds", "--total-timesteps", "--eval-episodes", "--target-update-interval", "CartPole-v1"):
        assert text in shown


def test_a_bad_option_ends_with_an_error(capsys):
    with pytest.raises(SystemExit):
        main(DQN, {}, [*RUN, "--no-such", "1"])
    assert "no-such" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--env", "NoSuchEnv-v0"], "NoSuchEnv"),
        (["--env", "no_such_package:Env-v0"], "No module named 'no_such_package'"),
        (["--env", "Pendulum-v1"], "action_space must be Discrete for DQN"),
        (["--seeds", "0"], "seeds must be at least 1, got 0"),
        (["--total-timesteps", "-5"], "total_timesteps must be at least 1, got -5"),
        (["--eval-episodes", "-1"], "eval_episodes must be at least 0"),
        (["--checkpoint-every", "0", "--checkpoint", "CHECKPOINT"], "every must be at least 1"),
        (["--save", "FILE/agent"], "FILE"),
        (["--checkpoint", "FILE/run"], "FILE"),
        (["--save", "FOLDER.d"], "FOLDER.d is a folder"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_training(wrong, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER.d").mkdir()
    monkeypatch.setattr(DQN, "learn", lambda *args, **keywords: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as left:
        main(DQN, {}, [*RUN, *wrong])
    assert left.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "python -m agents.dqn: error: " in line and said in line]
    assert len(lines) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["FILE", "FOLDER.d"]
