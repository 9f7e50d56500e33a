"""The examples of a backtest and a decision, in processes of their own and with warnings as errors."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trading_env import load

ROOT = Path(__file__).parents[2]


def run(name, *arguments, folder):
    """What an example prints."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_backtest_strategy_prints_the_table_and_trades_and_draws(tmp_path):
    printed = run("backtest_strategy.py", "--plot", "picture.png", folder=tmp_path)
    for name in ("breakout", "moving_average_crossover", "buy_and_hold", "holding", "entry_time", "± "):
        assert name in printed
    assert max(map(len, printed.splitlines())) <= 100
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("own", [False, True])
def test_csv_to_decision_ends_with_a_decision_after_the_last_bar(own, tmp_path):
    frame = load("us-stocks/GOOG").to_frame().loc["2008":"2012-10-31"]
    frame.to_csv(tmp_path / "mine.csv")
    printed = run("csv_to_decision.py", *(["mine.csv"] if own else []), folder=tmp_path)
    assert "seed 3" in printed
    day, close = ("2012-10-31", frame["close"].iloc[-1]) if own else ("2013-03-01", load("us-stocks/MSFT").close[-1])
    assert f"After {day}, close {close:.2f}: " in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.csv"]  # it leaves nothing behind
