"""Columns of time: found by name, read by unit, format and zone, refused by name; never lost."""

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import pytest

import trading_env
from trading_env.data.datasets import load
from trading_env.data.market import Market

N = 6
DAYS = pd.date_range("2024-01-30", periods=N)
HOURS = pd.date_range("2024-01-02 09:00", periods=N, freq="h")
CLOSE = np.arange(10.0, 10.0 + N)


def frame(**columns):
    return pd.DataFrame({"close": CLOSE, **columns})


def counted(times, unit):
    return times.to_numpy().astype(f"datetime64[{unit}]").astype(np.int64)


NAMES = [
    *(
        "open_time",
        "Open time",
        "openTime",
        "Gmt time",
        "Local time",
        "trade_date",
        "timestamp",
        "t",
        "unix",
        "datetime",
    ),
    *(
        "unix timestamp",
        "epoch",
        "ts",
        "Date",
        "TIME",
        "close_time",
        "start",
        "window_start",
        "time_utc",
        "DateTime_UTC",
    ),
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_that_count_since_1970_are_found_and_read(name, unit):
    market = load(frame(**{name: counted(HOURS, unit)}))
    assert (pd.DatetimeIndex(market.time) == HOURS).all()
    assert dict(market.columns) == {}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("columns", [None, [], ["close"]])
@pytest.mark.parametrize("kind", ["counted", "text", "dates"])
def test_rows_that_come_newest_first_are_refused_or_sorted_never_taken(name, columns, kind):
    times = {"counted": counted(HOURS, "ms"), "text": HOURS.strftime("%Y-%m-%d %H:%M"), "dates": HOURS}[kind]
    data = frame(**{name: times})[::-1]
    for wrong in (data, data.reset_index(drop=True)):
        with pytest.raises(ValueError, match=r"the rows come newest first: load\(..., sort=True\)"):
            load(wrong, columns=columns)
        market = load(wrong, columns=columns, sort=True)
        assert market.close.tolist() == CLOSE.tolist()
        assert market.metadata["order"] == "reversed: the rows came newest first"
    assert load(data.set_index(name), columns=columns, sort=True).close.tolist() == CLOSE.tolist()


@pytest.mark.parametrize("name", ["stempel", "when", "zzz"])
@pytest.mark.parametrize(
    ("times", "reason"),
    [
        (counted(HOURS, "ms"), "its numbers may be times"),
        (counted(HOURS, "s")[::-1], "its numbers may be times"),
        (np.array([20240102, 20240103, 20240104, 20240105, 20240108, 20240109]), "its numbers may be times"),
        (HOURS, "it holds dates"),
        ([day.date() for day in DAYS], "it holds dates"),
        (DAYS.strftime("%d.%m.%Y"), "its text has the form of dates"),
    ],
)
@pytest.mark.parametrize("columns", [None, []])
def test_a_column_of_another_name_that_looks_like_time_is_refused_by_name(name, times, reason, columns):
    data = frame(**{name: times})
    with pytest.raises(ValueError, match=rf"'{name}' looks like one \({reason}\): load\(..., time='{name}'\)"):
        load(data, columns=columns)
    market = load(data, time=name, columns=columns, sort=True)
    assert market.time is not None
    assert load(frame(**{name: CLOSE * 1e3}), time=False, columns=[name]).column(name)[0] == 1e4


def test_numbers_that_are_no_times_stay_columns():
    for name, values in (
        ("t", np.arange(N)),
        ("day", [1, 2, 3, 4, 5, 1]),
        ("obv", [1.5e9, 1.6e9, 1.4e9, 1.5e9, 1.6e9, 1.7e9]),
    ):
        data = frame(**{name: values}).set_index(DAYS)
        assert load(data).column(name).tolist() == list(values)
        assert load(data.reset_index(drop=True), time=False).column(name).tolist() == list(values)


def test_an_order_that_cannot_be_checked_is_said():
    with pytest.warns(UserWarning, match=r"'market' has no time: its 6 rows are assumed to be in order, oldest first"):
        assert load(frame()).time is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load(frame(), time=False).time is None
        load(frame().set_index(DAYS))
    with pytest.raises(ValueError, match="sort=True needs a column of time"):
        load(frame(), sort=True)


@pytest.mark.parametrize("index", [range(5, 5 + N), range(N - 1, -1, -1)])
def test_an_index_that_counts_otherwise_asks_for_the_time(index):
    with pytest.raises(
        ValueError, match=r"the index must be dates, or count rows .*load\(..., time=...\), or say time=Fa"
    ):
        load(frame().set_axis(index))
    assert load(frame().set_axis(index), time=False).time is None


@pytest.mark.parametrize("name", ["open_time", None])
def test_an_index_that_counts_since_1970_is_time(name):
    data = frame().set_index(pd.Index(counted(HOURS, "ms"), name=name))
    assert (pd.DatetimeIndex(load(data).time) == HOURS).all()
    assert (pd.DatetimeIndex(load(data[::-1], sort=True).time) == HOURS).all()


def test_dates_and_times_of_the_day_in_two_columns_are_joined():
    for dates, clocks in (
        (HOURS.strftime("%Y.%m.%d"), HOURS.strftime("%H:%M")),
        (HOURS.strftime("%Y-%m-%d"), HOURS.strftime("%H:%M:%S")),
        (HOURS.strftime("%Y%m%d").astype(int), HOURS.strftime("%H%M%S")),
        (HOURS.strftime("%Y%m%d").astype(int), HOURS.strftime("%H%M%S").astype(int)),
        (HOURS.normalize(), HOURS.strftime("%H:%M")),
    ):
        for names in ({"Date": dates, "Time": clocks}, {"trade_date": dates, "Time": clocks}):
            market = load(frame(**names), time=list(names))
            assert (pd.DatetimeIndex(market.time) == HOURS).all()
        assert (load(frame(Date=dates, Time=clocks)).time == HOURS.to_numpy()).all()
    assert (
        load(
            frame(a=HOURS.strftime("%m/%d/%Y"), b=HOURS.strftime("%I:%M %p")),
            time=["a", "b"],
            format="%m/%d/%Y %I:%M %p",
        ).time
        == HOURS
    ).all()


def test_clocks_without_leading_zeros_are_refused():
    with pytest.raises(ValueError, match="times of the day like '930', which may be HHMM or HHMMSS"):
        load(frame(Date=[20240102] * N, Time=[930, 935, 940, 945, 950, 955]))


@pytest.mark.parametrize(
    ("text", "format"),
    [
        ("%d/%m/%Y", None),
        ("%m/%d/%Y", None),
        ("%d.%m.%Y", None),
        ("%d-%m-%Y", None),
        ("%Y/%m/%d", None),
        ("%Y.%m.%d %H:%M", None),
        ("%Y%m%d", None),
        ("%Y%m%d%H%M%S", None),
        ("%b %d, %Y", None),
        ("%d-%b-%Y", None),
        ("%d-%b-%y", None),
        ("%d %B %Y", None),
        ("%m/%d/%Y %I:%M:%S %p", None),
        ("%d/%m/%Y, %H:%M", None),
        ("%m/%d/%y", "%m/%d/%y"),
        ("%H:%M on %d %m %Y", "%H:%M on %d %m %Y"),
    ],
)
def test_text_is_read_by_the_one_format_that_all_rows_fit(tmp_path, text, format):
    times = frame(time=DAYS.strftime(text))
    times.to_csv(tmp_path / "a.csv", index=False)
    for data in (times, tmp_path / "a.csv"):
        assert (load(data, format=format).time == DAYS.to_numpy()).all()


@pytest.mark.parametrize(
    ("values", "readings"),
    [
        (["03/04/2020", "04/04/2020"], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["03.04.2020", "04.04.2020"], ["%d.%m.%Y", "%m.%d.%Y"]),
        (["3-4-2020 10:00", "4-4-2020 10:00"], ["%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M"]),
        (["03/04/05", "03/05/05"], ["%d/%m/%y", "%m/%d/%y", "%y/%m/%d"]),
    ],
)
@pytest.mark.parametrize("label", ["time", "trade_date"])
def test_dates_of_two_readings_are_refused_and_format_decides(values, readings, label):
    data = pd.DataFrame({label: values, "close": [1.0, 2.0]})
    with pytest.raises(ValueError, match=rf"{values[0]!r} in row 0 of column '{label}' may be") as error:
        load(data)
    for format in readings:
        assert f"format={format!r}" in str(error.value)
        expected = [dt.datetime.strptime(value, format) for value in values]
        assert pd.DatetimeIndex(load(data, format=format, sort=True).time).tolist() == sorted(expected)


def test_a_row_of_another_format_is_named():
    values = ["31/01/2024", "01/02/2024", "2024-02-02", "03/02/2024", "04/02/2024", "05/02/2024"]
    with pytest.raises(ValueError, match="got '2024-02-02' in row 2 of column 'time'"):
        load(frame(time=values))
    with pytest.raises(ValueError, match="'2024-02-02' in row 2 of column 'time' is not of format='%d/%m/%Y'"):
        load(frame(time=values), format="%d/%m/%Y")


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        (np.arange(N), TypeError, r"got .*0.* in column 'time': numbers need load\(..., unit=...\)"),
        (counted(DAYS, "D"), TypeError, r"numbers need load\(..., unit=...\)"),
        ([200001010930 + i for i in range(N)], ValueError, "may be digits %Y%m%d%H%M or ms since 1970: .* decides"),
        ([*counted(HOURS, "ms")[:3], *counted(HOURS, "us")[3:]], ValueError, "counts ms .* in row 0 .* row 3 holds"),
        ([1e300] * N, TypeError, "numbers need load"),
    ],
)
def test_numbers_of_no_unit_or_of_two_are_refused(numbers, error, message):
    with pytest.raises(error, match=message):
        load(frame(time=numbers))


