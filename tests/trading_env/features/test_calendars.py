import numpy as np
import pandas as pd
import pytest
from pandas.tseries.holiday import USFederalHolidayCalendar

from trading_env import check_causality, load
from trading_env.data.market import Market
from trading_env.features.build import feature_table
from trading_env.features.calendars import calendar_features

WEEKS = pd.DatetimeIndex(["2012-06-03", "2012-06-10", "2012-06-17", "2012-06-24", "2012-07-01"])


@pytest.mark.parametrize("index", [WEEKS, pd.date_range("2012-06-03", periods=5, freq="W")])
def test_weekly_dates_of_the_summer_of_2012(index):
    table = calendar_features(index)
    assert list(table.columns) == ["doy", "dom", "month", "year", "n_holidays"]
    assert table.index.equals(index)
    assert table.to_numpy().tolist() == [
        [155, 3, 6, 2012, 0],
        [162, 10, 6, 2012, 0],
        [169, 17, 6, 2012, 0],
        [176, 24, 6, 2012, 0],
        [183, 1, 7, 2012, 1],
    ]


def test_a_daily_holiday_is_coming_on_the_day_before_it():
    days = pd.date_range("2012-07-02", "2012-07-05")
    assert calendar_features(days)["n_holidays"].tolist() == [0, 1, 0, 0]


def test_a_monday_holiday_without_a_bar_is_coming_on_friday():
    # Memorial Day, 28 May 2012: the exchange was closed
    days = pd.DatetimeIndex(["2012-05-23", "2012-05-24", "2012-05-25", "2012-05-29", "2012-05-30"])
    assert calendar_features(days)["n_holidays"].tolist() == [0, 0, 1, 0, 0]


def test_a_month_may_have_several_holidays():
    # Columbus Day; Veterans Day (observed on the 12th), Thanksgiving; Christmas, 1 January; Martin Luther King
    months = pd.date_range("2012-10-01", periods=4, freq="MS")
    assert calendar_features(months)["n_holidays"].tolist() == [1, 2, 2, 1]


def test_the_period_can_be_given_and_is_needed_for_one_date():
    one = WEEKS[-1:]
    assert calendar_features(one, period="W")["n_holidays"].tolist() == [1]
    assert calendar_features(one, period="D")["n_holidays"].tolist() == [0]
    with pytest.raises(ValueError, match="n_holidays needs the spacing of the dates: give at least two, or period="):
        calendar_features(one)


def test_intraday_bars_look_one_day_ahead():
    hours = pd.date_range("2012-07-03 00:00", periods=48, freq="h", tz="America/New_York")
    assert calendar_features(hours)["n_holidays"].tolist() == [1] * 24 + [0] * 24


def test_other_indices_raise():
    with pytest.raises(TypeError, match="index must be a pandas DatetimeIndex, got RangeIndex"):
        calendar_features(pd.RangeIndex(3))
    with pytest.raises(ValueError, match="index must have no missing dates"):
        calendar_features(pd.DatetimeIndex(["2012-01-01", None]))


def test_calendar_columns_are_features_by_name():
    market = Market.from_arrays([1.0, 2.0, 3.0, 4.0, 5.0], time=WEEKS)
    table = feature_table(market, ["doy", "dom", "month", "year", "n_holidays"])
    assert table.values.tolist() == calendar_features(WEEKS).to_numpy().tolist()
    for part in market.split(0.6):
        assert feature_table(part, ["n_holidays"]).values.tolist() == table.values[: len(part), 4:].tolist()
    with pytest.raises(ValueError, match="feature 'doy' needs timestamps, which 'market' lacks"):
        feature_table(Market.from_arrays([1.0, 2.0]), ["doy"])


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "Europe/London", "America/New_York"])
def test_daily_bars_keep_the_dates_of_their_time_zone(zone):
    dates = pd.bdate_range("2023-05-22", periods=12, tz=zone)
    market = Market.from_frame(pd.DataFrame({"close": 1.0}, index=dates))
    assert (pd.DatetimeIndex(market.time) == dates.tz_localize(None)).all()
    table = feature_table(market, ["dom", "n_holidays"])
    assert (table.values == calendar_features(dates)[["dom", "n_holidays"]].to_numpy()).all()
    assert table.values[:, 1].sum() == 1  # Memorial Day, seen from the Friday before it
    assert market.split("2023-05-29")[1].time_of(5) == "2023-05-29 (row 5)"
    assert market.split(pd.Timestamp("2023-05-29", tz=zone))[1].first == 5


