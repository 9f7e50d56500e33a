"""Every kind of source of a tear sheet: envs, histories whole and cut, Series with all kinds of dates."""

import datetime

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import random_market
from tests.trading_env.report.sheets import column, curve, figure, read
from trading_env import Market, backtest
from trading_env.analysis import metrics, periods, strategies
from trading_env.report.histories import OPEN
from trading_env.report.sources import account_of
from trading_env.report.tear_sheet import page_of


def episode(steps, always=None, **keywords):
    """An env after some steps: always of this action, or of random ones."""
    env = gym.make(
        "trading_env:TradingEnv-v0", data=random_market(n=200, whole=True, since="2020-01-01"), window=5, **keywords
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(steps):
        env.step(env.action_space.sample() if always is None else always)
    return env


def test_a_running_env_and_its_history_show_the_same_numbers():
    env = gym.make("trading_env:TradingEnv-v0", data=random_market(n=200, whole=True, since="2020-01-01"), window=5)
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(100):
        env.step(env.action_space.sample())
    history = env.unwrapped.history()
    one, other = read(env), read(history, bars_per_year=365.0)
    assert column(one, "numbers") == pytest.approx(column(other, "numbers"))
    for name in ("trades", "trades with a gain", "bars held"):
        ours, theirs = (column(reader, "trading-numbers")[name] for reader in (one, other))
        assert ours == pytest.approx(theirs)
    assert column(one, "numbers")["total return"] == pytest.approx(history["equity"].iloc[-1] / 100_000.0 - 1.0)


def test_a_portfolio_has_a_page_without_trades():
    env = gym.make(
        "trading_env:PortfolioEnv-v0", data=[random_market(i, 90, since="2020-01-01", name=f"m{i}") for i in range(2)]
    )
    env.reset(seed=0)
    env.action_space.seed(0)
    for _ in range(20):
        env.step(env.action_space.sample())
    history = env.unwrapped.history()
    start = env.unwrapped.task.initial_cash
    for reader in (read(env), read(history)):
        assert column(reader, "numbers")["total return"] == pytest.approx(history["equity"].iloc[-1] / start - 1.0)
        assert figure(reader, "trades")["trading"]["trades"] is None
        assert "costs paid" in column(reader, "trading-numbers")


def test_a_series_of_equity_has_a_page_without_what_it_does_not_tell():
    equity = pd.Series([100.0, 110.0, 99.0, 120.0], pd.date_range("2020-01-30", periods=4))
    reader = read(equity)
    assert column(reader, "numbers")["total return"] == pytest.approx(0.2)
    assert "trading-numbers" not in reader.tables
    assert figure(reader, "trades")["trading"]["trades"] is None


def test_histories_over_the_same_bars_are_runs_of_one_policy():
    time = pd.date_range("2020-01-30", periods=4)
    pair = [pd.Series([1.0, 1.1, 1.2, end], time) for end in (1.3, 1.5)]
    assert column(read(pair), "numbers")["total return"] == pytest.approx(0.4)
    with pytest.raises(ValueError, match="those of history 1 differ from history 0's"):
        page_of([pair[0], pair[1].iloc[:3]])


@pytest.mark.parametrize("source", [3, "us-stocks/AAPL", [], [1.0, 2.0]])
def test_something_else_is_refused(source):
    with pytest.raises(TypeError, match="must be a Backtest, an env with an episode"):
        page_of(source)


def test_a_history_without_equity_or_with_one_row_is_refused():
    with pytest.raises(ValueError, match=r"must have a column equity, got \['price'\]"):
        page_of(pd.DataFrame({"price": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        page_of(pd.Series([1.0]))


# -- histories --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fill", ["next_open", "next_close", "close"])
def test_a_whole_history_has_the_trades_of_its_env(fill):
    env = episode(60, fill=fill, costs={"commission": 1e-3})
    ours, theirs = account_of(env), account_of(env.unwrapped.history())
    columns = ["side", "units", "entry_price", "exit_price", "net"]
    columns += ["exit_bar"] if fill != "close" else []  # a history does not tell that these fill a bar earlier
    assert len(ours.trades[0]) > 5
    pd.testing.assert_frame_equal(ours.trades[0][columns], theirs.trades[0][columns])
    assert OPEN not in theirs.notes


def test_a_history_that_is_cut_at_the_front_begins_with_a_position_and_no_invented_trade():
    env = episode(40, 2, actions="buy_hold_sell")  # bought once and held
    history = env.unwrapped.history()
    assert (history["units"] > 0.0).all()
    found = account_of(history.tail(10))
    (trade,) = found.trades[0].to_dict("records")
    assert (trade["entry_price"], trade["exit_price"]) == (history["close"].iloc[-10], history["close"].iloc[-1])
    assert (trade["entry_bar"], trade["exit_bar"], trade["closed_by"]) == (1, 10, "open")
    assert trade["costs"] == 0.0
    assert OPEN in found.notes
    assert len(account_of(history).trades[0]) == 1
    assert OPEN not in account_of(history).notes


def test_closes_of_a_history_stand_at_their_own_bars():
    env = episode(30)
    history = env.unwrapped.history()
    close = account_of(history).prices["close"]
    assert np.isnan(close[0])  # before the first step
    assert close[1:].tolist() == history["close"].tolist()
    frame = pd.DataFrame({"equity": [1.0, 1.1, 1.2], "close": [5.0, 6.0, 7.0]}, pd.date_range("2020-01-01", periods=3))
    assert account_of(frame).prices["close"].tolist() == [5.0, 6.0, 7.0]


def test_an_equity_that_begins_at_zero_or_is_not_finite_is_refused_by_name():
    with pytest.raises(ValueError, match=r"the equity of a history must begin above 0, got 0\.0"):
        account_of(pd.Series([0.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="equity"):
        account_of(pd.Series([1.0, np.nan, 2.0]))


# -- time -------------------------------------------------------------------------------------------------------

MONTHS = pd.period_range("2020-01", periods=4, freq="M")


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.date_range("2020-01-30", periods=4), ["2020-01-30", "2020-02-02"]),
        (pd.Index([datetime.date(2020, 1, 30 + i) if i < 2 else datetime.date(2020, 2, i) for i in range(4)]), None),
        (pd.Index(["2020-01-30", "2020-01-31", "2020-02-01", "2020-02-02"]), ["2020-01-30", "2020-02-02"]),
        (MONTHS, ["2020-01-31", "2020-04-30"]),
    ],
)
def test_dates_of_every_kind_in_the_index_are_timestamps(index, expected):
    account = account_of(pd.Series([1.0, 1.1, 1.2, 1.3], index))
    ends = [str(one.astype("datetime64[D]")) for one in account.time[[0, -1]]]
    assert ends == (expected or ["2020-01-30", "2020-02-03"])
    assert "monthly" in read(pd.Series([1.0, 1.1, 1.2, 1.3], index)).book["charts"]


@pytest.mark.parametrize("index", [[0, 1, 2, 3], list("abcd"), [0.5, 1.5, 2.5, 3.5]])
def test_other_labels_of_the_index_are_no_timestamps(index):
    assert account_of(pd.Series([1.0, 1.1, 1.2, 1.3], index)).time is None


@pytest.mark.parametrize("freq", ["h", "15min"])
def test_a_zone_whose_clocks_are_put_back_has_a_page(freq):
    time = pd.date_range("2021-10-29", "2021-11-12", freq=freq, tz="America/New_York")
    rng = np.random.default_rng(0)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, len(time))))
    market = Market(close, time=time.tz_convert("America/New_York"), name="hours")
    result = backtest(
        strategies.moving_average_crossover, market, fill="next_close", features=["log_return_1"], window=2
    )
    assert (np.diff(result.time) <= np.timedelta64(0)).any(), "local time goes back"
    reader = read(result, market)
    months = [value for row in figure(reader, "monthly")["data"][0]["z"] for value in row if value is not None]
    assert np.prod(1.0 + np.array(months)) == pytest.approx(1.0 + result.total_return)
    days = periods.period_returns(result.equity, result.time, "day")
    assert len(days.returns) == len(np.unique(result.time[1:].astype("datetime64[D]")))
    assert len(curve(reader, figure(reader, "trades")["trading"]["market"][0]["columns"], "x")) == len(result.equity)


