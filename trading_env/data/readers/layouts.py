"""Layouts of the tables of exchanges, brokers and websites, recognised by their exact header.

A layout gives the roles of the columns, how times and numbers are written, and whether the newest row comes first.
Columns of a table with any other header are found by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from trading_env.data.readers.date_formats import formats

TIME_NAMES = ("time", "date", "datetime", "timestamp")
_BARS = {"open": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}


@dataclass(frozen=True)
class Layout:
    """How to read a table of one source.

    Attributes:
        name: the name reported in metadata["format"].
        columns: maps the source's names of open, high, low, close and volume, in lower case, to ours.
        time: the column of time, or the columns of date and time of day, in lower case; () for the index.
        format: strptime format of the time; None for ISO 8601 or numbers.
        marks: decimal mark and thousands separator of numbers that are text; None to infer them.
        unused: columns left out unless asked for, in lower case.
        newest_first: True if the source's rows come newest first, so that they are reversed.
        spare: the column to use if the volume in ``columns`` is 0 throughout, in lower case.
        digits: width of times of day that are numbers, 6 for HHMMSS.
    """

    name: str
    columns: Mapping[str, str] = field(default_factory=lambda: _BARS)
    time: tuple[str, ...] = ()
    format: str | None = None
    marks: tuple[str, str] | None = None
    unused: tuple[str, ...] = ()
    newest_first: bool = False
    spare: str | None = None
    digits: int | None = None


def _bars(*names: str) -> dict[str, str]:
    return dict(zip(names, _BARS, strict=False))


_BINANCE_TIMES = (("open_time", "open time"), ("close_time", "close time"))
_BINANCE_REST = (
    ("quote_volume", "quote_asset_volume", "quote asset volume", "quote_av"),
    ("count", "number_of_trades", "number of trades", "trades", "num_trades"),
    ("taker_buy_volume", "taker_buy_base_asset_volume", "taker buy base asset volume", "tb_base_av"),
    ("taker_buy_quote_volume", "taker_buy_quote_asset_volume", "taker buy quote asset volume", "tb_quote_av"),
    ("ignore", "can be ignored", "unused field. ignore."),
)
BINANCE_NAMES = ("open_time", *_BARS, "close_time", *(names[0] for names in _BINANCE_REST))
MT4_NAMES = ("<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<VOL>")
HISTDATA_NAMES = ("time", *_BARS)

_MT = _bars("<open>", "<high>", "<low>", "<close>", "<vol>")
_MT5 = ("<open>", "<high>", "<low>", "<close>", "<tickvol>", "<vol>", "<spread>")
_ALPHA = Layout("Alpha Vantage", newest_first=True)
_INVESTING = Layout(
    "investing.com",
    {"price": "close", "open": "open", "high": "high", "low": "low", "vol.": "volume"},
    ("date",),
    marks=(".", ","),
    unused=("change %",),
    newest_first=True,
)

_EXACT: dict[tuple[str, ...], Layout] = {
    ("<date>", "<time>", *_MT5): Layout("MetaTrader 5", _MT, ("<date>", "<time>"), spare="<tickvol>"),
    ("<date>", *_MT5): Layout("MetaTrader 5", _MT, ("<date>",), spare="<tickvol>"),
    ("time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume"): Layout(
        "MetaTrader 5", _bars("open", "high", "low", "close", "real_volume"), ("time",), spare="tick_volume"
    ),
    ("<ticker>", "<per>", "<date>", "<time>", "<open>", "<high>", "<low>", "<close>", "<vol>", "<openint>"): Layout(
        "Stooq (bulk)", _MT, ("<date>", "<time>"), unused=("<per>", "<openint>"), digits=6
    ),
    ("<ticker>", "<dtyyyymmdd>", "<time>", "<open>", "<high>", "<low>", "<close>", "<vol>"): Layout(
        "MetaStock", _MT, ("<dtyyyymmdd>", "<time>"), digits=6
    ),
    ("data", "otwarcie", "najwyzszy", "najnizszy", "zamkniecie", "wolumen"): Layout(
        "Stooq (web)", _bars("otwarcie", "najwyzszy", "najnizszy", "zamkniecie", "wolumen"), ("data",)
    ),
    ("data", "otwarcie", "najwyzszy", "najnizszy", "zamkniecie"): Layout(
        "Stooq (web)", _bars("otwarcie", "najwyzszy", "najnizszy", "zamkniecie"), ("data",)
    ),
    (
        *("timestamp", "open", "high", "low", "close", "adjusted_close", "volume", "dividend_amount"),
        "split_coefficient",
    ): replace(_ALPHA, time=("timestamp",)),
    ("timestamp", "open", "high", "low", "close", "adjusted close", "volume", "dividend amount"): replace(
        _ALPHA, time=("timestamp",)
    ),
    ("date", "close/last", "volume", "open", "high", "low"): Layout(
        "Nasdaq.com",
        {**_BARS, "close/last": "close"},
        ("date",),
        format="%m/%d/%Y",
        marks=(".", ","),
        newest_first=True,
    ),
    ("date", "price", "open", "high", "low", "vol.", "change %"): _INVESTING,
    ("date", "price", "open", "high", "low", "change %"): _INVESTING,
    ("datum", "zuletzt", "eröffn.", "hoch", "tief", "vol.", "+/- %"): Layout(
        "investing.com",
        {"zuletzt": "close", "eröffn.": "open", "hoch": "high", "tief": "low", "vol.": "volume"},
        ("datum",),
        format="%d.%m.%Y",
        marks=(",", "."),
        unused=("+/- %",),
        newest_first=True,
    ),
    ("ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"): Layout(
        "Polygon (flat file)", time=("window_start",)
    ),
    (
        *("ts_code", "trade_date", "open", "high", "low", "close", "pre_close", "change", "pct_chg", "vol"),
        "amount",
    ): Layout("tushare", _bars("open", "high", "low", "close", "vol"), ("trade_date",), newest_first=True),
}


def plain(label: Any) -> str:
    """A label in lower case, letters and digits only, for comparison."""
    return re.sub(r"[\W_]+", "", str(label).lower())


def recognise(labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """The layout with this header, or None.

    Args:
        labels: names of the columns, in order.
        first: values of the first row, which distinguish sources with the same header.
    """
    header = tuple(str(label).strip().lower() for label in labels)
    found = _EXACT.get(header)
    if found is not None:
        return found
    for recogniser in _RECOGNISERS:
        found = recogniser(header, labels, first)
        if found is not None:
            return found
    return None


def recognise_file(labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """As `recognise`, and also for Stooq's English header, which is too common to identify the source of a frame.

    Its columns would be read in the same way by name.
    """
    dates = ("Date", "Time") if "Time" in labels else ("Date",)
    if tuple(labels) == (*dates, "Open", "High", "Low", "Close", "Volume"):
        return Layout("common names, as in Stooq (web)", time=tuple(map(str.lower, dates)))
    return recognise(labels, first)


def _binance(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    names = (_BINANCE_TIMES[0], *((bar,) for bar in _BARS), _BINANCE_TIMES[1], *_BINANCE_REST)
    if len(header) != 12 or any(label not in known for label, known in zip(header, names, strict=True)):
        return None
    return Layout("Binance klines", time=(header[0],), unused=(header[6], header[11]))


def _crypto_data_download(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """Uses the dates: some files mix seconds and milliseconds in ``unix``, which is used if the dates are unusual."""
    pattern = r"((unix|unix timestamp),)?date,symbol,open,high,low,close,volume (\w+),volume (\w+)(,tradecount)?"
    found = re.fullmatch(pattern, ",".join(header))
    if found is None:
        return None
    symbol = str(first[header.index("symbol")]).lower()
    volume = found[4] if symbol.startswith(found[4]) else found[3]  # in the base currency, in whichever column
    columns = {**_bars("open", "high", "low", "close"), f"volume {volume}": "volume"}
    plain = re.fullmatch(r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?)?", str(first[header.index("date")]))
    time = "date" if plain or not found[2] else found[2]
    unused = ({"date", found[2] or "date"} - {time}) or set()
    old = re.fullmatch(r"\d{4}-\d\d-\d\d \d\d-[AP]M", str(first[header.index("date")]))
    format = "%Y-%m-%d %I-%p" if old and time == "date" else None
    return Layout("CryptoDataDownload", columns, (time,), format, unused=tuple(unused), newest_first=True)


def _dukascopy(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """Gmt time, Local time (with offset from UTC), Time (UTC) or Time (EET); the day comes first."""
    if header[1:] != tuple(_BARS) or not re.fullmatch(r"(gmt|local) time|time \((utc|gmt|eet|local)\)", header[0]):
        return None
    found = formats(str(first[0]).strip())
    format = found[0] if found and found[0].startswith("%d.%m.%Y %H:%M:%S") else None
    return Layout("Dukascopy", time=(header[0],), format=format)


def _trading_view(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """Times in seconds since 1970, bars in lower case, then Volume and indicators capitalised."""
    names = [str(label).strip() for label in labels]
    if names[:5] != ["time", "open", "high", "low", "close"] or not re.fullmatch(
        r"\d{9,10}(\.0)?", str(first[0]).strip()
    ):
        return None
    return Layout("TradingView", time=("time",)) if "volume" not in names[5:] else None


def _short_keys(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """Polygon and Alpaca: one-letter names in any order; t is ms for Polygon, ISO 8601 for Alpaca."""
    names = [str(label).strip() for label in labels]
    if not {"o", "h", "l", "c", "t"} <= set(names) or not set(names) <= {*"ohlctvnS", "vw", "otc"}:
        return None
    polygon = _is_number(first[names.index("t")])
    return Layout("Polygon" if polygon else "Alpaca", _bars(*"ohlcv"), ("t",), unused=("otc",))


def _alpha_vantage(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """CSV of unadjusted bars (a common header, dates as text), and tables made from its JSON ("4. close")."""
    if header == ("timestamp", *_BARS):
        return None if _is_number(first[0]) else replace(_ALPHA, time=("timestamp",))
    numbered = {
        label: match[1] for label in header for match in [re.fullmatch(r"\d+[ab]?\. ([a-z ]+)", label)] if match
    }
    time = tuple(label for label in header if label not in numbered)
    if len(time) > 1 or not {"open", "high", "low", "close"} <= set(numbered.values()):
        return None
    columns = {label: name for label, name in numbered.items() if name in _BARS}
    return replace(_ALPHA, columns=columns, time=time, marks=(".", ","))


_GERMAN = {
    "open": ("eröffnung", "eröffnungskurs", "erster", "eröffnungspreis", "eroeffnung", "open"),
    "high": ("hoch", "tageshoch", "höchst", "höchstkurs", "hoechst", "high"),
    "low": ("tief", "tagestief", "tiefst", "tiefstkurs", "low"),
    "close": ("schluss", "schlusskurs", "schlußkurs", "letzter", "schlusspreis", "kurs", "close"),
    "volume": (
        *("stücke", "stuecke", "stück", "umsatz stück", "umsatz (stück)", "volumen (stück)", "volumen in stück"),
        *("volumen", "volume", "umsatz"),
    ),
}


def _german(header: tuple[str, ...], labels: Sequence[Any], first: Sequence[Any]) -> Layout | None:
    """Exports of German banks and exchanges: Datum, Eröffnung, Hoch, Tief, Schluss, Volumen, in any order.

    If there is a column Stücke, it is the volume, and Volumen is the turnover in money.
    """
    times = tuple(label for label in header if label in ("datum", "zeit", "uhrzeit"))
    columns: dict[str, str] = {}
    for bar, names in _GERMAN.items():
        label = next((name for name in names if name in header), None)
        if label is not None:
            columns[label] = bar
    if "datum" not in times or len(times) > 2 or "close" not in columns.values():
        return None
    times = tuple(sorted(times))  # date before time of day
    date = " ".join(str(first[header.index(label)]) for label in times)
    return Layout("German export", columns, times, format=_german_date(date), newest_first=True)


def decimal_commas(header: Sequence[str], first: Sequence[str]) -> Layout | None:
    """The layout of a file separated by ';' with an English header and a decimal comma in the first row, or None."""
    labels = [label.strip().lower() for label in header]
    prices = [cell for label, cell in zip(labels, first, strict=False) if label in ("open", "high", "low", "close")]
    times = [i for i, label in enumerate(labels) if label in ("date", "time", "datetime", "timestamp")]
    if not any(re.fullmatch(r"(\d{1,3}(\.\d{3})+|\d+),\d+", cell.strip()) for cell in prices) or len(times) != 1:
        return None
    time = times[0]
    return Layout("German export", time=(labels[time],), format=_german_date(first[time]), newest_first=True)


def _german_date(value: str) -> str | None:
    """The format of a German date with points, whose day comes first; None for other text."""
    found = formats(value.strip())
    return found[0] if found and found[0].startswith("%d.") else None


_RECOGNISERS: tuple[Callable[[tuple[str, ...], Sequence[Any], Sequence[Any]], Layout | None], ...] = (
    _binance,
    _crypto_data_download,
    _dukascopy,
    _trading_view,
    _short_keys,
    _alpha_vantage,
    _german,
)


def _is_number(value: Any) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", str(value).strip()) is not None


def without_header(cells: Sequence[str], sep: str) -> tuple[tuple[str, ...], Layout] | None:
    """Names and layout of a file without a header, recognised by its first row of ``cells``, or None."""
    prices = r"\d+(\.\d+)?([eE][-+]?\d+)?"
    if len(cells) == 12 and all(re.fullmatch(prices, cell) for cell in cells) and _binance_times(cells):
        return BINANCE_NAMES, Layout("Binance klines", time=("open_time",), unused=("close_time", "ignore"))
    row = ";".join(cells) if sep == ";" else ",".join(cells)
    if re.fullmatch(rf"\d{{4}}\.\d\d\.\d\d,\d\d:\d\d(,{prices}){{5}}", row):
        return MT4_NAMES, Layout("MetaTrader 4", _MT, ("<date>", "<time>"))
    if sep == ";" and re.fullmatch(rf"\d{{8}} \d{{6}}(;{prices}){{5}}", row):
        return HISTDATA_NAMES, Layout("HistData", time=("time",), format="%Y%m%d %H%M%S")
    return None


def _binance_times(cells: Sequence[str]) -> bool:
    """True if the first and the seventh of 12 cells are opening and closing times, in ms or us."""
    widths = {len(cells[0]), len(cells[6])}
    return widths in ({13}, {16}) and int(cells[0]) < int(cells[6])


def rows_layout(row: Sequence[Any]) -> tuple[tuple[str, ...], Layout] | None:
    """Names and layout of rows of numbers as returned by the APIs of ccxt (6 numbers) and Binance (12), or None."""
    cells = [str(value) for value in row]
    if len(cells) == 6 and _is_number(cells[0]):
        return ("timestamp", *_BARS), Layout("ccxt", time=("timestamp",))
    found = without_header(cells, ",")
    return None if found is None or len(cells) != 12 else (found[0], replace(found[1], marks=(".", ",")))
