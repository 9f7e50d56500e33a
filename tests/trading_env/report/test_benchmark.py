"""A benchmark beside a strategy: alignment in time, and what it shows where it is unknown, ruined, or ends early."""

import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import random_market
from tests.trading_env.report.sheets import column, crossing, curve, figure, read
from trading_env import Market, backtest
from trading_env.analysis import metrics, relative, strategies
from trading_env.report.benchmark import benchmark_of
from trading_env.report.sources import account_of
from trading_env.report.tear_sheet import page_of

CLOSES = {"window": 2, "fill": "next_close", "features": ["log_return_1"]}
DAY = np.timedelta64(1, "D")


def beside(source, account):
    return benchmark_of(source, account_of(account))


def test_a_benchmark_changes_no_number_of_the_strategy():
    result = crossing()
    other = random_market(seed=5, n=300, since="2019-01-01", name="other")  # begins later, ends earlier
    alone, beside = read(result), read(result, other)
    assert column(alone, "numbers") == column(beside, "numbers")
    trading = column(alone, "trading-numbers")
    assert trading.items() <= column(beside, "trading-numbers").items()
    for name in alone.book["charts"]:
        one, two = figure(alone, name), figure(beside, name)
        for trace, same in zip(one.get("data", []), two.get("data", []), strict=False):
            if "z" in trace:
                assert trace["z"] == same["z"]
            elif "y" in trace:
                np.testing.assert_array_equal(curve(alone, trace), curve(beside, same))
    assert column(beside, "numbers", 2)["total return"] == pytest.approx(other.close[-1] / other.close[0] - 1.0)


def test_numbers_beside_the_benchmark_use_its_own_bars():
    result = crossing()
    other = random_market(seed=5, n=300, since="2019-01-01")
    numbers = column(read(result, other), "trading-numbers")
    place = np.searchsorted(other.time, result.time, side="right") - 1
    value = np.where((place >= 0) & (result.time <= other.time[-1]), other.close[np.maximum(place, 0)], np.nan)
    returns = value[1:] / value[:-1] - 1.0
    assert numbers["beta"] == pytest.approx(relative.beta(result.returns, returns))
    assert numbers["information ratio"] == pytest.approx(
        relative.information_ratio(result.returns, returns, result.bars_per_year)
    )


def test_a_daily_benchmark_of_short_bars_is_known_at_the_days_end():
    hours = np.datetime64("2020-01-01T00:00", "ns") + np.arange(72) * np.timedelta64(1, "h")
    equity = pd.Series(np.linspace(1.0, 2.0, 72), hours)
    daily = Market([10.0, 20.0, 40.0], time=np.datetime64("2020-01-01") + np.arange(3), name="daily")
    benchmark = figure(read(equity, daily), "growth")
    values = curve(read(equity, daily), benchmark["data"][1])
    assert np.isnan(values[:24]).all()
    assert values[[24, 47, 48, 71]] == pytest.approx(equity.iloc[24] * np.array([1, 1, 2, 2]) - 1.0)


def test_a_benchmark_that_cannot_be_aligned_is_refused():
    result = crossing()
    with pytest.raises(ValueError, match="benchmark must have 699 closes as the account has"):
        page_of(
            backtest(strategies.flat, random_market(n=701), window=2, features=["log_return_1"]), Market([1.0, 2.0])
        )
    with pytest.raises(ValueError, match="begins at 2030-01-01"):
        page_of(result, random_market(since="2030-01-01"))


def test_timestamps_of_different_zones_are_aligned_as_instants():
    hours = pd.date_range("2020-01-01 00:00", periods=48, freq="h", tz="UTC")
    equity = pd.Series(np.linspace(1.0, 2.0, 48), hours.tz_convert("Asia/Tokyo"))
    other = pd.Series(np.arange(48.0) + 1.0, hours.tz_convert("America/New_York"), name="other")
    assert beside(other, equity).value.tolist() == (np.arange(48.0) + 1.0).tolist()
    plain = other.tz_convert("UTC").tz_localize(None)  # times of the day without a zone are UTC
    assert beside(plain, equity).value.tolist() == other.tolist()


