import contextlib
import io
import json
import math
import os
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy

from benchmarks.__main__ import main
from benchmarks.contenders.forecast_trader import choose_margin, forecast_exposures, forecast_trader, round_trip_cost
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.forecasting import forecasters
from benchmarks.forecasting import metrics as forecast_metrics
from benchmarks.forecasting.windows import Windows
from benchmarks.reports.forecast import skill_findings, trading_findings
from benchmarks.study import forecast_settings, job
from benchmarks.study.folds import Plan, folds_of
from benchmarks.study.forecast_settings import ForecastSettings
from benchmarks.study.ledger import Ledger
from benchmarks.study.walk_forward import study_of
from trading_env import Costs, Market, load

KEYWORDS = {"window": 1, "costs": {"commission": 1e-3, "slippage": 0.0}}


def market_of(close: np.ndarray, **columns) -> Market:
    days = np.datetime64("2001-01-01") + np.arange(len(close))
    bars = {"open": close, "high": 1.01 * close, "low": 0.99 * close, "close": close, "volume": np.ones(len(close))}
    return Market.from_arrays(time=days.astype("datetime64[ns]"), **bars | columns, bars_per_year=252.0)


# -------------------------------------------------------------------------------------------------- metrics


def test_errors_by_hand():
    forecast, truth = [0.1, -0.1, 0.0, 0.2], [0.2, 0.1, 0.1, 0.2]
    assert forecast_metrics.rmse(forecast, truth) == pytest.approx(math.sqrt((0.01 + 0.04 + 0.01) / 4))
    assert forecast_metrics.mae(forecast, truth) == pytest.approx(0.1)
    ratios = [math.log(1.2 / 1.1), math.log(1.1 / 0.9), math.log(1.1)]
    assert forecast_metrics.malr(forecast, truth) == pytest.approx(sum(ratios) / 4)
    assert forecast_metrics.directional_accuracy(forecast, truth) == pytest.approx(2 / 3)  # 0 says nothing
    assert forecast_metrics.skill(forecast, np.zeros(4), truth) == pytest.approx(1 - 0.06 / 0.10)
    with pytest.raises(ValueError, match="returns must be above -1"):
        forecast_metrics.malr([-1.0], [0.0])
    assert math.isnan(forecast_metrics.directional_accuracy([0.0], [1.0]))


@pytest.mark.parametrize("metric", ["rmse", "mae", "malr", "directional_accuracy"])
def test_forecasts_and_truths_of_other_shapes_are_refused(metric):
    measure, truth = getattr(forecast_metrics, metric), np.full(3, 0.1)
    for bad in (truth[:, None], truth[:2], truth[None, None], 0.1, []):
        with pytest.raises(ValueError, match=r"forecast must be \(n,\) or \(S, n\) and the truth \(n,\)"):
            measure(bad, truth)
        with pytest.raises(ValueError, match="forecast must be"):
            measure(truth, bad)
    for judge in (forecast_metrics.skill, forecast_metrics.skill_estimate):
        with pytest.raises(ValueError, match="forecast must be"):
            judge(truth, truth[:, None], truth)


def test_several_seeds_count_by_their_mean_not_by_their_mean_forecast():
    truth, forecast = np.zeros(3), np.array([[1.0, 1.0, 1.0], [-3.0, -3.0, -3.0]])
    assert forecast_metrics.rmse(forecast, truth) == 2.0
    assert forecast_metrics.mae(forecast, truth) == 2.0
    assert forecast_metrics.skill(forecast, np.full(3, 2.0), truth) == 1 - 5.0 / 4.0


def test_the_interval_of_skill_covers_it_and_tells_good_from_useless():
    rng = np.random.default_rng(0)
    signal, truth = rng.normal(size=(2, 1000))
    truth += signal
    naive = np.zeros(1000)
    low, high = forecast_metrics.skill_estimate(signal, naive, truth).interval()
    assert 0.4 < low < forecast_metrics.skill(signal, naive, truth) < high < 0.6
    low, high = forecast_metrics.skill_estimate(rng.normal(size=1000), naive, truth).interval()
    assert high < 0
    assert forecast_metrics.skill_estimate(naive + 1.0, naive + 1.0, truth).interval() == (0.0, 0.0)


# ----------------------------------------------------------------------------------------------------- data


