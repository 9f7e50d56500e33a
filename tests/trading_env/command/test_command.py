"""The command trading-env, mostly by calls of main, a few times as a process."""

import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import agents
from tests.pages import Reader
from trading_env import backtest, decide, load
from trading_env.command.decide import _counted
from trading_env.command.main import main
from trading_env.command.parser import COMMANDS, EXAMPLES, parser
from trading_env.command.vote import Vote

ROOT = Path(__file__).parents[3]
SMALL = ["--steps", "60", "--window", "2", "--slippage", "0.001", "--quiet"]
SMALL += ["--set", "learning_starts=20", "--set", "net_arch=[8]"]


def frame(n=300):
    rng = np.random.default_rng(1)
    close = 50.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(n)))
    opens = close * np.exp(0.002 * rng.standard_normal(n))
    bars = {"open": opens, "high": np.maximum(opens, close), "low": np.minimum(opens, close), "close": close}
    return pd.DataFrame({"date": pd.bdate_range("2020-01-01", periods=n), **bars, "volume": 1000.0})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with prices.csv and my.safetensors, an agent of two seeds that learnt before 2020-12-01."""
    path = tmp_path_factory.mktemp("command")
    frame().to_csv(path / "prices.csv", index=False)
    trained = [str(path / "prices.csv"), "--split", "2020-12-01", "--save", str(path / "my"), "--seeds", "2"]
    assert main(["train", *trained, *SMALL]) == 0
    return path


@pytest.fixture
def run(folder, capsys, monkeypatch):
    """Runs a command in the folder: its code, what it prints, and what it says beside that."""
    monkeypatch.chdir(folder)

    def run(*words):
        code = main(list(words))
        out, err = capsys.readouterr()
        wide = {"--json", "--trades", "--help"} & {*words}
        assert wide or max(map(len, out.splitlines()), default=0) <= 80
        return code, out, err

    return run


def test_data_says_what_it_understood(run, folder):
    bars = frame()
    bars.loc[150, ["close", "high"]] *= 1.4
    bars.drop(index=range(60, 90)).to_csv(folder / "odd.csv", index=False)
    code, out, _ = run("data", "odd.csv")
    assert code == 0
    for words in (
        "columns    open, high, low, close, volume",
        "bars       270, 2020-01-01 to 2021-02-23",
        "252 bars",
        "43 days before 2020-05-06",
        "at 2020-07-29, undone by the next bar",
        "none that prices show",
    ):
        assert words in out
    facts = json.loads(run("data", "odd.csv", "--json")[1])
    assert (facts["bars"], facts["first"]) == (270, "2020-01-01")
    assert facts["gaps"] == [{"until": "2020-05-06", "days": 43.0}]
    assert facts["fingerprint"] == load(folder / "odd.csv").fingerprint


def test_data_shows_a_split_and_the_note_that_load_warns_of(run, folder):
    bars = frame()
    bars.loc[150:, ["open", "high", "low", "close"]] /= 4.0
    bars.to_csv(folder / "split.csv", index=False)
    code, out, err = run("data", "split.csv")
    assert code == 0
    assert "as at a 4:1 split" in out
    assert err.startswith("trading-env: note: ")
    assert "2020-07-29" in err
    adjusted = run("data", "split.csv", "--adjust")
    assert "as at a 4:1" not in adjusted[1]
    assert adjusted[2] == ""


def test_train_saves_what_was_trained_and_tests_it_on_the_rest(folder, run):
    agent = agents.load(folder / "my")
    assert (agent.seeds, agent.config.net_arch, agent.num_timesteps) == ((0, 1), (8,), 60)
    assert agent.env_config["data"][0]["last"].startswith("2020-11-30")
    code, out, _ = run("train", "prices.csv", "--split", "2020-12-01", "--save", "again", "--seeds", "2", *SMALL)
    assert code == 0
    assert "DQN, 2 seeds, learnt 60 steps each" in out
    assert "DQN on prices, 2020-12-01 to 2021-02-23" in out
    for words in ("seed 0", "seed 1", "median", "vote", "holding", "return", "Sharpe"):
        assert words in out


def test_backtest_acts_after_the_bars_learnt_from_unless_told_otherwise(run, folder):
    expected = backtest(agents.load(folder / "my"), load("prices.csv").split("2020-12-01")[1])
    code, out, err = run("backtest", "my", "prices.csv", "--json")
    assert code == 0
    assert "from 2020-12-01, the first bar after those learnt from" in err
    found = json.loads(out)
    assert found["seeds"]["0"]["total_return"] == expected.total_return[0]
    assert found["seeds"]["1"]["max_drawdown"] == expected.max_drawdown[1]
    whole = json.loads(run("backtest", "my", "prices.csv", "--json", "--whole")[1])
    late = json.loads(run("backtest", "my", "prices.csv", "--json", "--from", "2021-01-04")[1])
    assert whole["bars"] > found["bars"] > late["bars"]
    text = run("backtest", "my", "prices.csv", "--seed", "1")[1]
    assert "holding" in text
    assert "vote" not in text


def test_bars_that_were_all_learnt_from_are_no_test(run, folder):
    frame(200).to_csv(folder / "early.csv", index=False)
    code, _, err = run("backtest", "my", "early.csv")
    assert code == 0
    assert "all bars lie in the time that was learnt from: this is no test" in err


def test_backtest_at_other_costs_is_as_asked(run):
    found = json.loads(run("backtest", "my", "prices.csv", "--json", "--commission", "0.01", "--fill", "close")[1])
    assert (found["config"]["costs"]["commission"], found["config"]["fill"]) == (0.01, "close")
    assert found["config"]["costs"]["slippage"] == 0.001  # as learnt


def test_trades_are_csv(run, folder):
    out = run("backtest", "my", "prices.csv", "--seed", "0", "--trades")[1]
    expected = backtest(agents.load("my")[0], load("prices.csv").split("2020-12-01")[1]).trades()
    assert len(out.splitlines()) == 1 + len(expected)
    assert out.splitlines()[0].split(",") == list(expected.columns)


def test_plot_draws_a_file(run, folder):
    assert run("plot", "my", "prices.csv", "--out", "my.png")[0] == 0
    assert (folder / "my.png").stat().st_size > 10_000


def test_plot_names_the_file_that_it_wrote(run, folder):
    out = run("plot", "my", "prices.csv", "--out", "plain")[1]
    assert (folder / "plain.png").exists()
    assert "drawn in plain.png" in " ".join(out.split())


def test_plot_makes_a_film_of_a_gif(run, folder):
    assert run("plot", "my", "prices.csv", "--out", "my.gif")[0] == 0
    assert (folder / "my.gif").read_bytes().startswith(b"GIF89a")


def test_backtest_writes_its_page_beside_what_it_prints(run, folder):
    code, out, err = run("backtest", "my", "prices.csv", "--json", "--report", "sheet.html")
    assert code == 0
    assert "written: sheet.html" in err
    page = Reader((folder / "sheet.html").read_text())
    rows = {row[0][0]: row[1][1] for row in page.tables["numbers"][1:]}
    returns = [one["total_return"] for one in json.loads(out)["seeds"].values()]
    assert rows["total return"] == pytest.approx(sum(returns) / len(returns))  # the median of two seeds


def test_decide_says_what_the_votes_of_all_seeds_would_do(run, folder):
    agent = agents.load(folder / "my")
    expected = decide(Vote(agent), folder / "prices.csv", 3.0, 200.0)
    code, out, err = run("decide", "my", "prices.csv", "--units", "3", "--cash", "200", "--json")
    assert code == 0
    assert "the last bar is that of 2021-02-23; --as-of now refuses data that are stale" in err
    found = json.loads(out)
    votes = found.pop("votes")
    assert found == expected.to_dict()
    assert votes == {str(seed): decide(agent[seed], folder / "prices.csv", 3.0, 200.0).action for seed in (0, 1)}
    text = run("decide", "my", "prices.csv", "--units", "3", "--cash", "200")[1]
    assert text.startswith("prices, after the bar of 2021-02-23, close ")
    assert expected.reason in text
    assert "  account    cash 200.00, units 3\n" in text
    assert "of 2 seeds choose this action" in text


def test_decide_lets_one_seed_act_and_knows_the_time(run, folder):
    agent = agents.load(folder / "my")[1]
    code, out, err = run("decide", "my", "prices.csv", "--seed", "1", "--json", "--as-of", "2021-02-23")
    assert (code, err) == (0, "")
    assert {**json.loads(out), "votes": None} == {**decide(agent, folder / "prices.csv").to_dict(), "votes": None}
    assert "  account    cash 100,000.00, units 0\n" in run("decide", "my", "prices.csv")[1]  # as in training
    code, _, err = run("decide", "my", "prices.csv", "--as-of", "now")
    assert code == 1
    assert "the data are stale" in err


def test_votes_of_continuous_actions_are_a_median():
    assert _counted({"0": 1, "1": 1, "2": 0}, 1) == "2 of 3 seeds choose this action"
    assert _counted({"0": -0.25, "1": 0.5, "2": 0.0}, 0.0) == "the median of 3 seeds, -0.25 to 0.5"


def test_a_paper_account_goes_on_from_call_to_call(run, folder):
    bars = frame()
    for n in (298, 299, 299, 300):
        bars.iloc[:n].to_csv(folder / "fresh.csv", index=False)
        start = ["--from", "2021-01-04", "--cash", "900"] if n == 298 else []
        code, out, err = run("paper", "my", "fresh.csv", "--account", "daily", "--json", *start)
        assert code == 0, err
    found = json.loads(out)
    run("paper", "my", "prices.csv", "--account", "once", "--from", "2021-01-04", "--cash", "900")
    _, out, _ = run("paper", "my", "prices.csv", "--account", "once", "--json")
    assert json.loads(out) == found
    assert len(json.loads((folder / "daily.session.json").read_text())["decisions"]) == 37
    text = run("paper", "my", "prices.csv", "--account", "once")[1]
    for word in ("order", "target", "reason", "account", "equity", "fills"):
        assert f"  {word} " in text
    code, _, err = run("paper", "my", "prices.csv", "--account", "once", "--cash", "5")
    assert code == 1
    assert "once.session.json was begun with initial_cash=900.0, now it is 5.0" in err


TRAIN = ["train", "prices.csv", "--split", "0.5", "--save", "x"]
WRONG = {
    "no command": ([], 2, "required: COMMAND"),
    "another command": (["dta"], 2, "invalid choice: 'dta'"),
    "another option": (["data", "prices.csv", "--bogus"], 2, "unrecognized arguments: --bogus"),
    "no file": (["data", "nothing.csv"], 1, "nothing.csv"),
    "no agent": (["backtest", "nothing", "prices.csv"], 1, "nothing.safetensors"),
    "no agent's file": (["backtest", "prices.csv", "prices.csv"], 1, "prices.csv is corrupt"),
    "another seed": (["backtest", "my", "prices.csv", "--seed", "7"], 2, "--seed must be one of [0, 1], got 7"),
    "late start": (["backtest", "my", "prices.csv", "--from", "2030-01-01"], 2, "--from: split: cut '2030-01-01'"),
    "costs": (["backtest", "my", "prices.csv", "--commission", "-1"], 2, "Costs.commission"),
    "picture": (["plot", "my", "prices.csv", "--out", "my.xyz"], 1, "xyz"),
    "no account": (["paper", "my", "prices.csv"], 2, "required: --account"),
    "no number": (
        ["decide", "my", "prices.csv", "--units", "many"],
        2,
        "--units: invalid float value: 'many'",
    ),
    "no equity": (["decide", "my", "prices.csv", "--cash", "-5"], 1, "equity must be above 0 to decide"),
    "algorithm": ([*TRAIN, "--agent", "sac"], 2, "--agent must be one of DQN, A2C"),
    "split": (["train", "prices.csv", "--split", "1990-01-01", "--save", "x"], 2, "--split: split: cut '1990-01-01'"),
    "window": ([*TRAIN, "--window", "0"], 2, "must be at least 1, got 0"),
    "hyperparameter": ([*TRAIN, "--set", "lr=1"], 2, "--agent DQN: "),
    "no value": ([*TRAIN, "--set", "gamma"], 2, "--set: 'gamma' must be NAME=VALUE"),
    "seeds": ([*TRAIN, "--set", "seeds=4"], 2, "--set: seeds is no hyperparameter"),
    "actions": ([*TRAIN, "--actions", "up"], 2, "--actions: "),
    "rates": ([*TRAIN, "--slippage", "2"], 2, "Costs.slippage"),
    "folder": (["train", "prices.csv", "--split", "0.5", "--save", "prices.csv/x"], 1, "--save cannot be written"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case, run):
    words, expected, said = WRONG[case]
    code, out, err = run(*words)
    assert code == expected, err
    assert out == ""
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("trading-env: error: ")
    assert all(line.startswith("trading-env: ") for line in err.splitlines())


def test_names_are_text(run, folder):
    name = "a\x1b[31m\nb.csv"
    frame().assign(**{"c\nd\x1b[0m": 1.0}).to_csv(folder / name, index=False)
    code, out, err = run("data", name)
    assert code == 0
    assert "volume, c\\nd\\x1b[0m\n" in out
    assert "\\x1b[31m" in out
    missing, usage = run("data", "\x1b[2Jgone.csv"), run("data", name, "\x1b[2J")
    assert "\x1b" not in "".join((out, err, *missing[1:], *usage[1:]))


def test_a_missing_extra_is_named(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    code, _, err = run("backtest", "my", "prices.csv")
    assert code == 1
    assert err == "trading-env: error: an agent needs torch: pip install 'trading-env[agents]'\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples_that_can_be_read(command, run):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"trading-env {command}" in out
    for line in EXAMPLES[command].split("\n")[1:]:
        assert line in out
        assert len(line) <= 80
        assert parser().parse_args(line.split(">")[0].split()[1:]).run == COMMANDS[command][2]


def test_the_commands_are_listed_with_the_version(run):
    out = run("--help")[1]
    assert all(f"    {command}" in out for command in COMMANDS)
    assert run("--version")[1].startswith("trading-env 0.")


def test_seeds_vote():
    assert Vote._chosen(np.array([2, 0, 2])) == 2
    assert Vote._chosen(np.array([0, 1, 2])) == 1
    assert Vote._chosen(np.array([0, 0, 2, 2])) == 0
    assert Vote._chosen(np.array([0, 0, 3, 3, 2])) == 3
    np.testing.assert_array_equal(Vote._chosen(np.array([[0.1], [0.5], [0.2]], np.float32)), np.float32([0.2]))


def test_a_vote_is_one_account_that_follows_most_seeds(folder):
    agent, market = agents.load(folder / "my"), load(folder / "prices.csv").split("2020-12-01")[1]
    alone = backtest(Vote(agent[0]), market)
    np.testing.assert_array_equal(alone.equity, backtest(agent[0], market).equity)
    assert len(backtest(Vote(agent), market)) == 1


def test_the_console_script_is_this_main():
    script = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["trading-env"]
    module, _, function = script.partition(":")
    assert getattr(import_module(module), function) is main


def test_a_reader_that_leaves_early_sees_no_traceback(folder):
    command = [sys.executable, "-m", "trading_env", "data", "prices.csv"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=folder, env=environment, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
