"""Bars from DataFrames, CSV and Parquet files, and lists of rows. T = rows.

`read_frame` assigns each column its role, reads times and numbers, brings the rows into order, adjusts for splits,
and repairs missing values. `Market` checks the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, brief_text, choice, flag
from trading_env.data.bars import BAR_COLUMNS, ON_MISSING, Bars, Floats, as_column
from trading_env.data.readers.columns import Roles, assign_roles
from trading_env.data.readers.files import (
    MAX_BYTES,
    TEXT_OPTIONS,
    checked_limit,
    checked_text,
    parquet_frame,
    read_file,
    text_frame,
)
from trading_env.data.readers.layouts import Layout, recognise, recognise_file, rows_layout
from trading_env.data.readers.missing import repair
from trading_env.data.readers.numerals import check_marks, read_columns
from trading_env.data.readers.splits import adjust_bars, adjusted_close
from trading_env.data.readers.tickers import one_ticker
from trading_env.data.readers.time_columns import INDEX
from trading_env.data.readers.time_values import index_of, joined, read_times
from trading_env.data.times import as_times, kind_of, row_label
from trading_env.data.zones import Times

if TYPE_CHECKING:
    import pandas as pd

_SOURCE = "trading_env.data.readers"  # key in a frame's attrs: whether it is a file's, and the layout if known


def read_frame(
    frame: pd.DataFrame,
    *,
    ticker: str | None = None,
    columns: Iterable[str] | Mapping[str, str] | None = None,
    time: Any = None,
    unit: str | None = None,
    format: str | None = None,
    tz: Any = None,
    decimal: str | None = None,
    thousands: str | None = None,
    sort: bool = False,
    adjust: bool | None = None,
    on_missing: str = "raise",
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    bars_per_year: float | None = None,
) -> Bars:
    """The bars of a DataFrame with one row per bar.

    The bars are the columns named open, high, low, close and volume, in any case; close is required. The time is a
    column named time, date, datetime or timestamp, or else the index, or a column whose name suggests time
    (open_time, trade_date, unix, ...). Times with a time zone are converted to UTC, except that local midnights, the
    usual stamps of daily bars, are kept as dates. Numbers count from 1970 in UTC, in the unit that fits their size,
    or are the digits of dates. A frame indexed by row numbers makes a market without timestamps; if one of its
    columns looks like time, it is refused, naming the column. The frames of yfinance can be used as they are, also
    with two levels of columns, and so can the layouts of `layouts`, which metadata["format"] reports.

    Args:
        frame: the rows, in order of time; a pandas DataFrame, or another library's frame with ``to_pandas``.
        ticker: the instrument, if the frame holds several: in two levels of columns, in a column of tickers, or in
            rows indexed by (ticker, time).
        columns: names of the columns to keep, by default all. If it names bars, in any case, only those are kept:
            ["open", "high", "low", "close"] leaves out the volume. Otherwise all bars are kept, and of the further
            columns those named. Or a mapping from the frame's names to open, high, low, close, volume, time or new
            names: all bars are kept, and of the further columns those in the mapping.
        time: name of the column of time, or [column of dates, column of times of day]; False if there is none and
            the rows are in order.
        unit: unit of times that are numbers since 1970: D, h, m, s, ms, us or ns.
        format: format of times, as for strptime: "%d/%m/%Y".
        tz: time zone of times that do not state one; times since 1970 and times that state one are converted to it.
        decimal: decimal mark of numbers that are text, "," in 1.234,56; by default the one that fits all rows.
        thousands: thousands separator of numbers that are text, "." in 1.234,56.
        sort: whether to sort the rows by time; reported in metadata["order"].
        adjust: whether to adjust the bars for splits and dividends. True: if there is a column of adjusted closes
            ("Adj Close"), multiply open, high, low and close by adjusted close / close and leave the volume as
            traded; otherwise divide the prices before each jump that looks like a split by its ratio, and multiply
            the volumes. Reported in metadata["adjust"]. False: take the bars as they are. None: the same, with a
            warning where adjusted closes are far from the closes or a price jumps as at a split.
        on_missing: what to do with rows where a price or the volume is NaN, or a further column after its leading
            NaN: "raise"; "drop" the row; or "ffill" with the last value before it (leading prices still raise). A
            bar without any price did not trade: "ffill" gives it the last close as open, high, low and close, and
            volume 0. A missing volume is filled with 0. Both leave out a volume column without any value. Reported
            in metadata["on_missing"].
        name: the market's name, by default the ticker or "market".
        metadata: source, terms and similar facts; JSON values.
        bars_per_year: by default inferred from the timestamps.

    Raises:
        TypeError: a wrong type or dtype.
        ValueError: a wrong value, or an ambiguous one; the message names the field, the value and the row, or the
            keyword that resolves the ambiguity.
    """
    frame = _pandas(frame)
    _check_options(on_missing, sort, adjust, decimal, thousands)
    frame, is_file, layout = _with_layout(frame)
    frame, found = one_ticker(frame, ticker)
    roles = assign_roles(frame, layout, columns, time)
    if len(frame) == 0:
        raise ValueError("the frame has no rows")
    stamps = _times(frame, roles.times, layout, unit=unit, format=format, tz=tz)
    order, notes = _in_order(stamps, layout, sort)
    if stamps is not None and order is not None:
        frame, stamps = frame.iloc[order], stamps[order]
    near = None if adjust is False else adjusted_close(frame.columns)
    text = _from_text(frame, roles, near, layout, (decimal, thousands), is_file)
    bars, further, adjusted = _values(frame, roles, near, text, stamps)
    label = name if name is not None else (ticker or found or "market")
    bars, report = adjust_bars(bars, adjusted, stamps, adjust, label)
    notes |= report
    if on_missing != "raise":
        bars, further, stamps, notes["on_missing"] = repair(bars, further, stamps, on_missing)
    notes = {**({} if layout is None else {"format": layout.name}), **(metadata or {}), **notes}
    return Bars(**bars, time=stamps, columns=further, name=label, metadata=notes, first=0, bars_per_year=bars_per_year)


def read_csv(path: str | Path, **options: Any) -> Bars:
    """The bars of a text file, named after it.

    Args:
        path: a .csv, .txt or .tsv file, plain or compressed as gz, bz2, xz or zip.
        options: those of `read_frame`; sep (by default the separator of the first line), header (its line, or None
            for a file without one) and names (of the columns) as in pandas.read_csv; max_bytes, the largest allowed
            size of the uncompressed file, by default 1,000,000,000; None for no limit.
    """
    frame, rest = file_frame(path, options)
    return read_frame(frame, **{"name": name_of_file(path), **rest})


def read_parquet(path: str | Path, **options: Any) -> Bars:
    """The bars of a Parquet file (extra ``parquet``), named after it.

    Args:
        path: the file.
        options: those of `read_frame`; max_bytes, the largest allowed size of its columns in memory, by default
            1,000,000,000; None for no limit.
    """
    frame, rest = file_frame(path, options, parquet=True)
    return read_frame(frame, **{"name": name_of_file(path), **rest})


def file_frame(
    path: str | Path, options: Mapping[str, Any], parquet: bool = False
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """A file's rows, for `read_frame`, and those of the options that remain for it."""
    check_known(options)
    limit = checked_limit(options.get("max_bytes", MAX_BYTES))
    reading = {key: options[key] for key in TEXT_OPTIONS if key in options}
    if parquet and reading:
        raise TypeError(f"load: {list(reading)} apply to text files only")
    layout = None
    if parquet:
        frame = read_file(path, lambda p: parquet_frame(p, limit))
    else:
        reading = checked_text(**reading)
        check_marks(options.get("decimal"), options.get("thousands"))
        text = options.get("decimal") is not None or options.get("thousands") is not None
        frame, layout = read_file(path, lambda p: text_frame(p, **reading, text=text, max_bytes=limit))
    frame.attrs[_SOURCE] = (True, layout)
    return frame, {key: value for key, value in options.items() if key not in (*TEXT_OPTIONS, "max_bytes")}