def test_a_window_ends_at_its_bar_and_the_return_follows_it():
    market = market_of(100.0 * np.exp(np.random.default_rng(0).normal(0, 0.01, 60).cumsum()))
    windows = Windows.of(market, 7, 3)
    assert windows.X.shape == (len(windows.y), 7, 8)  # six default features and two of the calendar
    for i in (0, 5, len(windows.y) - 4):
        bar = windows.bar[i]
        returns = np.log(market.close[bar - 6 : bar + 1] / market.close[bar - 7 : bar])
        np.testing.assert_allclose(windows.X[i, :, 0], returns, rtol=1e-4)
        assert windows.y[i] == market.close[bar + 3] / market.close[bar] - 1
    assert windows.bar[-1] == 59
    assert np.isnan(windows.y[-3:]).all()
    assert np.isfinite(windows.y[:-3]).all()


def test_no_bar_is_in_two_stretches_of_a_split_or_of_folds():
    market = market_of(100.0 * np.exp(np.random.default_rng(0).normal(0, 0.01, 400).cumsum()))
    for plan in (Plan(split="2001-10-01", validation=50), Plan(folds=2, test=0.4, validation=50, horizon=4)):
        fold = folds_of(market, plan, 14)[0]
        train, validation = fold.apart(market, 10, 4)
        fitted, chosen, tested = (Windows.of(one, 10, 4) for one in (train, validation, fold.markets(market)[2]))
        rows = (np.isfinite(fitted.y), chosen.bar >= validation.first, tested.bar >= fold.test[0])
        parts = zip((fitted, chosen, tested), rows, strict=True)
        used = [{b for bar in one.bar[mine] for b in range(bar - 9, bar + 5)} for one, mine in parts]
        assert not used[0] & used[1]
        assert not used[1] & used[2]
        assert all(used)


# ----------------------------------------------------------------------------------------------- forecasters


@pytest.mark.parametrize("name", ["ridge", "forest", "boosting"])
def test_regressions_learn_a_line_and_ask_the_validation(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 4, 2))
    y = 0.1 * X[:, 1, 1]
    options = {"forest": {"trees": 50}, "boosting": {"rounds": 50}}.get(name, {})
    forecaster = forecasters.make(name, 1, (0,), **options).fit(X[:300], y[:300], (X[300:400], y[300:400]))
    forecast = forecaster.predict(X[400:])
    assert forecast.shape == (1, 100)
    assert forecast_metrics.skill(forecast, np.zeros(100), y[400:]) > {"ridge": 0.9}.get(name, 0.3)
    with pytest.raises(ValueError, match="not fitted"):
        forecasters.make(name, 1, (0,)).predict(X)


def test_without_a_validation_the_last_fifth_chooses_and_all_rows_are_fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4, 2))
    y = 0.1 * X[:, 1, 1]
    assert forecast_metrics.skill(forecasters.ridge().fit(X, y).predict(X), np.zeros(100), y) > 0.9
    y[80:] = rng.normal(size=20)  # no line holds there: the strongest penalty is best
    model = forecasters.ridge().fit(X, y).model
    assert model[-1].alpha == max(forecasters.RIDGE_ALPHAS)
    np.testing.assert_allclose(model[0].mean_, X.reshape(100, 8).mean(0))
    with pytest.raises(ValueError, match="X must be two windows or more"):
        forecasters.ridge().fit(X[:1], y[:1])


def test_regressions_check_validation_and_windows_as_other_forecasters_do():
    X, y = np.random.default_rng(0).normal(size=(20, 4, 2)), np.zeros(20)
    with pytest.raises(ValueError, match="validation's y must be 20 finite returns"):
        forecasters.ridge().fit(X, y, (X, y * np.nan))
    with pytest.raises(ValueError, match="4 bars of 2 features as fitted, got 2 bars of 4 features"):
        forecasters.ridge().fit(X, y, (X.reshape(20, 2, 4), y))
    fitted = forecasters.ridge().fit(X.tolist(), y.tolist(), (X.tolist(), y.tolist()))
    with pytest.raises(ValueError, match="4 bars of 2 features as fitted, got 2 bars of 4 features"):
        fitted.predict(X.reshape(20, 2, 4))


# ---------------------------------------------------------------------------------------------------- trader


def test_the_round_trip_costs_what_the_account_loses():
    costs = Costs(commission=1e-3, half_spread=2e-3, slippage=3e-3)
    env = gym.make(ENV_ID, data=market_of(np.full(10, 50.0)), window=1, features=np.zeros((10, 1)), costs=costs)
    env.reset()
    env.step(2)
    *_, info = env.step(0)
    assert 1 - info["equity"] / 100_000 == pytest.approx(round_trip_cost(costs), rel=1e-9)