# -- bars per year ----------------------------------------------------------------------------------------------


def irregular(count=300):
    """Dates of which most follow each other by a day, while some are months apart."""
    return np.datetime64("2010-01-01", "ns") + np.cumsum(np.where(np.arange(count) % 10 == 9, 60, 1)) * np.timedelta64(
        1, "D"
    )


def test_irregular_dates_have_as_many_bars_a_year_as_their_span():
    time = irregular()
    equity = pd.Series(np.exp(np.cumsum(np.random.default_rng(0).normal(0.0, 0.01, 300))), time)
    rate = 299 / ((time[-1] - time[0]) / np.timedelta64(1, "D")) * 365.25
    assert Market(equity.to_numpy(), time=time).bars_per_year > 5 * rate
    for source in (
        equity,
        backtest(
            strategies.buy_and_hold,
            Market(equity.to_numpy(), time=time),
            fill="next_close",
            features=["log_return_1"],
            window=2,
        ),
    ):
        account = account_of(source)
        assert account.tracks.bars_per_year == pytest.approx(rate, rel=0.03)
        returns = account.tracks.returns[0]
        reader = read(source)
        ratio = column(reader, "numbers")["Sharpe ratio"]
        assert ratio == pytest.approx(metrics.sharpe_ratio(returns, account.tracks.bars_per_year))
        assert "The timestamps are irregular" in page_of(source).html()