def name_of_file(path: str | Path) -> str:
    """The name of a file up to its first dot."""
    file = Path(path).name
    return file.split(".")[0] or file


def read_rows(rows: Any, **options: Any) -> Bars:
    """The bars of a list of rows: mappings, or lists of numbers as the APIs of ccxt and Binance return them.

    Args:
        rows: an array of records, as from MetaTrader 5; lists [time in ms, open, high, low, close, volume], or
            Binance's lists of 12 values; or mappings of names to values, as from Polygon and Alpaca.
        options: those of `read_frame`; names, of the values of a list of another form.
    """
    import pandas as pd

    if isinstance(rows, np.ndarray) and rows.dtype.names:
        return read_frame(pd.DataFrame(rows), **options)
    if isinstance(rows[0], Mapping):
        other = next((i for i, row in enumerate(rows) if not isinstance(row, Mapping)), None)
        if other is not None:
            raise TypeError(f"row 0 is a mapping, but row {other} is {brief(rows[other])}")
        return read_frame(pd.DataFrame(list(rows)), **options)
    labels, layout = _row_labels(rows[0], options.pop("names", None))
    wrong = [i for i, row in enumerate(rows) if not isinstance(row, (list, tuple, np.ndarray)) or np.ndim(row) != 1]
    wrong = wrong or [i for i, row in enumerate(rows) if len(row) != len(labels)]
    if wrong:
        raise ValueError(f"each row must have {len(labels)} values, got {brief(rows[wrong[0]])} in row {wrong[0]}")
    frame = pd.DataFrame([list(row) for row in rows], columns=labels)
    frame.attrs[_SOURCE] = (False, layout)
    return read_frame(frame, **options)


