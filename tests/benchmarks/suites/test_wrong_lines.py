"""Every wrong command line ends in one line that names what is wrong, with exit code 2, before any training."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import main
from benchmarks.speed import run as speed
from benchmarks.study.certificates.job import jobs_of
from benchmarks.study.certificates.settings import CertifySettings, chosen
from benchmarks.suites import certify, compare, counterfactual, curves, forecast, run, sensitivity, stress

ROOT = Path(__file__).parents[3]
WORK = ((compare, "finish"), (forecast, "finish"), (speed, "measure"), (curves, "finish"))
WORK += (
    (run, "finish"),
    (stress, "finish"),
    (sensitivity, "finish"),
    (certify, "train_missing"),
    (certify, "controls_of"),
    (counterfactual, "finish"),
)

WRONG = {  # the line: what its error must hold
    "compere": "compere",
    "--quick": "--quick",
    "compare --nope 3": "--nope",
    "compare 7": "7",
    "compare --demo=yes": "--demo",
    "compare --allow-short no": "--allow-short",
    "compare --seeds": "--seeds",
    "compare --seeds x": "--seeds",
    "compare --seeds 0": "seeds",
    "compare --seeds 1000000000": "seeds",
    "compare --total-timesteps 0": "total_timesteps",
    "compare --total-timesteps 1e5": "--total-timesteps",
    "compare --data nope.csv": "nope.csv",
    "compare --data us-stocks/NOPE": "us-stocks/NOPE",
    "compare --data FOLDER": "FOLDER",
    "compare --data empty.csv": "empty.csv",
    "compare --data timeless.csv": "split",
    "compare --data short.csv --split 2020-01-10": "",
    "compare --data us-stocks/FB": "split",
    "compare --split 1800-01-01": "split",
    "compare --split 2999-01-01": "split",
    "compare --split soon": "split",
    "compare --split ": "split",
    "compare --window 0": "window",
    "compare --window 100000": "window",
    "compare --episode-length 0": "episode_length",
    "compare --episode-length 1000000": "episode_length",
    "compare --fill never": "--fill",
    "compare --commission -1": "commission",
    "compare --commission nan": "commission",
    "compare --slippage 2": "slippage",
    "compare --random-seeds 0": "random_seeds",
    "compare --processes 0": "processes",
    "compare --learning-rate -1": "learning_rate",
    "compare --gamma 1.5": "gamma",
    "compare --batch-size 0": "batch_size",
    "compare --buffer-size -5": "buffer_size",
    "compare --net-arch 0": "net_arch",
    "compare --exploration-fraction 7": "exploration_fraction",
    "compare --name ../elsewhere": "name",
    "compare --name ": "name",
    "compare --folder FILE": "folder",
    "certify --problems nope": "problems",
    "certify --problems": "problems",
    "certify --agents NOPE": "agents",
    "certify --sides theirs": "sides",
    "certify --problems ritter --agents PPO": "PPO",
    "certify --seeds 0": "seeds",
    "certify --points -1": "points",
    "certify --quick --quick-": "--quick-",
    "certify --docs --problems regime": "docs",
    "certify --docs --quick": "docs",
    "certify --folder FILE": "folder",
    "certify --table FILE/x.md": "table",
    "certify --figure x.nope": "figure",
    "certify --no-train": "nothing to report",
    "certify --folder damaged --problems drift --agents PPO --sides ours": "is no row of a study",
    "curves --algorithms SAC": "--algorithms",
    "curves --algorithms": "algorithms",
    "curves --envs Nope-v0": "--envs",
    "curves --budget-scale 0": "budget_scale",
    "curves --budget-scale inf": "budget_scale",
    "curves --processes 0": "processes",
    "curves --episodes 0": "episodes",
    "curves --docs --envs regime": "docs",
    "curves --figure FILE/x.png": "figure",
    "curves --folder old": "PPO-ours.json",
    "forecast --data": "data",
    "forecast --data nope.parquet": "nope.parquet",
    "forecast --data us-stocks/GOOG us-stocks/GOOG": "data",
    "forecast --data us-stocks/FB": "us-stocks/FB",
    "forecast --data timeless.csv": "timeless.csv",
    "forecast --window 5": "window",
    "forecast --window 1000000": "window",
    "forecast --horizon 0": "horizon",
    "forecast --horizon 1000000": "us-stocks/AAPL",
    "forecast --folds 0": "folds",
    "forecast --folds 1000000": "folds",
    "forecast --first-test 2": "first_test",
    "forecast --first-test 0.0001": "first_test",
    "forecast --validation 1000000": "validation",
    "forecast --margins": "margins",
    "forecast --margins -1": "margins",
    "forecast --margins nan": "margins",
    "forecast --commission -1": "commission",
    "forecast --jobs 0": "jobs",
    "forecast --trees 0": "trees",
    "forecast --name .": "name",
    "speed --parts nope": "--parts",
    "speed --parts": "parts",
    "speed --env Nope-v0": "--env",
    "speed --folder FILE": "folder",
    "speed --name a/b": "name",
    "run smoke --processes -1": "processes",
    "run smoke --folder FILE": "folder",
    "rows gone.toml": "gone.csv",
    "stress smoke --processes -1": "processes",
    "stress smoke --controls nope": "controls",
    "stress smoke --controls buy_and_hold": "controls",
    "stress smoke --folder FILE": "folder",
    "stress smoke --folder broken": "stress.json",
    "tune smoke --contender DQN --processes -1": "processes",
    "sensitivity --processes -1": "processes",
    "sensitivity --rates 1e-3 inf": "rates",
    "sensitivity --folder FILE": "folder",
    "again smoke --seeds 0": "seeds",
    "counterfactual --seeds 0": "seeds",
    "counterfactual --seeds 2.5": "--seeds",
    "counterfactual --budget 3": "--budget",
}


GONE = """
name = "gone"
data = ["gone.csv"]
benchmark = "flat"