def test_unit_and_format_decide():
    assert (load(frame(time=counted(DAYS, "D")), unit="D").time == DAYS.to_numpy()).all()
    minutes = [200001010930 + i for i in range(N)]
    assert load(frame(time=minutes), format="%Y%m%d%H%M").time_of(0) == "2000-01-01T09:30 (row 0)"
    assert load(frame(time=minutes), unit="ms").time_of(0).startswith("1976-05-03")
    assert load(frame(time=counted(DAYS, "s") + 0.5), unit="s").time_of(0) == "2024-01-30T00:00:00.500 (row 0)"
    for options, message in (
        ({"unit": "weeks"}, "unit must be one of"),
        ({"format": "dd/mm"}, "format must be a strptime format"),
        ({"unit": "s", "format": "%Y"}, "give only one of them"),
        ({"unit": "D", "time": "big"}, "column 'big' holds 1e\\+16 in row 0, as unit='D' that is beyond"),
    ):
        with pytest.raises(ValueError, match=message):
            load(frame(time=DAYS.strftime("%Y"), big=[1e16] * N), **options)
    with pytest.raises(ValueError, match="unit= is for times that are numbers"):
        load(frame(time=DAYS), unit="s")
    with pytest.raises(ValueError, match="format= is for times that are text"):
        load(frame(time=DAYS), format="%Y")