def _row_labels(row: Any, names: Any) -> tuple[list[str], Layout | None]:
    """The names of a row's values and its layout: as the caller names them, or by the form of the first row."""
    if names is not None:
        return list(names), None
    found = rows_layout(row)
    if found is None:
        raise ValueError(
            "each must be [time in ms, open, high, low, close, volume], or named with load(rows, names=[...]); "
            f"got {brief(row)}"
        )
    return list(found[0]), found[1]


def check_known(options: Iterable[str]) -> None:
    """Raises TypeError unless all of the options are options of `load`."""
    own = [key for key in inspect.signature(read_frame).parameters if key != "frame"]
    known = sorted({*own, *TEXT_OPTIONS, "max_bytes"})
    unknown = [key for key in options if key not in known]
    if unknown:
        raise TypeError(f"load has no option {unknown[0]!r}; known are {known}")


def _check_options(on_missing: Any, sort: Any, adjust: Any, decimal: Any, thousands: Any) -> None:
    choice("on_missing", on_missing, ON_MISSING)
    flag("sort", sort)
    if adjust is not None:
        flag("adjust", adjust)
    check_marks(decimal, thousands)


def _pandas(frame: Any) -> pd.DataFrame:
    """The frame itself, or the result of its ``to_pandas``."""
    import pandas as pd

    found = frame
    if not isinstance(frame, pd.DataFrame) and hasattr(frame, "to_pandas"):
        try:
            found = frame.to_pandas()
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # other libraries raise errors of their own
            reason = brief_text(f"{type(error).__name__}: {error}")
            raise ValueError(f"frame: its to_pandas() fails: {reason}") from error
    if isinstance(found, pd.DataFrame):
        return found
    module = "" if type(frame).__module__ in ("builtins", "numpy") else f"{type(frame).__module__}."
    raise TypeError(f"frame must be a pandas DataFrame, got {module}{type(frame).__name__}")


def _with_layout(frame: pd.DataFrame) -> tuple[pd.DataFrame, bool, Layout | None]:
    """The frame, whether it is a file's, and its layout, or None.

    If the header matches a layout only together with the index's name, the index becomes a column.
    """
    is_file, layout = frame.attrs.get(_SOURCE, (False, None))
    if layout is not None or len(frame) == 0:
        return frame, is_file, layout
    known = recognise_file if is_file else recognise
    layout = known(list(frame.columns), frame.iloc[0].tolist())
    name = frame.index.name
    if layout is None and isinstance(name, str) and name not in frame.columns:
        layout = recognise([name, *frame.columns], [frame.index[0], *frame.iloc[0]])
        if layout is not None:
            frame = frame.reset_index()
    return frame, is_file, layout


