"""The lower bounds of pyproject.toml are those that `make lowest` installs."""

import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "lowest.py"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_dependency_of_core_and_agents_is_at_its_lower_bound():
    command = [sys.executable, str(SCRIPT), "agents"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    wanted = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["agents"]]
    expected = [line.replace(">=", "==") for line in wanted if not line.startswith("torch")]
    assert [line for line in lines if line in expected] == expected
    assert "torch==2.13.0" in lines  # see the script: the one build that is small
    assert any(line.startswith("tyro==") and line != "tyro==0.9" for line in lines)


def test_a_dependency_without_a_lower_bound_is_named(tmp_path, monkeypatch):
    lowest = runpy.run_path(str(SCRIPT))["lowest"]
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["numpy"]\n[project.optional-dependencies]\ndev = []\n')
    monkeypatch.setitem(lowest.__globals__, "PROJECT", project)
    with pytest.raises(ValueError, match="a dependency must have a lower bound and nothing else, got 'numpy'"):
        lowest()
