"""Files and frames as exchanges, brokers and websites hand them out: small ones of each form."""

import io

import numpy as np
import pandas as pd
import pytest

import trading_env
from trading_env.data.datasets import load

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05")
CLOSES = (100.5, 101.5, 99.25, 1100.75)
HOURS = tuple(f"2024-01-02T{hour:02d}:00" for hour in range(9, 13))


def bars(i):
    """Open, high, low, close, volume of bar i, as text."""
    close = CLOSES[i]
    return [f"{value:.2f}" for value in (close - 0.25, close + 1, close - 1, close)] + [str(1000 * (i + 1))]


def epoch(times, unit):
    return [str(value) for value in np.array(times, f"datetime64[{unit}]").astype(np.int64)]


def table(header, rows, sep=","):
    lines = [sep.join(row) for row in rows]
    return "\n".join([header, *lines] if header else lines) + "\n"


def binance(unit, header):
    step = {"ms": 3_599_999, "us": 3_599_999_999}[unit]
    opens = epoch(HOURS, unit)
    rows = [[t, *bars(i), str(int(t) + step), "5.5", "7", "1.5", "2.5", "0"] for i, t in enumerate(opens)]
    return table(header, rows)


VISION = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
)
PYTHON = (
    "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,"
    "Taker buy base asset volume,Taker buy quote asset volume,Ignore"
)
MT5 = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"


def metatrader4():
    return table("", [["2024.01.02", f"{9 + i:02d}:00", *bars(i)] for i in range(4)])


def metatrader5(daily=False):
    rows = [[DAYS[i].replace("-", "."), *bars(i), "0", "3"] for i in range(4)]
    if daily:
        return table(MT5.replace("\t<TIME>", ""), rows, "\t")
    return table(MT5, [["2024.01.02", f"{9 + i:02d}:00:00", *row[1:]] for i, row in enumerate(rows)], "\t")


def histdata():
    return table("", [[f"20240102 {9 + i:02d}0000", *bars(i)] for i in range(4)], ";")


def stooq_bulk():
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    return table(header, [["AAPL.US", "D", DAYS[i].replace("-", ""), "000000", *bars(i), "0"] for i in range(4)])


def stooq_bulk_hours(clocks=("090000", "100000", "110000", "120000")):
    header = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    return table(header, [["AAPL.US", "60", "20240102", clocks[i], *bars(i), "0"] for i in range(4)])


def newest_first(header, row, lead=""):
    return lead + table(header, [row(i) for i in (3, 2, 1, 0)])


def us_date(i):
    year, month, day = DAYS[i].split("-")
    return f"{month}/{day}/{year}"


def nasdaq():
    def row(i):
        o, h, low, c, v = bars(i)
        return [us_date(i), f"${c}", v, f"${o}", f"${h}", f"${low}"]

    return newest_first("Date,Close/Last,Volume,Open,High,Low", row)


def investing(date):
    def row(i):
        o, h, low, c = (f"{float(v):,.2f}" for v in bars(i)[:4])
        return [f'"{v}"' for v in (date(i), c, o, h, low, f"{i + 1}.00K", "0.50%")]

    return "\ufeff" + newest_first('"Date","Price","Open","High","Low","Vol.","Change %"', row)


def german_number(text):
    return f"{float(text):,.2f}".translate(str.maketrans(",.", ".,"))


def german(header="Datum;Eröffnung;Hoch;Tief;Schluss;Volumen", start="2024-01-0"):
    days = [f"0{i + 2}.01.2024" for i in range(4)]
    return table(header, [[days[i], *map(german_number, bars(i)[:4]), bars(i)[4]] for i in range(4)], ";")


def ariva():
    header = "Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke;Volumen"
    rows = [[DAYS[i], *map(german_number, bars(i)[:4]), f"{i + 1}.000", f"{i + 1}.000.000"] for i in range(4)]
    return table(header, rows, ";")


def crypto(header, times, lead="https://www.CryptoDataDownload.com\n", drop=False):
    def row(i):
        o, h, low, c, v = bars(i)
        date = [] if drop else [HOURS[i].replace("T", " ") + ":00"]
        return [times[i], *date, "BTC/USD", o, h, low, c, v, "77.5"]

    return newest_first(header, row, lead)


