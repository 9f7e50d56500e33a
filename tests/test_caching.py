"""Where no folder can be written to keep compiled code, everything works, with one warning that says what to do."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USE = """
import subprocess, sys, tempfile, warnings
{before}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import gymnasium as gym
    env = gym.make("trading_env:TradingEnv-v0")
    import agents.common.compiled, agents.common.returns
    from agents.memory.replay import Replay
warned = [str(w.message) for w in caught if "NUMBA_CACHE_DIR" in str(w.message)]
env.reset(seed=0)
print(env.step(2)[4]["bar"], len(warned), agents.common.compiled._CACHE, *warned, sep="|")
{after}
"""


def run(tmp_path, before="", after="", **environment):
    """What a process prints that has no writable home and uses copies of the packages with no writable cache."""
    for package in ("trading_env", "agents"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored, dirs_exist_ok=True)
        for folder in {path.parent for path in (tmp_path / package).rglob("*.py")}:
            (folder / "__pycache__").write_text("a file, so that no folder can be made, even by root")
    (tmp_path / "home").write_text("a file too")
    home = str(tmp_path / "home" / "user")
    names = ("HOME", "XDG_CACHE_HOME", "USERPROFILE", "LOCALAPPDATA", "MPLCONFIGDIR")
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    variables = {**kept, **dict.fromkeys(names, home), "PYTHONPATH": str(tmp_path), **environment}
    code = USE.format(before=before, after=after)
    result = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, env=variables, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_without_a_writable_folder_a_temporary_one_serves(tmp_path):
    (tmp_path / "temp").mkdir()
    after = "import os, pathlib; print(len(list(pathlib.Path(os.environ['NUMBA_CACHE_DIR']).rglob('*.nbi'))) > 0)\n"
    after += "code = 'import trading_env.kernel.lanes, agents.common.returns'\n"
    after += "print(subprocess.run([sys.executable, '-BWerror', '-c', code]).returncode)"
    line, kept, child = run(tmp_path, after=after, TMPDIR=str(tmp_path / "temp"))
    bar, warned, cached, message = line.split("|")
    assert (warned, cached, kept, child) == ("1", "True", "True", "0")
    assert int(bar) > 0
    assert "Set NUMBA_CACHE_DIR to a folder that can be written" in message
    assert str(tmp_path / "temp") in message
    assert not list((tmp_path / "temp").iterdir())  # removed at the end


@pytest.mark.parametrize("variable", [None, "NUMBA_CACHE_DIR"])
def test_a_folder_that_can_be_written_is_used_without_a_word(tmp_path, variable):
    if variable is None:
        (tmp_path / "cache").mkdir()
        variable = "XDG_CACHE_HOME"
    line, *_ = run(tmp_path, **{variable: str(tmp_path / "cache")})
    assert line.split("|")[1:] == ["0", "True"]
    assert list((tmp_path / "cache").rglob("*.nbi"))


def test_without_even_a_temporary_folder_nothing_is_kept(tmp_path):
    before = "tempfile.tempdir = '/proc/no/such/folder'"
    line, *_ = run(tmp_path, before=before, NUMBA_CACHE_DIR=str(tmp_path / "home" / "cache"))
    bar, warned, cached, message, *_ = line.split("|")
    assert int(bar) > 0
    assert (warned, cached) == ("2", "False")  # one for each package
    assert "every process compiles anew" in message