def test_exposures_change_only_where_a_forecast_beats_the_threshold():
    forecast = [0.01, 0.03, 0.01, -0.01, -0.03, 0.01, np.nan, 0.03]
    assert forecast_exposures(forecast, 0.02).tolist() == [0, 1, 1, 1, 0, 0, 0, 1]
    assert forecast_exposures(forecast, 0.02, short=True).tolist() == [0, 1, 1, 1, -1, -1, -1, 1]
    varying = [0.0, 0.05, 0.05, 0.0, 0.05, 0.05, 0.05, 0.05]
    assert forecast_exposures(forecast, varying).tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="threshold must not be negative"):
        forecast_exposures(forecast, -0.01)
    with pytest.raises(ValueError, match="threshold must not be negative or NaN, got nan"):
        forecast_exposures(forecast, [0.02] * 7 + [np.nan])


def test_the_trader_acts_in_the_env_as_stable_baselines3_expects():
    close = np.array([100.0, 100.0, 100.0, 110.0, 121.0, 121.0, 100.0, 100.0])
    env = gym.make(ENV_ID, data=market_of(close), window=1, features=np.zeros((8, 1)), costs={}, fill="close")
    known = np.append(close[1:] / close[:-1] - 1, 0.0)
    trader = forecast_trader(known, env, 0.005)
    mean, _ = evaluate_policy(trader, env, n_eval_episodes=1, warn=False)
    bought = (1 - 1e-3) ** 2  # five bps of commission and of slippage, twice
    assert mean == pytest.approx(math.log(1.21 * bought), abs=2e-6)


def test_the_validation_chooses_the_margin_that_would_have_earned_most():
    rng = np.random.default_rng(0)
    returns = np.where(rng.random(200) < 0.5, 0.02, -0.02)
    market = market_of(100.0 * np.cumprod(1 + returns))
    right = np.append(returns[1:], 0.0)
    assert choose_margin(right[None], market, (0.0, 0.01, 0.05), KEYWORDS | {"fill": "close"}) == 0.01
    assert choose_margin(-right[None], market, (0.0, 0.01, 0.05), KEYWORDS | {"fill": "close"}) == 0.05


# ---------------------------------------------------------------------------------------------------- the study


@pytest.fixture
def few(tmp_path, monkeypatch):
    """A function that runs a study of a second, of several kinds of forecasters, on a market."""
    settings = ForecastSettings(data=("m",), folds=2, seeds=2, epochs=1, validation=100)
    suite = settings.suite()
    chosen = [one for one in suite.contenders if one.forecast in ("last_value", "mean_of_20", "ridge", "lstm", None)]
    suite = replace(suite, contenders=tuple(chosen))

    def studied(market, block=20):
        monkeypatch.setitem(job._LOADED, "m", market)
        jobs = job.jobs_of(replace(suite, block=block))
        return study_of([job.run(one, Ledger(tmp_path / "ledger.jsonl")) for one in jobs], "m")

    return studied


def test_no_forecast_and_no_trade_knows_the_future(few):
    market, cut = load("us-stocks/GOOG"), 1500
    rng = np.random.default_rng(0)
    factor = np.ones(len(market))
    factor[cut + 1 :] = np.exp(rng.normal(0.0, 0.2, len(market) - cut - 1).cumsum())
    prices = {name: getattr(market, name) * factor for name in ("open", "high", "low", "close")}
    other = Market.from_arrays(time=market.time, volume=market.volume, **prices)
    ours, theirs = few(market), few(other)
    seen = int((ours.time <= market.time[cut]).sum())  # forecasts made up to the cut
    assert 300 < seen < len(ours.truth) - 300
    for name, said in ours.forecasts.items():
        np.testing.assert_allclose(said[:, :seen], theirs.forecasts[name][:, :seen], rtol=1e-6, atol=1e-12)
        assert name == "last_value" or not np.allclose(said[:, seen:], theirs.forecasts[name][:, seen:])
        same = slice(0, seen - 1)
        np.testing.assert_allclose(ours.tracks[name].equity[:, same], theirs.tracks[name].equity[:, same], rtol=1e-9)


def test_truth_is_what_follows_the_first_decision_of_the_test(few):
    market = load("us-stocks/GOOG")
    found = few(market)
    first = int(np.flatnonzero(market.time == found.time[0])[0])
    assert found.truth[0] == market.close[first + 5] / market.close[first] - 1
    bars = {tracks.equity.shape[1] for tracks in found.tracks.values()}
    assert len(bars) == 1
    assert (found.tracks["last_value"].equity == 1.0).all()
    held = found.tracks["buy_and_hold"]
    assert held.equity[0, -1] / held.equity[0, 0] == pytest.approx(np.prod(1.0 + held.returns[0]))


