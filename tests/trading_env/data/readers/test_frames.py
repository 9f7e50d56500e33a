import datetime as dt
import gzip
import sys

import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import changed
from trading_env.data.datasets import load
from trading_env.data.market import Market

DAYS = pd.bdate_range("2020-01-01", periods=10)  # Wed 1 Jan to Tue 14 Jan
CLOSE = np.arange(10.0, 20.0)


def frame(**changes):
    data = {"Open": CLOSE - 0.5, "High": CLOSE + 1, "Low": CLOSE - 1, "Close": CLOSE, "Volume": np.full(10, 100)}
    return pd.DataFrame({**data, **changes}, index=pd.DatetimeIndex(DAYS, name="Date"))


# -- frames


@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
@pytest.mark.parametrize("time", ["index", "date", "time", "timestamp", "datetime"])
def test_frames_are_read_in_any_case_by_index_or_column(case, time):
    data = frame().rename(columns=case)
    if time != "index":
        data = data.rename_axis(case(time)).reset_index()
    market = Market.from_frame(data)
    assert market.column_names == ("open", "high", "low", "close", "volume")
    assert np.array_equal(market.close, CLOSE)
    assert np.array_equal(market.time, DAYS.to_numpy().astype("datetime64[ns]"))
    assert market.volume.dtype == np.float64


def test_time_zones_become_utc_and_are_known():
    local = pd.date_range("2020-01-01 09:30", periods=10, freq="min", tz="America/New_York")
    for data in (frame().set_axis(local), frame().assign(time=local), frame().assign(time=local.astype(str))):
        market = Market.from_frame(data)
        assert str(market.time[0]) == "2020-01-01T14:30:00.000000000"
        assert market.time_of(0) == "2020-01-01T09:30 (row 0)"


def test_further_columns_are_kept_or_chosen():
    data = frame(**{"Adj Close": CLOSE / 2, "Dividends": 0.0})
    assert Market.from_frame(data).column_names[-2:] == ("Adj Close", "Dividends")
    assert Market.from_frame(data, columns=["Adj Close"]).column_names[-1] == "Adj Close"
    assert dict(Market.from_frame(data, columns=()).columns) == {}
    with pytest.raises(ValueError, match=r"unknown columns \['nope'\]; the frame has \['Adj Close', 'Dividends'\]"):
        Market.from_frame(data, columns=["nope"])
    with pytest.raises(TypeError, match="columns must be a list of names, got the string 'Dividends'"):
        Market.from_frame(data, columns="Dividends")


def test_nullable_dtypes_are_numbers_and_their_na_is_missing():
    market = Market.from_frame(frame().convert_dtypes())
    assert np.array_equal(market.close, CLOSE)
    with pytest.raises(ValueError, match="volume must be finite and not negative, got nan at 2020-01-06"):
        Market.from_frame(frame(Volume=pd.array([1, 2, 3, None, 5, 6, 7, 8, 9, 10], dtype="Int64")))


def test_a_frame_that_counts_rows_has_no_timestamps():
    market = Market.from_frame(frame().reset_index(drop=True))
    assert market.time is None
    assert market.bars_per_year is None


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (frame().rename(columns={"Close": "Last"}), ValueError, "no column 'close', got .*'Last'"),
        (frame(close=CLOSE), ValueError, "two columns are named 'close'"),
        (
            frame(Close=[str(v) for v in CLOSE]),
            TypeError,
            r"close must be real numbers, got '10.0' of dtype (str|object) at 2020-01-01 \(row 0\)",
        ),
        (
            frame(Close=["1", "2", "n/a", *"4567890"]),
            TypeError,
            r"close must be real numbers, got 'n/a' of dtype (str|object) at 2020-01-03 \(row 2\)",
        ),
        (frame(Close=[True] * 10), TypeError, "close must be real numbers, got .*True"),
        (frame(Sector="tech"), TypeError, "column 'Sector' must be real numbers.*choose the columns to keep with load"),
        (frame(Date=DAYS, Time=DAYS), ValueError, r"several columns could be the time: \['Date', 'Time'\]"),
        (frame(time=np.arange(10)), TypeError, "time must be dates or ISO 8601 strings"),
        (frame(time=["01/02/2020"] * 10), ValueError, "time must be dates or ISO 8601 strings"),
        (frame().set_axis(range(5, 15)), ValueError, r"the index must be dates, or count rows .* got \[5, 6, 7, 8\]"),
        (frame().iloc[:0], ValueError, "the frame has no rows"),
        (CLOSE, TypeError, "frame must be a pandas DataFrame, got ndarray"),
    ],
)
def test_a_frame_that_cannot_be_read_raises(data, error, message):
    with pytest.raises(error, match=message):
        Market.from_frame(data)


