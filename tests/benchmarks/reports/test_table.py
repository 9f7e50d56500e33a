"""Tables in terminals of several widths: names whole, numbers whole, markup as text."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.reports import table as tables
from benchmarks.reports.table import Columns

ROOT = Path(__file__).parents[3]
NAMES = ("moving_average_crossover", "time_series_momentum", "volatility_target", "a[/b] :smile: \x1b[31m\n$\\frac$|")
SUMMARY = {"median": -0.123, "low": -12.0, "high": 34.5, "defined": 10}
ROW = {
    "seeds": 10,
    "summary": dict.fromkeys(("total_return", "sharpe", "sharpe_se", "max_drawdown", "turnover"), SUMMARY),
    "sharpe": {"mean": -0.123, "standard_error": 0.56, "interval_95": [-0.35, 1.22]},
    "sharpe_minus_buy_and_hold_95": [-0.35, 1.22],
    "training_steps_per_second": 123456.0,
}
RESULTS = {
    "settings": {"total_timesteps": 1, "seeds": 1, "commission": 0.0, "slippage": 0.0, "fill": "close"},
    "data": {
        "name": "b[bold].csv \x1b[2J",
        "train": {"first": "2000-01-01", "last": "2001-01-01", "bars": 9},
        "test": {"first": "2000-01-01", "last": "2001-01-01", "bars": 9},
        "metadata": {},
    },
    "rows": dict.fromkeys((*NAMES, "dqn", "sb3_dqn"), ROW),
    "sharpe_differences": {"dqn": {"random": {"value": 0.1, "interval": [-0.5, 0.7], "detectable": 0.9}}},
}
FORECAST = {
    "settings": {"horizon": 5},
    "markets": {
        "folder/my own market.csv": {
            "survivorship_biased": False,
            "forecasters": {
                "mean_of_20": {
                    **dict.fromkeys(("rmse", "mae", "malr", "directional_accuracy", "skill"), 123.456),
                    "skill_interval_95": [-0.5, 0.25],
                    "clark_west_p": 0.25,
                }
            },
            "traders": {
                name: {
                    **dict.fromkeys(("total_return", "sharpe", "max_drawdown", "turnover", "exposure"), 12.5),
                    "sharpe_minus_buy_and_hold_95": [-0.35, 1.22],
                }
                for name in ("mean_of_20", "buy_and_hold")
            },
        }
    },
}
PROGRAM = """
import json, sys
import numpy as np
from benchmarks.evaluation.control import Control
from benchmarks.reports import certify, compare, curves, forecast
from benchmarks.reports import table as tables
from benchmarks.speed import agents, envs, lstm, run, scale, sb3
from benchmarks.speed.timing import Measured, Part
from benchmarks.study.certificates.certified import Certificate
from benchmarks.study.certificates.settings import CertifySettings
from benchmarks.study.learning_curves import Curve
from benchmarks.suites import counterfactual
from benchmarks.tasks.entries import ENTRIES

given, wide = json.load(open(sys.argv[1])), sys.argv[2] == "wide"
print("== compare")
compare.print_comparison(given["compare"], wide=wide)
print("== forecast")
forecast.show(given["forecast"], wide=wide)
print("== curves")
points = np.linspace(1.0, 123456.0, 3)
curve = Curve(points, points, np.outer([400.0, 450.5, 500.0], [0.1, 0.9, 1.0]))
curves.print_curves({("CartPole-v1", "DQN", side): curve for side in ("ours", "sb3")}, wide)
print("== certify")
rewards = np.full((3, 2, 2), 0.0023)
certificates = [Certificate(entry, points, points, rewards, np.full(2, 0.002334)) for entry in ENTRIES]
control = Control("shuffled", -0.000123, (-0.000234, 0.000012), "the interval must not lie above 0, " * 4, False)
certify.show(certificates, [control], CertifySettings(wide=wide))
print("== counterfactual")
pairs = {(case.task, name, "ours"): curve for case in counterfactual.CASES for name in ("DQN", "CounterfactualDQN")}
tables.show(counterfactual.table(pairs), tables.console_of(), wide)
print("== speed")
goals = [goal for module in (agents, envs, lstm, scale, sb3) for goal in module.GOALS]
rates = {name: [123456.7] for goal in goals for name in (goal.contender, goal.peer)}
run.print_speed({"all": Part(rates, [Measured(goal.name, 12.34, goal.at_least) for goal in goals], [], {})}, wide)
"""
WHOLE = {  # names that no width may cut, of each kind
    "compare": ("moving_average_crossover", "volatility_target", "sb3_dqn", "-1200 to 3450%", "-0.12 ± 0.56"),
    "forecast": ("folder/my own market.csv", "mean_of_20", "-50.00 to 25.00", "-0.35 to 1.22"),
    "curves": ("CartPole-v1", "Stable-Baselines3", "326.0 to 574.4", "less SB3's"),
    "certify": ("SB3 DQN", "shuffled", "98.5% to 98.5%", "at least 99.0%", "NO", "score"),
    "counterfactual": ("regime, observed", "Ornstein-Uhlenbeck", "counterfactual", "ratio"),
    "speed": (
        "one env against gym-anytrading, neither wrapped",
        "TradingEnv x 1024, random starts",
        "12.34 x",
        "yes",
    ),
}


def in_terminal(arguments, width):
    """What the program prints in a terminal of that width, line by line."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdin=follower, stdout=follower, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        said = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # the end, on Linux
                break
            if not part:
                break
            said += part
        assert process.wait(300) == 0, said.decode()
    os.close(leader)
    return re.sub(r"\x1b\[[01]m", "", said.decode()).replace("\r\n", "\n").split("\n")  # headings are bold


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """The file of the results that the program shows."""
    path = tmp_path_factory.mktemp("results") / "given.json"
    path.write_text(json.dumps({"compare": RESULTS, "forecast": FORECAST}))
    return str(path)