def alpha(header="timestamp,open,high,low,close,volume"):
    return newest_first(header, lambda i: [DAYS[i], *bars(i)])


def alpha_adjusted():
    header = "timestamp,open,high,low,close,adjusted_close,volume,dividend_amount,split_coefficient"
    return newest_first(header, lambda i: [DAYS[i], *bars(i)[:4], bars(i)[3], bars(i)[4], "0.0", "1.0"])


def tradingview():
    header = "time,open,high,low,close,Volume,Volume MA"
    return table(header, [[t, *bars(i), "" if i == 0 else "5"] for i, t in enumerate(epoch(HOURS, "s"))])


def dukascopy(name="Gmt time", zone=""):
    rows = [[f"02.01.2024 {9 + i:02d}:00:00.000{zone}", *bars(i)] for i in range(4)]
    return table(f"{name},Open,High,Low,Close,Volume", rows)


def tushare():
    header = ",ts_code,trade_date,open,high,low,close,pre_close,change,pct_chg,vol,amount"

    def row(i):
        return [str(3 - i), "000001.SZ", DAYS[i].replace("-", ""), *bars(i)[:4], "1", "2", "3", bars(i)[4], "9"]

    return newest_first(header, row)


def polygon_flat():
    header = "ticker,volume,open,close,high,low,window_start,transactions"
    rows = []
    for i, t in enumerate(epoch(HOURS, "ns")):
        o, h, low, c, v = bars(i)
        rows.append(["AAPL", v, o, c, h, low, t, "3"])
    return table(header, rows)


def letters(times):
    return table("v,vw,o,c,h,l,t,n", [_letters(i, t) for i, t in enumerate(times)])


def _letters(i, t):
    o, h, low, c, v = bars(i)
    return [v, c, o, c, h, low, t, "5"]


def stooq_polish():
    return table("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", [[DAYS[i], *bars(i)] for i in range(4)])


FORMS = {
    "binance ms, no header": ("Binance klines", binance("ms", ""), HOURS),
    "binance us, no header": ("Binance klines", binance("us", ""), HOURS),
    "binance ms, header": ("Binance klines", binance("ms", VISION), HOURS),
    "binance us, header": ("Binance klines", binance("us", PYTHON), HOURS),
    "metatrader 4": ("MetaTrader 4", metatrader4(), HOURS),
    "metatrader 5": ("MetaTrader 5", metatrader5(), HOURS),
    "metatrader 5, daily": ("MetaTrader 5", metatrader5(daily=True), DAYS),
    "histdata": ("HistData", histdata(), HOURS),
    "stooq": (
        "common names, as in Stooq (web)",
        table("Date,Open,High,Low,Close,Volume", [[DAYS[i], *bars(i)] for i in range(4)]),
        DAYS,
    ),
    "stooq, polish": ("Stooq (web)", stooq_polish(), DAYS),
    "stooq bulk": ("Stooq (bulk)", stooq_bulk(), DAYS),
    "stooq bulk, hours": ("Stooq (bulk)", stooq_bulk_hours(), HOURS),
    "nasdaq": ("Nasdaq.com", nasdaq(), DAYS),
    "alpha vantage": ("Alpha Vantage", alpha(), DAYS),
    "alpha vantage, adjusted": ("Alpha Vantage", alpha_adjusted(), DAYS),
    "cryptodatadownload": (
        "CryptoDataDownload",
        crypto("unix,date,symbol,open,high,low,close,Volume BTC,Volume USD", epoch(HOURS, "s")),
        HOURS,
    ),
    "cryptodatadownload, ms": (
        "CryptoDataDownload",
        crypto("Unix,Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD", epoch(HOURS, "ms"), lead=""),
        HOURS,
    ),
    "cryptodatadownload, s and ms": (
        "CryptoDataDownload",
        crypto(
            "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD",
            [*epoch(HOURS[:2], "s"), *epoch(HOURS[2:], "ms")],
        ),
        HOURS,
    ),
    "tradingview": ("TradingView", tradingview(), HOURS),
    "polygon": ("Polygon", letters(epoch(HOURS, "ms")), HOURS),
    "alpaca": ("Alpaca", letters([f"{hour}:00Z" for hour in HOURS]), HOURS),
    "polygon flat file": ("Polygon (flat file)", polygon_flat(), HOURS),
    "german": ("German export", german(), DAYS),
    "german, english header": ("German export", german("Date;Open;High;Low;Close;Volume"), DAYS),
    "german, sep line": ("German export", "sep=;\n" + german(), DAYS),
    "german, newest first": (
        "German export",
        "\n".join([german().split("\n")[0], *german().split("\n")[4:0:-1]]),
        DAYS,
    ),
    "ariva": ("German export", ariva(), DAYS),
    "stooq bulk, just after midnight": (
        "Stooq (bulk)",
        stooq_bulk_hours(("000000", "000500", "001000", "001500")),
        tuple(f"2024-01-02T00:{m:02d}" for m in (0, 5, 10, 15)),
    ),
    "cryptodatadownload, old": (
        "CryptoDataDownload",
        crypto("Date,Symbol,Open,High,Low,Close,Volume BTC,Volume USD", HOURS, drop=True)
        .replace("-01-02T09:00", "-01-02 09-AM")
        .replace("-01-02T10:00", "-01-02 10-AM")
        .replace("-01-02T11:00", "-01-02 11-AM")
        .replace("-01-02T12:00", "-01-02 12-PM"),
        HOURS,
    ),
    "dukascopy, no ms": ("Dukascopy", dukascopy().replace(".000", ""), HOURS),
    "dukascopy, eet": ("Dukascopy", dukascopy("Time (EET)").replace("02.01.2024", "2024.01.02"), HOURS),
    "dukascopy": ("Dukascopy", dukascopy(), HOURS),
    "tushare": ("tushare", tushare(), DAYS),
}


