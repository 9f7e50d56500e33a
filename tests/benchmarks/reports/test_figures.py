"""Pictures take names as text and rows of any name; what a user adds has a colour and a difference of its own."""

from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks.contenders.named import Contender
from benchmarks.reports import compare as report
from benchmarks.reports import figures
from benchmarks.reports import forecast as forecast_report
from benchmarks.study import job
from benchmarks.study.folds import Plan
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite
from benchmarks.study.walk_forward import Study
from benchmarks.suites import compare
from trading_env import Market

HOSTILE = ("$\\frac$.csv", "a[/b].csv", "$x^$", "\x1b[2J\n$", "_mine")
SETTINGS = {"total_timesteps": 1, "seeds": 1, "commission": 0.0, "slippage": 0.0, "fill": "close"}


def row(name, seed, runs=1, bars=60, dated=True):
    returns = np.random.default_rng(seed).normal(0.0, 0.01, (runs, bars))
    equity = 1e5 * np.cumprod(np.concatenate([np.ones((runs, 1)), 1.0 + returns], axis=1), axis=1)
    days = np.datetime64("2020-01-01", "ns") + np.arange(bars + 1) * np.timedelta64(1, "D")
    names = ("total_return", "sharpe", "max_drawdown", "turnover")
    metrics = {each: np.full(runs, 0.1) for each in names}
    time = days if dated else np.arange(bars + 1)
    return Row("d", 0, name, tuple(range(runs)), time, 252.0, {"equity": equity}, metrics, {}, None, None, None, {})


def results_of(rows, name, monkeypatch):
    """The results of these rows on a market of that name."""
    days = np.datetime64("2020-01-01", "ns") + np.arange(200) * np.timedelta64(1, "D")
    market = Market.from_arrays(np.linspace(1.0, 2.0, 200), time=days, name=name)
    monkeypatch.setitem(job._LOADED, "d", market)
    one = Contender(strategy="flat")
    suite = Suite(name="x", data=("d",), walk_forward=Plan(split=0.5), contenders=(one,), benchmark="flat")
    named = [SimpleNamespace(name=each.contender) for each in rows]
    object.__setattr__(suite, "contenders", tuple(named))
    return report.results(SETTINGS, suite, "d", rows)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("name", HOSTILE)
def test_an_own_row_on_data_of_any_name_is_drawn_printed_and_compared(name, dated, tmp_path, capsys, monkeypatch):
    names = ("buy_and_hold", "random", "dqn", "sb3_dqn", name)
    rows = [row(each, i, runs=1 + i % 2, dated=dated) for i, each in enumerate(names)]
    results = results_of(rows, name, monkeypatch)
    path = tmp_path / "equity.png"
    path.write_bytes(figures.picture(figures.equity_figure(rows, results), path))
    assert np.std(imread(path)[..., :3]) > 0.05
    report.print_comparison(results)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert f"{report.tables.printable(name)}: Sharpe minus buy_and_hold's" in text
    assert "dqn: Sharpe minus sb3_dqn's" in text
    frame = report.equity_frame(rows)
    assert set(frame["policy"]) == set(names)
    assert frame["time"].nunique() == 61


def test_rows_without_learners_and_without_buy_and_hold_are_reported(tmp_path, capsys, monkeypatch):
    rows = [row("mine", 1), row("yours", 2)]
    results = results_of(rows, "x", monkeypatch)
    figures.picture(figures.equity_figure(rows, results), tmp_path / "equity.png")
    report.print_comparison(results)
    assert "mine" in capsys.readouterr().out
    assert np.isnan(results["rows"]["mine"]["sharpe_minus_buy_and_hold_95"]).all()


def test_own_rows_differ_in_colour():
    colours = figures.colours_of([*compare.RULES, "dqn", "sb3_dqn", "a", "b", "c"])
    assert len(set(colours.values())) == len(colours)


def test_own_forecasters_on_data_of_any_name_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    names = ("last_value", "ridge", "$\\frac$ mine")
    studies, markets = {}, {}
    for name in (HOSTILE[0], HOSTILE[3]):
        forecasts = {each: rng.normal(0.0, 0.01, (1, 50)) for each in names}
        market = Market.from_arrays(np.linspace(1.0, 2.0, 60))
        studies[name] = Study(market, None, rng.normal(0.0, 0.01, 50), forecasts, {}, {})
        rows = {each: {"skill": 0.1, "skill_interval_95": (0.0, 0.2)} for each in names}
        markets[name] = {"forecasters": rows}
    del markets[HOSTILE[3]]["forecasters"]["ridge"]
    results = {"settings": {"horizon": 5}, "markets": markets}
    drawn = forecast_report.drawn(results, studies)
    (tmp_path / "forecast.png").write_bytes(figures.picture(drawn, tmp_path / "forecast.png"))
    assert np.std(imread(tmp_path / "forecast.png")[..., :3]) > 0.05
