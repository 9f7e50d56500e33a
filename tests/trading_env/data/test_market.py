import copy
import dataclasses
import datetime as dt
import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading_env.markets import changed
from trading_env.data.market import Market

DAYS = pd.bdate_range("2020-01-01", periods=10)  # Wed 1 Jan to Tue 14 Jan
CLOSE = np.arange(10.0, 20.0)


def bars(**changes):
    """Arguments of a good market of ten business days, some of them replaced."""
    good = {
        "close": CLOSE,
        "open": CLOSE - 0.5,
        "high": CLOSE + 1.0,
        "low": CLOSE - 1.0,
        "volume": np.full(10, 100.0),
        "time": DAYS,
    }
    return {**good, **changes}


# -- what a market holds


def test_arrays_are_float64_contiguous_and_read_only():
    market = Market.from_arrays(np.arange(1, 21)[::2], columns={"x": range(10)})
    for values in (market.close, market.columns["x"]):
        assert values.dtype == np.float64
        assert values.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 5.0
    with pytest.raises(TypeError):
        market.columns["y"] = market.close
    with pytest.raises(TypeError):
        market.metadata["y"] = 1
    with pytest.raises(AttributeError):
        market.close = CLOSE


def test_what_was_given_may_change_afterwards():
    close = CLOSE.copy()
    data = pd.DataFrame({"close": CLOSE})
    markets = [Market.from_arrays(close), Market.from_frame(data)]
    close[:] = 1.0
    data.loc[:, "close"] = 1.0
    assert all(np.array_equal(market.close, CLOSE) for market in markets)


def test_copies_are_shared_and_pickles_stay_read_only():
    market = Market.from_arrays(**bars(columns={"x": CLOSE}), metadata={"source": "test"}).split(0.5)[1]
    assert copy.deepcopy(market) is market
    back = pickle.loads(pickle.dumps(market))
    assert back.first == 5
    assert back.bars_per_year == 252.0
    assert dict(back.metadata) == {"source": "test"}
    assert np.array_equal(back.columns["x"], CLOSE)
    assert not back.close.flags.writeable


METADATA = {"source": "test", "nested": {"names": ["a", {"b": 1.5}], "none": None}}


def test_metadata_goes_through_json_and_pickle_and_copies():
    market = Market.from_arrays(**bars(), metadata=METADATA)
    for kept in (market.metadata, market.split(0.5)[1].metadata, pickle.loads(pickle.dumps(market)).metadata):
        assert kept == METADATA
        assert json.loads(json.dumps(kept)) == METADATA
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            assert pickle.loads(pickle.dumps(kept, protocol)) == METADATA
        assert dataclasses.asdict(market)["metadata"] == METADATA
    free = copy.deepcopy(market.metadata)
    free["nested"]["names"][1]["b"] = 2
    free["more"] = pickle.loads(pickle.dumps(market.metadata))["nested"]["names"].append(3)
    assert market.metadata == METADATA


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(source="other"),
        lambda data: data.pop("source"),
        lambda data: data.__ior__({"source": "other"}),
        lambda data: data["nested"].__setitem__("names", 1),
        lambda data: data["nested"]["names"].append(1),
        lambda data: data["nested"]["names"].__iadd__([1]),
        lambda data: data["nested"]["names"][1].clear(),
    ],
)
def test_metadata_cannot_be_changed_at_any_depth(change):
    market = Market.from_arrays(**bars(), metadata=METADATA)
    with pytest.raises(TypeError, match=r"cannot be changed: copy\.deepcopy gives one that can"):
        change(market.metadata)
    assert market.metadata == METADATA


def test_further_columns_go_through_pickle_and_copies():
    columns = Market.from_arrays(**bars(columns={"x": CLOSE})).columns
    for twin in (copy.copy(columns), copy.deepcopy(columns), pickle.loads(pickle.dumps(columns))):
        assert list(twin) == ["x"]
        assert np.array_equal(twin["x"], CLOSE)


def test_repr_time_of_and_column_help_the_reader():
    market = Market.from_arrays(**bars(), name="demo")
    assert repr(market) == ("<Market 'demo': 10 bars, 2020-01-01 to 2020-01-14; open, high, low, close, volume>")
    assert "3 bars after 7 of history, 2020-01-10 to 2020-01-14" in repr(market.split(0.7)[1])
    assert market.time_of(3) == "2020-01-06 (row 3)"
    assert Market.from_arrays(CLOSE).time_of(-1) == "row 9"
    with pytest.raises(ValueError, match=r"'demo' has no column 'rsi'; known: \['open', 'high'"):
        market.column("rsi")


