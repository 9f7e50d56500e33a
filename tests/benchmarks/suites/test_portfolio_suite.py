import json

import numpy as np
import pytest

from benchmarks.__main__ import main
from benchmarks.study.engines.run import rows_of
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite, SuiteError
from benchmarks.suites.run import prepared
from trading_env import FeatureScaler, Panel, load_panel
from trading_env.analysis.portfolio.backtest import portfolio_backtest
from trading_env.analysis.portfolio.olmar import olmar
from trading_env.analysis.portfolio.strategies import buy_and_hold, equal_weight

TEXT = """
name = "several"
data = ["us-stocks"]
seeds = 2
points = 2
benchmark = "equal_weight"

[env]
window = 2
features = ["log_return_1"]
costs = { commission = 1e-3 }

[walk_forward]
folds = 2
test = 0.2
validation = 60

[[contenders]]
strategy = "equal_weight"

[[contenders]]
strategy = "buy_and_hold"

[[contenders]]
strategy = "olmar"

[[contenders]]
random = 10.0
seeds = 20
block = 20

[[contenders]]
agent = "PPO"
steps = 64
hyperparameters = { n_steps = 32, net_arch = [8] }

[[contenders]]
sb3 = "A2C"
steps = 30

[[contenders]]
make = "tests_portfolio_contender:make"
"""
MODULE = """
import numpy as np

def make(train, validation, keywords, seeds):
    assert train.symbols == validation.symbols and len(train) < len(validation)
    return [lambda obs, seed=seed: np.full(5, 0.1 + 0.1 * seed, np.float32) for seed in seeds]
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    (folder / "several.toml").write_text(TEXT)
    (folder / "tests_portfolio_contender.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        line = ["run", str(folder / "several.toml"), "--folder", str(folder / "results"), "--processes", "0"]
        assert main([*line, "--no-progress"]) == 0
        suite, place, jobs = prepared(line[1], folder / "results")
        yield folder, line, suite, rows_of(jobs, place)


def rows_by(rows, contender):
    return sorted((row for row in rows if row.contender == contender), key=lambda row: row.fold)


def test_rules_earn_what_their_backtest_earns_before_and_after_costs(study):
    _, _, suite, rows = study
    panel = load_panel("us-stocks")
    for fold, stretches in enumerate(folds_of(panel, suite.walk_forward, suite.purge)):
        test = stretches.markets(panel)[2]
        for name, rule in (("equal_weight", equal_weight), ("buy_and_hold", buy_and_hold), ("olmar", olmar)):
            row = rows_by(rows, name)[fold]
            np.testing.assert_array_equal(
                row.curves["equity"], portfolio_backtest(rule, test, **suite.env).tracks.equity
            )
            free = portfolio_backtest(rule, test, **{**suite.env, "costs": {"commission": 0.0, "slippage": 0.0}})
            growth = np.log(free.tracks.equity[:, -1] / free.tracks.equity[:, 0]) / (free.tracks.equity.shape[1] - 1)
            np.testing.assert_allclose(row.stress["growth_at_costs"][0], growth)


def test_learners_see_panels_cut_apart_and_scaled_by_the_training_stretch(study):
    _, _, suite, rows = study
    panel = load_panel("us-stocks")
    fold = folds_of(panel, suite.walk_forward, suite.purge)[1]
    assert all(isinstance(part, Panel) for part in fold.markets(panel))
    assert fold.train[1] + suite.purge == fold.validation[0]
    row = rows_by(rows, "make")[1]  # always the same weights, whatever is seen
    policy = [lambda obs: np.full(5, 0.1, np.float32), lambda obs: np.full(5, 0.2, np.float32)]
    test = fold.markets(panel)[2]
    scaler = FeatureScaler().fit(fold.markets(panel)[0], suite.env["features"])
    tracks = portfolio_backtest(policy, test, **suite.env, scaler=scaler).tracks
    np.testing.assert_array_equal(row.curves["equity"], tracks.equity)
    for name in ("PPO", "SB3 A2C"):
        assert rows_by(rows, name)[0].learning["scores"].shape[1] == 2
        assert rows_by(rows, name)[0].curves["equity"].shape == row.curves["equity"].shape


def test_a_bar_late_a_rule_has_the_weights_of_the_row_before(study):
    _, _, suite, rows = study
    panel = load_panel("us-stocks")
    test = folds_of(panel, suite.walk_forward, suite.purge)[0].markets(panel)[2]

    def late(panel):
        weights = olmar(panel)
        return np.vstack([weights[:1], weights[:-1]])

    equity = portfolio_backtest(late, test, **suite.env).tracks.equity
    growth = np.log(equity[:, -1] / equity[:, 0]) / (equity.shape[1] - 1)
    np.testing.assert_allclose(rows_by(rows, "olmar")[0].stress["growth_a_bar_late"], growth)
    constant, late_ones = (rows_by(rows, "make")[0].stress[name] for name in ("growth_at_costs", "growth_a_bar_late"))
    assert np.abs(late_ones - constant[1]).max() < 1e-3  # cash for a bar, and then the same


def test_table_ledger_and_page_are_as_those_of_markets(study, capsys):
    folder, line, _suite, _rows = study
    assert main(line) == 0
    printed = capsys.readouterr().out
    for words in ("equal_weight", "SPA", "luck", "four times in five", "not trained again"):
        assert words in printed
    assert "hindsight" not in printed
    results = json.loads((folder / "results" / "several" / "results.json").read_text())
    assert results["hindsight"] is None
    assert results["selection"]["traders"] == 20
    assert all(one["agreement"] is None for one in results["contenders"].values())
    opened = [json.loads(text) for text in (folder / "results" / "ledger.jsonl").read_text().splitlines()]
    assert {one["data"] for one in opened} == {data("us-stocks").fingerprint}
    assert results["trials"]["count"] == 7
    assert main(["report", str(folder / "results" / "several")]) == 0
    assert (folder / "results" / "several" / "index.html").stat().st_size > 10_000


def test_random_weights_trade_about_as_much_as_is_asked_for(study):
    row = rows_by(study[3], "random")[1]
    assert 6.0 < row.metrics["turnover"].mean() < 16.0


def test_controls_and_mixed_data_are_refused_by_name(study, tmp_path):
    folder, line, *_ = study
    with pytest.raises(SystemExit):
        main(["stress", line[1], "--folder", str(folder / "results"), "--no-retrain", "--controls", "PPO"])
    wrong = [
        ('data = ["us-stocks"]', 'data = ["us-stocks", "us-stocks/IBM"]', "not both"),
        ('strategy = "olmar"', 'strategy = "mean_reversion"', r"contenders\[2\]: strategy of a panel must be one of"),
        ('strategy = "olmar"', 'forecast = "ridge"', r"contenders\[2\]: forecast needs datasets of one instrument"),
        ("window = 2", 'window = 2\nactions = "buy_hold_sell"', "env: actions must be one of"),
        ('data = ["us-stocks"]', 'data = ["us-stocks/IBM"]', r"strategy of a market must be one of"),
    ]
    for old, new, message in wrong:
        (tmp_path / "wrong.toml").write_text(TEXT.replace(old, new))
        with pytest.raises(SuiteError, match=message):
            Suite.read(tmp_path / "wrong.toml")


def test_panels_of_files_and_of_lists_are_named_by_what_they_are_made_of(tmp_path):
    frame = load_panel(["us-stocks/IBM", "us-stocks/MSFT"]).to_frame().rename(columns={"symbol": "tic"})
    frame.to_csv(tmp_path / "two.csv", index=False)
    text = TEXT.replace('data = ["us-stocks"]', f'data = ["{tmp_path}/two.csv", ["us-stocks/IBM", "us-stocks/AAPL"]]')
    (tmp_path / "files.toml").write_text(text)
    suite = Suite.read(tmp_path / "files.toml")
    assert suite.data == (f"{tmp_path}/two.csv", "us-stocks/IBM + us-stocks/AAPL")
    assert [data(name).symbols for name in suite.data] == [("IBM", "MSFT"), ("IBM", "AAPL")]
    assert suite.panels


def test_a_discrete_learner_and_rules_share_a_panel(tmp_path):
    text = TEXT[: TEXT.index("[[contenders]]\nrandom")].replace("window = 2", 'window = 2\nactions = "one_of"')
    text += '[[contenders]]\nagent = "DQN"\nsteps = 60\nhyperparameters = { learning_starts = 32, net_arch = [8] }\n'
    (tmp_path / "one_of.toml").write_text(text.replace("folds = 2", "folds = 1"))
    assert main(["run", f"{tmp_path}/one_of.toml", "--folder", f"{tmp_path}/results", "--processes", "0"]) == 0
    rows = [Row.read(path) for path in (tmp_path / "results" / "several" / "rows").glob("*.npz")]
    assert sorted(row.contender for row in rows) == ["DQN", "buy_and_hold", "equal_weight", "olmar"]
