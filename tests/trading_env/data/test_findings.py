"""Gaps, jumps and closes that stand still, in markets made by hand."""

import numpy as np
import pandas as pd
import pytest

from trading_env import Market, load
from trading_env.data import findings
from trading_env.data.findings import Gap, Jump, Still


def market(close, dates=None):
    return Market.from_arrays(np.asarray(close, float), time=dates)


def test_weekends_and_holidays_are_no_gaps_and_a_missing_month_is_one():
    dates = pd.bdate_range("2020-01-01", periods=100)
    close = np.arange(100.0, 200.0)
    assert findings.gaps(market(close, dates)) == []
    kept = np.r_[0:50, 70:100]
    assert findings.gaps(market(close[kept], dates[kept])) == [Gap(50, (dates[70] - dates[49]).days)]


def test_where_weekends_are_traded_more_than_five_bars_are_a_gap():
    hours = pd.date_range("2020-01-01", periods=1000, freq="h")
    kept = np.r_[0:400, 407:1000]
    assert findings.gaps(market(np.ones(993), hours[kept])) == [Gap(400, 8 / 24)]
    days = pd.DatetimeIndex([stamp for stamp in hours if 9 <= stamp.hour < 16 and stamp.weekday() < 5])
    assert findings.gaps(market(np.ones(len(days)), days)) == []
    assert findings.gaps(market(np.ones(9))) == []


def test_moves_far_above_the_usual_one_are_jumps_and_a_bad_tick_is_undone():
    close = 100.0 * 1.01 ** (np.arange(60) % 2)
    close[30] *= 1.5
    first, second = findings.jumps(market(close))
    assert (first.row, first.move, first.undone) == (30, pytest.approx(close[30] / close[29] - 1), True)
    assert (second.row, second.undone) == (31, False)
    close = 100.0 * 1.01 ** (np.arange(60) % 2)
    close[30:] *= 1.5
    assert findings.jumps(market(close)) == [Jump(30, pytest.approx(close[30] / close[29] - 1), False)]
    assert findings.jumps(market(np.ones(60))) == []
    assert findings.jumps(market(close[:10])) == []


def test_the_longest_run_of_equal_closes_is_found():
    close = np.arange(1.0, 41.0)
    assert findings.still(market(close)) is None
    close[10:14] = 5.0
    assert findings.still(market(close)) is None
    close[20:27] = 7.0
    assert findings.still(market(close)) == Still(26, 7)
    assert findings.still(market(np.ones(8))) == Still(7, 8)


def test_a_bundled_stock_has_no_gap_but_that_of_september_2001():
    apple = load("us-stocks/AAPL")
    assert [apple.time_of(gap.row).split(" ")[0] for gap in findings.gaps(apple)] == ["2001-09-17"]
