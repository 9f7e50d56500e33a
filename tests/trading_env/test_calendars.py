import pandas as pd
import pytest

from trading_env.features import calendar_features, feature_table
from trading_env.market import Market

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
    with pytest.raises(ValueError, match="feature 'doy' needs timestamps, which 'market' has not"):
        feature_table(Market.from_arrays([1.0, 2.0]), ["doy"])