@pytest.mark.parametrize("tz", ["Mars/Base", "", "../../etc/passwd", 3.5, "America/Nowhere", object()])
def test_an_unknown_time_zone_is_named(tz):
    with pytest.raises(ValueError, match="tz: unknown time zone"):
        load(frame(time=HOURS), tz=tz)


def test_tz_names_the_zone_of_local_times_and_converts_the_others():
    utc = HOURS.tz_localize("America/New_York").tz_convert("UTC").tz_localize(None)
    for times in (
        HOURS,
        HOURS.strftime("%Y-%m-%d %H:%M"),
        HOURS.strftime("%d/%m/%Y %H:%M").str.replace("02/01", "31/01"),
    ):
        shift = pd.Timedelta(days=29) if "31/01" in str(times[0]) else pd.Timedelta(0)
        assert (pd.DatetimeIndex(load(frame(time=times), tz="America/New_York").time) == utc + shift).all()
    assert (pd.DatetimeIndex(load(frame(time=counted(HOURS, "ms")), tz="America/New_York").time) == HOURS).all()
    assert (load(frame(time=DAYS), tz="Asia/Tokyo").time == DAYS.to_numpy()).all()
    twice = pd.date_range("2023-11-05 01:30", periods=N, freq="h")
    with pytest.raises(ValueError, match="local times that tz='America/New_York' has twice or not at all"):
        load(frame(time=twice), tz="America/New_York")


