"""Markets keep the time zone of their bars: days, calendar columns, splits and labels are the market's own."""

import copy
import datetime as dt
import pickle
import zoneinfo

import dateutil.tz
import gymnasium as gym
import numpy as np
import pandas as pd
import pytest

from trading_env import check_causality, load
from trading_env.data import simulators
from trading_env.data.market import Market
from trading_env.features.build import feature_table

ZONES = ["Australia/Sydney", "Asia/Tokyo", "Europe/London", "America/New_York", "America/St_Johns", "Pacific/Auckland"]
CHANGES = ("2024-04-01", "2024-03-04", "2024-03-25")  # weeks after which a clock changes, somewhere


def sessions(zone, first="2024-03-25", days=15, hours=("10:00", "16:00"), freq="20min"):
    """Timestamps of local sessions of business days."""
    parts = [
        pd.date_range(f"{day:%Y-%m-%d} {hours[0]}", f"{day:%Y-%m-%d} {hours[1]}", freq=freq, tz=zone)
        for day in pd.bdate_range(first, periods=days)
    ]
    return (
        pd.DatetimeIndex(np.concatenate([part.tz_convert("UTC").tz_localize(None) for part in parts]))
        .tz_localize("UTC")
        .tz_convert(zone)
    )


def frame(index):
    close = 100 + np.arange(float(len(index)))
    return pd.DataFrame({"Open": close, "High": close, "Low": close, "Close": close, "Volume": 1.0}, index=index)


def through_csv(data, folder):
    data.rename_axis("time").to_csv(folder / "a.csv")
    return load(folder / "a.csv")


def shared(market):
    """The market as it comes out of copies, pickles, splits and frames."""
    part = market.split(0.5)[1]
    return {
        "itself": market,
        "copy": copy.copy(market),
        "deep copy": copy.deepcopy(market),
        "pickle": pickle.loads(pickle.dumps(market)),
        "split": part,
        "pickled split": pickle.loads(pickle.dumps(part)),
        "frame": Market.from_frame(market.to_frame()),
        "arrays": Market.from_arrays(market.close, time=market.time),
        "copied time": Market.from_arrays(market.close, time=market.time.copy()),
        "pickled time": Market.from_arrays(market.close, time=pickle.loads(pickle.dumps(market.time))),
    }


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("first", CHANGES)
def test_days_of_sessions_are_local_days(zone, first, tmp_path):
    index = sessions(zone, first)
    for made in (load(frame(index)), through_csv(frame(index), tmp_path)):
        for how, market in shared(made).items():
            assert (pd.DatetimeIndex(market.time) == index.tz_convert("UTC").tz_localize(None)).all(), how
            assert (pd.DatetimeIndex(market.local_time) == index.tz_localize(None)).all(), how
            assert market.time_of(0) == f"{first}T10:00 (row 0)", how
            assert market.bars_per_year == 252.0 * 19, how
            table = feature_table(market, ["dom", "doy", "month", "year"]).values
            expected = np.stack([index.day, index.day_of_year, index.month, index.year], axis=1)
            assert np.array_equal(table, expected), how
            assert isinstance(market.time, np.ndarray)
            assert not market.time.flags.writeable
            assert not hasattr(market.time[1:] - market.time[:-1], "zone")


@pytest.mark.parametrize("zone", ZONES)
def test_a_split_begins_at_local_midnight(zone, tmp_path):
    index = sessions(zone, "2024-01-15", hours=("00:20", "23:40"))
    for market in (load(frame(index)), through_csv(frame(index), tmp_path)):
        cuts = ["2024-01-22", dt.date(2024, 1, 22), np.datetime64("2024-01-22"), dt.datetime(2024, 1, 22)]
        cuts += [pd.Timestamp("2024-01-22", tz=zone), pd.Timestamp("2024-01-22 00:10", tz=zone).tz_convert("UTC")]
        for cut in cuts:
            test = market.split(cut)[1]
            assert test.time_of(test.first).startswith("2024-01-22T00:20 "), cut
        assert "2024-01-22" in repr(test)
        hour = market.split("2024-01-22 15:00")[1]
        assert hour.time_of(hour.first).startswith("2024-01-22T15:00 ")
        utc = market.split("2024-01-22T15:00Z")[1]
        assert utc.time[utc.first - 1] < np.datetime64("2024-01-22T15:00") <= utc.time[utc.first]


