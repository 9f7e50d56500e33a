"""Cuts of a clock at dates or fractions: where the parts of a split begin. T = rows of the clock."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from trading_env._checks import brief
from trading_env.data.times import as_times, parse_times, row_label
from trading_env.data.zones import Times, go_by_dates, local_time, zone_of


def parts(at: tuple[Any, ...], name: str, time: Times | None, first: int, length: int) -> list[tuple[int, int]]:
    """The rows (start, stop) of len(at) + 1 consecutive parts of the rows from ``first`` to ``length``.

    Args:
        at: increasing cuts. A date selects the first row at or after it as the beginning of the next part; it is read
            as local time, or local midnight, unless it has a time zone. A float in (0, 1) is a fraction of the rows.
        name: of the data, for messages.
        time: timestamps (T,), or None.
        first: the first row of the first part.
        length: T.

    Raises:
        TypeError: a cut is neither a date nor a float.
        ValueError: there are no cuts, one is out of range, or they do not increase.
    """
    if not at:
        raise ValueError("split needs at least one cut: a date, or a fraction in (0, 1)")
    rows = [_row(cut, name, time, first, length) for cut in at]
    bounds = [first, *rows, length]
    for i, row in enumerate(rows, start=1):
        if not bounds[i - 1] < row < length:
            raise ValueError(
                f"split: cut {at[i - 1]!r} falls on row {row}, it must lie after row {bounds[i - 1]} "
                f"and before row {length}: every part needs a bar; the bars run from {row_label(time, first)} "
                f"to {row_label(time, length - 1)}"
            )
    return list(itertools.pairwise(bounds))


def _row(cut: Any, name: str, time: Times | None, first: int, length: int) -> int:
    """The row at which the part after ``cut`` begins."""
    if isinstance(cut, (float, np.floating)):
        if not 0.0 < cut < 1.0:
            raise ValueError(f"split: a fraction must lie in (0, 1), got {brief(cut)}")
        return first + round(cut * (length - first))
    if isinstance(cut, (bool, int, np.number)):
        raise TypeError(f"split: a cut must be a date or a float in (0, 1), got {brief(cut)}")
    if time is None:
        raise ValueError(f"split: {name!r} has no timestamps, so {cut!r} must be a fraction in (0, 1)")
    return _date_row(time, cut)


def _date_row(timestamps: Times, cut: Any) -> int:
    """The first row at or after the date ``cut``; T if there is none."""
    zoned, time = zone_of(timestamps) is not None, np.asarray(timestamps)
    days = time.astype("datetime64[D]")
    try:
        dates, zone = parse_times([cut], dates=not zoned and go_by_dates(days, time == days))
        date = as_times(dates)[0]
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"split: a cut must be a date or a float in (0, 1), got {brief(cut)}; write a date as 2024-12-31"
        ) from error
    if np.isnat(date):
        raise ValueError(f"split: a cut must be a date or a float in (0, 1), got {brief(cut)}")
    if zoned and zone is None:  # local time repeats an hour in autumn, so it is not sorted for a binary search
        reached = local_time(timestamps) >= date
        return int(reached.argmax()) if reached.any() else time.size
    return int(np.searchsorted(time, date))
