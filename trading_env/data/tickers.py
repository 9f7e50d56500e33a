"""One instrument out of tables that hold several: two levels of columns, long tables, (symbol, time) indices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief

if TYPE_CHECKING:
    import pandas as pd

TIME_NAMES = ("time", "date", "datetime", "timestamp")
_OURS = ("open", "high", "low", "close", "volume", "time")
_TICKER_NAMES = (
    "ticker",
    "tickers",
    "symbol",
    "symbols",
    "tic",
    "tscode",
    "code",
    "instrument",
    "asset",
    "security",
    "s",
)


def plain(label: Any) -> str:
    """A column's name in lower case without spaces, brackets and underlines, to compare names by."""
    return re.sub(r"[\W_]+", "", str(label).lower())


def one_ticker(frame: pd.DataFrame, ticker: Any) -> tuple[pd.DataFrame, str | None]:
    """One instrument's frame with one level of columns and of rows, and its name where the frame tells it.

    Raises:
        ValueError: the frame holds several and ``ticker`` is None, or not that one, or none at all.
    """
    import pandas as pd

    if isinstance(frame.columns, pd.MultiIndex):
        return _of_two_levels(frame, ticker)
    if isinstance(frame.index, pd.MultiIndex):
        return _of_rows(frame.reset_index(_ticker_level(frame.index)), ticker, 0)
    columns = [i for i, label in enumerate(frame.columns) if _names_tickers(label, frame.iloc[:, i], ticker)]
    if len(columns) == 1:
        return _of_rows(frame, ticker, columns[0])
    if ticker is not None:
        found = f"several: {[frame.columns[i] for i in columns]}" if columns else "none"
        raise ValueError(
            f"ticker={brief(ticker)} needs a frame with two levels of columns or with one column of tickers, "
            f"this one has {found}"
        )
    return frame, None


def _names_tickers(label: Any, column: pd.Series[Any], ticker: Any) -> bool:
    """Whether a column holds tickers: by its name, and as it is text or a ticker is asked for."""
    import pandas as pd

    return plain(label) in _TICKER_NAMES and (ticker is not None or not pd.api.types.is_numeric_dtype(column.dtype))


def _ticker_level(index: pd.MultiIndex) -> int:
    """The one level of rows that is not the time."""
    import pandas as pd

    dates = [
        i
        for i, level in enumerate(index.levels)
        if pd.api.types.is_datetime64_any_dtype(level.dtype) or plain(index.names[i]) in TIME_NAMES
    ]
    if index.nlevels != 2 or len(dates) != 1:
        raise ValueError(f"an index of several levels must be (ticker, time), got the levels {list(index.names)}")
    return 1 - dates[0]


def _of_rows(frame: pd.DataFrame, ticker: Any, position: int) -> tuple[pd.DataFrame, str]:
    """The rows of one ticker, without the column at ``position`` that names it."""
    names = frame.iloc[:, position].astype(str).str.strip()
    chosen = _chosen(list(dict.fromkeys(names)), ticker)
    rows = (names == chosen).to_numpy()
    kept = frame.drop(columns=frame.columns[position])
    if rows.all():
        return kept, chosen
    kept = kept.loc[rows]
    counts = frame.index.dtype.kind in "iu" and np.array_equal(frame.index, np.arange(len(frame)))
    return (kept.reset_index(drop=True) if counts else kept), chosen


def _chosen(tickers: list[Any], ticker: Any) -> Any:
    if ticker is None and len(tickers) > 1:
        raise ValueError(f"the frame holds several tickers, choose one by load(frame, ticker=...): {_some(tickers)}")
    if ticker is not None and ticker not in tickers:
        raise ValueError(f"ticker must be one of {_some(tickers)}, got {brief(ticker)}")
    return tickers[0] if ticker is None else ticker


def _some(names: list[Any]) -> str:
    """The list as text, its first twenty where it is long."""
    return str(names) if len(names) <= 20 else f"{str(names[:20])[:-1]}, ... {len(names)} in all]"


def _of_two_levels(frame: pd.DataFrame, ticker: Any) -> tuple[pd.DataFrame, str]:
    """One instrument of a frame with a level of tickers and one of prices, as yfinance's."""
    levels = [
        {str(label).strip().lower() for label in frame.columns.get_level_values(i)}
        for i in range(frame.columns.nlevels)
    ]
    prices = [i for i, values in enumerate(levels) if "close" in values]
    if frame.columns.nlevels != 2 or len(prices) != 1:
        raise ValueError(f"columns must have a level of tickers and one with 'Close', got {list(frame.columns)[:6]}")
    names = frame.columns.get_level_values(1 - prices[0])
    labels = ["".join(map(str, label)).strip() for label in frame.columns]
    times = np.array([label.lower() in TIME_NAMES for label in labels])  # after reset_index: its other level is empty
    chosen = _chosen(list(dict.fromkeys(names[~times])), ticker)
    fields = np.where(times, labels, frame.columns.get_level_values(prices[0]))
    rows = (names == chosen) | times
    return frame.loc[:, rows].set_axis(fields[rows], axis=1), str(chosen)


def renaming(labels: pd.Index[Any], columns: Any) -> dict[Any, str]:
    """The frame's names to the caller's, from ``columns`` if it is a mapping, in one direction or the other; else {}.

    Raises:
        TypeError: a name is no string.
        ValueError: a name is no column, or both directions fit, or two columns get one name.
    """
    if not isinstance(columns, Mapping):
        return {}
    have = set(labels)
    keys, values = (sum(name in have for name in side) for side in (columns.keys(), columns.values()))
    forth, back = keys == len(columns), values == len(columns)
    if forth and back:  # the names of bars are ours where they stand on one side only
        ours = [any(str(name).lower() in _OURS for name in side) for side in (columns.values(), columns.keys())]
        forth, back = (forth, back) if ours[0] == ours[1] else (ours[0], ours[1])
    if forth and back and any(key != value for key, value in columns.items()):
        raise ValueError(
            f"columns={brief(dict(columns))} may be read in both directions: rename the frame's columns first"
        )
    if not forth and not back:
        side = columns.keys() if keys >= values else columns.values()
        unknown = [name for name in side if name not in have]
        raise ValueError(f"unknown columns {brief(unknown)}; the frame has {brief(list(labels), 400)}")
    names = dict(columns) if forth else {value: key for key, value in columns.items()}
    wrong = [name for name in names.values() if not isinstance(name, str) or not name]
    if wrong:
        raise TypeError(f"columns must be named by non-empty strings, got {brief(wrong[0])}")
    if len({name.lower() for name in names.values()}) < len(names):
        raise ValueError(f"columns={brief(dict(columns))} gives two columns one name")
    return names