def test_a_split_in_the_hour_that_comes_twice_begins_at_its_first():
    index = pd.date_range("2024-11-03 04:00", periods=12, freq="30min", tz="UTC").tz_convert("America/New_York")
    market = load(frame(index))
    assert market.split("2024-11-03 01:00")[1].first == list(index.strftime("%H:%M")).index("01:00") == 2
    assert market.split("2024-11-03 02:00")[1].first == 6
    with pytest.raises(ValueError, match="falls on row 12"):
        market.split("2024-11-04")


@pytest.mark.parametrize("zone", ZONES)
def test_holidays_ahead_are_those_of_local_days(zone):
    index = sessions(zone, "2024-07-01", days=5)  # 4 July is a Thursday
    ahead = feature_table(load(frame(index)), ["n_holidays"]).values[:, 0]
    assert np.array_equal(ahead, (index.day == 3).astype(float))


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("Australia/Sydney", "Australia/Sydney"),
        (zoneinfo.ZoneInfo("Australia/Sydney"), "Australia/Sydney"),
        (dateutil.tz.gettz("Australia/Sydney"), "Australia/Sydney"),
        (dt.timezone(dt.timedelta(hours=9, minutes=30)), "UTC+09:30"),
        (dt.timezone(dt.timedelta(hours=-3, minutes=-30), "America/New_York"), "UTC-03:30"),
        (dateutil.tz.tzoffset("X", 3600), "UTC+01:00"),
    ],
)
def test_a_zone_of_any_kind_has_a_name_and_comes_back_in_frames(zone, name):
    index = sessions(zone)
    market = load(frame(index))
    assert market.tz == name
    back = market.to_frame().index
    assert (back == index).all()
    assert (back.tz_localize(None) == index.tz_localize(None)).all()
    assert load(market.to_frame()).tz == name


@pytest.mark.parametrize("written", ["local", "offsets", "epoch"])
def test_the_zone_that_load_is_told_is_kept(written, tmp_path):
    index = sessions("Australia/Sydney")
    local = {"local": index.tz_localize(None), "offsets": index, "epoch": index.tz_convert(None).astype("int64")}
    data = frame(local[written]).rename_axis("time")
    data.to_csv(tmp_path / "a.csv")
    market = load(tmp_path / "a.csv", tz="Australia/Sydney")
    assert market.tz == "Australia/Sydney"
    assert (market.to_frame().index == index).all()


def test_offsets_that_change_come_back_in_frames(tmp_path):
    index = sessions("Australia/Sydney")
    market = through_csv(frame(index), tmp_path)
    assert market.tz == "UTC+11:00, UTC+10:00"
    back = market.to_frame()
    assert [stamp.isoformat() for stamp in back.index] == [stamp.isoformat() for stamp in index]
    assert through_csv(back, tmp_path).tz == market.tz


@pytest.mark.parametrize("zone", [None, "UTC", dt.UTC, "+00:00"])
def test_times_without_a_zone_or_in_utc_are_plain(zone):
    index = sessions("UTC").tz_localize(None) if zone is None else sessions(zone)
    market = load(frame(index))
    assert market.tz is None
    assert type(market.time) is np.ndarray
    assert market.local_time is market.time
    assert market.to_frame().index.tz is None
    assert load(frame(pd.bdate_range("2024-01-01", periods=9, tz="Asia/Tokyo"))).tz is None
    assert Market.from_frame(frame(pd.RangeIndex(9))).local_time is None


# -- dates, and a row with a time of day among them