[walk_forward]
folds = 2

[[contenders]]
strategy = "flat"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with files that no experiment can use, in which nothing trains."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").touch()
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "empty.csv").touch()
    close = np.linspace(100.0, 120.0, 400)
    bars = pd.DataFrame({"open": close, "high": close, "low": close, "close": close, "volume": 1.0})
    bars.to_csv(tmp_path / "timeless.csv", index=False)
    short = bars[:20].assign(date=pd.date_range("2020-01-01", periods=20).astype(str))
    short.to_csv(tmp_path / "short.csv", index=False)
    (tmp_path / "old" / "regime").mkdir(parents=True)
    (tmp_path / "old" / "regime" / "PPO-ours.json").write_text("{}")
    (tmp_path / "damaged" / "rows").mkdir(parents=True)
    settings = CertifySettings(problems=("drift",), agents=("PPO",), sides=("ours",))
    job = next(jobs_of(list(chosen(settings)), settings.seeds, settings.points))
    (tmp_path / "damaged" / "rows" / f"{job.id}.npz").write_text("PK")
    (tmp_path / "gone.toml").write_text(GONE)
    (tmp_path / "broken" / "smoke").mkdir(parents=True)
    (tmp_path / "broken" / "smoke" / "stress.json").write_text("{")
    for module, work in WORK:
        monkeypatch.setattr(module, work, lambda *args, **keywords: pytest.fail("it trains"))
    return tmp_path


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_ends_in_one_line_that_names_what_is_wrong(line, place, capsys):
    words = line.split(" ")
    try:
        code = main(words)
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert code == 2
    assert len(said.err.splitlines()) == 1, said.err
    assert said.err.startswith("python -m benchmarks")
    assert ": error: " in said.err
    assert WRONG[line] in said.err


def test_a_process_ends_with_code_2_and_one_line(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "compare", "--data", "nope\x1b[2J.csv"]
    environment = {"PYTHONPATH": str(ROOT), "COLUMNS": "60", "HOME": str(tmp_path)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.count("\n") == 1
    assert "\x1b" not in ended.stderr
    assert "nope" in ended.stderr


@pytest.mark.parametrize("words", [["benchmarks"], ["benchmarks", "compare", "--help"], ["agents.dqn", "--help"]])
def test_help_that_nobody_reads_on_ends_quietly(words, tmp_path):
    command = f"{sys.executable} -m {' '.join(words)} | true; exit ${{PIPESTATUS[0]}}"
    environment = {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    ended = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, env=environment)
    assert (ended.returncode, ended.stderr) == (1, "")