def check(market, name, times):
    assert market.metadata["format"] == name
    np.testing.assert_allclose(market.close, CLOSES)
    np.testing.assert_allclose(market.open, np.array(CLOSES) - 0.25)
    np.testing.assert_allclose(market.high, np.array(CLOSES) + 1)
    np.testing.assert_allclose(market.low, np.array(CLOSES) - 1)
    np.testing.assert_allclose(market.volume, [1000, 2000, 3000, 4000])
    assert market.time.tolist() == np.array(times, "datetime64[ns]").tolist()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_a_file_is_recognised_by_its_header(tmp_path, form, suffix):
    name, text, times = FORMS[form]
    (tmp_path / f"a.{suffix}").write_text(text, encoding="utf-8")
    check(load(tmp_path / f"a.{suffix}"), name, times)
    env = trading_env.TradingEnv(str(tmp_path / f"a.{suffix}"), features=["close"], window=1)
    np.testing.assert_allclose(env.unwrapped.task.markets[0].close, CLOSES)


FILES_ONLY = ("metatrader 4", "histdata", "stooq", "german, english header", "german, sep line")
FRAMES = [form for form in FORMS if "no header" not in form and form not in FILES_ONLY]


@pytest.mark.parametrize("form", FRAMES)
def test_a_frame_is_recognised_by_its_header(form):
    name, text, times = FORMS[form]
    text = text.removeprefix("https://www.CryptoDataDownload.com\n").removeprefix("\ufeff")
    sep = next(mark for mark in ";\t," if mark in text.split("\n")[0])
    options = {"decimal": ",", "thousands": ".", "dtype": {"Datum": str}} if name == "German export" else {}
    frame = pd.read_csv(io.StringIO(text), sep=sep, **options)
    if form != "tushare":  # whose index counts rows
        check(load(frame), name, times)
        check(
            load(frame.set_index(frame.columns[0])) if frame.columns[0] in ("Date", "time", "Datum") else load(frame),
            name,
            times,
        )
    else:
        check(load(frame.drop(columns="Unnamed: 0")), name, times)


