"""One instrument from a table of several: with two levels of columns, a column of tickers, or (ticker, time) rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief
from trading_env.data.readers.layouts import TIME_NAMES, plain

if TYPE_CHECKING:
    import pandas as pd

_TICKER_NAMES = (
    *("ticker", "tickers", "symbol", "symbols", "tic", "tscode", "code", "instrument", "asset", "security", "s"),
)


def one_ticker(frame: pd.DataFrame, ticker: Any) -> tuple[pd.DataFrame, str | None]:
    """One instrument's frame with single-level columns and rows, and its ticker if the frame contains it.

    Raises:
        ValueError: the frame holds several tickers and ``ticker`` is None, or ``ticker`` is not among them.
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


def column_of_tickers(frame: pd.DataFrame, name: Any = None) -> tuple[pd.DataFrame, int]:
    """The frame with single-level rows, and the position of its column of tickers.

    Args:
        frame: single-level columns.
        name: of the column, or of a level of the index; None to find it by its name, among columns of text or else of
            integers.

    Raises:
        ValueError: there is no such column, or several could be it.
    """
    import pandas as pd

    if isinstance(frame.index, pd.MultiIndex):
        frame = frame.reset_index(_ticker_level(frame.index))
    elif name is not None and frame.index.name == name:
        frame = frame.reset_index()
    labels = list(frame.columns)
    found = [i for i, label in enumerate(labels) if label == name]
    if name is None:
        named = [i for i, label in enumerate(labels) if plain(label) in _TICKER_NAMES]
        found = [i for i in named if _names_tickers(labels[i], frame.iloc[:, i], None)]
        found = found or [i for i in named if pd.api.types.is_integer_dtype(frame.dtypes.iloc[i])]
    if len(found) != 1:
        which = f"several columns of symbols: {[labels[i] for i in found]}" if found else "no column of symbols"
        if name is not None and not found:
            which = f"no column {brief(name)}"
        raise ValueError(f"the frame has {which}; symbol= names it, among {brief(labels, 400)}")
    return frame, found[0]


def _names_tickers(label: Any, column: pd.Series[Any], ticker: Any) -> bool:
    """True if a column holds tickers: its name says so, and it is text or the caller gives a ticker."""
    import pandas as pd

    return plain(label) in _TICKER_NAMES and (ticker is not None or not pd.api.types.is_numeric_dtype(column.dtype))


def _ticker_level(index: pd.MultiIndex) -> int:
    """The level of a (ticker, time) index that is not the time."""
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
    """The rows of one ticker without the column of tickers at ``position``, and the ticker."""
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
    if not tickers:
        raise ValueError("the frame has no rows")
    if ticker is None and len(tickers) > 1:
        raise ValueError(f"the frame holds several tickers, choose one with load(frame, ticker=...): {_some(tickers)}")
    if ticker is not None and ticker not in tickers:
        raise ValueError(f"ticker must be one of {_some(tickers)}, got {brief(ticker)}")
    return tickers[0] if ticker is None else ticker


def _some(names: list[Any]) -> str:
    """The list as text, shortened to its first twenty items."""
    return str(names) if len(names) <= 20 else f"{str(names[:20])[:-1]}, ... {len(names)} in all]"


def tickers_of_columns(frame: pd.DataFrame) -> list[Any]:
    """The tickers of a frame with two levels of columns."""
    _, tickers, _ = _two_levels(frame)
    return tickers


def _of_two_levels(frame: pd.DataFrame, ticker: Any) -> tuple[pd.DataFrame, str]:
    """One instrument of a frame like yfinance's, with a level of tickers and one of prices, and its ticker."""
    price_level, tickers, times = _two_levels(frame)
    chosen = _chosen(tickers, ticker)
    labels = _joined_labels(frame)
    fields = np.where(times, labels, frame.columns.get_level_values(price_level))
    rows = (frame.columns.get_level_values(1 - price_level) == chosen) | times
    return frame.loc[:, rows].set_axis(fields[rows], axis=1), str(chosen)


def _two_levels(frame: pd.DataFrame) -> tuple[int, list[Any], Any]:
    """The level of prices in a frame's columns, its tickers, and True for each column that is a time."""
    levels = [
        {str(label).strip().lower() for label in frame.columns.get_level_values(i)}
        for i in range(frame.columns.nlevels)
    ]
    prices = [i for i, values in enumerate(levels) if "close" in values]
    if frame.columns.nlevels != 2 or len(prices) != 1:
        raise ValueError(f"columns must have a level of tickers and one with 'Close', got {list(frame.columns)[:6]}")
    names = frame.columns.get_level_values(1 - prices[0])
    times = np.array([label.lower() in TIME_NAMES for label in _joined_labels(frame)])
    return prices[0], list(dict.fromkeys(names[~times])), times


def _joined_labels(frame: pd.DataFrame) -> list[str]:
    """Both levels of each column's label as one; reset_index leaves the second level of a time empty."""
    return ["".join(map(str, label)).strip() for label in frame.columns]