def test_a_benchmark_of_short_bars_is_asked_at_the_end_of_each_day():
    days = pd.Series([1.0, 1.1, 1.2], pd.date_range("2020-01-01", periods=3))
    hours = pd.Series(np.arange(72.0) + 1.0, pd.date_range("2020-01-01 00:30", periods=72, freq="h"))
    assert beside(hours, days).value.tolist() == [24.0, 48.0, 72.0]


@pytest.mark.parametrize("last", [2, 150, 298])
def test_a_benchmark_that_ends_early_is_unknown_from_then_on(last):
    equity = pd.Series(np.linspace(1.0, 2.0, 300), pd.date_range("2020-01-01", periods=300))
    other = random_market(seed=5, n=last, since="2020-01-01")
    found = beside(other, equity)
    assert found.value[:last].tolist() == other.close.tolist()
    assert np.isnan(found.value[last:]).all()
    assert np.isnan(found.returns[last - 1 :]).all()
    reader = read(equity, other)
    assert column(reader, "numbers", 2)["total return"] == pytest.approx(other.close[-1] / other.close[0] - 1.0)
    assert column(reader, "numbers", 2)["largest drawdown"] == pytest.approx(metrics.max_drawdown(other.close))
    drawn = curve(reader, figure(reader, "growth")["data"][1])
    assert np.isnan(drawn[last:]).all()
    assert "year" in {row[0][0] for row in reader.tables["years"]}


def test_a_benchmark_that_is_ruined_has_numbers_and_ends_at_a_loss_of_everything():
    equity = pd.Series(np.linspace(1.0, 2.0, 90), pd.date_range("2020-01-01", periods=90))
    gone = pd.Series(np.concatenate([np.linspace(1.0, 1.5, 40), np.zeros(50)]), equity.index, name="gone")
    reader = read(equity, gone)
    assert column(reader, "numbers", 2)["total return"] == -1.0
    assert np.isfinite(column(reader, "trading-numbers")["beta"])
    assert column(reader, "trading-numbers")["beta"] == pytest.approx(
        relative.beta(equity.pct_change().iloc[1:], gone.pct_change().iloc[1:].fillna(0.0))
    )
    assert curve(reader, figure(reader, "growth")["data"][1])[-1] == -1.0


@pytest.mark.parametrize(("first", "count"), [("2020-02-01", 1), ("2020-03-31", 30), ("2019-12-01", 32)])
def test_a_benchmark_with_fewer_than_two_closes_on_the_bars_is_refused(first, count):
    equity = pd.Series(np.linspace(1.0, 2.0, 91), pd.date_range("2020-01-01", periods=91))
    with pytest.raises(ValueError, match="must have two closes within the account's, 2020-01-01 to 2020-03-31"):
        beside(random_market(n=count, since=first), equity)


def test_a_benchmark_of_which_nothing_is_left_at_the_start_is_refused():
    time = pd.date_range("2020-01-01", periods=6)
    gone = pd.Series([1.0, 0.0, 0.0, 0.0, 0.0, 0.0], time)
    with pytest.raises(ValueError, match="must begin above 0 on the account's bars, got 0"):
        beside(gone, pd.Series(np.arange(1.0, 6.0), time[1:]))


def test_a_market_without_timestamps_is_its_own_benchmark():
    market = random_market(n=200)
    result = backtest(strategies.buy_and_hold, market, **CLOSES)
    found = beside(market, result)
    assert found.value.tolist() == market.close[result.first :].tolist()


def test_beta_and_correlation_need_no_bars_per_year():
    result = backtest(lambda market: strategies.moving_average_crossover(market, 3, 9), random_market(n=200), **CLOSES)
    other = random_market(seed=3, n=200)
    numbers = column(read(result, other), "trading-numbers")
    theirs = np.diff(other.close[result.first :]) / other.close[result.first : -1]
    assert numbers["beta"] == pytest.approx(relative.beta(result.returns, theirs))
    assert numbers["correlation"] == pytest.approx(relative.correlation(result.returns, theirs))
    assert "tracking error" not in numbers


def test_a_history_is_a_benchmark_by_its_equity():
    time = pd.date_range("2020-01-01", periods=5)
    history = pd.DataFrame({"equity": [1.0, 2.0, 3.0, 4.0, 5.0], "name": "x"}, time)
    assert beside(history, pd.Series(np.ones(5), time)).value.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