@pytest.mark.parametrize("zone", [None, *ZONES])
@pytest.mark.parametrize("row", [0, 3, 9])
@pytest.mark.parametrize("kind", ["index", "csv", "objects", "datetimes"])
def test_one_time_of_day_among_dates_moves_no_date(zone, row, kind, tmp_path):
    days = pd.bdate_range("2024-04-01", periods=10)
    local = days.to_series().reset_index(drop=True)
    local[row] += pd.Timedelta("15:30:00")
    index = pd.DatetimeIndex(local, tz=zone)
    data = frame(index)
    if kind == "csv":
        market = through_csv(data, tmp_path)
    elif kind == "objects":
        market = load(data.set_axis(pd.Index(list(index), dtype=object)))
    elif kind == "datetimes":
        market = Market.from_arrays(np.ones(10), time=[stamp.to_pydatetime() for stamp in index])
    else:
        market = load(data)
    assert (pd.DatetimeIndex(market.time) == index.tz_localize(None)).all()
    assert feature_table(market, ["dom"]).values[:, 0].tolist() == days.day.tolist()
    assert market.bars_per_year == 252.0
    cut = market.split(pd.Timestamp("2024-04-08", tz=zone))[1]
    assert cut.first == market.split("2024-04-08")[1].first == 5


def test_two_bars_a_day_are_instants_though_one_begins_it():
    index = pd.date_range("2024-01-01", periods=20, freq="12h", tz="Australia/Sydney")
    market = load(frame(index))
    assert market.tz == "Australia/Sydney"
    assert market.time_of(3) == "2024-01-02T12:00 (row 3)"
    assert market.split("2024-01-05")[1].first == 8


@pytest.mark.parametrize("date", [dt.date(2024, 1, 2), dt.datetime(2024, 1, 2), pd.Timestamp("2024-01-02")])
def test_a_date_among_instants_is_named(date):
    instants = [dt.datetime(2024, 1, day, 10, tzinfo=dt.timezone(dt.timedelta(hours=11))) for day in (1, 2, 3)]
    with pytest.raises(ValueError, match=r"time must have a time zone in every row or in none, got .* in row 1"):
        Market.from_arrays(np.ones(3), time=[instants[0], date, instants[2]])


def test_messages_name_local_times():
    index = sessions("Australia/Sydney")
    data = frame(index)
    data.loc[index[40], "Close"] = np.nan
    where = rf"{index[40]:%Y-%m-%dT%H:%M} \(row 40\)"
    with pytest.raises(ValueError, match=f"got nan at {where}"):
        load(data)
    assert load(data, on_missing="drop").metadata["on_missing"]["first"] == where.replace("\\", "")
    with pytest.raises(ValueError, match=rf"unsorted timestamps: {index[3]:%Y-%m-%dT%H:%M} \(row 1\) follows"):
        load(frame(index[[4, 3, 2]]))


# -- where markets go


def test_features_of_a_callable_may_be_indexed_by_any_clock_of_the_market():
    market = load(frame(sessions("Australia/Sydney")))
    for index in (market.to_frame().index, pd.DatetimeIndex(market.time), pd.DatetimeIndex(market.local_time)):
        table = feature_table(market, lambda m, index=index: pd.DataFrame({"x": m.close}, index=index))
        assert np.array_equal(table.values[:, 0], market.close.astype(np.float32))
        with pytest.raises(ValueError, match="must have the market's dates"):
            feature_table(market, lambda m, index=index: pd.DataFrame({"x": m.close}, index=index + pd.Timedelta("1h")))
    check_causality(["dom", "n_holidays", "log_return_1"], market)
    assert simulators.stationary_bootstrap(market, 0, n_bars=50).tz == "Australia/Sydney"


def test_the_history_of_an_env_has_local_times(tmp_path):
    index = sessions("Australia/Sydney", "2024-01-15")
    env = gym.make("trading_env:TradingEnv-v0", data=load(frame(index)).split("2024-01-22")[1], window=5)
    env.reset()
    for _ in range(3):
        env.step(2)
    time = env.unwrapped.history()["time"]
    assert str(time.dt.tz) == "Australia/Sydney"
    assert f"{time.iloc[0]:%Y-%m-%d %H:%M}" == "2024-01-22 10:20"
    envs = gym.make_vec("trading_env:TradingEnv-v0", 2, data=through_csv(frame(index), tmp_path), window=5)
    envs.reset(seed=0)
    plain = gym.make("trading_env:TradingEnv-v0", data=frame(index.tz_localize(None)), window=5)
    plain.reset()
    plain.step(2)
    assert plain.unwrapped.history()["time"].dtype == "datetime64[ns]"
