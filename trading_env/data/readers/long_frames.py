"""One frame per instrument, of a frame that holds several: rows of (time, symbol), or two levels of columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trading_env._checks import brief
from trading_env.data.bars import PRICES
from trading_env.data.readers.tickers import column_of_tickers, one_ticker, tickers_of_columns

if TYPE_CHECKING:
    import pandas as pd


def instrument_frames(frame: Any, symbol: str | None, symbols: Any = None) -> dict[str, pd.DataFrame]:
    """The rows of each instrument by its symbol, in the order of ``symbols``, by default alphabetical.

    Args:
        frame: a long frame, or one with two levels of columns, whose rows without any price are left out.
        symbol: the column, or the index's level, of symbols; None to find it by its name.
        symbols: the instruments to take, in order; None for all.

    Raises:
        TypeError: frame is not a DataFrame.
        ValueError: there is no column of symbols, or several; a symbol is missing in a row; or an instrument of
            ``symbols`` has no row.
    """
    import pandas as pd

    table = frame.to_pandas() if hasattr(frame, "to_pandas") and not isinstance(frame, pd.DataFrame) else frame
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"frame must be a DataFrame, got {brief(frame)}")
    groups = _wide(table) if isinstance(table.columns, pd.MultiIndex) else _long(table, symbol)
    names = sorted(groups) if symbols is None else list(symbols)
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f"each symbol must occur once, got {brief(name)} twice")
        if name not in groups or len(groups[name]) == 0:
            raise ValueError(f"symbol {brief(name)} has no row in the frame; it has {brief(sorted(groups))}")
    if not names:
        raise ValueError("the frame has no rows")
    for rows in groups.values():
        rows.attrs.update(table.attrs)  # of a file: its layout
    return {str(name): groups[name] for name in names}


def _wide(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """The rows of each ticker of a frame with two levels of columns, those without any price left out."""
    frames = {name: one_ticker(table, name)[0] for name in tickers_of_columns(table)}
    return {str(name): rows[_with_prices(rows)] for name, rows in frames.items()}


def _with_prices(rows: pd.DataFrame) -> Any:
    prices = [str(label).strip().lower() in PRICES for label in rows.columns]
    return rows.loc[:, prices].notna().any(axis=1)


def _long(table: pd.DataFrame, symbol: str | None) -> dict[Any, pd.DataFrame]:
    """The rows of each symbol, without the column of symbols."""
    table, position = column_of_tickers(table, symbol)
    names = table.iloc[:, position]
    missing = names.isna().to_numpy()
    if missing.any():
        raise ValueError(
            f"column {names.name!r} must name an instrument in every row, got none in row {missing.argmax()}"
        )
    rest = table.drop(columns=table.columns[position])
    groups = rest.groupby(names.astype(str).str.strip().to_numpy(), sort=False)
    return {name: _renumbered(rows) for name, rows in groups}


def _renumbered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows numbered from 0 if the index is of row numbers."""
    return rows.reset_index(drop=True) if rows.index.dtype.kind in "iu" and rows.index.name is None else rows
