"""Every example runs, in a short form given by its argument, and prints what it promises."""

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
SUMMARY = r"(?s:.* on .* bars.*return.*Sharpe.*holding)"
SHORT = {  # its argument, and what it prints
    "grade_a_policy": ("40", r"optimum 262\.4 per step.*\nscore \d+\.\d%, 95% interval .* to .*\n(not )?passed"),
    "intraday_and_crypto": (
        None,
        r"stock_5min: 4680 bars, zone America/New_York, 19,656 bars per year\n(?s:.*)of fees",
    ),
    "many_envs": ("120", r"steps per second, [\d,]+ episodes, mean return [+-].*\nthe same steps again from the saved"),
    "maskable_ppo": ("1024", r"\d+ actions of \d+ days were masked; \d+ trades\nequity [\d,]+ of 100,000"),
    "one_file_a2c": ("1024", r"step 512: reward per day [+-]\d+\.\d bps, loss -?\d"),
    "own_reward_and_feature": ("300", SUMMARY),
    "recurrent_ppo": ("1024", SUMMARY),
    "sb3_ppo": ("2048", r"[\d,]+ steps per second\n" + SUMMARY),
}


@pytest.mark.parametrize("name", SHORT)
def test_an_example_runs(name, tmp_path, monkeypatch, capsys):
    argument, printed = SHORT[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [name, *([] if argument is None else [argument])])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    out = capsys.readouterr().out
    assert re.search(printed, out), out
    assert not list(tmp_path.iterdir()), "it leaves nothing behind"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_to_run_it(path):
    lines = path.read_text().splitlines()
    assert len(lines) < 60
    assert lines[0].startswith('"""')
    assert any(line.strip().startswith(f"python examples/{path.name}") for line in lines[:12])
    assert "import *" not in path.read_text()