def kinds(lines):
    """The lines of each kind of table."""
    found = {}
    for line in lines:
        if line.startswith("== "):
            part = found.setdefault(line[3:], [])
        else:
            part.append(line)
    return found


@pytest.mark.parametrize("width", [80, 100, 140])
def test_every_table_fits_a_terminal_with_whole_names_and_says_what_is_left_out(given, width):
    found = kinds(in_terminal([given, "narrow"], width))
    assert found.keys() == WHOLE.keys()
    for kind, lines in found.items():
        for word in WHOLE[kind]:
            assert any(word in line for line in lines), (kind, word)
        assert max(map(len, lines)) <= width, (kind, max(lines, key=len))
        assert not any("…" in line or "\x1b" in line for line in lines)
    left_out = " ".join(found["compare"]).partition("Left out for lack of room: ")[2]
    assert left_out.startswith({80: "seeds, max", 100: "seeds, turn", 140: ""}[width])


def test_wide_shows_all_columns_whatever_the_terminal(given):
    found = kinds(in_terminal([given, "wide"], 80))
    assert not any("Left out" in line for lines in found.values() for line in lines)
    for kind, words in {
        "compare": ("123,456", "per year", "seeds"),
        "forecast": ("RMSE %", "exposure"),
        "curves": ("threshold", "of"),
        "certify": ("worst seed", "made", "optimum"),
    }.items():
        for word in words:
            assert any(word in line for line in found[kind]), (kind, word)


def shown(columns, width):
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        tables.show(columns, console)
    return captured.get()


def test_columns_are_left_out_in_their_order_and_never_names():
    rows = [["a_name_of_some_length", "1" * 20, "2" * 20, "3" * 20]]
    columns = Columns("title", ["policy"], ["a", "b", "c"], rows, spare=["b"])
    assert "Left out" not in shown(columns, 100)
    narrower = shown(columns, 75)
    assert "2" * 20 not in narrower
    assert "1" * 20 in narrower
    assert "3" * 20 in narrower
    assert "Left out for lack of room: b; --wide shows all." in narrower
    assert "3" * 20 not in shown(columns, 50)
    narrowest = shown(columns, 10)
    assert "a_name_of_some_length" in narrowest
    assert "…" not in narrowest


def test_names_that_leave_no_room_are_broken_between_words():
    rows = [
        ["many words that say what is measured here, and how", "with a case of some thirty letters", "1" * 9, "2" * 9]
    ]
    text = shown(Columns("title", ["what", "case"], ["a", "b"], rows, spare=["b"]), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert "1" * 9 in text
    lines = text.splitlines()
    for word in ("measured", "letters", "thirty", "how"):
        assert any(re.search(rf"\b{word}\b", line) for line in lines)


def test_without_a_terminal_a_table_has_80_columns(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    columns = Columns("title", ["policy"], ["a", "b"], [["name", "1" * 40, "2" * 40]])
    tables.show(columns, tables.console_of())
    text = capsys.readouterr().out
    assert "1" * 40 in text
    assert "2" * 40 not in text
    tables.show(columns, tables.console_of(), wide=True)
    assert "2" * 40 in capsys.readouterr().out


def test_names_are_text(capsys):
    columns = Columns("[b]t[/b]", ["[i]policy"], ["x"], [[NAMES[3], "[red]1"]])
    text = shown(columns, 100)
    for word in ("[b]t[/b]", "[i]policy", r"a[/b] :smile: \x1b[31m\n$\frac$|", "[red]1"):
        assert word in text
    console = tables.console_of()
    tables.say(["[/b] :smile: \x1b[31m"], console)
    assert capsys.readouterr().out == "[/b] :smile: \\x1b[31m\n"


def test_sentences_are_broken_and_numbers_are_not():
    columns = Columns(
        "t", ["control"], ["edge", "words"], [["null", "1.00", "it must touch 0 " * 9]], wrapped=["words"]
    )
    text = shown(columns, 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("null") == 1
