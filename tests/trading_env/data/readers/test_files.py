"""Files: options of text, compression, bounds, and hostile contents that end in named refusals."""

import bz2
import gzip
import json
import lzma
import tracemalloc
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import trading_env
from trading_env.data.datasets import load

TEXT = "Date,Open,Close\n2020-01-01,1.5,2\n2020-01-02,2.5,3\n2020-01-03,3.5,4\n"
CLOSE = [2.0, 3.0, 4.0]
DAYS = np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "datetime64[ns]")


def written(tmp_path, text, name="a.csv"):
    (tmp_path / name).write_text(text)
    return tmp_path / name


def check(market):
    assert market.close.tolist() == CLOSE
    assert market.open.tolist() == [1.5, 2.5, 3.5]
    assert (market.time == DAYS).all()


# -- compression and size


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
@pytest.mark.parametrize("base", ["a.csv", "a.txt", "A.CSV"])
def test_packed_files_load_by_name_and_in_an_env(tmp_path, suffix, pack, base):
    path = tmp_path / f"{base}.{suffix}"
    path.write_bytes(pack(TEXT.encode()))
    check(load(path))
    check(trading_env.TradingEnv(str(path), features=["close"], window=1).unwrapped.task.markets[0])


@pytest.mark.parametrize("name", ["a.zip", "a.csv.zip"])
def test_a_zip_holds_one_table(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("folder/", "")
        archive.writestr("__MACOSX/._a.csv", "junk")
        archive.writestr("folder/a.csv", TEXT)
        archive.writestr("report.txt", "status")
    check(load(tmp_path / name))
    with zipfile.ZipFile(tmp_path / name, "a") as archive:
        archive.writestr("b.csv", TEXT)
    with pytest.raises(ValueError, match=r"cannot read .*the zip must hold one \.csv file, it holds .*'b\.csv'"):
        load(tmp_path / name)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip"])
def test_a_file_that_is_large_when_unpacked_is_refused_piece_by_piece(tmp_path, suffix):
    path = tmp_path / f"a.csv.{suffix}"
    openers = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", b"1" * (64 << 20))
    else:
        with openers[suffix](path, "wb") as file:
            for _ in range(64):
                file.write(b"1" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"cannot read .*more than 50,000,000 bytes; load\(..., max_bytes=...\)"):
        load(path, max_bytes=50_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_the_default_bound_refuses_a_small_file_of_a_gibibyte(tmp_path):
    block = bytes(1 << 20)
    with gzip.open(tmp_path / "a.csv.gz", "wb", compresslevel=1) as file:
        for _ in range(1024):
            file.write(block)
    with pytest.raises(ValueError, match="more than 1,000,000,000 bytes"):
        load(tmp_path / "a.csv.gz")


def test_plain_and_parquet_files_have_the_bound_too(tmp_path):
    path = written(tmp_path, TEXT)
    load(path).to_frame().to_parquet(tmp_path / "a.parquet")
    for each in (path, tmp_path / "a.parquet"):
        with pytest.raises(ValueError, match=r"more than 20 bytes; load\(..., max_bytes=...\)"):
            load(each, max_bytes=20)
        for limit in (None, 10**6):
            check(load(each, max_bytes=limit))
        with pytest.raises(TypeError, match="max_bytes must be an integer, got '1 MB'"):
            load(each, max_bytes="1 MB")


# -- options of text


@pytest.mark.parametrize("sep", [";", "\t", "|", " "])
def test_a_separator_is_found_or_given(tmp_path, sep):
    path = written(tmp_path, TEXT.replace(",", sep))
    check(load(path, sep=sep))
    if sep != " ":
        check(load(path))


def test_a_header_is_found_given_or_named(tmp_path):
    rows = TEXT.partition("\n")[2]
    check(load(written(tmp_path, rows), header=None, names=["Date", "Open", "Close"]))
    check(load(written(tmp_path, rows), names=["Date", "Open", "Close"]))
    check(load(written(tmp_path, "Report of today\n\n" + TEXT), header=1))
    check(load(written(tmp_path, TEXT), header=0, names=["time", "open", "close"]))
    with pytest.raises(ValueError, match=r"first line has no names: .*load\(..., header=None, names=\[...\]\)"):
        load(written(tmp_path, rows))
    with pytest.raises(ValueError, match="no column 'close', got"):
        load(written(tmp_path, rows), header=None)


def test_decimal_and_thousands_are_given_or_read_off(tmp_path):
    german = "Date;Open;Close\n2020-01-01;1,5;1.002,25\n2020-01-02;2,5;1.003,25\n"
    english = 'Date,Open,Close\n2020-01-01,1.5,"1,002.25"\n2020-01-02,2.5,"1,003.25"\n'
    swiss = "Date;Open;Close\n2020-01-01;1.5;1'002.25\n2020-01-02;2.5;1'003.25\n"
    for text, options in (
        (german, {"decimal": ","}),
        (german, {"decimal": ",", "thousands": "."}),
        (german, {}),
        (english, {"thousands": ","}),
        (english, {}),
        (swiss, {}),
    ):
        market = load(written(tmp_path, text), **options)
        assert market.close.tolist() == [1002.25, 1003.25]
        assert market.open.tolist() == [1.5, 2.5]
    frame = pd.DataFrame({"Date": DAYS, "Close": ["1.000,5", "2.000,5", "3.000,5"]})
    assert load(frame, decimal=",").close.tolist() == [1000.5, 2000.5, 3000.5]
    with pytest.raises(TypeError, match=r"close must be real numbers, got '1.000,5'"):
        load(frame)


@pytest.mark.parametrize(
    "text", ['Date,Close\n2020-01-01,"1,234"\n2020-01-02,"1,235"\n', "Date;Close\n2020-01-01;1.234\n2020-01-02;1.235\n"]
)
def test_numbers_of_two_readings_are_refused_and_decimal_decides(tmp_path, text):
    with pytest.raises(ValueError, match=r"column 'Close': '1.234' may be .* choose with load\(..., decimal=...\)"):
        load(written(tmp_path, text))
    mark = "," if '"' in text else "."
    other = {",": ".", ".": ","}[mark]
    assert load(written(tmp_path, text), decimal=mark).close.tolist() == [1.234, 1.235]
    assert load(written(tmp_path, text), decimal=other).close.tolist() == [1234, 1235]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"foo": 1}, TypeError, r"load has no option 'foo'; known are \['adjust', .*'unit'\]"),
        ({"sep": ";;"}, ValueError, "sep must be one character, like ';', got ';;'"),
        ({"header": -1}, ValueError, "header must be at least 0, got -1"),
        ({"header": "no"}, TypeError, "header must be an integer, got 'no'"),
        ({"names": "abc"}, TypeError, "names must be a list of names, got 'abc'"),
        ({"names": ["close"]}, ValueError, "names has 1 names for 3 columns"),
        ({"names": ["a", "close", "close"]}, ValueError, "names must be different"),
        ({"decimal": "ab"}, ValueError, "decimal must be one character"),
        ({"decimal": ",", "thousands": ","}, ValueError, "decimal and thousands must be different"),
        ({"sort": "yes"}, TypeError, "sort must be a bool, got 'yes'"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        load(written(tmp_path, TEXT), **options)


def test_options_that_do_not_apply_are_named(tmp_path):
    load(written(tmp_path, TEXT)).to_frame().to_parquet(tmp_path / "a.parquet")
    with pytest.raises(TypeError, match=r"load: \['sep'\] apply to text files only"):
        load(tmp_path / "a.parquet", sep=";")
    with pytest.raises(TypeError, match=r"load: \['max_bytes'\] apply to files only, got data of type DataFrame"):
        load(pd.DataFrame({"close": CLOSE}), max_bytes=3)
    for data in ("us-stocks/IBM", pd.DataFrame({"close": CLOSE}), tmp_path / "a.parquet"):
        with pytest.raises(TypeError, match="load has no option 'foo'"):
            load(data, foo=1)


# -- hostile contents


@pytest.mark.parametrize(
    ("cell", "error", "message"),
    [
        ("1" * 400, ValueError, "close must be finite and positive, got inf at 2020-01-01"),
        ("1" * 5000, ValueError, "close must be finite and positive, got inf at 2020-01-01"),
        ("-" + "1" * 400, ValueError, "close must be finite and positive, got -inf at 2020-01-01"),
        ("1e999", ValueError, "close must be finite and positive, got inf at 2020-01-01"),
        ("0x1F", TypeError, "close must be real numbers, got '0x1F'"),
        ("1+2j", TypeError, r"close must be real numbers, got '1\+2j'"),
        ("x" * 100_000, TypeError, "close must be real numbers, got 'xxx"),
        ("1,2,3", ValueError, "data: cannot read .* the rows have more cells than the header"),
        ('"1', ValueError, "data: cannot read .* EOF inside string"),
    ],
)
def test_a_cell_that_is_no_price_is_named(tmp_path, cell, error, message):
    for text in (f"Date,Close\n2020-01-01,{cell}\n2020-01-02,2\n", f"Date,Close\n2020-01-01,{cell}\n"):
        with pytest.raises(error, match=message) as caught:
            load(written(tmp_path, text))
        assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("time", ["1" * 400, "2020-01-01 10:00 Mars/Base", "2020-01-01T10:00+99:00", "99999-01-01"])
def test_a_cell_that_is_no_time_is_named(tmp_path, time):
    with pytest.raises(ValueError, match="time must be dates or ISO 8601 strings"):
        load(written(tmp_path, f"Date,Close\n{time},1\n{time},2\n"))


def test_large_integers_of_a_frame_are_named():
    with pytest.raises(TypeError, match=r"close must be real numbers, got 1000.* of dtype object at row 1"):
        load(pd.DataFrame({"close": [1, 10**400, 3]}, dtype=object), time=False)


PANDAS = {
    "index_columns": ["Date"],
    "column_indexes": [],
    "columns": [
        {"name": "Date", "field_name": "Date", "pandas_type": "datetime", "numpy_type": "datetime64[ns]"},
        {"name": "Close", "field_name": "Close", "pandas_type": "float64", "numpy_type": "float64"},
    ],
    "pandas_version": "2.0",
}


def hostile(**changes):
    return json.dumps({**PANDAS, **changes})


def column(**changes):
    return hostile(columns=[{**PANDAS["columns"][0], **changes}, PANDAS["columns"][1]])


def index(**changes):
    return hostile(index_columns=[{"kind": "range", "name": None, "start": 0, "stop": 3, "step": 1, **changes}])


@pytest.mark.parametrize(
    "metadata",
    [
        *("{junk", "[1, 2]", "{}", b"\xff\xfe", hostile(index_columns=["Nope"]), hostile(index_columns=5)),
        *(index(start="a"), index(step=0), index(kind="other"), hostile(columns=None)),
        column(pandas_type="datetimetz", metadata={"timezone": "Mars/Base"}),
        column(numpy_type="evil", pandas_type="evil"),
        hostile(column_indexes=[{"name": None, "pandas_type": "datetime", "numpy_type": "int64[x]", "metadata": 7}]),
    ],
)
def test_hostile_pandas_metadata_of_parquet_is_refused_by_name(tmp_path, metadata):
    table = pa.table({"Date": pa.array(DAYS), "Close": CLOSE}).replace_schema_metadata({"pandas": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"data: cannot read '.*a\.parquet': "):
        load(tmp_path / "a.parquet")


def test_an_unknown_time_zone_of_parquet_is_refused_by_name(tmp_path):
    dates = pa.array(DAYS).cast(pa.timestamp("ns", tz="Mars/Base"))
    pq.write_table(pa.table({"Date": dates, "Close": CLOSE}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"data: cannot read '.*a\.parquet': .*Mars/Base"):
        load(tmp_path / "a.parquet")


def test_a_parquet_with_a_name_twice_is_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(DAYS), pa.array(CLOSE), pa.array(CLOSE)], names=["Date", "Close", "Close"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="two columns are named 'Close'"):
        load(tmp_path / "a.parquet")


def test_a_parquet_whose_values_repeat_is_bounded_by_its_rows(tmp_path):
    pq.write_table(pa.table({"close": np.ones(1_000_000)}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    with pytest.raises(ValueError, match="more than 1,000,000 bytes"):
        load(tmp_path / "a.parquet", max_bytes=1_000_000)


def test_an_arrow_table_is_a_frame_and_a_hostile_one_is_refused():
    table = pa.table({"Date": pa.array(DAYS), "Open": [1.5, 2.5, 3.5], "Close": CLOSE})
    check(load(table))
    with pytest.raises(ValueError, match=r"frame: its to_pandas\(\) fails"):
        load(table.replace_schema_metadata({"pandas": "{junk"}))
