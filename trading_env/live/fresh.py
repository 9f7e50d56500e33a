"""A check that bars are finished and not stale. T = bars."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from trading_env._checks import brief, integer
from trading_env.data.market import Market
from trading_env.data.zones import Times, zone_of

DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")
RECENT = 26  # weeks from whose bars the slots of a week are read
LONGEST = 400  # days after which bars are stale in any case


def check_fresh(market: Market, as_of: Any, max_missed: int = 0) -> None:
    """Checks that the last bar is finished at the given time, and that no newer finished bar is missing.

    Daily bars are checked by their dates. A date as ``as_of`` stands for any time of that day: the bar of that day
    counts as finished, but need not be there. If ``as_of`` has a time of day, the bar of that day is unfinished.
    Intraday bars are stamped at their beginning and last until the next. Weekly and monthly bars are stamped at their
    first day if that is a Monday or one of the first three of a month, else at their last.

    Newer bars are expected at the weekdays and times of day at which at least half of the last 26 weeks have a bar. If
    bars are not that regular, the next one is expected no later than after the longest gap so far.

    Args:
        market: the bars.
        as_of: a date or a time: a string in ISO 8601, a datetime, date or Timestamp, in the market's local time unless
            it has a time zone. None: nothing is checked.
        max_missed: number of expected bars that may be missing, for holidays.

    Raises:
        TypeError: as_of is no time.
        ValueError: the data have no times, their last bar is unfinished or in the future, or they are stale.
    """
    integer("max_missed", max_missed, 0)
    if as_of is None:
        return
    if market.local_time is None:
        raise ValueError(f"as_of={brief(as_of)} cannot be checked: {market.name!r} has no times")
    local = np.asarray(market.local_time)
    dated = bool((local == local.astype("datetime64[D]")).all())
    now, any_time = _moment(as_of, market, dated)
    last, step = local[-1], _step(local)
    end = _end(last, step, dated, any_time)
    if now < end:
        last_bar = market.time_of(len(market) - 1)
        raise ValueError(f"the last bar, {last_bar}, is unfinished as of {as_of}: leave it out, or decide later")
    missed = _missed(local, step, now, dated, any_time)
    if missed > max_missed:
        raise ValueError(
            f"the data are stale as of {as_of}: after the last bar, {market.time_of(len(market) - 1)}, {missed} more "
            "should be there; max_missed allows for holidays"
        )


def _moment(as_of: Any, market: Market, dated: bool) -> tuple[Any, bool]:
    """The time in the market's local time, datetime64[ns], and True if it stands for any time of its day."""
    import pandas as pd

    try:
        stamp = pd.Timestamp(as_of)
    except (TypeError, ValueError) as error:
        raise TypeError(f"as_of must be a date or a time, got {brief(as_of)}") from error
    if pd.isna(stamp) or isinstance(as_of, (bool, int, float)):
        raise TypeError(f"as_of must be a date or a time, got {brief(as_of)}")
    if stamp.tzinfo is not None and not dated:
        zone = zone_of(market.time)
        instant = stamp.tz_convert("UTC").tz_localize(None).to_datetime64().astype("datetime64[ns]")
        return (instant if zone is None else zone.local(instant)), False
    plain_date = isinstance(as_of, datetime.date) and not isinstance(as_of, datetime.datetime)
    plain_date |= isinstance(as_of, str) and len(as_of.strip()) <= 10
    local = stamp.tz_localize(None)
    midnight = local == local.normalize()
    return local.to_datetime64().astype("datetime64[ns]"), bool(midnight and (plain_date or dated))


def _step(local: Times) -> Any:
    """Usual length of a bar: the median distance of the last hundred."""
    gaps = np.diff(local[-101:])
    return np.median(gaps.astype(np.int64)).astype("timedelta64[ns]") if len(gaps) else DAY


def _end(last: Any, step: Any, dated: bool, any_time: bool) -> Any:
    """The earliest moment at which the bar of this stamp counts as finished."""
    if not dated:
        return last.astype("datetime64[D]") if any_time else last + step
    day = last.astype("datetime64[D]")
    first_of_week = (day.astype(np.int64) + 3) % 7 == 0
    first_of_month = (day - day.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) < 3
    begins = (step > 20 * DAY and first_of_month) or (2 * DAY < step <= 20 * DAY and first_of_week)
    final = last + step - DAY if begins else last  # its last day
    return final if any_time else final + DAY


def _missed(local: Times, step: Any, now: Any, dated: bool, any_time: bool) -> int:
    """Number of finished bars that should follow the last one by now."""
    last = local[-1]
    until = (
        now.astype("datetime64[D]").astype("datetime64[ns]") if dated or any_time else now - step + np.timedelta64(1)
    )
    if until - last > LONGEST * DAY:
        return max(1, int((until - last) / max(step, DAY)))
    if dated and step > 2 * DAY:
        final = _end(last, step, dated, True)
        return max(0, int((until - final - DAY) / step))
    slots = _slots(local)
    if not len(slots):
        gap = np.diff(local).max() if len(local) > 1 else DAY
        return int((until - last) / gap) if until - last > gap else 0
    week = last.astype("datetime64[W]").astype("datetime64[ns]")
    weeks = week + np.arange(LONGEST // 7 + 2) * 7 * DAY
    expected = (weeks[:, None] + slots).ravel()
    return int(((expected > last) & (expected < until)).sum())


def _slots(local: Times) -> Any:
    """Times since the beginning of a week, timedelta64[ns], at which at least half of the recent weeks have a bar."""
    recent = local[local > local[-1] - RECENT * 7 * DAY]
    weeks = recent.astype("datetime64[W]").astype("datetime64[ns]")
    places, counts = np.unique(recent - weeks, return_counts=True)
    return places[2 * counts >= len(np.unique(weeks))]
