"""Markets by name, by path or from a DataFrame."""

from __future__ import annotations

import difflib
import gzip
import os
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief, choice
from trading_env._extras import optional
from trading_env.data.bars import ON_MISSING
from trading_env.data.market import Market

if TYPE_CHECKING:
    import pandas as pd

    Data = Market | pd.DataFrame | str | os.PathLike[str]

_FOLDER = Path(__file__).parent
_TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
_SUFFIXES = (".csv", ".txt", ".tsv", ".parquet")

_US_STOCKS = {
    "source": "Quandl WIKI Prices, as packaged in bokeh_sampledata 2026.1 (_data/stocks.csv.gz)",
    "terms": "public domain",
    "adjustment": "open, high, low and close times Adj Close / Close, rounded to 8 places; volume as traded",
    "survivorship_biased": True,
    "survivorship_note": "The companies were chosen because they were large and well known afterwards.",
}
_MEMBERS = "An index of changing members, without dividends; it cannot be traded itself."
_ARCH = {  # name: source and note. arch's other datasets are not prices, or (crude) monthly means of prices
    "nasdaq": ("Yahoo! Finance", _MEMBERS),
    "sp500": ("Yahoo! Finance", _MEMBERS),
    "vix": ("Cboe's volatility index", "One index, of implied volatility; it cannot be traded itself."),
    "wti": ("FRED, series DCOILWTICO", "One spot price, of crude oil at Cushing; what storage costs is not in it."),
}
_CLOSES_ALONE = ("vix", "wti")


def names() -> tuple[str, ...]:
    """Names that `load` accepts.

    "nasdaq", "sp500", "vix" and "wti" need the extra ``arch``. "vix" and "wti" have only closes, on the days with a
    close: an env on them needs fill="next_close" or "close".
    """
    return (*_ARCH, *(f"us-stocks/{ticker}" for ticker in _TICKERS))


def load(data: Data, *, on_missing: str = "raise", **options: Any) -> Market:
    """The Market that ``data`` stands for.

    Files and DataFrames in a known layout are recognised by their header (see `trading_env.data.readers.layouts`),
    and metadata["format"] names the layout. In others, columns are found by name; a column that looks like time is
    used or refused, never dropped. If a date or a number is ambiguous, the message names the keyword that decides.

    Args:
        data: a name from `names()`; the path of a .csv, .txt or .tsv file, plain or compressed as gz, bz2, xz or zip,
            or of a .parquet file; a DataFrame (of pandas, or with ``to_pandas``); a list of rows, as from ccxt; or a
            Market, which is returned unchanged. Named markets are cached.
        on_missing: "raise", "drop" or "ffill" rows with a missing value; see
            `trading_env.data.readers.frames.read_frame`. Named markets and Markets have no missing values.
        options: for files, DataFrames and rows those of `trading_env.data.readers.frames.read_frame` (ticker,
            columns, time, unit, format, tz, decimal, thousands, sort, adjust, name, metadata, bars_per_year); for
            text files also sep, header and names, and for all files max_bytes, as in `read_csv` there.

    Raises:
        TypeError: data is of another type, or an option is unknown or does not apply to it.
        ValueError: there is no such name or file, or the data is wrong; the message names field, value and row.
        ImportError: an extra is missing; the message names it.

    Warns:
        UserWarning: prices seem not to be adjusted for a split; adjust=True adjusts them, adjust=False does not.
        UserWarning: the rows have no time, so their order cannot be checked; time=False confirms it.
    """
    choice("on_missing", on_missing, ON_MISSING)
    if options:
        _check_known(options)
    if isinstance(data, Market) or (isinstance(data, str) and data in names()):
        if options:
            raise TypeError(f"load: {sorted(options)} apply to files and DataFrames only, got data={data!r}")
        return data if isinstance(data, Market) else _named(data)
    market = _read(data, on_missing=on_missing, **options)
    if market.time is None and options.get("time") is not False:
        warnings.warn(
            f"{market.name!r} has no time: its {len(market)} rows are assumed to be in order, oldest first; name the "
            "column of time with load(..., time=...), or give time=False",
            stacklevel=2,
        )
    return market


