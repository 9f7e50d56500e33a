import json

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import main
from benchmarks.statistics import mean_sharpe

TEXT = """
name = "mine"
data = ["us-stocks/IBM", "us-stocks/MSFT"]
seeds = 2
points = 2

[env]
window = 3
actions = [0.0, 1.0]

[walk_forward]
folds = 2
test = 0.3
validation = 50

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
strategy = "flat"

[[contenders]]
random = 20.0
seeds = 3

[[contenders]]
agent = "DQN"
steps = 200
hyperparameters = { net_arch = [8] }

[[contenders]]
make = "tests_contender:make"
"""
MODULE = """
def make(train, validation, keywords, seeds):
    assert len(train) < len(validation) and train.first == 0
    return [lambda obs: 1 for _ in seeds]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "mine.toml").write_text(TEXT)
    (folder / "tests_contender.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        line = ["run", str(folder / "mine.toml"), "--folder", str(folder / "results"), "--processes", "0"]
        assert main([*line, "--no-progress"]) == 0
        yield folder, line


def test_the_table_and_the_sentence_are_printed_and_written(study, capsys):
    folder, line = study
    assert main(line) == 0
    printed = capsys.readouterr()
    for words in ("buy_and_hold", "SPA", "(ledger)", "four times in five", "deflated Sharpe ratio"):
        assert words in printed.out
    assert "20/20 kept: make on us-stocks/MSFT, fold 1, seeds 0-1" in printed.err
    results = json.loads((folder / "results" / "mine" / "results.json").read_text())
    assert list(results["contenders"]) == ["buy_and_hold", "flat", "random", "DQN", "make"]
    assert results["trials"]["count"] == 5
    assert results["contenders"]["flat"]["sharpe"]["mean"] is None
    held, own = results["contenders"]["buy_and_hold"], results["contenders"]["make"]
    assert own["sharpe"]["mean"] == pytest.approx(held["sharpe"]["mean"], rel=1e-6)  # always long, as holding is


def test_numbers_are_those_of_the_kept_rows(study, capsys):
    folder, line = study
    main(["rows", *line[1:4], "--csv", str(folder / "rows.csv"), "--parquet", str(folder / "rows.parquet")])
    frame = pd.read_csv(folder / "rows.csv")
    assert len(frame) == 2 * 2 * (1 + 1 + 3 + 2 + 2)
    pd.testing.assert_frame_equal(frame, pd.read_parquet(folder / "rows.parquet"), check_dtype=False)
    results = json.loads((folder / "results" / "mine" / "results.json").read_text())
    mine = frame[frame.contender == "DQN"]
    assert results["contenders"]["DQN"]["annual_return"] == pytest.approx(mine.annual_return.mean())
    assert (mine.steps == 200).all()
    assert main(["rows", *line[1:4]]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("dataset,fold,contender,seed")


def test_a_study_of_one_dataset_and_fold_is_the_interval_of_its_returns(study, tmp_path):
    text = TEXT.replace(', "us-stocks/MSFT"', "").replace("folds = 2", "folds = 1")
    (tmp_path / "one.toml").write_text(text.replace("mine", "one"))
    line = ["run", str(tmp_path / "one.toml"), "--folder", str(tmp_path / "results"), "--processes", "0"]
    assert main([*line, "--no-progress"]) == 0
    results = json.loads((tmp_path / "results" / "one" / "results.json").read_text())
    from benchmarks.study.rows import Row

    rows = [Row.read(path) for path in (tmp_path / "results" / "one" / "rows").glob("*.npz")]
    random = next(row for row in rows if row.contender == "random")
    expected = mean_sharpe(random.returns, random.bars_per_year)
    kept = results["contenders"]["random"]["sharpe"]
    assert kept["mean"] == pytest.approx(expected.value)
    np.testing.assert_allclose(kept["interval_95"], expected.interval())


def test_one_job_can_be_run_alone_and_shards_meet(study, tmp_path, capsys):
    _, line = study
    elsewhere = [*line[:2], "--folder", str(tmp_path), "--processes", "0", "--no-progress"]
    assert main([*elsewhere, "--shard", "2/9"]) == 0
    assert "rows are missing" in capsys.readouterr().out
    kept = list((tmp_path / "mine" / "rows").glob("*.npz"))
    assert len(kept) == 3
    name = kept[0].stem
    kept[0].unlink()
    assert main([*elsewhere, "--job", name]) == 0
    assert kept[0].exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "3/2"], "shard must be i/n"),
        (["--job", "abc"], "job must be the id of a job"),
        (["--seeds", "0"], "seeds must be at least 1"),
        (["--processes", "-1"], "processes must be in"),
    ],
)
def test_wrong_options_are_refused_in_a_line(study, capsys, options, message):
    with pytest.raises(SystemExit) as left:
        main([*study[1], *options])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_dataset_too_short_is_refused_before_any_training(study, tmp_path, capsys):
    (tmp_path / "short.toml").write_text(TEXT.replace("MSFT", "FB").replace("validation = 50", "validation = 150"))
    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "short.toml"), "--folder", str(tmp_path)])
    assert "has 196 bars, too few for walk_forward" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()


def test_suites_are_listed(study, capsys):
    assert main(["list", "--folder", str(study[0] / "results")]) == 0
    assert "smoke" in capsys.readouterr().out
