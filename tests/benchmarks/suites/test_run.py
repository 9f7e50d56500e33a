import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import main
from benchmarks.statistics import mean_sharpe
from benchmarks.study import analysis, provenance
from benchmarks.study.engines.run import rows_of
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from benchmarks.suites.run import prepared
from trading_env import hindsight

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
    for words in (
        "buy_and_hold",
        "SPA",
        "ledger",
        "four times in five",
        "deflated Sharpe",
        "hindsight",
        "not trained again",
    ):
        assert words in printed.out
    assert max(map(len, printed.out.split("All rows")[1].split("Sharpe ratios are")[0].splitlines())) <= 80
    assert f"Rows trained at commit {provenance.commit()}" in printed.out
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


def test_the_numbers_beside_the_table_are_those_of_the_rows(study):
    folder, line = study
    suite, place, jobs = prepared(line[1], folder / "results")
    rows = rows_of(jobs, place)
    results = json.loads((folder / "results" / "mine" / "results.json").read_text())
    stress = results["contenders"]["DQN"]["stress"]
    mine = [row for row in rows if row.contender == "DQN"]
    growth = [row.stress["growth_at_costs"].mean(1) * row.bars_per_year for row in mine]
    np.testing.assert_allclose(stress["growth_per_year"], np.mean(growth, axis=0))
    in_time = [row.log_returns.mean() * row.bars_per_year for row in mine]
    assert stress["growth_per_year_in_time"] == pytest.approx(np.mean(in_time))
    assert results["selection"] is None  # three random traders are too few
    bounds = {}
    for row in mine:
        fold = folds_of(data(row.dataset), suite.walk_forward, suite.purge)[row.fold]
        bounds[row.dataset, row.fold] = hindsight(fold.markets(data(row.dataset))[2], **suite.env).log_growth
    shares = [row.log_returns.sum(1).max() / bounds[row.dataset, row.fold] for row in mine]
    assert results["hindsight"] == {"largest_share": pytest.approx(max(shares)), "exceeded": []}
    gaps = [one["less_benchmark"]["detectable"] for one in results["contenders"].values() if "less_benchmark" in one]
    assert sorted(results["shown_from"].values()) == sorted(gap for gap in gaps if gap is not None)


def test_a_row_above_the_hindsight_bound_is_named(study):
    folder, line = study
    suite, place, jobs = prepared(line[1], folder / "results")
    row = next(row for row in rows_of(jobs, place) if row.contender == "DQN")
    equity = np.cumprod(np.full_like(row.curves["equity"], 1.1), axis=1)
    found = analysis.hindsight_of(suite, [replace(row, curves={**row.curves, "equity": equity})])
    assert found["exceeded"] == [["DQN", row.dataset, row.fold]]


def test_learners_are_trained_at_each_cost_and_controls_stand_beside_the_table(study, tmp_path, capsys):
    folder, line = study
    shutil.copytree(folder / "results", tmp_path / "results")
    where = [line[1], "--folder", str(tmp_path / "results")]
    options = ["--processes", "0", "--no-progress", "--controls", "DQN", "--draws", "2"]
    assert main(["stress", *where, *options]) == 0
    found = json.loads((tmp_path / "results" / "mine" / "stress.json").read_text())
    assert found["retrained"]["costs"] == [0.0, 5e-4, 1e-3, 2e-3, 5e-3]
    curves = found["retrained"]["growth_per_year"]
    assert list(curves) == ["buy_and_hold", "DQN", "make"]
    assert curves["make"] == pytest.approx(curves["buy_and_hold"], rel=1e-6)
    assert curves["buy_and_hold"] == sorted(curves["buy_and_hold"], reverse=True)
    names = [one["name"] for one in found["controls"]["rows"]]
    assert {"null market", "one-bar peek", "shuffled training returns", "hindsight bound", "changed future"} <= {*names}
    capsys.readouterr()
    assert main(["run", *where, "--processes", "0", "--no-progress"]) == 0
    printed = capsys.readouterr().out
    assert "Log growth per year, trained at each cost" in printed
    assert "Controls of DQN" in printed
    results = json.loads((tmp_path / "results" / "mine" / "results.json").read_text())
    before = json.loads((folder / "results" / "mine" / "results.json").read_text())
    for key in ("trials", "best_learner", "trials_not_in_ledger"):
        assert results[key] == before[key]  # nothing is chosen from the cost curve
    assert "Controls trained at commit" in " ".join(printed.split())
    assert results["stress"] == found
    main(["run", *where, "--processes", "0", "--no-progress", "--seeds", "1"])
    printed = capsys.readouterr().out
    for part in ("retrained", "controls"):
        assert f"WARNING: {part} of stress.json is of other rows" in " ".join(printed.split())
    assert "trained at each cost" not in printed
    assert "Controls of DQN" not in printed
    (tmp_path / "results" / "mine" / "stress.json").write_text("{")
    with pytest.raises(SystemExit, match="is no result of an earlier run"):
        main(["run", *where, "--processes", "0", "--no-progress"])


def test_controls_of_a_row_that_does_not_learn_are_refused(study, capsys):
    with pytest.raises(SystemExit):
        main(["stress", *study[1][1:4], "--no-retrain", "--controls", "flat"])
    assert "controls must name a contender that learns" in capsys.readouterr().err


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
        (["--address", "auto"], "address cannot be given for the engine local"),
        (["--engine", "ray"], "processes cannot be given for the engine ray"),
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