def test_a_part_of_an_irregular_market_has_the_bars_a_year_of_its_span():
    usual = np.where(np.arange(600) < 290, 48, 52)  # hours, of the first part and of the second
    gaps = np.where(np.arange(600) % 10 == 9, 1440, usual)
    time = np.datetime64("2010-01-01", "ns") + np.cumsum(gaps) * np.timedelta64(1, "h")
    train = Market(np.linspace(1.0, 2.0, 600), time=time).split(0.5)[0]
    account = account_of(
        backtest(strategies.buy_and_hold, train, fill="next_close", features=["log_return_1"], window=2)
    )
    span = (account.time[-1] - account.time[0]) / np.timedelta64(1, "D")
    assert account.tracks.bars_per_year == pytest.approx(365.25 * (len(account.time) - 1) / span)


def test_a_given_number_of_bars_a_year_stays():
    time = irregular()
    market = Market(np.linspace(1.0, 2.0, 300), time=time, bars_per_year=12.0)
    result = backtest(strategies.buy_and_hold, market, fill="next_close", features=["log_return_1"], window=2)
    assert account_of(result).tracks.bars_per_year == 12.0
    assert account_of(result, 20.0).tracks.bars_per_year == 20.0
    assert "irregular" not in " ".join(account_of(result).notes)


def test_regular_dates_keep_their_usual_number():
    business = pd.Series(np.linspace(1.0, 2.0, 500), pd.bdate_range("2020-01-01", periods=500))
    assert account_of(business).tracks.bars_per_year == 252.0
    short = pd.Series(np.linspace(1.0, 2.0, 20), irregular(20) - np.timedelta64(0))
    assert account_of(short.iloc[:9]).tracks.bars_per_year == 365.0


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), "many"])
def test_a_number_of_bars_a_year_that_is_none_is_refused(rate):
    with pytest.raises((ValueError, TypeError), match="bars_per_year"):
        account_of(pd.Series([1.0, 2.0, 3.0]), rate)
