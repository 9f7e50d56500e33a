import sys
import types

import numpy as np
import pandas as pd
import pytest

from tests.trading_env.markets import gappy_panel, random_bars
from trading_env import Panel, load, load_panel
from trading_env.data import panel_datasets


def finrl_frame(symbols=("MSFT", "AAPL", "V"), n=12):
    """A long frame as FinRL's YahooDownloader returns it: date-major, text dates, a column of the day of the week."""
    days = pd.bdate_range("2020-01-01", periods=n)
    parts = [
        pd.DataFrame({"date": days.strftime("%Y-%m-%d"), **random_bars(k, n), "tic": symbol, "day": days.day_of_week})
        for k, symbol in enumerate(symbols)
    ]
    return pd.concat(parts).sort_values(["date", "tic"], ignore_index=True)


def test_a_long_frame_needs_no_preparation():
    frame = finrl_frame()
    panel = load_panel(frame)
    assert panel.symbols == ("AAPL", "MSFT", "V")
    assert len(panel) == 12
    assert list(panel.columns) == ["open", "high", "low", "close", "volume", "day"]
    rows = frame[frame.tic == "MSFT"]
    assert np.array_equal(panel.close[:, 1], rows.close)
    assert panel.fingerprint == Panel.from_frame(frame, symbol="tic").fingerprint
    split = frame.set_index(frame.date.factorize()[0])  # as FinRL's data_split numbers the days
    assert load_panel(split).fingerprint == panel.fingerprint
    by_symbol = pd.concat([frame[frame.tic == symbol] for symbol in ("V", "MSFT", "AAPL")])
    assert load_panel(by_symbol).fingerprint == panel.fingerprint


def test_a_missing_row_is_a_gap_and_not_a_fill():
    frame = finrl_frame()
    panel = load_panel(frame.drop(index=[4, 7]))
    assert np.argwhere(~panel.tradable).tolist() == [[1, 1], [2, 1]]
    assert np.isnan(panel.close[1, 1])
    assert panel.last_close[2, 1] == panel.close[0, 1]


def test_symbols_choose_the_instruments_and_their_order():
    panel = load_panel(finrl_frame(), symbols=["V", "AAPL"], name="two")
    assert panel.symbols == ("V", "AAPL")
    assert panel.name == "two"


def test_frames_with_two_levels_of_columns_have_gaps_where_all_prices_are_missing():
    panel = load_panel(finrl_frame(), symbols=["AAPL", "V"])
    wide = panel.to_frame().pivot(index="time", columns="symbol").drop(columns="day")
    wide.iloc[3, [wide.columns.get_loc((name, "V")) for name in ("open", "high", "low", "close", "volume")]] = np.nan
    back = load_panel(wide)
    assert np.argwhere(~back.tradable).tolist() == [[3, 1]]
    assert np.array_equal(back.close[:, 0], panel.close[:, 0])


def test_rows_indexed_by_symbol_and_time():
    frame = gappy_panel().to_frame()
    panel = load_panel(frame.set_index(["symbol", "time"]))
    assert panel.fingerprint == load_panel(frame).fingerprint == gappy_panel().fingerprint


@pytest.mark.parametrize("name", ["long.csv", "long.csv.gz"])
def test_a_long_file(name, tmp_path):
    finrl_frame().to_csv(tmp_path / name)
    panel = load_panel(tmp_path / name, columns=["open", "high", "low", "close", "volume"])
    assert panel.name == "long"
    assert np.array_equal(panel.close, load_panel(finrl_frame()).close)


def test_names_lists_and_mappings():
    five = load_panel("us-stocks")
    assert five.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert five.name == "us-stocks"
    assert five.metadata["survivorship_biased"] is True
    assert five.time_of(int(five.listed[1])) == "2012-05-18 (row 3074)"
    two = load_panel(["us-stocks/IBM", load("us-stocks/AAPL")])
    assert two.symbols == ("IBM", "AAPL")
    frames = {"I": load("us-stocks/IBM").to_frame(), "A": "us-stocks/AAPL"}
    assert np.array_equal(load_panel(frames).close, two.close)
    assert load_panel(frames).symbols == ("I", "A")
    assert load_panel(two) is two
    assert load_panel("us-stocks/AAPL").symbols == load_panel(load("us-stocks/AAPL")).symbols == ("AAPL",)


def test_skfolios_stocks_are_closes_of_its_own_loader(monkeypatch):
    frame = pd.DataFrame({"AAPL": [1.0, 2.0], "XOM": [3.0, 4.0]}, index=pd.to_datetime(["1990-01-02", "1990-01-03"]))
    package, datasets = types.ModuleType("skfolio"), types.ModuleType("skfolio.datasets")
    datasets.load_sp500_dataset = lambda: frame
    monkeypatch.setitem(sys.modules, "skfolio", package)
    monkeypatch.setitem(sys.modules, "skfolio.datasets", datasets)
    panel_datasets._named.cache_clear()
    panel = load_panel("skfolio/sp500")
    panel_datasets._named.cache_clear()
    assert panel.symbols == ("AAPL", "XOM")
    assert np.array_equal(panel.close, frame)
    assert panel.open is None
    assert panel.time_of(0) == "1990-01-02 (row 0)"
    assert panel.metadata["survivorship_biased"] is True


