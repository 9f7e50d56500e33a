"""Tables in terminals of several widths: names whole, numbers whole, markup as text."""

import fcntl
import json
import os
import pty
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
    "sharpe_interval_95": [-0.35, 1.22],
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
CODE = {
    "compare": "from benchmarks.reports.compare import print_comparison as show",
    "forecast": "from benchmarks.reports.forecast import show",
}


def in_terminal(code, width):
    """What the code prints in a terminal of that width, line by line."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "dumb"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=follower, stdout=follower, stderr=follower, env=environment
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
        assert process.wait(60) == 0, said.decode()
    os.close(leader)
    return said.decode().replace("\r\n", "\n").split("\n")


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize("kind", CODE)
def test_names_and_numbers_are_whole_in_a_terminal(kind, width):
    results = {"compare": RESULTS, "forecast": FORECAST}[kind]
    lines = in_terminal(f"import json\n{CODE[kind]}\nshow(json.loads({json.dumps(results)!r}))", width)
    if kind == "compare":
        names = ("moving_average_crossover", "time_series_momentum", "volatility_target", "dqn", "sb3_dqn")
        numbers = ("-1200 to 3450%", "-0.35 to 1.22", "123,456", "-0.12 ± -0.12", "-12.0 to 34.5")
    else:
        names, numbers = ("folder/my own market.csv", "mean_of_20"), ("12345.60", "-50.00 to 25.00", "-0.35 to 1.22")
    for word in (*names, *numbers):
        assert any(word in line for line in lines), word
    table = [line for line in lines if line.startswith((" ", "─"))]
    assert max(map(len, table)) <= width
    assert not any("…" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


def shown(columns, width):
    console = Console(width=width, force_terminal=True, color_system=None)
    with console.capture() as captured:
        tables.show(columns, console)
    return captured.get()


def test_a_wide_table_comes_in_parts_that_begin_with_the_names():
    columns = Columns("title", ["policy"], ["a", "b", "c"], [["a_name_of_some_length", "1" * 20, "2" * 20, "3" * 20]])
    whole, parts = shown(columns, 100), shown(columns, 60)
    assert whole.count("a_name_of_some_length") == 1
    assert parts.count("a_name_of_some_length") == 3
    assert parts.count("title") == 1
    for digit in "123":
        assert digit * 20 in parts
    narrow = shown(columns, 10)
    assert "a_name_of_some_length" in narrow
    assert "…" not in narrow


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
