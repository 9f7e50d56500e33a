import contextlib
import io
import json
import math
import re
import sys
from dataclasses import asdict
from importlib import import_module

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from benchmarks.__main__ import main
from benchmarks.contenders.settings import DEMO, CompareSettings, Hyperparameters, gathered, parse
from benchmarks.reports import compare as report
from benchmarks.study import job
from benchmarks.study.folds import folds_of
from benchmarks.study.forecast_settings import ForecastSettings
from benchmarks.study.job import data, jobs_of, keywords_of
from benchmarks.study.ledger import Ledger
from benchmarks.study.suite import Suite
from benchmarks.suites import compare
from trading_env import load
from trading_env.analysis import metrics

ROWS = (*compare.RULES, "random", "forecast", "dqn", "sb3_dqn")
TINY = {
    "--name": "tiny",
    "--data": "us-stocks/IBM",
    "--split": "2012-09-04",
    "--seeds": "2",
    "--total-timesteps": "300",
    "--window": "5",
    "--episode-length": "60",
    "--learning-starts": "50",
    "--net-arch": "16",
    "--random-seeds": "7",
}


CONTENDERS = """
import numpy as np

GIVEN = []


class Always:
    def __init__(self, action):
        self.action = action

    def predict(self, observation, state=None, episode_start=None, deterministic=True):
        return np.full(len(observation), self.action), state


def holder(train, validation, keywords, seeds):
    GIVEN.append((train, validation, keywords, seeds))
    return [Always(2) for _ in seeds]


def nothing(train, validation, keywords, seeds):
    return "nothing"


def forgetful(train, validation):
    return Always(2)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A module of contenders that can be imported."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_contenders.py").write_text(CONTENDERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield import_module("own_contenders")
    sys.modules.pop("own_contenders")


@pytest.fixture(scope="module")
def written(tmp_path_factory, own):
    """The folder and the printed text of a whole comparison with a tiny budget."""
    folder, printed = tmp_path_factory.mktemp("results"), io.StringIO()
    options = [word for option in TINY.items() for word in option]
    options += ["--contender", "own_contenders:holder"]
    with contextlib.redirect_stdout(printed):
        assert main(["compare", *options, "--no-progress", "--folder", str(folder)]) == 0
    return folder / "tiny", printed.getvalue()


@pytest.fixture(scope="module")
def results(written):
    return json.loads((written[0] / "results.json").read_text())


def test_every_row_has_every_seed_and_every_metric(results):
    assert tuple(results["rows"]) == (*ROWS, "own_contenders:holder")
    assert 0.0 < results["rows"]["volatility_target"]["metrics"]["exposure"][0] < 1.0
    assert [row["seeds"] for row in results["rows"].values()] == [1, 1, 1, 1, 1, 7, 1, 2, 2, 2]
    for row in results["rows"].values():
        for name in ("total_return", "sharpe", "sharpe_se", "max_drawdown", "turnover"):
            assert len(row["metrics"][name]) == row["seeds"]
            assert set(row["summary"][name]) == {"median", "low", "high", "defined"}
    for name in ("dqn", "sb3_dqn"):
        assert results["rows"][name]["training_steps_per_second"] > 0
        assert len(results["rows"][name]["sharpe_minus_buy_and_hold_95"]) == 2
    assert results["rows"]["flat"]["metrics"]["sharpe"] == [None]


def test_settings_versions_and_periods_are_kept(results):
    assert results["settings"]["total_timesteps"] == 300
    assert results["settings"]["dqn"]["net_arch"] == [16]
    assert results["data"]["train"]["last"] < results["data"]["test"]["first"] == "2012-09-04"
    assert results["data"]["metadata"]["survivorship_biased"] is True
    assert {"python", "torch", "stable-baselines3", "gymnasium"} <= set(results["versions"])


def test_the_saved_curves_give_the_saved_metrics(written, results):
    frame = pd.read_parquet(written[0] / "equity.parquet")
    assert list(frame.columns) == ["time", "policy", "seed", "equity"]
    for (policy, seed), curve in frame.groupby(["policy", "seed"]):
        saved = results["rows"][policy]["metrics"]
        assert len(curve) == results["data"]["test"]["bars"]
        assert saved["total_return"][seed] == pytest.approx(metrics.total_return(curve["equity"]))
        assert saved["max_drawdown"][seed] == pytest.approx(metrics.max_drawdown(curve["equity"]))
    assert frame.groupby("policy")["seed"].nunique().to_dict() == {
        name: row["seeds"] for name, row in results["rows"].items()
    }


def test_random_trades_as_much_as_the_median_dqn(results):
    rows = results["rows"]
    asked, met = (rows[name]["summary"]["turnover"] for name in ("dqn", "random"))
    assert met["low"] - 15 <= min(asked["median"], 252) <= met["high"] + 15


def test_the_picture_is_not_empty(written):
    picture = imread(written[0] / "equity.png")
    assert picture.shape[0] > 500
    assert picture.shape[1] > 900
    assert np.std(picture[..., :3]) > 0.05


def test_one_table_and_what_must_be_known_to_read_it_are_printed(written):
    first_words = [line.split()[0] for line in written[1].splitlines() if line.strip()]
    rows = [*ROWS, "own_contenders:holder"]
    assert [word for word in first_words if word in rows] == rows
    assert "…" not in written[1]
    for words in ("Survivorship bias", "commission 5 bps", "300 steps per seed, 2 seeds", "no profit"):
        assert words in written[1]


def test_numbers_without_a_value_are_words_in_the_table():
    assert report.percent(math.nan) == report.decimal(math.nan) == report.between((math.nan, math.nan), str)
    assert report.between((-0.121, 0.3), report.percent) == "-12 to 30%"
    assert report.decimal(-1.006) == "-1.01"


def test_both_learners_get_the_same_hyperparameters():
    ours, theirs = asdict(Hyperparameters()), Hyperparameters().for_sb3()
    assert theirs.pop("policy_kwargs") == {"net_arch": list(ours.pop("net_arch"))}
    assert ours == theirs


def test_the_scaler_and_the_learners_see_the_training_years_only():
    suite = compare.suite_of(CompareSettings(window=5))
    fold = folds_of(data("us-stocks/AAPL"), suite.walk_forward, suite.purge)[0]
    train, _, test = fold.markets(data("us-stocks/AAPL"))
    keywords, episodes = keywords_of(suite, train)
    task = gym.make("trading_env:TradingEnv-v0", data=train, **keywords, **episodes).unwrapped.task
    assert len(task.markets[0]) == len(train) == test.first
    table = task.features[task.firsts[0] - 4 :]
    np.testing.assert_allclose(table.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(table.std(axis=0), 1.0, atol=0.05)


def test_the_demo_is_a_built_in_suite():
    """`run demo` and `compare --demo` share their rows but for random traders, whose turnover `compare` measures."""
    ours, built_in = compare.suite_of(CompareSettings(**DEMO)), Suite.read("demo")
    kept = [one.id for one in jobs_of(built_in) if one.contender != "random"]
    assert kept == [one.id for one in jobs_of(ours)]


def test_a_contender_of_ones_own_is_in_results_curves_and_notes(written, results, own):
    row, held = (results["rows"][name] for name in ("own_contenders:holder", "buy_and_hold"))
    assert row["metrics"]["total_return"] == pytest.approx(held["metrics"]["total_return"] * 2)
    assert len(row["sharpe_minus_buy_and_hold_95"]) == 2
    assert "own_contenders:holder" in set(pd.read_parquet(written[0] / "equity.parquet")["policy"])
    assert "functions of your own: own_contenders:holder" in written[1]
    assert set(results["sharpe_differences"]) >= {"own_contenders:holder"}
    train, validation, keywords, seeds = own.GIVEN[0]
    assert seeds == (0, 1)
    assert keywords["window"] == 5
    assert len(train) == validation.first
    assert validation.time[-1] < np.datetime64("2012-09-04") <= load("us-stocks/IBM").time[len(validation)]


def test_several_datasets_are_compared_one_after_the_other_and_together(tmp_path, capsys, own):
    load("us-stocks/MSFT").to_frame().to_csv(tmp_path / "my prices.csv")
    options = ["--data", "us-stocks/IBM", "--data", str(tmp_path / "my prices.csv"), "--random-seeds", "2"]
    options += ["--contender=own_contenders:holder", "--folder", str(tmp_path), "--name", "two", "--window", "5"]
    options += ["--seeds", "1", "--total-timesteps", "100", "--net-arch", "8"]
    assert main(["compare", *options, "--no-progress"]) == 0
    text = capsys.readouterr().out
    for folder, name in (("us-stocks-IBM", "us-stocks/IBM"), ("my prices", "my prices")):
        results = json.loads((tmp_path / "two" / folder / "results.json").read_text())
        assert results["data"]["name"] == name
        assert [*results["rows"]] == [*ROWS, "own_contenders:holder"]
        assert (tmp_path / "two" / folder / "equity.png").stat().st_size > 10_000
        assert f"{name}, test 2010-01-04 to 2013-03-01" in text
    together = text.partition("Mean Sharpe ratio")[2]
    assert [word for word in (*ROWS, "own_contenders:holder") if f"\n{word} " not in together] == []
    for word in ("us-stocks/IBM", "my prices"):
        assert word in together


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--contender", "own_contenders"], "contender must be module:function, got 'own_contenders'"),
        (["--contender", "own_contenders:gone"], "contender 'own_contenders:gone': .* has no attribute 'gone'"),
        (["--contender", "no_such_module:make"], "contender 'no_such_module:make': No module named 'no_such_module'"),
        (
            ["--contender", "own_contenders:forgetful"],
            "must take train, validation, keywords, seeds: too many",
        ),
        (["--data", "us-stocks/IBM", "us-stocks/IBM"], "data must have at least one value, and none twice"),
        (["--data", "a/x.csv", "--data", "b/x.csv"], "folders of data must have at least one value, and none twice"),
    ],
)
def test_contenders_and_data_are_checked_before_any_training(options, said, own, monkeypatch, capsys):
    monkeypatch.setattr(compare, "finish", lambda *given: pytest.fail("it trains"))
    with pytest.raises(SystemExit) as ended:
        main(["compare", *options])
    assert ended.value.code == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_contender_that_makes_no_policy_is_named_before_any_training(own, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(compare, "finish", lambda *given: pytest.fail("it trains"))
    options = ["--contender", "own_contenders:nothing", "--folder", str(tmp_path)]
    with pytest.raises(SystemExit) as ended:
        main(["compare", *options])
    assert ended.value.code == 2
    assert "'own_contenders:nothing' must return an object with predict" in capsys.readouterr().err


def test_what_is_kept_is_not_trained_again_and_each_test_is_in_the_ledger(written, capsys, monkeypatch, own):
    monkeypatch.setattr(job, "run", lambda *given: pytest.fail("it trains"))
    lines = Ledger(written[0].parent / "ledger.jsonl").lines()
    assert {line["contender"] for line in lines} == {*ROWS, "own_contenders:holder"}
    options = [word for option in TINY.items() for word in option]
    options += ["--contender", "own_contenders:holder", "--no-progress", "--folder", str(written[0].parent)]
    assert main(["compare", *options]) == 0
    assert capsys.readouterr().out == written[1]
    assert len(Ledger(written[0].parent / "ledger.jsonl").lines()) == len(lines)


def test_repeated_options_are_gathered():
    mixed = ["--data", "a", "--seeds", "3", "--data=b", "c"]
    assert gathered(mixed, "--data") == ["--seeds", "3", "--data", "a", "b", "c"]
    assert gathered(["--seeds", "3"], "--data") == ["--seeds", "3"]
    assert gathered(["--data", "a", "-h"], "--data") == ["-h", "--data", "a"]
    assert parse(["--data", "x.csv", "--data", "y.csv"], "compare").data == ("x.csv", "y.csv")


def test_demo_changes_the_defaults_only():
    demo = parse(["--demo", "--seeds", "3"], "compare")
    assert (demo.name, demo.seeds, demo.total_timesteps, demo.demo) == ("demo", 3, 20_000, True)
    assert parse([], "compare") == CompareSettings()
    with pytest.raises(ValueError, match="seeds must be at least 1, got 0"):
        CompareSettings(seeds=0)


def test_help_explains_each_option(capsys):
    assert main(["--help"]) == 0
    assert "compare" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    text = capsys.readouterr().out
    for option in ("--total-timesteps", "--split", "--seeds", "--demo", "--learning-rate"):
        assert option in text
    assert main(["compere"]) == 2
    assert "unknown command" in capsys.readouterr().err


def test_learners_may_go_short_beside_rules_that_do_not(tmp_path, capsys):
    options = ["--allow-short", "--seeds", "1", "--total-timesteps", "400", "--random-seeds", "2", "--no-progress"]
    assert main(["compare", *options, "--processes", "1", "--name", "short", "--folder", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "short" / "results.json").read_text())["rows"]
    assert rows["flat"]["summary"]["total_return"]["median"] == 0.0
    assert (tmp_path / "short" / "equity.png").stat().st_size > 10_000


@pytest.mark.parametrize("option", [("processes", 0), ("seeds", 0)])
def test_settings_that_cannot_be_are_refused_before_any_training(option):
    name, value = option
    with pytest.raises(ValueError, match=name):
        CompareSettings(**{name: value})
    if name != "processes":
        with pytest.raises(ValueError, match=name):
            ForecastSettings(**{name: value})
