"""Missing values: rows dropped, or filled from the past, with a report. T = rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_env.data.bars import Floats, check_bars, check_leading_nan
from trading_env.data.times import check_times, row_label
from trading_env.data.zones import Times

Columns = dict[str, Floats]
Mask = NDArray[np.bool_]


def repair(
    bars: Columns, further: Columns, time: Times | None, on_missing: str
) -> tuple[Columns, Columns, Times | None, dict[str, Any]]:
    """Columns without NaN and their timestamps, and the report of what was dropped or filled.

    Leading NaN of further columns are kept: a column is not missing before it begins. A volume without any value
    is left out.

    Raises:
        ValueError: no row is left, or there is no earlier value to fill with.
    """
    missing = {name: np.isnan(values) for name, values in bars.items()}
    left_out = "volume" in missing and bool(missing["volume"].all())
    if left_out:
        bars = {name: values for name, values in bars.items() if name != "volume"}
        del missing["volume"]
    missing |= {name: _after_leading(np.isnan(values)) for name, values in further.items()}
    rows = np.logical_or.reduce(list(missing.values()))
    report = _report(missing, np.flatnonzero(rows), time, on_missing)
    if left_out:
        report["left_out"] = ["volume"]
    if not rows.any():
        return bars, further, time, report
    if on_missing == "ffill":
        filled = {key: _forward_fill(key, values, missing[key], time) for key, values in further.items()}
        return _filled_bars(bars, missing, time), filled, time, report
    return *_dropped(bars, further, time, missing, rows), report


def _dropped(
    bars: Columns, further: Columns, time: Times | None, missing: dict[str, Mask], rows: Mask
) -> tuple[Columns, Columns, Times | None]:
    """Columns and timestamps without ``rows``."""
    keep = ~rows
    if not keep.any():
        empty = [name for name, mask in missing.items() if mask.all()]
        hint = f"; leave {empty} out with load(..., columns=[...])" if empty else ""
        raise ValueError(f"on_missing='drop' leaves no row: every row has a missing value{hint}")
    _check_kept(bars, further, time, rows)
    kept = [{key: values[keep] for key, values in arrays.items()} for arrays in (bars, further)]
    return kept[0], kept[1], None if time is None else time[keep]


def _check_kept(bars: Columns, further: Columns, time: Times | None, rows: Mask) -> None:
    """Raises as Market does, but with the frame's row numbers, which dropping ``rows`` would change."""
    if time is not None:
        check_times(time[~rows], np.flatnonzero(~rows))
    check_bars({name: np.where(rows, 1.0, values) for name, values in bars.items()}, time)
    for name, values in further.items():
        check_leading_nan(name, np.where(rows | np.isnan(values), 1.0, values), time)


def _filled_bars(bars: Columns, missing: dict[str, Mask], time: Times | None) -> Columns:
    """Bars without NaN: prices from the past, volume 0.

    A bar without any price stays at the last close: with the last open, an order decided at that close would be
    filled at a price from before it.
    """
    filled = {k: _forward_fill(k, v, missing[k], time) for k, v in bars.items() if k != "volume"}
    untraded = np.logical_and.reduce([missing[key] for key in filled])
    filled = {key: np.where(untraded, filled["close"], values) for key, values in filled.items()}
    if "volume" in bars:
        filled["volume"] = np.where(untraded | missing["volume"], 0.0, bars["volume"])
    return filled


def _forward_fill(name: str, values: Floats, missing: Mask, time: Times | None) -> Floats:
    """``values`` with each missing one replaced by the last before it."""
    if missing[0]:
        raise ValueError(
            f"{name} is missing at {row_label(time, 0)}: on_missing='ffill' has no value before it, "
            "'drop' leaves the row out"
        )
    last = np.maximum.accumulate(np.where(missing, 0, np.arange(values.size)))
    filled: Floats = values[last]
    return filled


def _after_leading(missing: Mask) -> Mask:
    """``missing`` without its leading rows."""
    result: Mask = missing & ~np.logical_and.accumulate(missing)
    return result


def _report(missing: dict[str, Mask], rows: NDArray[np.intp], time: Times | None, on_missing: str) -> dict[str, Any]:
    """The rows dropped or filled: how many, the first and the last; and the number of missing values per column."""
    counts = {name: int(mask.sum()) for name, mask in missing.items() if mask.any()}
    ends = {"first": row_label(time, int(rows[0])), "last": row_label(time, int(rows[-1]))} if rows.size else {}
    return {"mode": on_missing, "rows": int(rows.size), **ends, "columns": counts}
