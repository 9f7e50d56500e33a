import datetime

import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import random_market
from trading_env import Market, decide
from trading_env.live.fresh import check_fresh


def market_at(index):
    close = 100.0 + np.arange(len(index)) % 7
    return Market.from_frame(pd.DataFrame({"open": close, "close": close}, index=index))


BUSINESS = market_at(pd.bdate_range(end="2024-03-01", periods=200))  # a Friday
CRYPTO = market_at(pd.date_range(end="2024-03-01", periods=200))
HOURLY = market_at(pd.date_range(end="2024-03-01 15:00", periods=2000, freq="h"))
BERLIN = market_at(pd.date_range(end="2024-03-01 15:00", periods=2000, freq="h", tz="Europe/Berlin"))
HOURS = pd.date_range("2023-10-02", "2024-03-01 15:00", freq="h")
SESSION = market_at(HOURS[(HOURS.day_of_week < 5) & (HOURS.hour >= 9) & (HOURS.hour <= 15)])  # ends on a Friday
MONDAYS = market_at(pd.date_range(end="2024-02-26", periods=60, freq="W-MON"))
FRIDAYS = market_at(pd.date_range(end="2024-03-01", periods=60, freq="W-FRI"))
MONTH_STARTS = market_at(pd.date_range(end="2024-02-01", periods=60, freq="MS"))
MONTH_ENDS = market_at(pd.date_range(end="2024-02-29", periods=60, freq="ME"))


@pytest.mark.parametrize(
    ("market", "as_of"),
    [
        (BUSINESS, "2024-03-01"),  # in the evening
        (BUSINESS, "2024-03-02"),
        (BUSINESS, "2024-03-03 22:00"),
        (BUSINESS, datetime.date(2024, 3, 4)),  # on Monday morning
        (BUSINESS, pd.Timestamp("2024-03-04 07:30")),
        (BUSINESS, pd.Timestamp("2024-03-01")),
        (BUSINESS, np.datetime64("2024-03-04")),
        (CRYPTO, "2024-03-02"),
        (CRYPTO, "2024-03-02 00:05"),
        (HOURLY, "2024-03-01 16:00"),
        (HOURLY, "2024-03-01 16:59"),
        (HOURLY, pd.Timestamp("2024-03-01 17:30", tz="Europe/Berlin")),  # data without a zone count as UTC
        (BERLIN, pd.Timestamp("2024-03-01 15:10", tz="UTC")),
        (BERLIN, "2024-03-01 16:10"),
        (SESSION, "2024-03-01 16:00"),
        (SESSION, "2024-03-04 09:59"),
        (SESSION, "2024-03-04"),
        (MONDAYS, "2024-03-03"),
        (MONDAYS, "2024-03-09"),
        (FRIDAYS, "2024-03-02"),
        (FRIDAYS, "2024-03-08"),
        (MONTH_STARTS, "2024-03-04"),
        (MONTH_ENDS, "2024-03-15"),
    ],
)
def test_fresh_bars_pass(market, as_of):
    check_fresh(market, as_of)


@pytest.mark.parametrize(
    ("market", "as_of"),
    [
        (BUSINESS, "2024-02-29"),
        (BUSINESS, "2024-03-01 12:00"),
        (BUSINESS, pd.Timestamp("2024-03-01 23:59")),
        (CRYPTO, "2024-03-01 23:59"),
        (HOURLY, "2024-03-01 15:59"),
        (HOURLY, pd.Timestamp("2024-03-01 16:30", tz="Europe/Berlin")),
        (BERLIN, "2024-03-01 15:59"),
        (BERLIN, pd.Timestamp("2024-03-01 14:59", tz="UTC")),
        (HOURLY, "2024-02-29"),
        (MONDAYS, "2024-03-01"),
        (FRIDAYS, "2024-02-29"),
        (MONTH_STARTS, "2024-02-20"),
    ],
)
def test_an_unfinished_bar_is_refused_by_name(market, as_of):
    with pytest.raises(ValueError, match=r"the last bar, 2024-.*, is unfinished as of 2024"):
        check_fresh(market, as_of)


@pytest.mark.parametrize(
    ("market", "as_of", "missed"),
    [
        (BUSINESS, "2024-03-05", 1),
        (BUSINESS, "2024-03-06 08:00", 2),
        (BUSINESS, pd.Timestamp("2024-03-15"), 9),
        (CRYPTO, "2024-03-03", 1),
        (HOURLY, "2024-03-01 17:00", 1),
        (HOURLY, "2024-03-02 16:00", 24),
        (BERLIN, pd.Timestamp("2024-03-01 17:00", tz="UTC"), 2),
        (SESSION, "2024-03-04 10:00", 1),
        (SESSION, "2024-03-05", 7),
        (MONDAYS, "2024-03-12", 1),
        (FRIDAYS, "2024-03-09", 1),
        (MONTH_ENDS, "2024-04-02", 1),
    ],
)
def test_stale_bars_are_refused_by_name_and_number(market, as_of, missed):
    with pytest.raises(ValueError, match=rf"stale as of 2024.*, {missed} more should be there"):
        check_fresh(market, as_of)
    check_fresh(market, as_of, max_missed=missed)
    with pytest.raises(ValueError, match="stale"):
        check_fresh(market, as_of, max_missed=missed - 1)


def test_very_old_and_irregular_bars_are_stale_too():
    with pytest.raises(ValueError, match="stale"):
        check_fresh(BUSINESS, "2030-01-01")
    rng = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "s") + np.cumsum(rng.integers(60, 9000, 500)).astype("m8[s]")
    market = market_at(pd.DatetimeIndex(times))
    check_fresh(market, pd.Timestamp(times[-1]) + pd.Timedelta("2h"))
    with pytest.raises(ValueError, match="stale"):
        check_fresh(market, pd.Timestamp(times[-1]) + pd.Timedelta("9h"))


@pytest.mark.parametrize("as_of", ["soon", 5, 5.0, True, [1], float("nan"), pd.NaT])
def test_what_is_no_time_is_refused_by_name(as_of):
    with pytest.raises(TypeError, match="as_of must be a date or a time"):
        check_fresh(BUSINESS, as_of)


def test_data_without_times_cannot_be_checked():
    check_fresh(random_market(), None)
    with pytest.raises(ValueError, match="as_of='2024-03-01' cannot be checked: 'market' has no times"):
        check_fresh(random_market(), "2024-03-01")


def test_decide_refuses_them():
    frame = BUSINESS.to_frame()
    assert decide(lambda obs: 1, frame, window=1, as_of="2024-03-01").action == 1
    with pytest.raises(ValueError, match="stale"):
        decide(lambda obs: 1, frame, window=1, as_of="2024-03-20")
    assert decide(lambda obs: 1, frame, window=1, as_of="2024-03-05", max_missed=1).action == 1