def test_to_frame_and_back_is_the_same_market():
    market = Market.from_arrays(**bars(columns={"Adj Close": CLOSE / 2}))
    back = Market.from_frame(market.to_frame())
    assert back.column_names == market.column_names
    assert all(np.array_equal(back.column(name), market.column(name)) for name in market.column_names)
    assert np.array_equal(back.time, market.time)


# -- bad bars


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": changed(CLOSE, 3, np.nan)}, r"close must be finite and positive, got nan at 2020-01-06 \(row 3\)"),
        ({"open": changed(CLOSE, 3, np.inf)}, r"open must be finite and positive, got inf at 2020-01-06 \(row 3\)"),
        ({"close": changed(CLOSE, 3, -np.inf)}, r"close .* got -inf at 2020-01-06"),
        ({"low": changed(CLOSE, 9, 0.0)}, r"low must be finite and positive, got 0.0 at 2020-01-14 \(row 9\)"),
        ({"high": changed(CLOSE, 0, -1.0)}, r"high must be finite and positive, got -1.0 at 2020-01-01"),
        ({"low": CLOSE}, r"low must not exceed open, got low=10.0 and open=9.5 at 2020-01-01"),
        ({"low": changed(CLOSE - 1, 2, 12.5), "open": CLOSE + 0.9}, r"low .* exceed close, got low=12.5 .*01-03"),
        (
            {"high": changed(CLOSE + 1, 4, 13.8)},
            r"close must not exceed high, got close=14.0 and high=13.8 at 2020-01-07",
        ),
        ({"high": CLOSE, "open": changed(CLOSE, 1, 11.5)}, r"open must not exceed high, got open=11.5 and high=11.0"),
        ({"volume": changed(CLOSE, 1, -1.0)}, r"volume must be finite and not negative, got -1.0 at 2020-01-02"),
        ({"volume": changed(CLOSE, 1, np.nan)}, r"volume must be finite and not negative, got nan at 2020-01-02"),
        ({"time": DAYS[[0, 1, 2, 2, 4, 5, 6, 7, 8, 9]]}, r"duplicate timestamp: 2020-01-03 \(row 3\) follows"),
        ({"time": DAYS[::-1]}, r"unsorted timestamps: 2020-01-13 \(row 1\) follows 2020-01-14 \(row 0\)"),
        ({"time": [*DAYS[:9], pd.NaT]}, r"no missing timestamps, got NaT \(row 9\)"),
        ({"time": [f"{day}th" for day in range(10)]}, r"time must be dates or ISO 8601 strings"),
        ({"time": np.arange("1500", "1510", dtype="datetime64[Y]")}, r"years 1678 to 2261, got 1500 to 1509"),
        ({"time": DAYS[:9]}, r"time must have as many rows as close \(10\), got 9"),
        ({"open": CLOSE[:9]}, r"open must have as many rows as close \(10\), got 9"),
        ({"close": CLOSE[:, None]}, r"close must be one-dimensional, got shape \(10, 1\)"),
        ({"close": 5.0}, r"close must be one-dimensional, got shape \(\)"),
        ({"close": [[1.0], [1.0, 2.0]]}, r"close must be one-dimensional, got rows of different lengths"),
        ({"close": []}, r"close must have at least one row, got none"),
        ({"columns": {"x": changed(CLOSE, 5, np.nan)}}, r"column 'x' must be finite .* got nan at 2020-01-08"),
        ({"columns": {"x": changed(CLOSE, 0, np.inf)}}, r"column 'x' must be finite .* got inf at 2020-01-01"),
        ({"columns": {"x": CLOSE[:2]}}, r"x must have as many rows as close \(10\), got 2"),
        ({"columns": {"Close": CLOSE}}, r"columns must not be named 'Close': give it as close="),
        ({"bars_per_year": 0.0}, r"bars_per_year must be a finite number above 0, got 0.0"),
    ],
)
def test_a_wrong_value_raises_naming_field_value_and_row(change, message):
    with pytest.raises(ValueError, match=message):
        Market.from_arrays(**bars(**change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"close": ["a"] * 10}, "close must be real numbers"),
        ({"close": [None] * 10}, "close must be real numbers, got None of dtype object"),
        ({"close": [True] * 10}, "close must be real numbers"),
        ({"close": CLOSE * 1j}, "close must be real numbers"),
        ({"close": None}, "close must be an array of prices, got None"),
        ({"close": np.ma.masked_equal(CLOSE, 12.0)}, "close must be a plain array, got a masked one"),
        ({"time": np.arange(10)}, "time must be dates or ISO 8601 strings, got .*0.* of dtype int64"),
        ({"time": "2020-01-01"}, "time must be a sequence of dates, got '2020-01-01'"),
        ({"columns": [CLOSE]}, "columns must be a mapping"),
        ({"columns": {1: CLOSE}}, "columns must be named by non-empty strings, got 1"),
        ({"metadata": {"x": CLOSE}}, "metadata must hold JSON values only"),
        ({"metadata": "x"}, "metadata must be a mapping"),
        ({"name": ""}, "name must be a non-empty string, got ''"),
        ({"bars_per_year": "252"}, "bars_per_year must be a number, got '252'"),
    ],
)
def test_a_wrong_type_raises_naming_the_field(change, message):
    with pytest.raises(TypeError, match=message):
        Market.from_arrays(**bars(**change))