def test_blocks_of_seeds_are_seeds_and_no_further_folds(few):
    market = load("us-stocks/GOOG")
    cut, one = few(market, block=1), few(market)
    np.testing.assert_array_equal(cut.truth, one.truth)
    assert cut.forecasts["lstm"].shape == one.forecasts["lstm"].shape == (2, len(one.truth))
    assert cut.tracks["lstm"].equity.shape == one.tracks["lstm"].equity.shape
    assert len(cut.margins["lstm"]) == 2 * len(one.margins["lstm"]) == 4  # each block chooses its own


def findings_of(skills, sharpes=((-1.0, 1.0),), turnover=1.0):
    rows = {f"f{i}": {"skill_interval_95": interval} for i, interval in enumerate(skills)}
    traders = {"buy_and_hold": {"total_return": 1.0}}
    for i, interval in enumerate(sharpes):
        traders[f"f{i}"] = {"sharpe_minus_buy_and_hold_95": interval, "turnover": turnover, "total_return": 2.0 * i}
    market = {"forecasters": rows, "traders": traders, "survivorship_biased": False}
    results = {"settings": {"horizon": 5}, "markets": {"X": market}}
    return skill_findings(results), trading_findings(results)


def test_what_is_said_follows_from_the_intervals():
    skills, trades = findings_of([(-0.1, 0.1), (-0.2, -0.1)])
    assert skills[0].startswith("No forecaster's skill interval lies above 0")
    assert skills[1].startswith("1 of 2 lie below 0")
    assert trades[0].startswith("No trader has a Sharpe ratio above")
    skills, trades = findings_of([(0.01, 0.1), (-0.2, 0.1)], [(0.1, 0.2), (-0.1, 0.1)], turnover=0.0)
    assert skills[0].startswith("1 of 2 skill intervals lie above 0 (f0 on X)")
    assert trades[0].startswith("1 traders have")
    assert trades[1].startswith("1 of 2 end with more than buy-and-hold; 2 never trade")


def test_the_quick_form_prints_tables_and_writes_results_and_a_picture(tmp_path):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["forecast", "--quick", "--no-progress", "--folder", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "quick" / "results.json").read_text())
    found = results["markets"]["us-stocks/GOOG"]
    assert list(found["forecasters"]) == ["last_value", "mean_of_20", "ridge", "forest", "boosting", "lstm"]
    assert found["forecasters"]["last_value"]["skill"] == 0
    assert set(found["traders"]) == {*found["forecasters"], "buy_and_hold", "flat"}
    assert all(len(row["margins"]) == 2 for row in found["forecasters"].values())
    lines = Ledger(tmp_path / "ledger.jsonl").lines()
    assert {line["contender"] for line in lines} == {*found["forecasters"], "buy_and_hold", "flat"}
    assert os.path.getsize(tmp_path / "quick" / "forecast.png") > 10_000
    for line in (*skill_findings(results), *trading_findings(results)):
        assert line in printed.getvalue()


@pytest.mark.parametrize(
    "bad", [{"window": 10}, {"horizon": 0}, {"first_test": 1.0}, {"margins": ()}, {"margins": (-0.1,)}, {"folds": 0}]
)
def test_bad_settings_are_refused_by_name(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ForecastSettings(**bad)


def test_indices_are_included_where_their_package_is(monkeypatch):
    monkeypatch.setattr(forecast_settings, "find_spec", lambda name: None)
    assert ForecastSettings().data == forecast_settings.STOCKS


def test_clark_and_west_see_a_skill_that_the_squared_error_hides():
    rng = np.random.default_rng(0)
    signal, noise, truth = rng.normal(size=(3, 2000))
    forecast = 0.2 * signal + 0.3 * noise  # more noise than signal: a larger squared error than the forecast 0
    truth = truth + 0.2 * signal
    assert forecast_metrics.skill(forecast, np.zeros(2000), truth) < 0
    assert forecast_metrics.clark_west(forecast, np.zeros(2000), truth) < 0.01
    assert forecast_metrics.clark_west(0.3 * noise, np.zeros(2000), truth) > 0.05
    assert math.isnan(forecast_metrics.clark_west(np.zeros(2000), np.zeros(2000), truth))