def test_named_panels_are_cached_and_take_no_options():
    assert load_panel("us-stocks") is load_panel("us-stocks")
    for data in ("us-stocks", load_panel("us-stocks")):
        with pytest.raises(TypeError, match=r"load_panel: \['tz'\] apply to files and frames only"):
            load_panel(data, tz="UTC")


def bad(frame, row, column, value):
    frame = frame.astype({column: object}) if isinstance(value, str) else frame
    frame.loc[row, column] = value
    return frame


def test_wrong_frames_name_the_instrument():
    frame = finrl_frame()
    for given, options, error, message in (
        (
            bad(finrl_frame(), 7, "close", np.nan),
            {},
            ValueError,
            r"'MSFT': close must be .*nan at 2020-01-03 \(row 2\)",
        ),
        (pd.concat([frame, frame.iloc[[7]]]), {}, ValueError, r"'MSFT': time must strictly increase"),
        (frame.iloc[::-1], {}, ValueError, "'AAPL': time must strictly increase, got unsorted"),
        (pd.concat([frame.iloc[:4], frame.iloc[[1]], frame.iloc[4:]]), {}, ValueError, "'MSFT': .*duplicate timestamp"),
        (frame, {"symbols": ["AAPL", "IBM"]}, ValueError, "symbol 'IBM' has no row in the frame; it has "),
        (frame, {"symbols": ["V", "V"]}, ValueError, "each symbol must occur once, got 'V' twice"),
        (frame, {"symbol": "name"}, ValueError, "the frame has no column 'name'; symbol= names it, among"),
        (frame.drop(columns="tic"), {}, ValueError, "the frame has no column of symbols"),
        (frame.assign(ticker="x"), {}, ValueError, r"several columns of symbols: \['tic', 'ticker'\]"),
        (bad(finrl_frame(), 4, "tic", None), {}, ValueError, "column 'tic' must name an instrument .* in row 4"),
        (frame.iloc[:0], {}, ValueError, "the frame has no rows"),
        (frame.drop(columns="date"), {}, ValueError, "'AAPL': the rows have no time"),
        (frame, {"sep": ","}, TypeError, "sep"),
        (bad(finrl_frame(), 4, "date", "2020-01-02T10:00+01:00"), {}, ValueError, "'MSFT': time must have a time zone"),
    ):
        with pytest.raises(error, match=message):
            load_panel(given, **options)


def test_other_wrong_data_is_named():
    for data, error, message in (
        ("us-stock", ValueError, "did you mean 'us-stocks'"),
        (["us-stocks/AAPL", "us-stocks/AAPL"], ValueError, "each symbol must occur once, got 'AAPL' twice"),
        ([], ValueError, "at least one instrument"),
        ({}, ValueError, "at least one Market"),
        ({"A": finrl_frame(["A"]).iloc[:0]}, ValueError, "'A': the frame has no rows"),
        ({"A": 3}, TypeError, "'A': data must be a name"),
        (3, TypeError, r"data must be one of \('us-stocks', 'skfolio/sp500'\), a list of names"),
    ):
        with pytest.raises(error, match=message):
            load_panel(data)


def test_symbols_may_be_integers():
    frame = finrl_frame()
    frame["tic"] = frame["tic"].map({"AAPL": 10107, "MSFT": 7, "V": 14593})
    panel = load_panel(frame)
    assert panel.symbols == ("10107", "14593", "7")
    assert panel.fingerprint == load_panel(frame, symbol="tic").fingerprint
    frame["code"] = 1
    with pytest.raises(ValueError, match=r"several columns of symbols: \['tic', 'code'\]; symbol= names it"):
        load_panel(frame)


def test_what_holds_several_instruments_is_known_before_it_is_loaded(tmp_path):
    frame = finrl_frame()
    for suffix in (".csv", ".csv.gz", ".parquet"):
        several, one = str(tmp_path / f"several{suffix}"), str(tmp_path / f"one{suffix}")
        for path, rows in ((several, frame), (one, frame[frame.tic == "V"])):
            rows.to_parquet(path) if suffix == ".parquet" else rows.to_csv(path, index=False)
        assert panel_datasets.holds_several(several)
        assert not panel_datasets.holds_several(one)
    assert panel_datasets.holds_several("us-stocks")
    for name in ("us-stocks/IBM", "nothing", str(tmp_path / "none.csv")):
        assert not panel_datasets.holds_several(name)
