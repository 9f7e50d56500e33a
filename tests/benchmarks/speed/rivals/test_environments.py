import subprocess

import pytest

from benchmarks.speed.rivals import environments
from benchmarks.speed.rivals.environments import NotInstalledError, python_of


@pytest.fixture
def pip(monkeypatch):
    """The commands that would have run, and whether they fail."""
    ran, fails = [], []

    def run(command, **options):
        ran.append(command[1:])
        if fails:
            stderr = "Collecting it\nERROR: No matching distribution found for it\nNote: all is lost"
            raise subprocess.CalledProcessError(1, command, stderr=stderr)

    monkeypatch.setattr(environments.subprocess, "run", run)
    monkeypatch.setattr(environments.venv, "create", lambda place, **options: place.mkdir(parents=True, exist_ok=True))
    return ran, fails


def test_an_environment_is_made_once_and_anew_if_its_requirements_change(tmp_path, pip):
    ran, _ = pip
    assert python_of("it", ["a==1", "b"], tmp_path).is_relative_to(tmp_path / "it")
    python_of("it", ("a==1", "b"), tmp_path)
    assert ran == [["-m", "pip", "install", "--quiet", "a==1", "b"]]
    python_of("it", ["a==2", "b"], tmp_path)
    assert len(ran) == 2


def test_a_failed_installation_is_said_in_pips_words_and_tried_again(tmp_path, pip):
    ran, fails = pip
    fails.append(True)
    with pytest.raises(NotInstalledError, match=r"^ERROR: No matching distribution found for it$"):
        python_of("it", ["it"], tmp_path)
    fails.clear()
    python_of("it", ["it"], tmp_path)
    assert len(ran) == 2


def test_environments_lie_in_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert environments.cache_folder() == tmp_path / "trading-env" / "rivals"
