"""Markets from DataFrames, CSV and Parquet files: names of columns, time zones, missing values. T = rows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, brief_text, choice, flag
from trading_env.data.bars import (
    BAR_COLUMNS,
    ON_MISSING,
    Floats,
    Times,
    as_column,
    as_times,
    check_bars,
    check_leading_nan,
    check_times,
    kind_of,
    row_label,
)
from trading_env.data.clocks import index_of, joined, read_times
from trading_env.data.layouts import Layout, recognise, recognise_file, rows_layout
from trading_env.data.market import Market
from trading_env.data.numerals import check_marks, read_columns
from trading_env.data.readers import (
    MAX_BYTES,
    TEXT_OPTIONS,
    checked_limit,
    checked_text,
    read_file,
    read_parquet,
    read_text,
)
from trading_env.data.splits import adjust_bars, adjusted_close
from trading_env.data.tickers import one_ticker, renaming
from trading_env.data.time_columns import INDEX, find_time

if TYPE_CHECKING:
    import pandas as pd

_SOURCE = "trading_env.data.frames"  # of a frame's attrs: whether a file's, and the layout that its first row says


def from_frame(
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
    copy: bool = True,
) -> Market:
    """A Market from a DataFrame, one row a bar.

    The bars are the columns named open, high, low, close and volume, in any case; close is required. The time
    is a column named time, date, datetime or timestamp, or else the index, or a column of another name that says
    time (open_time, trade_date, unix, ...); with a time zone it becomes UTC, but midnights, as daily bars have them,
    stay the dates they are. Numbers count since 1970 in UTC, in the unit that their size tells, or have the digits of
    dates. A frame indexed by row numbers makes a market without timestamps, unless a column looks like time: then it
    is refused, naming the column. Frames of yfinance are read as they come, with two levels of columns too, and so
    are the forms of `layouts`, which are reported in metadata["format"].

    Args:
        frame: the rows, in order of time; a frame of another library that has ``to_pandas``.
        ticker: which instrument of a frame that holds several: with two levels of columns, a column of tickers, or
            rows indexed by (ticker, time).
        columns: names of the columns to keep, by default all. Where bars are named, in any case, those alone are
            kept: ["open", "high", "low", "close"] leaves the volume out. Else all bars are, and of the further
            columns those named. Or a mapping of the frame's names to open, high, low, close, volume, time or a name
            of your own: all bars are kept, and of the further columns those that it names.
        time: name of the column of time, or [column of dates, column of times of the day]; False: there is none,
            and the rows are in order.
        unit: what times that are numbers count since 1970: D, h, m, s, ms, us or ns.
        format: how times are written, as strptime takes it, like "%d/%m/%Y".
        tz: time zone of times that say none; those that count since 1970 or say theirs are converted to it.
        decimal: mark in numbers that are text, "," in 1.234,56; by default the one that all rows fit.
        thousands: mark of thousands in numbers that are text, "." in 1.234,56.
        sort: whether to bring the rows into the order of time; reported in metadata["order"].
        adjust: whether to adjust the bars for splits and dividends. True: open, high, low and close times
            adjusted close / close, volume as traded, where there is a column of adjusted closes ("Adj Close"); else
            prices before each jump that looks like a split divided by its ratio, and volumes multiplied. Reported in
            metadata["adjust"]. False: bars as they are. None: the same, with a warning where adjusted closes are far
            from the closes or the price jumps as at a split.
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
        ValueError: a wrong value, or one that may be read in two ways; the message names the field, the value and
            the row, or the keyword that decides.
    """
    frame = _pandas(frame)
    choice("on_missing", on_missing, ON_MISSING)
    flag("sort", sort)
    if adjust is not None:
        flag("adjust", adjust)
    check_marks(decimal, thousands)
    is_file, layout = frame.attrs.get(_SOURCE, (False, None))
    if layout is None:
        frame, layout = _recognised(frame, is_file)
    frame, found = one_ticker(frame, ticker)
    names = renaming(frame.columns, columns)
    bars, extra = _sort_columns(frame, layout, names)
    times = _time_columns(frame, time, layout, names, list(bars.values()))
    extra = {key: i for key, i in extra.items() if i not in times}
    chosen = _kept(extra, layout)
    if names:
        chosen = {name: extra[name] for name in names.values() if name in extra}
    elif columns is not None:
        bars, chosen = _chosen(bars, extra, columns, layout, [frame.columns[i] for i in times if i != INDEX])
    if len(frame) == 0:
        raise ValueError("the frame has no rows")
    stamps = _times(frame, times, layout, unit=unit, format=format, tz=tz)
    order, notes = _in_order(stamps, layout, sort)
    if stamps is not None and order is not None:
        frame, stamps = frame.iloc[order], stamps[order]
    near = None if adjust is False else adjusted_close(frame.columns)
    further = chosen if near is None else {**chosen, "adjusted close": near}
    text = _from_text(frame, bars, further, layout, (decimal, thousands), is_file)
    arrays = {key: _numbers(key, text.get(i, frame.iloc[:, i]), stamps) for key, i in bars.items()}
    extras = {key: _numbers(f"column {key!r}", text.get(i, frame.iloc[:, i]), stamps) for key, i in chosen.items()}
    label = name if name is not None else (ticker or found or "market")
    closes = None if near is None else _numbers("the adjusted close", text.get(near, frame.iloc[:, near]), stamps)
    arrays, report = adjust_bars(arrays, closes, stamps, adjust, label)
    notes.update(report)
    if on_missing != "raise":
        arrays, extras, stamps, notes["on_missing"] = _repair(arrays, extras, stamps, on_missing)
    notes = {**({} if layout is None else {"format": layout.name}), **(metadata or {}), **notes}
    values = {**arrays, "time": stamps, "columns": extras, "metadata": notes, "bars_per_year": bars_per_year}
    build: Callable[..., Market] = Market if copy else Market._own
    return build(**values, name=label)


def from_csv(path: str | Path, **options: Any) -> Market:
    """A Market from a text file of rows, named after it.

    Args:
        path: of a .csv, .txt or .tsv file, alone or packed as gz, bz2, xz or zip.
        options: those of `from_frame`; sep (by default what separates the first line), header (its line; None: there
            is none) and names (of the columns) as in pandas.read_csv; max_bytes that the unpacked file may have, by
            default a thousand million, None for no limit.
    """
    check_known(options)
    reading = checked_text(**{key: options.pop(key) for key in TEXT_OPTIONS if key in options})
    limit = checked_limit(options.pop("max_bytes", MAX_BYTES))
    check_marks(options.get("decimal"), options.get("thousands"))
    text = options.get("decimal") is not None or options.get("thousands") is not None
    frame, layout = read_file(path, lambda p: read_text(p, **reading, text=text, max_bytes=limit))
    return _from_file(frame, layout, path, options)


def from_parquet(path: str | Path, **options: Any) -> Market:
    """A Market from a Parquet file (extra ``parquet``), named after it.

    Args:
        path: of the file.
        options: those of `from_frame`, and max_bytes that its columns may take unpacked, by default a thousand
            million, None for no limit.
    """
    _check_applies(options)
    limit = checked_limit(options.pop("max_bytes", MAX_BYTES))
    return _from_file(read_file(path, lambda p: read_parquet(p, limit)), None, path, options)


def _from_file(frame: pd.DataFrame, layout: Layout | None, path: str | Path, options: dict[str, Any]) -> Market:
    frame.attrs[_SOURCE] = (True, layout)
    return from_frame(frame, copy=False, **{"name": _stem(Path(path)), **options})


def from_rows(rows: Any, **options: Any) -> Market:
    """A Market from a list of rows: mappings, or lists of numbers as the interfaces of ccxt and Binance return them.

    Args:
        rows: an array of records, as MetaTrader 5 returns it; lists [time in ms, open, high, low, close, volume], or
            Binance's of 12 values; or mappings of names to values, as those of Polygon and Alpaca.
        options: those of `from_frame`, and names, of the values of a list of another form.
    """
    try:
        return _from_rows(rows, options)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"data as rows: {error}") from error


def _from_rows(rows: Any, options: dict[str, Any]) -> Market:
    import pandas as pd

    if isinstance(rows, np.ndarray) and rows.dtype.names:
        return from_frame(pd.DataFrame(rows), **options)
    if isinstance(rows[0], Mapping):
        other = next((i for i, row in enumerate(rows) if not isinstance(row, Mapping)), None)
        if other is not None:
            raise TypeError(f"row 0 is a mapping, but row {other} is {brief(rows[other])}")
        return from_frame(pd.DataFrame(list(rows)), **options)
    names = options.pop("names", None)
    found = rows_layout(rows[0]) if names is None else None
    if names is None and found is None:
        raise ValueError(
            "they must be [time in ms, open, high, low, close, volume], or named by load(rows, names=[...]); "
            f"got {brief(rows[0])}"
        )
    labels = list(names if found is None else found[0])
    wrong = [i for i, row in enumerate(rows) if not isinstance(row, (list, tuple, np.ndarray)) or np.ndim(row) != 1]
    wrong = wrong or [i for i, row in enumerate(rows) if len(row) != len(labels)]
    if wrong:
        raise ValueError(f"they must have {len(labels)} values each, got {brief(rows[wrong[0]])} in row {wrong[0]}")
    frame = pd.DataFrame([list(row) for row in rows], columns=labels)
    frame.attrs[_SOURCE] = (False, None if found is None else found[1])
    return from_frame(frame, **options)


def check_known(options: Iterable[str]) -> None:
    """Raises TypeError unless `load` has all of the options."""
    known = sorted({*_frame_options(), *TEXT_OPTIONS, "max_bytes"})
    unknown = [key for key in options if key not in known]
    if unknown:
        raise TypeError(f"load has no option {unknown[0]!r}; known are {known}")


def _frame_options() -> list[str]:
    return [key for key in inspect.signature(from_frame).parameters if key not in ("frame", "copy")]


def _check_applies(options: Iterable[str]) -> None:
    """Raises TypeError for options that `load` has not, or that only text files have."""
    check_known(options)
    wrong = [key for key in options if key in TEXT_OPTIONS]
    if wrong:
        raise TypeError(f"load: {wrong} apply to text files only")


def _pandas(frame: Any) -> pd.DataFrame:
    """The frame, or what its ``to_pandas`` returns."""
    import pandas as pd

    found = frame
    if not isinstance(frame, pd.DataFrame) and hasattr(frame, "to_pandas"):
        try:
            found = frame.to_pandas()
        except (ImportError, MemoryError):
            raise
        except Exception as error:  # whatever a foreign frame makes its library do
            raise ValueError(
                f"frame: its to_pandas() fails: {brief_text(f'{type(error).__name__}: {error}')}"
            ) from error
    if isinstance(found, pd.DataFrame):
        return found
    module = "" if type(frame).__module__ in ("builtins", "numpy") else f"{type(frame).__module__}."
    raise TypeError(f"frame must be a pandas DataFrame, got {module}{type(frame).__name__}")


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name


def _recognised(frame: pd.DataFrame, is_file: bool) -> tuple[pd.DataFrame, Layout | None]:
    """The frame and the layout whose header its columns are, alone or behind its index, which becomes a column."""
    if len(frame) == 0:
        return frame, None
    known = recognise_file if is_file else recognise
    layout = known(list(frame.columns), frame.iloc[0].tolist())
    name = frame.index.name
    if layout is None and isinstance(name, str) and name not in frame.columns:
        layout = recognise([name, *frame.columns], [frame.index[0], *frame.iloc[0]])
        if layout is not None:
            frame = frame.reset_index()
    return frame, layout


def _sort_columns(
    frame: pd.DataFrame, layout: Layout | None, names: Mapping[Any, str]
) -> tuple[dict[str, int], dict[str, int]]:
    """Positions of the bars' columns, and of all others by name; the caller's ``names`` win over all."""
    bars: dict[str, int] = {}
    extra: dict[str, int] = {}
    given = {name.lower() for name in names.values()}
    of_layout = {} if layout is None else layout.columns
    for i, label in enumerate(frame.columns):
        key = str(label).strip().lower()
        key = of_layout.get(key, "" if key in of_layout.values() else key)
        if label in names:
            key = names[label].lower()
        elif key in given:
            continue  # another column stands for it
        name = names.get(label, str(label))
        target, name = (bars, key) if key in BAR_COLUMNS else (extra, name)
        if name in target:
            raise ValueError(f"two columns are named {name!r}: {brief(list(frame.columns), 400)}")
        target[name] = i
    if "close" not in bars:
        raise ValueError(f"the frame has no column 'close', got {brief(list(frame.columns), 400)}")
    _choose_volume(frame, layout, bars)
    return bars, extra


def _choose_volume(frame: pd.DataFrame, layout: Layout | None, bars: dict[str, int]) -> None:
    """Puts the layout's other volume in its place where the volume is 0 throughout, as of currencies' real volume."""
    if layout is None or layout.spare is None or "volume" not in bars:
        return
    spare = [i for i, label in enumerate(frame.columns) if str(label).strip().lower() == layout.spare]
    if spare and not frame.iloc[:, bars["volume"]].astype(bool).any():
        bars["volume"] = spare[0]


def _time_columns(
    frame: pd.DataFrame, time: Any, layout: Layout | None, names: Mapping[Any, str], bars: list[int]
) -> list[int]:
    """Positions of the columns of time, [INDEX] or [], as the caller, the layout, or names and values say."""
    mapped = [label for label, name in names.items() if name.lower() == "time"]
    if time is None and mapped:
        time = mapped
    if time is None and layout is not None and layout.time:
        labels = [str(label).strip().lower() for label in frame.columns]
        return [labels.index(label) for label in layout.time]
    return find_time(frame, time, bars)


def _kept(extra: dict[str, int], layout: Layout | None) -> dict[str, int]:
    """The further columns but those that the layout has no use for."""
    unused = () if layout is None else layout.unused
    return {key: i for key, i in extra.items() if key.strip().lower() not in unused}


def _chosen(
    bars: dict[str, int],
    extra: dict[str, int],
    columns: Iterable[str],
    layout: Layout | None,
    times: list[Any],
) -> tuple[dict[str, int], dict[str, int]]:
    """Positions of the bars' and of the further columns to keep; a column of time may be named too.

    A bar goes by our name or by the layout's.
    """
    if isinstance(columns, str):
        raise TypeError(f"columns must be a list of names, got the string {columns!r}")
    known = {} if layout is None else layout.columns
    names = [name for name in columns if name not in times]
    keys = {name: known.get(str(name).strip().lower(), str(name).strip().lower()) for name in names}
    unknown = [name for name in names if name not in extra and keys[name] not in bars]
    if unknown:
        raise ValueError(f"unknown columns {brief(unknown)}; the frame has {brief(list(extra), 400)} besides its bars")
    wanted = [keys[name] for name in names if name not in extra]
    if wanted and "close" not in wanted:
        raise ValueError(f"columns names {wanted} of the bars but not 'close', which a market must have")
    kept = {key: i for key, i in bars.items() if key in wanted or not wanted}
    return kept, {name: extra[name] for name in names if name in extra}


def _from_text(
    frame: pd.DataFrame,
    bars: dict[str, int],
    further: dict[str, int],
    layout: Layout | None,
    marks: tuple[str | None, str | None],
    is_file: bool,
) -> dict[int, pd.Series[Any]]:
    """Numbers of the columns that are text, by position: of files, of a layout, or where the caller tells the marks.

    A volume of a layout that holds nothing is taken out of the bars.
    """
    if layout is not None and marks == (None, None) and layout.marks is not None:
        marks = layout.marks
    if not is_file and layout is None and marks == (None, None):
        return {}
    result = read_columns(frame, list(bars.values()), list(further.values()), marks)
    if (
        layout is not None
        and "volume" in bars
        and result.get(bars["volume"], frame.iloc[:, bars["volume"]]).isna().all()
    ):
        del bars["volume"]
    return result


def _numbers(name: str, series: pd.Series[Any], time: Times | None) -> Floats:
    """A column's float64 values; nullable dtypes keep their missing values as NaN."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(series.dtype) or not pd.api.types.is_numeric_dtype(series.dtype):
        if len(series) and series.isna().all():
            return np.full(len(series), np.nan)
        row = int((_coerced(series).isna() & series.notna()).to_numpy().argmax())
        where = f"of dtype {series.dtype} at {row_label(time, row)}"
        hint = "" if name in BAR_COLUMNS else "; choose the columns to keep by load(..., columns=[...])"
        raise TypeError(f"{name} must be real numbers, got {brief(series.iloc[row])} {where}{hint}")
    values: NDArray[Any] = (
        series.to_numpy(dtype=np.float64, na_value=np.nan)
        if pd.api.types.is_extension_array_dtype(series.dtype)
        else series.to_numpy()
    )
    return as_column(name, values, copy=False)


def _coerced(series: pd.Series[Any]) -> pd.Series[Any]:
    """Numbers of a column, NaN for all else and for whole numbers beyond the largest float."""
    import pandas as pd

    large = series.map(lambda value: isinstance(value, int) and value.bit_length() > 1000)
    return pd.to_numeric(series.mask(large.astype(bool)), errors="coerce")


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
    """How to bring rows into the order of time, None if they are or nothing was asked for; and the note of it."""
    if time is None:
        if sort:
            raise ValueError("sort=True needs a column of time: name it by load(..., time=...)")
        return None, {}
    rises, falls = bool((time[1:] > time[:-1]).all()), bool((time[1:] < time[:-1]).all())
    if rises or np.isnat(time).any():
        return None, {}
    if falls and (sort or (layout is not None and layout.newest_first)):
        return slice(None, None, -1), {"order": "turned round: the rows came newest first"}
    return (np.argsort(time, kind="stable"), {"order": "sorted by time"}) if sort else (None, {})


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