@pytest.mark.parametrize(
    ("time", "error", "message"),
    [
        ("nope", ValueError, "time='nope' is not a column of the frame"),
        (["a", "b", "c"], TypeError, "time must be the name of a column"),
        (True, TypeError, "time must be the name of a column"),
        ([], TypeError, "time must be the name of a column"),
    ],
)
def test_a_wrong_time_is_named(time, error, message):
    with pytest.raises(error, match=message):
        load(frame(time=DAYS), time=time)


def test_several_times_ask_for_one():
    data = frame(date=DAYS.strftime("%Y-%m-%d"), timestamp=counted(DAYS, "ms"))
    with pytest.raises(ValueError, match=r"several columns could be the time: .*choose with load\(..., time='date'\)"):
        load(data)
    assert (load(data, time="timestamp", columns=[]).time == DAYS.to_numpy()).all()


# -- columns and tickers


def test_a_mapping_names_columns_in_either_direction():
    data = pd.DataFrame({"Zeitpunkt": DAYS, "Last": CLOSE, "Open": CLOSE, "Rating": 2.0, "Sector": "tech"})
    for columns in (
        {"Last": "close", "Zeitpunkt": "time", "Rating": "rating"},
        {"close": "Last", "time": "Zeitpunkt", "rating": "Rating"},
    ):
        market = load(data, columns=columns)
        assert market.column_names == ("open", "close", "rating")
        assert (market.time == DAYS.to_numpy()).all()
    both = frame(**{"Adj Close": CLOSE / 2}).set_index(DAYS)
    assert load(both, columns={"Adj Close": "close"}).close.tolist() == (CLOSE / 2).tolist()
    for columns, error, message in (
        ({"Nope": "close"}, ValueError, r"unknown columns \['Nope'\]"),
        ({"Last": 3}, TypeError, "columns must be named by non-empty strings, got 3"),
        ({"Last": "close", "Open": "close"}, ValueError, "gives two columns one name"),
        ({"Last": "Open", "Open": "Last"}, ValueError, "may be read in both directions"),
    ):
        with pytest.raises(error, match=message):
            load(data, columns=columns)


