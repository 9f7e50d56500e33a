"""Files of every kind that students hand in, graded by the command."""

import json
import subprocess
import sys

import pytest

from course import grading
from course.__main__ import main
from course.labs import find

DQN = find("dqn").folder


def graded(text, tmp_path, capsys, name="student.py", *options):
    path = tmp_path / name
    path.write_text(text)
    status = main(["check", "dqn", str(path), *options])
    return status, capsys.readouterr().out.splitlines()


def result_of(lines, check):
    (line,) = (line for line in lines if check in line)
    return line


def test_the_solution_has_all_points_as_text_and_as_a_notebook(capsys):
    assert main(["check", "dqn", str(DQN / "solution.py"), str(DQN / "solution.ipynb")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines.count("16 of 16 points") == 2


def test_json_has_a_line_for_each_file(tmp_path, capsys):
    status, (line,) = graded("def act(): pass\n", tmp_path, capsys, "student.py", "--json")
    found = json.loads(line)
    assert status == 1
    assert (found["lab"], found["file"], found["points"], found["of"]) == ("dqn", "student.py", 0, 16)
    assert found["results"][0] == {
        "check": "Memory.sample: five tensors of the right shapes",
        "status": "missing",
        "points": 0,
        "of": 1,
        "message": "there is no Memory.sample in the file",
    }


def test_a_file_that_does_not_parse_is_told_so_in_a_line(tmp_path, capsys):
    status, lines = graded("def act(:\n", tmp_path, capsys)
    assert status == 1
    assert lines[1].startswith("problem      student.py, line 1 does not parse: ")
    assert lines[-1] == "0 of 16 points"


def test_a_cell_that_does_not_parse_leaves_the_others(tmp_path, capsys):
    cells = ["def act(:\n", "%matplotlib inline\nimport numpy as np\n", SHARPE]
    notebook = {"cells": [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]}
    _, lines = graded(json.dumps(notebook), tmp_path, capsys, "a.ipynb")
    assert lines[1].startswith("problem      cell 1 of a.ipynb, line 1 does not parse")
    assert result_of(lines, "sharpe").startswith("ok ")


SHARPE = "def sharpe(r, n):\n    return np.mean(r) / np.std(r, ddof=1) * n**0.5\n"


def test_training_and_other_statements_are_not_run(tmp_path, capsys):
    text = f"import numpy as np\nRATE = 1\nraise SystemExit\nwhile True: pass\nagent = 1 / 0\n{SHARPE}"
    _, lines = graded(text, tmp_path, capsys)
    assert "problem" not in "".join(lines)
    assert result_of(lines, "sharpe").startswith("ok ")


def test_a_missing_import_is_a_problem_and_a_line_not_a_traceback(tmp_path, capsys):
    _, lines = graded(f"import no_such_package\n{SHARPE}", tmp_path, capsys)
    assert lines[1] == "problem      student.py, line 1: ModuleNotFoundError: No module named 'no_such_package'"
    assert "NameError: name 'np' is not defined (student.py, line 3:" in result_of(lines, "sharpe")


def test_a_loop_without_an_end_and_a_dead_process_cost_their_own_points_only(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(grading, "CHECKING", 5.0)
    loop = "def bellman_target(*_):\n    while True: pass\n"
    text = f"import os, numpy as np\n{loop}def epsilon_at(*_, **__):\n    os._exit(3)\n{SHARPE}"
    _, lines = graded(text, tmp_path, capsys)
    assert "no end after 5 seconds" in result_of(lines, "bellman_target")
    assert "the process of the check died" in result_of(lines, "epsilon_at")
    assert result_of(lines, "sharpe").startswith("ok ")


def test_exit_recursion_and_prints_of_a_solution_stay_in_their_line(tmp_path, capsys):
    text = "def epsilon_at(*_, **__):\n    print('noise'); raise SystemExit(0)\ndef sharpe(r, n): return sharpe(r, n)\n"
    _, lines = graded(text, tmp_path, capsys)
    assert "SystemExit: 0 (student.py, line 2:" in result_of(lines, "epsilon_at")
    assert "RecursionError" in result_of(lines, "sharpe")
    assert not any(line == "noise" for line in lines)


def test_grades_are_the_same_every_time_and_depend_on_the_seed_alone(tmp_path):
    path = tmp_path / "a.py"
    path.write_text("def sharpe(returns, n): return float(returns[0])\n")
    first, again, other = (grading.grade(find("dqn"), path, seed).results[-1] for seed in (0, 0, 1))
    assert first == again
    assert first.message != other.message
    assert first.message.startswith("the ratio must be ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "dqm", "a.py"], "lab must be one of "),
        (["check", "dqn", "no_such_file.py"], "No such file"),
        (["check", "dqn", "notes.txt"], "must be a .py or an .ipynb file, got notes.txt"),
        (["check", "dqn", "notes.ipynb"], "notes.ipynb is not a notebook"),
    ],
)
def test_a_wrong_lab_or_file_is_named(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "notes.ipynb"):
        (tmp_path / name).write_text("x")
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_copy_gives_the_notebook_once(tmp_path, capsys):
    assert main(["copy", "4", str(tmp_path)]) == 0
    assert (tmp_path / "dqn.ipynb").read_bytes() == (DQN / "lab.ipynb").read_bytes()
    assert main(["copy", "4", str(tmp_path)]) == 2
    assert "exists already" in capsys.readouterr().err


def test_the_module_is_a_command():
    command = [sys.executable, "-m", "course", "list"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=DQN.parents[1]).stdout
    assert "dqn" in shown


def test_an_open_hole_is_one_line_in_a_notebook():
    from course import Hole

    assert Hole("lab 4: write act")._render_traceback_() == ["Hole: lab 4: write act"]