@pytest.mark.parametrize("rate", [250.0, 252.0, 260.0])
def test_business_days_see_every_holiday_whatever_their_number_in_a_year(rate):
    dates = pd.bdate_range("2006-01-02", "2015-12-30")
    market = Market.from_arrays([1.0] * len(dates), time=dates, bars_per_year=rate)
    holidays = USFederalHolidayCalendar().holidays("2006-01-03", "2015-12-31")
    assert feature_table(market, ["n_holidays"]).values.sum() == len(holidays[holidays.day_of_week < 5])


@pytest.mark.parametrize("freq", ["ME", "BME", "QE", "BQE", "MS", "QS", "YS", "YE", "W-FRI", "W-MON"])
def test_regular_dates_count_every_holiday_once(freq):
    dates = pd.date_range("2006-01-01", "2015-12-31", freq=freq)
    holidays = USFederalHolidayCalendar().holidays(dates[0] + pd.Timedelta(days=1), dates[-1])
    market = Market.from_arrays([1.0] * len(dates), time=dates)
    assert feature_table(market, ["n_holidays"]).values[:-1].sum() == len(holidays)
    assert calendar_features(dates._with_freq(None))["n_holidays"][:-1].sum() == len(holidays)


def test_a_week_is_seven_days_on_any_weekday():
    mondays = pd.DatetimeIndex(["2012-08-27", "2012-09-03"])
    assert calendar_features(mondays, "W")["n_holidays"].tolist() == [1, 0]  # Labor Day was the second


def test_a_period_or_an_order_that_cannot_be_is_named():
    dates = pd.date_range("2020-01-01", periods=3)
    with pytest.raises(ValueError, match="period must be a pandas offset or its alias, got 'foo'"):
        calendar_features(dates, "foo")
    with pytest.raises(ValueError, match="period must go forward, got '-7D'"):
        calendar_features(dates, "-7D")
    with pytest.raises(ValueError, match="index must increase"):
        calendar_features(dates[::-1])


def test_what_is_coming_does_not_depend_on_later_dates():
    days = pd.Series(pd.DatetimeIndex(load("us-stocks/IBM").time))
    last = days.groupby([days.dt.year, days.dt.month]).last()  # Good Friday among them
    odd = pd.date_range("2021-01-31", periods=40, freq="ME").append(pd.DatetimeIndex(["2024-05-17"]))
    saturday = pd.bdate_range("2015-01-01", periods=300).append(pd.DatetimeIndex(["2016-02-27"]))
    for dates, rate in ((last, None), (odd, None), (saturday, 250.0), (saturday, 1638.0)):
        market = Market(np.arange(len(dates)) + 1.0, time=np.array(dates), bars_per_year=rate)
        check_causality(["n_holidays"], market)
        part = market.split(0.4)[0]
        whole = feature_table(market, ["n_holidays"]).values
        assert (feature_table(part, ["n_holidays"]).values == whole[: len(part)]).all()


@pytest.mark.parametrize("rate", [1.0, 4.0, 12.0, 52.0, 365.25, 24 * 365.2425])
def test_a_rate_that_is_rounded_is_the_same_rate(rate):
    time = pd.date_range("2020-01-31", periods=200, freq="D")
    markets = [Market.from_arrays(np.ones(200), time=time, bars_per_year=r) for r in (rate, np.nextafter(rate, 0))]
    columns = [feature_table(market, ["n_holidays"]).values for market in markets]
    assert np.array_equal(*columns)