def long(tickers=("AA", "BB")):
    parts = [pd.DataFrame({"date": DAYS, "tic": t, "close": CLOSE * (i + 1)}) for i, t in enumerate(tickers)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("name", ["tic", "symbol", "Ticker", "ts_code"])
def test_long_frames_hold_several_tickers(tmp_path, name):
    data = long().rename(columns={"tic": name})
    data.to_csv(tmp_path / "a.csv", index=False)
    for source in (data, data.sort_values(["date", name]), tmp_path / "a.csv", data.set_index([name, "date"])):
        with pytest.raises(
            ValueError, match=r"several tickers, choose one with load\(frame, ticker=...\): \['AA', 'BB'\]"
        ):
            load(source)
        market = load(source, ticker="BB")
        assert market.close.tolist() == (CLOSE * 2).tolist()
        assert (market.time == DAYS.to_numpy()).all()
        with pytest.raises(ValueError, match=r"ticker must be one of \['AA', 'BB'\], got 'CC'"):
            load(source, ticker="CC")
    assert load(data.set_index(["date", name]), ticker="AA").name == "AA"


def test_a_column_of_one_ticker_names_the_market():
    market = load(long(["AA"]))
    assert (market.name, market.column_names) == ("AA", ("close",))


def test_many_tickers_give_a_short_answer():
    with pytest.raises(ValueError, match="400 in all") as error:
        load(long([f"T{i}" for i in range(400)]))
    assert len(str(error.value)) < 400


# -- messages


class Foreign:
    """A frame of another library."""

    def __init__(self, result):
        self.result = result

    def to_pandas(self):
        return self.result


def test_frames_of_other_libraries_are_taken_by_to_pandas():
    assert load(Foreign(frame(time=DAYS))).close.tolist() == CLOSE.tolist()
    with pytest.raises(TypeError, match=r"frame must be a pandas DataFrame, got .*test_time_columns\.Foreign"):
        load(Foreign(CLOSE))
    DataFrame = type("DataFrame", (), {"__module__": "polars.dataframe"})
    with pytest.raises(TypeError, match=r"got polars\.dataframe\.DataFrame"):
        load(DataFrame())


def test_messages_stay_short():
    for data, options in (
        ([0.5] * 20_000, {}),
        (np.zeros(20_000), {}),
        ("x" * 100_000, {}),
        ("us-stocks/AAPL", {"on_missing": "y" * 100_000}),
        (frame(time=DAYS), {"format": "y" * 100_000}),
        (frame(time=DAYS), {"columns": [f"c{i}" for i in range(10_000)]}),
        (frame(time=["x" * 100_000] * N), {}),
        (frame(time=DAYS, x=["x" * 100_000] * N), {}),
        (pd.DataFrame(np.zeros((2, 10_000))), {}),
    ):
        with pytest.raises((TypeError, ValueError)) as error:
            load(data, **options)
        assert len(str(error.value)) < 1000, str(error.value)[:300]


def test_zero_prices_are_told_how_to_become_missing():
    data = frame(time=DAYS).replace(12.0, 0.0)
    with pytest.raises(ValueError, match=r"close must be finite and positive, got 0.0 at 2024-02-01 .*replace\(0, "):
        load(data)
    with pytest.raises(ValueError, match=r"replace\(0, "):
        load(data, on_missing="drop")
    assert len(load(data.replace(0, np.nan), on_missing="drop")) == N - 1


def test_market_from_frame_says_as_much():
    with pytest.raises(ValueError, match="looks like one"):
        Market.from_frame(frame(zzz=HOURS))


@pytest.mark.parametrize(
    "keywords",
    [
        {"features": {"close": [0.5] * 200_000}},
        {"features": [f"c{i}" for i in range(20_000)]},
        {"actions": ["x" * 1000] * 1000},
        {"actions": {"x" * 100_000: 1}},
        {"scaler": [0.5] * 200_000},
        {"costs": [0.5] * 200_000},
        {"reward": "x" * 100_000},
        {"fill": "x" * 100_000},
        {"window": [1] * 100_000},
        {"data": [0.5] * 200_000},
        {"data": "x" * 100_000},
    ],
)
def test_messages_of_keywords_stay_short(keywords):
    with pytest.raises((TypeError, ValueError)) as error:
        trading_env.TradingEnv(**keywords)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("dtype", [object, "Int64", float, str])
def test_numbers_of_any_dtype_are_times(dtype):
    values = pd.Series(counted(HOURS, "ms")).astype(dtype)
    for name in ("time", "open_time", "t"):
        assert (pd.DatetimeIndex(load(frame(**{name: values})).time) == HOURS).all()
    with pytest.raises(ValueError, match="'zzz' looks like one"):
        load(frame(zzz=values), columns=[])
    gap = values.astype(object).where(np.arange(N) != 2, None)
    with pytest.raises(ValueError, match=r"time must have no missing timestamps, got NaT \(row 2\)"):
        load(frame(time=gap.astype(dtype) if dtype == "Int64" else gap))


def test_periods_are_times_and_columns_without_values_are_missing():
    data = frame(otc=pd.Series([None] * N, dtype=object)).set_index(pd.period_range("2024-01-30", periods=N, freq="D"))
    market = load(data)
    assert (market.time == DAYS.to_numpy()).all()
    assert np.isnan(market.column("otc")).all()


def test_categories_are_read_as_what_they_are_of():
    for values in (HOURS, HOURS.astype(str)):
        assert (load(frame(time=pd.Categorical(values))).time == HOURS.to_numpy()).all()
        with pytest.raises(ValueError, match="'zzz' looks like one"):
            load(frame(zzz=pd.Categorical(values)), columns=[])


@pytest.mark.parametrize("values", [np.arange(1, N + 1, dtype=np.float16), np.full(N, np.inf)])
def test_numbers_that_are_no_times_are_named(values):
    with pytest.raises(TypeError, match=r"numbers need load\(..., unit=...\)"):
        load(frame(time=values))
    with pytest.raises(ValueError, match="in row 0 of column 'time' is not of format='%Y%m%d'"):
        load(frame(time=values), format="%Y%m%d")