def test_a_date_of_investing_com_is_read_only_where_a_row_decides(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(investing(us_date), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"'01/05/2024' in row 0 of column 'Date' may be 2024-05-01 \(format='%d/%m/%Y'\) or"
    ):
        load(path)
    check(load(path, format="%m/%d/%Y"), "investing.com", DAYS)
    path.write_text(investing(lambda i: us_date(i).replace("/0", "/1")), encoding="utf-8")
    check(load(path), "investing.com", tuple(day.replace("-0", "-1").replace("-11-", "-01-") for day in DAYS))


def test_a_german_investing_com_has_decimal_commas(tmp_path):
    lines = ['"Datum","Zuletzt","Eröffn.","Hoch","Tief","Vol.","+/- %"']
    for i in (3, 2, 1, 0):
        o, h, low, c = map(german_number, bars(i)[:4])
        lines.append(",".join(f'"{v}"' for v in (f"0{i + 2}.01.2024", c, o, h, low, f"{i + 1},00K", "0,50%")))
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    check(load(tmp_path / "a.csv"), "investing.com", DAYS)


@pytest.mark.parametrize("missing", ["-", ""])
def test_a_volume_that_a_source_leaves_empty_is_none(tmp_path, missing):
    text = investing(lambda i: us_date(i).replace("/0", "/1"))
    for i in range(4):
        text = text.replace(f'"{i + 1}.00K"', f'"{missing}"')
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert load(tmp_path / "a.csv").column_names == ("open", "high", "low", "close")


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_german_and_utf_16_files_are_decoded(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(german().encode(encoding))
    check(load(tmp_path / "a.csv"), "German export", DAYS)


def test_an_unknown_header_in_another_encoding_than_utf_8_says_so(tmp_path):
    (tmp_path / "a.csv").write_bytes("Zeitpunkt;Kurs;Größe\n2024-01-02;1;2\n".encode("cp1252"))
    with pytest.raises(ValueError, match=r"cannot read '.*a\.csv': it is not UTF-8 text: save it as UTF-8"):
        load(tmp_path / "a.csv")


@pytest.mark.parametrize("label", ["Local time", "time"])
def test_local_days_of_dukascopy_stay_dates_in_summer_and_winter(tmp_path, label):
    days = ["29.03.2024 00:00:00.000 GMT+0100", "01.04.2024 00:00:00.000 GMT+0200", "02.04.2024 00:00:00.000 GMT+0200"]
    for used, dates in ((days, ("2024-03-29", "2024-04-01", "2024-04-02")), (days[1:], ("2024-04-01", "2024-04-02"))):
        rows = [[day, "1", "1", "1", "1", "5"] for day in used]
        (tmp_path / "a.csv").write_text(table(f"{label},Open,High,Low,Close,Volume", rows))
        options = {} if label == "Local time" or len(used) == 3 else {"format": "%d.%m.%Y %H:%M:%S.%f GMT%z"}
        market = load(tmp_path / "a.csv", **options)
        assert market.time.tolist() == np.array(dates, "datetime64[ns]").tolist()


def test_records_of_metatrader_5():
    kinds = [(n, "f8") for n in ("open", "high", "low", "close", "tick_volume", "spread", "real_volume")]
    rows = []
    for i, time in enumerate(epoch(HOURS, "s")):
        o, h, low, c, v = map(float, bars(i))
        rows.append((int(time), o, h, low, c, v, 3.0, 0.0))
    records = np.array(rows, [("time", "i8"), *kinds])
    check(load(records), "MetaTrader 5", HOURS)
    check(load(pd.DataFrame(records)), "MetaTrader 5", HOURS)


def test_local_times_of_dukascopy_become_utc(tmp_path):
    (tmp_path / "a.csv").write_text(dukascopy("Local time", " GMT+0100"))
    check(load(tmp_path / "a.csv"), "Dukascopy", tuple(f"2024-01-02T{hour:02d}:00" for hour in range(8, 12)))


def test_real_volume_of_metatrader_5_is_taken_where_there_is_some(tmp_path):
    (tmp_path / "a.csv").write_text(metatrader5().replace("\t0\t3\n", "\t50\t3\n"))
    market = load(tmp_path / "a.csv")
    assert market.volume.tolist() == [50] * 4
    assert market.column("<TICKVOL>").tolist() == [1000, 2000, 3000, 4000]


def test_rows_of_ccxt_and_of_binance():
    rows = [[int(t), *map(float, bars(i))] for i, t in enumerate(epoch(HOURS, "ms"))]
    for data in (rows, [tuple(row) for row in rows], np.array(rows)):
        check(load(data), "ccxt", HOURS)
    texts = [line.split(",") for line in binance("ms", "").splitlines()]
    klines = [[int(row[0]), *row[1:6], int(row[6]), row[7], int(row[8]), *row[9:]] for row in texts]
    check(load(klines), "Binance klines", HOURS)


def test_rows_of_polygon_and_alpaca():
    for name, times in (("Polygon", map(int, epoch(HOURS, "ms"))), ("Alpaca", [f"{h}:00Z" for h in HOURS])):
        rows = []
        for i, t in enumerate(times):
            o, h, low, c, v = map(float, bars(i))
            rows.append({"t": t, "o": o, "h": h, "l": low, "c": c, "v": v, "n": 5, "vw": c})
        check(load(rows), name, HOURS)


def test_rows_that_are_no_bars_get_a_short_answer():
    with pytest.raises(ValueError, match=r"data as rows: each must be \[time in ms, open") as error:
        load([[1.0, 2.0, 3.0]] * 20_000)
    assert len(str(error.value)) < 300
    rows = [[int(t), *map(float, bars(i))] for i, t in enumerate(epoch(HOURS, "ms"))]
    with pytest.raises(ValueError, match=r"data as rows: each row must have 6 values, got .* in row 2"):
        load([*rows[:2], rows[2][:5], rows[3]])
    for wrong in ([{}], [{}, 0], [[]], [{"close": 1.0}, [1]], [[1, 2], 3]):
        with pytest.raises((TypeError, ValueError), match="data as rows: "):
            load(wrong)
    named = load([row[:5] for row in rows], names=["time", "open", "high", "low", "close"])
    assert named.column_names == ("open", "high", "low", "close")


def test_the_order_of_a_source_is_turned_round_and_said(tmp_path):
    (tmp_path / "a.csv").write_text(alpha())
    assert load(tmp_path / "a.csv").metadata["order"] == "reversed: the rows came newest first"
    lines = binance("ms", "").splitlines()
    (tmp_path / "b.csv").write_text("\n".join(lines[::-1]))  # Binance's come oldest first
    with pytest.raises(ValueError, match=r"the rows come newest first: load\(..., sort=True\)"):
        load(tmp_path / "b.csv")
    check(load(tmp_path / "b.csv", sort=True), "Binance klines", HOURS)


def test_a_plain_file_has_no_format(tmp_path):
    (tmp_path / "a.csv").write_text("time,open,high,low,close,volume\n2024-01-02,1,1,1,1,5\n2024-01-03,1,1,1,1,5\n")
    assert dict(load(tmp_path / "a.csv").metadata) == {}


def test_an_ambiguous_number_of_a_german_file_asks_for_the_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Datum;Schluss\n02.01.2024;1.234\n03.01.2024;1.235\n")
    with pytest.raises(
        ValueError, match=r"column 'Schluss': '1.234' may be 1.234 \(decimal='.'\) or 1234 \(decimal=','\)"
    ):
        load(path)
    assert load(path, decimal=",").close.tolist() == [1234, 1235]
    assert load(path, decimal=".").close.tolist() == [1.234, 1.235]


def test_german_dates_and_times_in_two_columns_have_the_day_first(tmp_path):
    lines = ["Datum;Zeit;Eröffnung;Hoch;Tief;Schluss;Umsatz Stück"]
    for i in range(4):
        lines.append(";".join(["02.01.2024", f"{9 + i:02d}:00", *map(german_number, bars(i)[:4]), bars(i)[4]]))
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    check(load(tmp_path / "a.csv"), "German export", HOURS)


def test_a_list_of_numbers_points_to_lists_of_rows():
    with pytest.raises(TypeError, match=r"got list: .*; load\(rows\) takes a list of rows"):
        trading_env.TradingEnv([[1704186000000, 1.0, 1.0, 1.0, 1.0, 5.0]])