def two_levels(tickers, price_first=True):
    data = pd.concat({ticker: frame(**{"Adj Close": CLOSE}) for ticker in tickers}, axis=1)
    data.columns.names = ["Ticker", "Price"]
    return data.swaplevel(axis=1) if price_first else data


@pytest.mark.parametrize("price_first", [True, False])
def test_yfinance_frames_of_one_ticker_are_read_as_they_come(price_first):
    market = Market.from_frame(two_levels(["AAPL"], price_first))
    assert market.name == "AAPL"
    assert market.column_names == ("open", "high", "low", "close", "volume", "Adj Close")


@pytest.mark.parametrize("price_first", [True, False])
def test_yfinance_frames_of_several_tickers_ask_for_one(price_first):
    data = two_levels(["AAPL", "IBM"], price_first)
    with pytest.raises(ValueError, match=r"choose one with load\(frame, ticker=...\): \['AAPL', 'IBM'\]"):
        Market.from_frame(data)
    assert Market.from_frame(data, ticker="IBM").name == "IBM"
    with pytest.raises(ValueError, match=r"ticker must be one of \['AAPL', 'IBM'\], got 'FB'"):
        Market.from_frame(data, ticker="FB")
    with pytest.raises(ValueError, match="ticker='FB' needs a frame with two levels"):
        Market.from_frame(frame(), ticker="FB")


# -- missing values


def test_missing_rows_raise_by_default_and_are_dropped_on_request():
    data = frame(Close=changed(CLOSE, [2, 5], np.nan), Volume=changed(CLOSE, 5, np.nan), x=CLOSE)
    with pytest.raises(ValueError, match=r"close must be finite and positive, got nan at 2020-01-03 \(row 2\)"):
        Market.from_frame(data)
    market = Market.from_frame(data, on_missing="drop")
    assert np.array_equal(market.close, np.delete(CLOSE, [2, 5]))
    assert np.array_equal(market.column("x"), np.delete(CLOSE, [2, 5]))
    assert np.array_equal(market.time, np.delete(DAYS.to_numpy(), [2, 5]))
    assert market.metadata["on_missing"] == {
        "mode": "drop",
        "rows": 2,
        "first": "2020-01-03 (row 2)",
        "last": "2020-01-08 (row 5)",
        "columns": {"close": 2, "volume": 1},
    }


def test_ffill_takes_the_last_price_before_and_never_one_after():
    data = frame(Open=changed(CLOSE, [2, 3, 9], np.nan), Low=1.0, High=99.0)
    market = Market.from_frame(data, on_missing="ffill")
    assert market.open.tolist() == [10, 11, 11, 11, 14, 15, 16, 17, 18, 18]
    assert market.volume.tolist() == [100.0] * 10  # the bars did trade
    assert market.metadata["on_missing"]["columns"] == {"open": 3}
    with pytest.raises(
        ValueError, match=r"close is missing at 2020-01-01 \(row 0\): on_missing='ffill' has no value be"
    ):
        Market.from_frame(frame(Close=changed(CLOSE, 0, np.nan)), on_missing="ffill")


@pytest.mark.parametrize("columns", [["Open", "High", "Low", "Close"], ["Open", "High", "Low", "Close", "Volume"]])
def test_a_bar_that_did_not_trade_is_flat_at_the_last_close_without_volume(columns):
    data = frame()
    data.iloc[[2, 3, 9], [data.columns.get_loc(name) for name in columns]] = np.nan
    market = Market.from_frame(data, on_missing="ffill")
    for name in ("open", "high", "low", "close"):
        assert market.column(name)[[2, 3, 9]].tolist() == [11.0, 11.0, 18.0]
        kept = np.delete(market.column(name), [2, 3, 9])
        assert np.array_equal(kept, np.delete(data[name.title()].to_numpy(), [2, 3, 9]))
    assert market.volume.tolist() == [100, 100, 0, 0, 100, 100, 100, 100, 100, 0]
    assert market.metadata["on_missing"]["rows"] == 3


def test_a_missing_volume_is_filled_with_0():
    market = Market.from_frame(frame(Volume=changed(CLOSE, [0, 5], np.nan)), on_missing="ffill")
    assert market.volume.tolist() == changed(CLOSE, [0, 5], 0.0).tolist()
    assert market.close.tolist() == CLOSE.tolist()


