import gzip
import hashlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import trading_env
from trading_env.data import datasets
from trading_env.data.datasets import load, names
from trading_env.data.market import Market

FOLDER = Path(datasets.__file__).parent / "us-stocks"
TICKERS = {"AAPL": 3270, "FB": 196, "GOOG": 2148, "IBM": 3270, "MSFT": 3270}


def build_module():
    spec = importlib.util.spec_from_file_location("us_stocks_build", FOLDER / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("ticker", TICKERS)
def test_bundled_stocks_are_whole_and_marked_as_survivors(ticker):
    market = load(f"us-stocks/{ticker}")
    assert len(market) == TICKERS[ticker]
    assert market.name == f"us-stocks/{ticker}"
    assert market.column_names == ("open", "high", "low", "close", "volume")
    assert market.bars_per_year == 252.0
    assert market.time_of(-1) == f"2013-03-01 (row {len(market) - 1})"
    assert market.metadata["survivorship_biased"] is True
    assert market.metadata["terms"] == "public domain"


def test_apple_agrees_with_the_source_by_hand():
    # 2000-03-01: 118.56, 132.06, 118.5, 130.31, volume 9616100, Adj Close 4.186662803811
    market = load("us-stocks/AAPL")
    factor = 4.186662803811 / 130.31
    assert market.open[0] == pytest.approx(118.56 * factor, abs=5.1e-9)
    assert market.high[0] == pytest.approx(132.06 * factor, abs=5.1e-9)
    assert market.low[0] == pytest.approx(118.5 * factor, abs=5.1e-9)
    assert market.close[0] == pytest.approx(4.186662803811, abs=5.1e-9)
    assert market.volume[0] == 9616100


@pytest.mark.parametrize("ticker", TICKERS)
def test_files_and_texts_have_the_checksums_of_the_readme(ticker):
    data = (FOLDER / f"{ticker}.csv.gz").read_bytes()
    rows = re.findall(rf"^\| {ticker}\.csv\.gz .*?([0-9a-f]{{64}}) \|$", (FOLDER / "README.md").read_text(), re.M)
    assert rows == [hashlib.sha256(d).hexdigest() for d in (data, gzip.decompress(data))]


def test_the_conversion_keeps_the_order_of_prices_and_rounds_to_eight_places():
    build = build_module()
    row = {"Date": "2000-03-01", "Open": "3", "High": "3", "Low": "2.9999999", "Close": "3", "Volume": "7"}
    line = build.adjusted({**row, "Adj Close": "1.00000000049"})
    assert line == "2000-03-01,1,1,0.99999997,1,7"


def test_the_conversion_refuses_another_source():
    build = build_module()
    assert build.SOURCE_SHA256 in (FOLDER / "README.md").read_text()
    with pytest.raises(ValueError, match="the source's SHA-256 must be 5abadf99"):
        build.convert(gzip.compress(b"Ticker,Date\n"))


def test_compression_is_deterministic():
    build = build_module()
    assert build.compress("a,b\n") == build.compress("a,b\n")
    assert build.compress("a,b\n")[4:8] == bytes(4)  # no time of the build


@pytest.mark.parametrize("name", ["sp500", "nasdaq"])
def test_arch_indices_load_by_name(name):
    market = load(name)
    assert (len(market), market.time_of(0)) == (5031, "1999-01-04 (row 0)")
    assert market.column_names == ("open", "high", "low", "close", "volume")
    assert market.metadata["survivorship_biased"] is False


@pytest.mark.parametrize(
    ("name", "bars", "dropped", "first", "first_close"),
    [("vix", 1259, 46, "2014-01-03", 13.76), ("wti", 8321, 290, "1986-01-02", 25.56)],
)
def test_archs_daily_prices_load_by_name_without_holidays(name, bars, dropped, first, first_close):
    market = load(name)
    assert (market.name, len(market), market.column_names) == (name, bars, ("close",))
    assert (market.time_of(0), market.close[0]) == (f"{first} (row 0)", first_close)
    assert market.bars_per_year == 252.0
    assert market.metadata["on_missing"]["rows"] == dropped
    assert market.metadata["survivorship_biased"] is False
    trading_env.TradingEnv(name, fill="next_close").reset()
    with pytest.raises(ValueError, match=f"fill='next_open' needs the column open, which '{name}' lacks"):
        trading_env.TradingEnv(name)


def test_sp500_gained_what_the_literature_says():
    close = load("sp500").close
    assert close[-1] / close[0] - 1 == pytest.approx(1.0412, abs=5e-5)


def test_an_index_without_arch_names_the_extra(monkeypatch):
    datasets._named.cache_clear()
    monkeypatch.setitem(sys.modules, "arch.data.sp500", None)
    with pytest.raises(ImportError, match=r"dataset 'sp500' needs arch: pip install 'trading-env\[arch\]'"):
        load("sp500")


def test_named_markets_are_shared_and_markets_come_back():
    market = load("us-stocks/IBM")
    assert load("us-stocks/IBM") is market
    assert load(market) is market
    assert trading_env.load is load


def test_every_name_loads():
    assert [load(name).name for name in names()] == list(names())


def test_paths_and_frames_load_with_options(tmp_path):
    data = load("us-stocks/FB").to_frame()
    data.iloc[3, 0] = np.nan
    data.to_csv(tmp_path / "fb.csv.gz")
    data.to_parquet(tmp_path / "fb.parquet")
    for source in (tmp_path / "fb.csv.gz", str(tmp_path / "fb.parquet"), data):
        with pytest.raises(ValueError, match=r"open must be finite and positive, got nan at 2012-05-23 \(row 3\)"):
            load(source)
        market = load(source, on_missing="drop", name="mine", metadata={"source": "test"})
        assert (market.name, len(market), market.metadata["source"]) == ("mine", 195, "test")
        assert np.array_equal(market.close, np.delete(load("us-stocks/FB").close, 3))


@pytest.mark.parametrize(
    ("data", "options", "error", "message"),
    [
        (
            "us-stocks/XYZ",
            {},
            ValueError,
            r"data must be one of \['nasdaq', 'sp500', 'vix', 'wti', 'us-stocks/AAPL'.*'us-stocks/XYZ'",
        ),
        (
            "notes.doc",
            {},
            ValueError,
            r"or end in \['.csv', '.txt', '.tsv', '.parquet'\] or packed as \['.gz', .*\]; got 'notes.doc'",
        ),
        ("AAPL", {}, ValueError, r"got 'AAPL'; did you mean 'us-stocks/AAPL'\?"),
        ("stocks/msft", {}, ValueError, r"got 'stocks/msft'; did you mean 'us-stocks/MSFT'\?"),
        ("sp50", {}, ValueError, r"got 'sp50'; did you mean 'sp500'\?"),
        ("notes.txt", {}, ValueError, "data: no such file 'notes.txt'"),
        ("none.csv", {}, ValueError, r"data: no such file 'none\.csv'"),
        (3, {}, TypeError, "data must be a name, a path, a DataFrame or a Market, got int: 3"),
        (None, {}, TypeError, "data must be a name, a path, a DataFrame or a Market, got NoneType"),
        ("us-stocks/AAPL", {"ticker": "X"}, TypeError, r"\['ticker'\] apply to files and DataFrames only"),
        (pd.DataFrame({"close": [1.0]}), {"sheet": 1}, TypeError, "load has no option 'sheet'; known are .*'unit'"),
        ("us-stocks/AAPL", {"on_missing": "fill"}, ValueError, "on_missing must be one of"),
        (Market.from_arrays([1.0, 2.0]), {"on_missing": None}, ValueError, "on_missing must be one of"),
    ],
)
def test_what_cannot_be_loaded_raises(data, options, error, message):
    with pytest.raises(error, match=message):
        load(data, **options)


def test_a_bundled_stock_loads_without_pandas():
    code = "import sys, trading_env; trading_env.load('us-stocks/AAPL'); sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