def _check_known(options: dict[str, Any]) -> None:
    from trading_env.data.readers.frames import check_known

    check_known(options)


def _read(data: Any, **options: Any) -> Market:
    """The Market of a file, a frame or rows."""
    from trading_env.data.readers.files import TEXT_OPTIONS

    if isinstance(data, (str, os.PathLike)):
        return _from_file(os.fspath(data), **options)
    wrong = [key for key in options if key in (*TEXT_OPTIONS, "max_bytes")]
    if wrong and (not isinstance(data, list) or wrong != ["names"]):
        raise TypeError(f"load: {wrong} apply to files only, got data of type {type(data).__name__}")
    if type(data).__name__ == "DataFrame" or hasattr(data, "to_pandas"):
        return Market.from_frame(data, **options)
    if _are_rows(data):
        return Market.from_rows(data, **options)
    hint = "; load(rows) takes a list of rows [time in ms, open, ...]" if isinstance(data, (list, tuple)) else ""
    raise TypeError(
        f"data must be a name, a path, a DataFrame or a Market, got {type(data).__name__}: {brief(data)}{hint}"
    )


def _are_rows(data: Any) -> bool:
    """True for a list of lists or mappings, an array (T, k), and an array of records."""
    if isinstance(data, np.ndarray):
        return data.size > 0 and (data.ndim == 2 or (data.ndim == 1 and data.dtype.names is not None))
    if not isinstance(data, (list, tuple)) or not data:
        return False
    return isinstance(data[0], (list, tuple, Mapping)) or (isinstance(data[0], np.ndarray) and data[0].ndim == 1)


def _from_file(path: str, **options: Any) -> Market:
    from trading_env.data.readers.files import PACKED_SUFFIXES, is_text

    if path.lower().endswith(".parquet"):
        return Market.from_parquet(path, **options)
    if is_text(path):
        return Market.from_csv(path, **options)
    raise ValueError(
        f"data must be one of {list(names())}, or end in {list(_SUFFIXES)} or packed as {list(PACKED_SUFFIXES)}; "
        f"got {brief(path)}{_close_to(path)}"
    )


def _close_to(path: str) -> str:
    """The name that may be meant, whatever its case and with or without its folder, as the end of a message."""
    known = {name.rpartition("/")[2].lower(): name for name in names()}
    close = difflib.get_close_matches(path.rpartition("/")[2].lower(), known, 1)
    return f"; did you mean {known[close[0]]!r}?" if close else ""


@cache
def _named(name: str) -> Market:
    return _from_arch(name) if name in _ARCH else _stock(name)


def _stock(name: str) -> Market:
    """A bundled stock, read by NumPy: importing pandas would take longer than everything else."""
    kinds = [("date", "U10"), *((column, "f8") for column in ("open", "high", "low", "close", "volume"))]
    with gzip.open(_FOLDER / f"{name}.csv.gz", "rt", encoding="ascii") as file:
        rows = np.loadtxt(file, delimiter=",", skiprows=1, dtype=kinds)
    bars: dict[str, Any] = {column: rows[column] for column, _ in kinds[1:]}
    time = rows["date"].astype("datetime64[ns]")
    return Market.from_arrays(time=time, **bars, name=name, metadata=_US_STOCKS)


def _from_arch(name: str) -> Market:
    """A dataset of arch.data, each price times Adj Close / Close, which is 1 in arch's own files."""
    frame = optional(f"arch.data.{name}", "arch", f"the dataset {name!r}").load()
    source, note = _ARCH[name]
    metadata = {
        "source": f"{source}, as packaged in arch (arch.data)",
        "terms": "see the arch package (NCSA licence) and its source",
        "survivorship_biased": False,
        "survivorship_note": note,
    }
    if name in _CLOSES_ALONE:  # holidays are rows without values
        frame = frame.set_axis(["close"], axis=1)
        return Market.from_frame(frame, on_missing="drop", adjust=False, name=name, metadata=metadata)
    factor = frame["Adj Close"] / frame["Close"]
    for column in ("Open", "High", "Low", "Close"):
        frame[column] *= factor
    return Market.from_frame(frame, columns=(), adjust=False, name=name, metadata=metadata)