@pytest.mark.parametrize("on_missing", ["drop", "ffill"])
def test_a_volume_without_a_value_is_left_out_by_repairs(on_missing):
    market = Market.from_frame(frame(Volume=np.nan, x=changed(CLOSE, 4, np.nan)), on_missing=on_missing)
    assert market.column_names == ("open", "high", "low", "close", "x")
    assert len(market) == (9 if on_missing == "drop" else 10)
    assert market.metadata["on_missing"]["left_out"] == ["volume"]


@pytest.mark.parametrize("volume", [np.full(10, np.nan), np.full(10, -1.0), changed(CLOSE, 3, np.nan)])
@pytest.mark.parametrize("bars", [["Open", "High", "Low", "Close"], ["Close"], ["Low", "Close"]])
def test_the_advice_on_a_volume_that_is_none_works(volume, bars):
    data = frame(Volume=volume, x=1.0)[[*bars, "Volume", "x"]]
    with pytest.raises(ValueError, match="volume must be finite and not negative") as error:
        Market.from_frame(data)
    columns = [name.lower() for name in bars]
    assert f"load(..., columns={columns}) leaves the volume out" in str(error.value)
    market = load(data, columns=columns)
    assert market.column_names == tuple(columns)
    assert load(data, columns=[*bars, "x"]).column_names == (*columns, "x")
    if np.isnan(volume).any():
        for advised in ("drop", "ffill"):
            assert f"'{advised}'" in str(error.value)
            load(data, on_missing=advised)


def test_bars_may_be_chosen_with_their_time():
    data = frame(x=CLOSE).reset_index()
    market = load(data, columns=["Date", "CLOSE", "x"])
    assert market.column_names == ("close", "x")
    assert market.time_of(0) == "2020-01-01 (row 0)"
    with pytest.raises(ValueError, match=r"columns names \['open'\] of the bars but not 'close'"):
        load(data, columns=["Open", "x"])
    with pytest.raises(ValueError, match=r"unknown columns \['volume'\]"):
        load(data.drop(columns="Volume"), columns=["close", "volume"])


def test_further_columns_are_repaired_behind_their_leading_nan():
    data = frame(x=changed(CLOSE, [0, 1, 4, 9], np.nan), y=np.full(10, np.nan))
    with pytest.raises(ValueError, match=r"column 'x' must be finite .* got nan at 2020-01-07 \(row 4\)"):
        Market.from_frame(data)
    filled = Market.from_frame(data, on_missing="ffill")
    np.testing.assert_array_equal(filled.column("x"), [np.nan, np.nan, 12, 13, 13, 15, 16, 17, 18, 18])
    dropped = Market.from_frame(data, on_missing="drop")
    np.testing.assert_array_equal(dropped.column("x"), [np.nan, np.nan, 12, 13, 15, 16, 17, 18])
    np.testing.assert_array_equal(dropped.close, np.delete(CLOSE, [4, 9]))
    for market in (filled, dropped):
        assert np.isnan(market.column("y")).all()
        report = market.metadata["on_missing"]
        assert (report["rows"], report["first"], report["columns"]) == (2, "2020-01-07 (row 4)", {"x": 2})


@pytest.mark.parametrize("on_missing", ["drop", "ffill"])
def test_a_yfinance_frame_with_an_empty_row_of_one_ticker_is_repaired(on_missing):
    data = two_levels(["AAPL", "IBM"])
    data.loc[DAYS[3], (slice(None), "IBM")] = np.nan
    market = Market.from_frame(data, ticker="IBM", on_missing=on_missing)
    expected = np.delete(CLOSE, 3) if on_missing == "drop" else np.where(CLOSE == 13, 12, CLOSE)
    np.testing.assert_array_equal(market.close, expected)
    np.testing.assert_array_equal(market.column("Adj Close"), expected)
    assert market.metadata["on_missing"]["columns"]["Adj Close"] == 1
    assert len(Market.from_frame(data, ticker="AAPL")) == 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Volume": changed(CLOSE, 7, -1.0)}, "volume must be finite and not negative, got -1.0 at "),
        ({"Low": changed(CLOSE - 1, 7, 17.5)}, "low must not exceed open, got low=17.5 and open=16.5 at "),
        ({"x": changed(CLOSE, [0, 1, 7], [np.nan, np.nan, np.inf])}, "column 'x' must be finite .* got inf at "),
    ],
)
def test_what_is_wrong_after_a_drop_is_named_by_the_row_of_the_frame(changes, message):
    data = frame(Close=changed(CLOSE, [1, 4], np.nan), **changes)
    with pytest.raises(ValueError, match=rf"{message}2020-01-10 \(row 7\)"):
        Market.from_frame(data, on_missing="drop")
    with pytest.raises(ValueError, match=f"{message}row 7"):
        Market.from_frame(data.reset_index(drop=True), on_missing="drop")


