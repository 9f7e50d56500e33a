import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.study.folds import folds_of
from benchmarks.study.job import jobs_of
from benchmarks.study.ledger import Ledger
from benchmarks.study.suite import Suite
from benchmarks.study.tuning.journal import alone
from benchmarks.study.tuning.run import Tuning
from benchmarks.study.tuning.trial import Trial
from trading_env import load

TEXT = """
name = "mine"
data = ["us-stocks/IBM"]
seeds = 2

[env]
window = 3  # bars
actions = [0.0, 1.0]

[walk_forward]
folds = 2
test = 0.3
validation = 50

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
agent = "DQN"
steps = 120
hyperparameters = { buffer_size = 2_000 }  # few

[[contenders]]
sb3 = "A2C"
steps = 60
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.toml").write_text(TEXT)
    return tmp_path / "mine.toml"


def line_of(file, folder="results", contender="DQN"):
    place = ["--folder", str(file.parent / folder), "--no-progress"]
    return ["tune", str(file), "--contender", contender, *place, "--processes", "0"]


def tuning_of(file, folder="results", contender=1):
    suite, place = Suite.read(file), file.parent / folder
    return Tuning(suite, suite.contenders[contender], place / "mine", Ledger(place / "ledger.jsonl"))


def outcome(result):
    return {name: result[name] for name in ("trial", "hyperparameters", "scores", "score")}


def start(file):
    program = "import sys; from benchmarks.__main__ import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, *line_of(file), "--trials", "4"]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)


def test_a_killed_tuning_goes_on_with_the_trials_that_it_would_have_had(file):
    alone = list(tuning_of(file, "alone").run(3, 0))
    running = start(file)
    tuning = tuning_of(file)
    deadline = time.monotonic() + 300
    while tuning.result(0) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.wait()
    kept = tuning._file(0).stat().st_mtime_ns
    with open(tuning.folder / "journal.log", "ab") as journal:
        journal.write(b'{"op_code":4,"wor')  # what a kill in the middle of a line leaves
    rest = list(tuning_of(file).run(3, 0))
    assert len(rest) < 3
    assert tuning._file(0).stat().st_mtime_ns == kept
    results = sorted(tuning_of(file).results(), key=lambda one: one["trial"])
    assert list(map(outcome, results)) == list(map(outcome, alone))
    lines = Ledger(file.parent / "results" / "ledger.jsonl").lines()
    assert {line["event"] for line in lines} == {"tried"}  # no test was opened
    assert Ledger(file.parent / "results" / "ledger.jsonl").trials({line["data"] for line in lines}) == (3, 0.0)


def test_programs_at_once_share_exactly_so_many_trials(file):
    other = start(file)
    list(tuning_of(file).run(4, 0))
    assert other.wait(300) == 0
    numbers = [line["trial"] for line in Ledger(file.parent / "results" / "ledger.jsonl").lines()]
    assert sorted(numbers) == [0, 1, 2, 3]
    assert sorted(one["trial"] for one in tuning_of(file).results()) == [0, 1, 2, 3]
    assert len({str(one["hyperparameters"]) for one in tuning_of(file).results()}) == 4


def test_a_program_waits_while_another_one_claims_a_trial(file):
    tuning, claimed = tuning_of(file), []
    for path in (tuning.folder / "claims", tuning.folder / "journal.log"):
        claim = threading.Thread(target=lambda: claimed.append(tuning._claim(3)))
        with alone(path):
            claim.start()
            claim.join(0.5)
            assert claim.is_alive()
        claim.join(60.0)
    assert claimed == [0, 1]


def test_a_trial_that_a_program_trains_is_no_other_ones_until_that_program_ends(file):
    one, other = tuning_of(file), tuning_of(file)
    assert one._claim(1) == 0
    assert other._claim(1) is None
    assert one._claim(1) is None  # it has it already
    one._held.pop(0).release()  # as if it was killed
    assert other._claim(1) == 0


def test_the_command_tunes_trains_a_trial_again_and_writes_the_best(file, capsys):
    assert main([*line_of(file), "--trials", "3"]) == 0
    printed = capsys.readouterr().out
    assert "3 trials, of which 0 failed" in printed
    assert main([*line_of(file), "--trial", "1"]) == 0
    assert "the same as before" in capsys.readouterr().out
    assert file.read_text() == TEXT
    assert main([*line_of(file), "--trials", "3", "--write"]) == 0
    best = tuning_of(file).results()[0]["hyperparameters"]
    changed = Suite.read(file)
    assert changed.contenders[1].hyperparameters == best
    assert best["buffer_size"] == 2_000
    old, new = TEXT.splitlines(), file.read_text().splitlines()
    assert [a for a, b in zip(old, new, strict=True) if a != b] == ["hyperparameters = { buffer_size = 2_000 }  # few"]
    lines = Ledger(file.parent / "results" / "ledger.jsonl").lines()
    tried = {line["config"] for line in lines}
    assert len(tried) == 3
    assert next(job for job in jobs_of(changed) if job.contender == "DQN").config in tried  # its test is no new trial
    assert main([*line_of(file), "--trial", "0"]) == 0  # what was written does not begin another tuning


def test_a_trial_of_stable_baselines3_is_the_same_again(file, capsys):
    assert main([*line_of(file, contender="SB3 A2C"), "--trials", "1"]) == 0
    assert main([*line_of(file, contender="SB3 A2C"), "--trial", "0"]) == 0
    assert "the same as before" in capsys.readouterr().out


def test_a_score_is_the_same_whatever_comes_after_the_validation_stretch(file, tmp_path):
    bars = load("us-stocks/IBM").to_frame().rename_axis("date")
    suite = Suite.read(file)
    first = folds_of(load("us-stocks/IBM"), suite.walk_forward, suite.purge)[0]
    scores = []
    for name, factor in (("as.csv", 1.0), ("other.csv", 1.2)):
        changed = bars.copy()
        changed.loc[changed.index[first.validation[1] :], ["open", "high", "low", "close"]] *= factor
        changed.to_csv(tmp_path / name)
        suite = replace(suite, data=(str(tmp_path / name),))
        scores.append(Trial(0, suite, suite.contenders[1]).scores(str(tmp_path / name)))
    assert scores[0] == scores[1]
    assert np.isfinite(scores[0]).all()


def test_a_trial_that_fails_has_its_error_and_counts(file, monkeypatch, capsys):
    scores = Trial.scores

    def some(trial, dataset):
        if trial.number != 1:
            raise RuntimeError(f"trial {trial.number} on purpose")
        return scores(trial, dataset)

    monkeypatch.setattr(Trial, "scores", some)
    assert main([*line_of(file), "--trials", "3"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "3 trials, of which 2 failed" in printed
    assert "trial 2 failed: RuntimeError: trial 2 on purpose" in printed
    assert "on purpose" in tuning_of(file).result(0)["traceback"]
    assert {line["trial"] for line in Ledger(file.parent / "results" / "ledger.jsonl").lines()} == {0, 1, 2}
    monkeypatch.setattr(Trial, "scores", lambda trial, dataset: [float("-inf"), 0.0])
    assert main([*line_of(file, "ruined"), "--trials", "1"]) == 1
    assert "a seed was ruined" in tuning_of(file, "ruined").result(0)["error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--contender", "PPO"], "contender must be one of ['buy_and_hold', 'DQN', 'SB3 A2C'], got 'PPO'"),
        (["--contender", "buy_and_hold"], "contender must be an agent"),
        (["--trials", "0"], "trials must be at least 1"),
        (["--trial", "7"], "trial must be one of the 0 trials there are, got 7"),
        (["--trial", "0", "--write"], "write cannot be given with trial"),
        (["--processes", "-1"], "processes must be in"),
    ],
)
def test_wrong_options_are_refused_in_a_line(file, capsys, options, message):
    with pytest.raises(SystemExit) as left:
        main([*line_of(file), *options])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_built_in_suite_is_never_written(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["tune", "smoke", "--contender", "DQN", "--write", "--folder", str(tmp_path / "results")])
    assert "a built-in suite is never written: copy" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()
