"""Markets from DataFrames, CSV and Parquet files: names of columns, time zones, missing values. T = rows."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env.checks import choice
from trading_env.extras import optional
from trading_env.market import Market
from trading_env.validation import (
    BAR_COLUMNS,
    ON_MISSING,
    Floats,
    Times,
    as_column,
    as_times,
    check_bars,
    check_leading_nan,
    check_times,
    row_label,
)

if TYPE_CHECKING:
    import pandas as pd

TIME_NAMES = ("time", "date", "datetime", "timestamp")


def from_frame(
    frame: pd.DataFrame,
    *,
    ticker: str | None = None,
    columns: Iterable[str] | None = None,
    on_missing: str = "raise",
    name: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    bars_per_year: float | None = None,
    copy: bool = True,
) -> Market:
    """A Market from a DataFrame, one row a bar.

    The bars are the columns named open, high, low, close and volume, in any case; close is required. The time
    is a column named time, date, datetime or timestamp, or else the index; with a time zone it becomes UTC, but
    midnights, as daily bars have them, stay the dates they are. A frame indexed by row numbers makes a market without
    timestamps. Frames of yfinance are read as they come, with two levels of columns too.

    Args:
        frame: the rows, in order of time.
        ticker: which instrument of a frame with two levels of columns; needed if it holds several.
        columns: names of the columns to keep, by default all. Where bars are named, in any case, those alone are
            kept: ["open", "high", "low", "close"] leaves the volume out. Else all bars are, and of the further
            columns those named.
        on_missing: what to do with rows where a price or the volume is NaN, or a further column after its
            leading NaN: "raise"; "drop" the row; or "ffill" with the last value before it (leading prices still
            raise). A bar without any price did not trade: "ffill" gives it the last close as open, high, low and
            close, and volume 0. A missing volume is 0 too; one without any value is left out by both. Reported in
            metadata["on_missing"].
        name: the market's name, by default the ticker or "market".
        metadata: source, terms and the like; JSON values.
        bars_per_year: read off the timestamps unless given.
        copy: False takes the frame's memory over: the caller must not change it afterwards.

    Raises:
        TypeError: a wrong type or dtype.
        ValueError: a wrong value; the message names the field, the value and the row.
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"frame must be a pandas DataFrame, got {type(frame).__name__}")
    choice("on_missing", on_missing, ON_MISSING)
    frame, found = _one_ticker(frame, ticker)
    bars, times, extra = _sort_columns(frame)
    chosen = extra
    if columns is not None:
        bars, chosen = _chosen(bars, extra, columns, [frame.columns[i] for i in times])
    if len(frame) == 0:
        raise ValueError("the frame has no rows")
    time = _times(frame, times)
    arrays = {key: _numbers(key, frame.iloc[:, i], time) for key, i in bars.items()}
    extras = {key: _numbers(f"column {key!r}", frame.iloc[:, i], time) for key, i in chosen.items()}
    report = None
    if on_missing != "raise":
        arrays, extras, time, report = _repair(arrays, extras, time, on_missing)
    notes = {**(metadata or {}), **({} if report is None else {"on_missing": report})}
    values = {**arrays, "time": time, "columns": extras, "metadata": notes, "bars_per_year": bars_per_year}
    label = name if name is not None else (ticker or found or "market")
    build: Callable[..., Market] = Market if copy else Market._own
    return build(**values, name=label)


def from_csv(path: str | Path, **options: Any) -> Market:
    """A Market from a CSV file with a header, compressed or not, named after it. Options as `from_frame`."""
    frame = _read(path, _read_csv)
    return from_frame(frame, copy=False, **{"name": _stem(Path(path)), **options})


def from_parquet(path: str | Path, **options: Any) -> Market:
    """A Market from a Parquet file (extra ``parquet``), named after it. Options as `from_frame`."""
    parquet = optional("pyarrow.parquet", "parquet", "reading Parquet")
    frame = _read(path, lambda p: parquet.read_table(p).to_pandas(split_blocks=True, self_destruct=True))
    return from_frame(frame, copy=False, **{"name": _stem(Path(path)), **options})