def test_a_wrong_timestamp_after_a_drop_is_named_by_the_row_of_the_frame():
    data = frame(Close=changed(CLOSE, [1, 4], np.nan))
    with pytest.raises(ValueError, match=r"duplicate timestamp: 2020-01-09 \(row 7\) follows 2020-01-09 \(row 6\)"):
        Market.from_frame(data.assign(Date=DAYS[[0, 1, 2, 3, 4, 5, 6, 6, 8, 9]]), on_missing="drop")
    with pytest.raises(ValueError, match=r"time must have no missing timestamps, got NaT \(row 7\)"):
        Market.from_frame(data.assign(Date=DAYS.where(np.arange(10) != 7)), on_missing="drop")


def test_ffill_that_makes_an_impossible_bar_still_raises():
    data = frame(Close=changed(CLOSE, 5, np.nan), Low=CLOSE - 0.8)
    with pytest.raises(ValueError, match=r"low must not exceed close, got low=14.2 and close=14.0 at 2020-01-08"):
        Market.from_frame(data, on_missing="ffill")


def test_only_nan_is_missing():
    for wrong in (np.inf, 0.0):
        with pytest.raises(ValueError, match="close must be finite and positive"):
            Market.from_frame(frame(Close=changed(CLOSE, 5, wrong)), on_missing="drop")
    with pytest.raises(ValueError, match=r"leaves no row: .*; leave \['open'\] out with load\(..., columns="):
        Market.from_frame(frame(Open=np.full(10, np.nan)), on_missing="drop")
    with pytest.raises(ValueError, match=r"on_missing must be one of \('raise', 'drop', 'ffill'\), got 'bfill'"):
        Market.from_frame(frame(), on_missing="bfill")
    assert Market.from_frame(frame(), on_missing="drop").metadata["on_missing"]["rows"] == 0


# -- files


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize("index_name", ["Date", None])
def test_files_give_the_frames_market_back(tmp_path, suffix, index_name):
    path = tmp_path / f"demo.{suffix}"
    data = frame(x=CLOSE).rename_axis(index_name)
    if suffix == "parquet":
        data.to_parquet(path)
        market = Market.from_parquet(path)
    else:
        data.to_csv(path)
        market = Market.from_csv(path)
    assert market.name == "demo"
    assert market.column_names == ("open", "high", "low", "close", "volume", "x")
    assert np.array_equal(market.close, CLOSE)
    assert np.array_equal(market.time, DAYS.to_numpy())
    assert not market.close.flags.writeable


def test_a_csv_that_yfinance_wrote_with_two_header_lines_is_read(tmp_path):
    two_levels(["AAPL"]).to_csv(tmp_path / "a.csv")
    market = Market.from_csv(tmp_path / "a.csv")
    assert np.array_equal(market.close, CLOSE)
    assert market.time_of(9) == "2020-01-14 (row 9)"


def test_a_saved_row_number_is_no_column(tmp_path):
    frame().reset_index(drop=True).to_csv(tmp_path / "a.csv")
    market = Market.from_csv(tmp_path / "a.csv")
    assert market.time is None
    assert dict(market.columns) == {}


def test_files_raise_as_frames_do(tmp_path):
    with pytest.raises(ValueError, match=r"data: no such file '.*none\.csv'"):
        Market.from_csv(tmp_path / "none.csv")
    frame(Close=changed(CLOSE, 4, np.nan)).to_csv(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"close must be finite and positive, got nan at 2020-01-07 \(row 4\)"):
        Market.from_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00\x01"])
def test_a_file_that_is_no_table_raises_naming_it(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"data: cannot read '.*{name}': "):
        load(tmp_path / name)


def test_a_word_in_a_csv_is_named_with_its_row(tmp_path):
    (tmp_path / "a.csv").write_text("Date,Close\n2020-01-01,1\n2020-01-02,abc\n")
    with pytest.raises(TypeError, match=r"close must be real numbers, got 'abc' .* at 2020-01-02 \(row 1\)"):
        load(tmp_path / "a.csv")


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    frame().to_parquet(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ImportError, match=r"reading Parquet needs pyarrow: pip install 'trading-env\[parquet\]'"):
        Market.from_parquet(tmp_path / "a.parquet")