@given(st.lists(st.floats(width=64), min_size=1, max_size=20))
def test_a_market_holds_exactly_the_positive_finite_prices(prices):
    values = np.array(prices)
    if (np.isfinite(values) & (values > 0)).all():
        assert np.array_equal(Market.from_arrays(prices).close, values)
    else:
        row = int((np.isfinite(values) & (values > 0)).argmin())
        with pytest.raises(ValueError, match=rf"close must be finite and positive, got .* at row {row}($|;)"):
            Market.from_arrays(prices)


def test_extra_columns_may_be_nan_in_leading_rows():
    market = Market.from_arrays(CLOSE, columns={"x": changed(CLOSE, slice(0, 3), np.nan)})
    assert np.isnan(market.column("x")).sum() == 3


def test_timestamps_of_intraday_bars_are_named_to_the_minute():
    with pytest.raises(ValueError, match=r"got nan at 2020-01-01T00:01 \(row 1\)"):
        Market.from_arrays([1.0, np.nan], time=pd.date_range("2020-01-01", periods=2, freq="min"))


# -- adjusted prices are products, and rounded


def adjusted(seed, dtype=np.float64):
    """Twenty years of bars whose close is the given adjusted one, and the rest a product, as yfinance makes them."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 5000)))
    start = close * np.exp(rng.normal(0, 0.01, 5000))
    adj = np.round(close * np.linspace(0.3, 1.0, 5000), 6)
    raw = {"open": start, "high": np.maximum(start, close), "low": np.minimum(start, close)}
    products = {name: (values.astype(dtype) * (adj / close).astype(dtype)) for name, values in raw.items()}
    return {**products, "close": adj.astype(dtype)}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_adjusted_prices_leave_their_bar_by_rounding_and_stay_as_they_are(dtype):
    for seed in range(5):
        given = adjusted(seed, dtype)
        assert ((given["close"] > given["high"]) | (given["close"] < given["low"])).any()
        market = Market.from_arrays(**given)
        assert all(np.array_equal(market.column(name), values) for name, values in given.items())


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1.7e308])
def test_a_breach_beyond_rounding_is_refused(scale):
    ok = scale * np.array([1.0, 1.0 - 0.9e-8])
    Market.from_arrays(ok[:1], high=ok[1:])
    Market.from_arrays(ok[1:], low=ok[:1])
    for share in (1.2e-8, 1e-7, 0.003):
        with pytest.raises(ValueError, match="close must not exceed high, got close="):
            Market.from_arrays(ok[:1], high=[scale * (1.0 - share)])
        with pytest.raises(ValueError, match="low must not exceed close, got low="):
            Market.from_arrays([scale * (1.0 - share)], low=ok[:1])


# -- splits


@pytest.mark.parametrize(
    "cut",
    [
        0.7,
        np.float32(0.7),
        "2020-01-10",
        dt.date(2020, 1, 10),
        dt.datetime(2020, 1, 9, 12),
        np.datetime64("2020-01-10"),
        pd.Timestamp("2020-01-10"),
        pd.Timestamp("2020-01-10 09:00", tz="Asia/Tokyo"),
    ],
)
def test_a_split_ends_the_first_part_and_keeps_history_in_the_second(cut):
    market = Market.from_arrays(**bars(columns={"x": CLOSE}))
    train, test = market.split(cut)
    assert (train.first, len(train)) == (0, 7)
    assert (test.first, len(test)) == (7, 10)
    assert str(test.time[test.first])[:10] == "2020-01-10"
    for part in (train, test):
        for name in part.column_names:
            assert np.array_equal(part.column(name), market.column(name)[: len(part)])
            assert np.shares_memory(part.column(name), market.column(name))
            assert not part.column(name).flags.writeable


def test_a_date_without_a_bar_means_the_first_bar_after_it():
    train, test = Market.from_arrays(**bars()).split("2020-01-04")  # a Saturday
    assert len(train) == test.first == 3
    assert test.time_of(test.first) == "2020-01-06 (row 3)"


def test_three_parts_and_a_split_of_a_split_count_usable_bars_only():
    market = Market.from_arrays(**bars())
    train, valid, test = market.split(0.5, "2020-01-10")
    assert [(part.first, len(part)) for part in (train, valid, test)] == [(0, 5), (5, 7), (7, 10)]
    early, late = test.split(0.34)  # of three usable bars
    assert [(part.first, len(part)) for part in (early, late)] == [(7, 8), (8, 10)]


def test_a_part_keeps_the_whole_markets_bars_per_year():
    time = [*DAYS[:9], pd.Timestamp("2020-03-01")]
    market = Market.from_arrays(CLOSE, time=time)
    assert [part.bars_per_year for part in market.split(0.9)] == [252.0, 252.0]


@pytest.mark.parametrize(
    ("cuts", "error", "message"),
    [
        ((), ValueError, "split needs at least one cut"),
        ((0.0,), ValueError, r"a fraction must lie in \(0, 1\), got 0.0"),
        ((1.0,), ValueError, r"a fraction must lie in \(0, 1\), got 1.0"),
        ((float("nan"),), ValueError, r"a fraction must lie in \(0, 1\), got nan"),
        ((3,), TypeError, "a cut must be a date or a float"),
        ((None,), TypeError, "a cut must be a date or a float"),
        (("soon",), ValueError, "a cut must be a date or a float in .*, got 'soon'; write a date as 2024-12-31"),
        ((pd.NaT,), (TypeError, ValueError), "a cut must be a date or a float"),
        (("2020-01-01",), ValueError, "falls on row 0, it must lie after row 0"),
        (
            ("2020-01-15",),
            ValueError,
            "falls on row 10, it must lie .* before row 10.*; the bars run from .* to .*-.*-.*",
        ),
        ((0.7, 0.3), ValueError, "cut 0.3 falls on row 3, it must lie after row 7"),
        ((0.7, "2020-01-10"), ValueError, "cut '2020-01-10' falls on row 7, it must lie after row 7"),
    ],
)
def test_a_bad_cut_raises(cuts, error, message):
    with pytest.raises(error, match=message):
        Market.from_arrays(**bars()).split(*cuts)


def test_a_market_without_timestamps_splits_by_fraction_only():
    market = Market.from_arrays(CLOSE)
    assert [len(part) for part in market.split(0.29)] == [3, 10]
    with pytest.raises(ValueError, match="has no timestamps, so '2020-01-10' must be a fraction"):
        market.split("2020-01-10")


# -- bars per year


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (pd.bdate_range("2020-01-01", periods=300), 252.0),
        (pd.date_range("2020-01-01", periods=300), 365.0),
        (pd.date_range("2020-01-05", periods=50, freq="W"), 52.0),
        (pd.date_range("2020-01-31", periods=30, freq="ME"), 12.0),
        (pd.date_range("2020-01-01", periods=30, freq="QS"), 4.0),
        (pd.date_range("2020-01-01", periods=14 * 24, freq="h"), 24 * 365.0),
        (pd.date_range("2020-01-06", periods=5 * 24, freq="h"), 24 * 252.0),
        (pd.DatetimeIndex([d + pd.Timedelta(minutes=570 + i) for d in DAYS for i in range(390)]), 390 * 252.0),
        (pd.date_range("2020-01-01", periods=40, freq="10D"), 36.525),
        (DAYS[:1], None),
        (None, None),
    ],
)
def test_bars_per_year_follow_from_the_timestamps(time, expected):
    close = np.ones(10 if time is None else len(time))
    assert Market.from_arrays(close, time=time).bars_per_year == expected
    assert Market.from_arrays(close, time=time, bars_per_year=7).bars_per_year == 7.0


def test_bars_of_years_come_once_a_year():
    assert Market.from_arrays(np.ones(9), time=pd.date_range("2000-01-01", periods=9, freq="YS")).bars_per_year == 1.0


def test_the_fingerprint_is_that_of_the_contents_alone():
    close, time = [1.0, 2.0, 3.0], ["2020-01-01", "2020-01-02", "2020-01-03"]
    one = Market.from_arrays(close, time=time)
    assert Market.from_arrays(close, time=time, name="other").fingerprint == one.fingerprint
    others = (
        Market.from_arrays([1.0, 2.0, 3.0 + 1e-15 * 4], time=time),
        Market.from_arrays(close),
        Market.from_arrays(close, time=time, open=close),
        Market.from_arrays(close, time=time, volume=close),
        Market.from_arrays(close, time=time, columns={"x": close}),
        Market(close, time=time, first=1),
        one.split(0.7)[0],
    )
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)