def _read(path: str | Path, reader: Callable[[Path], pd.DataFrame]) -> pd.DataFrame:
    """What ``reader`` makes of the file; ValueError naming the file if there is none or it cannot be read."""
    try:
        path = Path(path).expanduser()
        found = path.is_file()
    except (RuntimeError, OSError) as error:  # no such user, or a name that no file can have
        raise ValueError(f"data: no such file {str(path)!r}: {error}") from error
    if not found:
        raise ValueError(f"data: no such file {str(path)!r}")
    try:
        return reader(path)
    except (ValueError, OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
        raise ValueError(f"data: cannot read {str(path)!r}: {error}") from error


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    two_levels = _has_two_levels(pd.read_csv(path, nrows=1))
    if not two_levels:
        _check_header(pd.read_csv(path, header=None, nrows=1, dtype=str).iloc[0])
    layout: dict[str, Any] = {"header": [0, 1], "index_col": 0} if two_levels else {}
    return _restore_index(pd.read_csv(path, **layout))


def _check_header(names: pd.Series[str]) -> None:
    """Raises ValueError for a name that stands twice: pandas would rename the second."""
    twice = names[names.notna() & names.duplicated()]
    if len(twice):
        raise ValueError(f"two columns are named {twice.iloc[0]!r}: {list(names)}")


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name


def _has_two_levels(head: pd.DataFrame) -> bool:
    """Whether a CSV's first rows are the two column levels that yfinance writes."""
    first = [str(v).strip().lower() for v in (head.columns[0], *head.iloc[:, 0])]
    return first in (["price", "ticker"], ["ticker", "price"])


def _restore_index(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` with the index that ``to_csv`` wrote without a name back in its place."""
    import pandas as pd

    if isinstance(frame.columns, pd.MultiIndex) or frame.shape[1] == 0 or frame.columns[0] != "Unnamed: 0":
        return frame
    return frame.set_index("Unnamed: 0").rename_axis(None)


def _one_ticker(frame: pd.DataFrame, ticker: str | None) -> tuple[pd.DataFrame, str | None]:
    """One instrument's frame with one level of columns, and its name where the frame tells it."""
    import pandas as pd

    if not isinstance(frame.columns, pd.MultiIndex):
        if ticker is not None:
            raise ValueError(f"ticker={ticker!r} needs a frame with two levels of columns, this one has one")
        return frame, None
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
    tickers = list(dict.fromkeys(names[~times]))
    if ticker is None and len(tickers) > 1:
        raise ValueError(f"the frame holds several tickers, choose one by load(frame, ticker=...): {tickers}")
    if ticker is not None and ticker not in tickers:
        raise ValueError(f"ticker must be one of {tickers}, got {ticker!r}")
    chosen = tickers[0] if ticker is None else ticker
    fields = np.where(times, labels, frame.columns.get_level_values(prices[0]))
    rows = (names == chosen) | times
    return frame.loc[:, rows].set_axis(fields[rows], axis=1), str(chosen)


def _sort_columns(frame: pd.DataFrame) -> tuple[dict[str, int], list[int], dict[str, int]]:
    """Positions of the bars' columns, of columns of time, and of all others by name."""
    bars: dict[str, int] = {}
    times: list[int] = []
    extra: dict[str, int] = {}
    for i, label in enumerate(frame.columns):
        key = str(label).strip().lower()
        if key in TIME_NAMES:
            times.append(i)
            continue
        target, name = (bars, key) if key in BAR_COLUMNS else (extra, str(label))
        if name in target:
            raise ValueError(f"two columns are named {name!r}: {list(frame.columns)}")
        target[name] = i
    if "close" not in bars:
        raise ValueError(f"the frame has no column 'close', got {list(frame.columns)}")
    if len(times) > 1:
        raise ValueError(f"several columns could be the time: {[frame.columns[i] for i in times]}")
    return bars, times, extra


def _chosen(
    bars: dict[str, int], extra: dict[str, int], columns: Iterable[str], times: list[Any]
) -> tuple[dict[str, int], dict[str, int]]:
    """Positions of the bars' and of the further columns to keep; a column of time may be named too."""
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the string {columns!r}")
    names = [name for name in columns if name not in times]
    keys = {name: str(name).strip().lower() for name in names}
    unknown = [name for name in names if name not in extra and keys[name] not in bars]
    if unknown:
        raise ValueError(f"unknown columns {unknown}; the frame has {list(extra)} besides its bars")
    wanted = [keys[name] for name in names if name not in extra]
    if wanted and "close" not in wanted:
        raise ValueError(f"columns names {wanted} of the bars but not 'close', which a market must have")
    kept = {key: i for key, i in bars.items() if key in wanted or not wanted}
    return kept, {name: extra[name] for name in names if name in extra}


def _numbers(name: str, series: pd.Series[Any], time: Times | None) -> Floats:
    """A column's float64 values; nullable dtypes keep their missing values as NaN."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(series.dtype) or not pd.api.types.is_numeric_dtype(series.dtype):
        row = int((pd.to_numeric(series, errors="coerce").isna() & series.notna()).to_numpy().argmax())
        where = f"of dtype {series.dtype} at {row_label(time, row)}"
        hint = "" if name in BAR_COLUMNS else "; choose the columns to keep by load(..., columns=[...])"
        raise TypeError(f"{name} must be real numbers, got {series.iloc[row]!r} {where}{hint}")
    values: NDArray[Any] = (
        series.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_extension_array_dtype(series.dtype)
        else series.to_numpy()
    )
    return as_column(name, values, copy=False)


def _times(frame: pd.DataFrame, positions: list[int]) -> Times | None:
    """The frame's timestamps from its column of time or its index; None where the index counts rows."""
    import pandas as pd

    if positions:
        values: Any = pd.Index(frame.iloc[:, positions[0]])
    elif pd.api.types.is_integer_dtype(frame.index.dtype) and not isinstance(frame.index, pd.MultiIndex):
        if not np.array_equal(frame.index.to_numpy(), np.arange(len(frame))):
            raise ValueError(
                "the index must be dates, or count rows 0, 1, 2, ...; "
                f"got {list(frame.index[:4])}: name a column of time, or reset_index(drop=True)"
            )
        return None
    else:
        values = frame.index
    return as_times(values, copy=False)


def _repair(
    bars: dict[str, Floats], extras: dict[str, Floats], time: Times | None, on_missing: str
) -> tuple[dict[str, Floats], dict[str, Floats], Times | None, dict[str, Any]]:
    """Columns without NaN, dropped or filled from the past, and the report of what was done.

    Further columns keep their leading NaN: before it begins, a column is not missing.
    """
    missing = {name: np.isnan(values) for name, values in bars.items()}
    left_out = "volume" in missing and bool(missing["volume"].all())
    if left_out:
        bars = {name: values for name, values in bars.items() if name != "volume"}
        del missing["volume"]
    missing |= {name: _after_leading(np.isnan(values)) for name, values in extras.items()}
    rows = np.logical_or.reduce(list(missing.values()))
    report = _report(missing, np.flatnonzero(rows), time, on_missing)
    if left_out:
        report["left_out"] = ["volume"]
    if not rows.any():
        return bars, extras, time, report
    if on_missing == "ffill":
        filled = {key: _forward_fill(key, values, missing[key], time) for key, values in extras.items()}
        return _filled_bars(bars, missing, time), filled, time, report
    keep = ~rows
    if not keep.any():
        empty = [name for name, mask in missing.items() if mask.all()]
        hint = f"; leave {empty} out by load(..., columns=[...])" if empty else ""
        raise ValueError(f"on_missing='drop' leaves no row: every row has a missing value{hint}")
    _check_kept(bars, extras, time, rows)
    kept = [{k: v[keep] for k, v in arrays.items()} for arrays in (bars, extras)]
    return kept[0], kept[1], None if time is None else time[keep], report


def _filled_bars(
    bars: dict[str, Floats], missing: dict[str, NDArray[np.bool_]], time: Times | None
) -> dict[str, Floats]:
    """Bars without NaN: prices from the past, volume 0.

    A bar without any price stays at the last close: at the last open, an order decided at that close would be
    filled at a price that is over.
    """
    filled = {k: _forward_fill(k, v, missing[k], time) for k, v in bars.items() if k != "volume"}
    untraded = np.logical_and.reduce([missing[key] for key in filled])
    filled = {key: np.where(untraded, filled["close"], values) for key, values in filled.items()}
    if "volume" in bars:
        filled["volume"] = np.where(untraded | missing["volume"], 0.0, bars["volume"])
    return filled


def _after_leading(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``missing`` without its leading rows."""
    result: NDArray[np.bool_] = missing & ~np.logical_and.accumulate(missing)
    return result


def _check_kept(
    bars: dict[str, Floats], extras: dict[str, Floats], time: Times | None, rows: NDArray[np.bool_]
) -> None:
    """Raises as Market does, but naming the frame's rows: Market counts those that are left of dropping ``rows``."""
    if time is not None:
        check_times(time[~rows], np.flatnonzero(~rows))
    check_bars({name: np.where(rows, 1.0, values) for name, values in bars.items()}, time)
    for name, values in extras.items():
        check_leading_nan(name, np.where(rows | np.isnan(values), 1.0, values), time)


def _forward_fill(name: str, values: Floats, missing: NDArray[np.bool_], time: Times | None) -> Floats:
    """``values`` with each missing one replaced by the last before it."""
    if missing[0]:
        raise ValueError(
            f"{name} is missing at {row_label(time, 0)}: on_missing='ffill' has no value before it, "
            "'drop' leaves the row out"
        )
    last = np.maximum.accumulate(np.where(missing, 0, np.arange(values.size)))
    filled: Floats = values[last]
    return filled


def _report(
    missing: dict[str, NDArray[np.bool_]], rows: NDArray[np.intp], time: Times | None, on_missing: str
) -> dict[str, Any]:
    """What was dropped or filled: how many rows, the first and the last, how many values of each column."""
    counts = {name: int(mask.sum()) for name, mask in missing.items() if mask.any()}
    ends = {"first": row_label(time, int(rows[0])), "last": row_label(time, int(rows[-1]))} if rows.size else {}
    return {"mode": on_missing, "rows": int(rows.size), **ends, "columns": counts}