def _times(frame: pd.DataFrame, positions: list[int], layout: Layout | None, **options: Any) -> Times | None:
    """The frame's timestamps from its columns of time or its index; None without ``positions``."""
    import pandas as pd

    if not positions:
        return None
    label = frame.index.name if positions[0] == INDEX else frame.columns[positions[0]]
    values: Any = frame.index if positions[0] == INDEX else index_of(frame.iloc[:, positions[0]])
    if len(positions) == 2:
        digits = None if layout is None else layout.digits
        values = joined(pd.Series(values, name=label, dtype=values.dtype), frame.iloc[:, positions[1]], digits)
    known = layout is not None and options["format"] is None and options["unit"] is None
    if layout is not None and known and kind_of(values) == "string":
        options["format"] = layout.format
    return as_times(read_times(values, label, **options), copy=False)


def _in_order(
    time: Times | None, layout: Layout | None, sort: bool
) -> tuple[NDArray[np.intp] | slice | None, dict[str, Any]]:
    """The indexer that brings the rows into order of time, or None to leave them; and the note about it."""
    if time is None:
        if sort:
            raise ValueError("sort=True needs a column of time: name it with load(..., time=...)")
        return None, {}
    rises, falls = bool((time[1:] > time[:-1]).all()), bool((time[1:] < time[:-1]).all())
    if rises or np.isnat(time).any():
        return None, {}
    if falls and (sort or (layout is not None and layout.newest_first)):
        return slice(None, None, -1), {"order": "reversed: the rows came newest first"}
    return (np.argsort(time, kind="stable"), {"order": "sorted by time"}) if sort else (None, {})


def _from_text(
    frame: pd.DataFrame,
    roles: Roles,
    adjusted: int | None,
    layout: Layout | None,
    marks: tuple[str | None, str | None],
    is_file: bool,
) -> dict[int, pd.Series[Any]]:
    """Numbers of the columns that are text, by position: in files, in known layouts, or if the caller gives marks.

    A layout's volume without any value is removed from the bars.
    """
    if layout is not None and marks == (None, None) and layout.marks is not None:
        marks = layout.marks
    if not is_file and layout is None and marks == (None, None):
        return {}
    bars = roles.bars
    further = [*roles.further.values(), *([] if adjusted is None else [adjusted])]
    result = read_columns(frame, list(bars.values()), further, marks)
    if layout is not None and "volume" in bars:
        volume = result.get(bars["volume"], frame.iloc[:, bars["volume"]])
        if volume.isna().all():
            del bars["volume"]
    return result


def _values(
    frame: pd.DataFrame, roles: Roles, adjusted: int | None, text: Mapping[int, pd.Series[Any]], time: Times | None
) -> tuple[dict[str, Floats], dict[str, Floats], Floats | None]:
    """The numbers of the bars, of the further columns, and of the adjusted close, if there is one (T,)."""

    def numbers(name: str, i: int) -> Floats:
        return _numbers(name, text.get(i, frame.iloc[:, i]), time)

    bars = {key: numbers(key, i) for key, i in roles.bars.items()}
    further = {key: numbers(f"column {key!r}", i) for key, i in roles.further.items()}
    return bars, further, None if adjusted is None else numbers("the adjusted close", adjusted)


def _numbers(name: str, series: pd.Series[Any], time: Times | None) -> Floats:
    """A column's float64 values; nullable dtypes keep their missing values as NaN."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(series.dtype) or not pd.api.types.is_numeric_dtype(series.dtype):
        if len(series) and series.isna().all():
            return np.full(len(series), np.nan)
        row = int((_coerced(series).isna() & series.notna()).to_numpy().argmax())
        where = f"of dtype {series.dtype} at {row_label(time, row)}"
        hint = "" if name in BAR_COLUMNS else "; choose the columns to keep with load(..., columns=[...])"
        raise TypeError(f"{name} must be real numbers, got {brief(series.iloc[row])} {where}{hint}")
    values: NDArray[Any] = (
        series.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_extension_array_dtype(series.dtype)
        else series.to_numpy()
    )
    return as_column(name, values, copy=False)


def _coerced(series: pd.Series[Any]) -> pd.Series[Any]:
    """A column's numbers; NaN for all other values and for integers beyond the largest float."""
    import pandas as pd

    large = series.map(lambda value: isinstance(value, int) and value.bit_length() > 1000)
    return pd.to_numeric(series.mask(large.astype(bool)), errors="coerce")