def test_midnights_of_summer_and_winter_stay_dates_through_a_csv(tmp_path):
    dates = pd.DatetimeIndex(["2020-03-06", "2020-03-09", "2020-03-10"], tz="America/New_York")
    frame = pd.DataFrame({"Close": [1.0, 2.0, 3.0]}, index=dates.rename("Date"))
    frame.to_csv(tmp_path / "a.csv")
    for market in (load(frame), load(tmp_path / "a.csv")):
        assert market.time.astype("datetime64[D]").astype(str).tolist() == ["2020-03-06", "2020-03-09", "2020-03-10"]
        assert market.time_of(1) == "2020-03-09 (row 1)"


def test_hours_with_a_time_zone_become_utc(tmp_path):
    hours = pd.date_range("2020-03-08", periods=5, freq="h", tz="America/New_York")  # 02:00 does not exist
    frame = pd.DataFrame({"close": 1.0}, index=hours.rename("time"))
    frame.to_csv(tmp_path / "a.csv")
    for market in (load(frame), load(tmp_path / "a.csv")):
        assert (pd.DatetimeIndex(market.time) == hours.tz_convert("UTC").tz_localize(None)).all()
        cut = pd.Timestamp("2020-03-08 03:00", tz="America/New_York")
        assert market.split(cut)[1].first == 2
    later = load(frame.shift(3, freq="h"))
    with pytest.raises(ValueError, match="it must lie after row 0"):  # midnight there is 05:00 in UTC, before all bars
        later.split(pd.Timestamp("2020-03-08", tz="America/New_York"))


def test_a_time_zone_in_some_rows_is_refused():
    with pytest.raises(
        ValueError, match="time must have a time zone in every row or in none, got '2020-01-01' in row 0"
    ):
        Market.from_arrays([1.0, 2.0], time=["2020-01-01", "2020-01-02T00:00+05:00"])


@pytest.mark.parametrize("order", [["Price", "Ticker"], ["Ticker", "Price"]])
def test_two_levels_keep_their_dates_after_reset_index(order):
    dates = pd.date_range("2020-01-01", periods=3, name="Date")
    columns = pd.MultiIndex.from_product([["Close", "Open"], ["AA", "BB"]], names=["Price", "Ticker"])
    frame = pd.DataFrame(np.arange(1.0, 13.0).reshape(3, 4), dates, columns).reorder_levels(order, axis=1)
    market = load(frame.reset_index(), ticker="BB")
    assert (pd.DatetimeIndex(market.time) == dates).all()
    assert market.close.tolist() == [2.0, 6.0, 10.0]
    with pytest.raises(ValueError, match=r"several tickers, choose one with load\(frame, ticker=...\): \['AA', 'BB'\]"):
        load(frame.reset_index())


def test_a_csv_with_a_name_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("Date,Close,Close\n2020-01-01,1,2\n")
    with pytest.raises(ValueError, match="two columns are named 'Close'"):
        load(tmp_path / "a.csv")


def test_a_broken_archive_is_named(tmp_path):
    packed = gzip.compress(b"Date,Close\n" + b"2020-01-01,1\n" * 99)
    (tmp_path / "a.csv.gz").write_bytes(packed[:20] + b"\xff" * 20 + packed[40:])
    with pytest.raises(ValueError, match=r"cannot read .*a\.csv\.gz"):
        load(tmp_path / "a.csv.gz")


@pytest.mark.parametrize("zone", ["Africa/Cairo", "America/Sao_Paulo", "America/Havana"])
def test_days_that_begin_at_one_o_clock_are_dates_too(zone):
    dates = pd.date_range("2016-01-01", periods=3000)
    local = dates.tz_localize(zone, nonexistent="shift_forward", ambiguous=np.ones(3000, bool))
    market = Market.from_frame(pd.DataFrame({"close": 1.0}, index=local))
    assert (pd.DatetimeIndex(market.time) == dates).all()


@pytest.mark.parametrize("kind", [str, pd.Timestamp.fromisoformat, dt.datetime.fromisoformat])
def test_a_row_without_a_date_among_offsets_is_named(kind):
    times = [kind("2020-01-02T00:00+05:00"), None, kind("2020-07-02T00:00+04:00")]
    with pytest.raises(ValueError, match=r"no missing timestamps, got NaT \(row 1\)"):
        Market.from_arrays([1.0] * 3, time=times)
