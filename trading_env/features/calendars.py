"""Calendar columns of dates, which are known in advance and therefore causal. T = dates."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env._checks import brief
from trading_env.data.bars import ROUNDING, Floats
from trading_env.data.market import Market
from trading_env.data.times import bars_per_year

if TYPE_CHECKING:
    import pandas as pd

CALENDAR_FEATURES = ("doy", "dom", "month", "year", "n_holidays")


def calendar_features(index: pd.DatetimeIndex, period: Any = None) -> pd.DataFrame:
    """Day of year, day of month, month, year and the number of US federal holidays in the coming period.

    n_holidays counts the holidays after the date, up to and including the date one period later: those ahead of a
    decision made on the date.

    Args:
        index: increasing dates (T,); with a time zone, local dates are used.
        period: a pandas offset or its alias ("W" is seven days, "MS" lasts until the next first of a month). By
            default the index's freq, or else inferred from its spacing: a business day, a day, a week, a month, a
            quarter or a year, with the last (business) day of a month followed by the last of another; a day for
            intraday bars.

    Returns:
        DataFrame (T, 5) of int64: doy, dom, month, year, n_holidays.

    Raises:
        TypeError: index is not a DatetimeIndex.
        ValueError: index has missing dates or does not increase, period is not an offset or goes backwards, or no
            period is given for fewer than two dates.
    """
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        raise TypeError(f"index must be a pandas DatetimeIndex, got {type(index).__name__}")
    if index.hasnans:
        raise ValueError("index must have no missing dates")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise ValueError("index must increase")
    local = index.tz_localize(None)
    days, offset = local.normalize(), _offset(index.freq if period is None else period)
    ends = days + offset if offset is not None else _next(days, bars_per_year(local.to_numpy()))
    return _table(index, days, ends)


def market_column(market: Market, name: str) -> Floats:
    """One calendar column (T,) of a market's local dates, with the period given by its bars_per_year.

    Raises:
        ValueError: the market has no timestamps.
    """
    import pandas as pd

    time = market.local_time
    if time is None:
        raise ValueError(f"feature {name!r} needs timestamps, which {market.name!r} lacks")
    days = pd.DatetimeIndex(time).normalize()
    return _table(days, days, _next(days, market.bars_per_year))[name].to_numpy(np.float64)


def _table(index: pd.DatetimeIndex, days: pd.DatetimeIndex, ends: pd.DatetimeIndex) -> pd.DataFrame:
    """The calendar columns of days whose periods end at ``ends``."""
    import pandas as pd

    fields = {"doy": days.day_of_year, "dom": days.day, "month": days.month, "year": days.year}
    table = pd.DataFrame({**fields, "n_holidays": _holidays_between(days, ends)}, index=index)
    return table.astype(np.int64)


def _holidays_between(days: pd.DatetimeIndex, ends: pd.DatetimeIndex) -> Any:
    """Number of holidays in (day, end] for each day; an end within a day is replaced by the next day."""
    import pandas as pd

    if days.empty:
        return np.zeros(0)
    if (ends == days).any() or (ends.normalize() != ends).any():
        ends = days + pd.offsets.Day(1)
    holidays = _holidays(days.min().year, ends.max().year)
    after, until = (holidays.searchsorted(dates.to_numpy(), side="right") for dates in (days, ends))
    return until - after


@lru_cache
def _holidays(first_year: int, last_year: int) -> Any:
    """US federal holidays of those years, sorted; cached, since computing them takes a tenth of a second."""
    from pandas.tseries.holiday import USFederalHolidayCalendar

    return USFederalHolidayCalendar().holidays(f"{first_year}-01-01", f"{last_year}-12-31").to_numpy()


def _offset(period: Any) -> Any:
    """The pandas offset of a period; None for None."""
    import pandas as pd

    try:
        offset = pd.tseries.frequencies.to_offset(period)
    except (TypeError, ValueError) as error:
        raise ValueError(f"period must be a pandas offset or its alias, got {brief(period)}") from error
    if offset is None:
        return None
    if pd.Timestamp("2000-01-15") + offset <= pd.Timestamp("2000-01-15"):
        raise ValueError(f"period must go forward, got {brief(period)}")
    return pd.offsets.Day(7 * offset.n) if isinstance(offset, pd.offsets.Week) else offset


def _next(days: pd.DatetimeIndex, per_year: float | None) -> pd.DatetimeIndex:
    """The end of the period that begins on each day, at least a day later, with ``per_year`` periods in a year.

    It depends on the day alone, not on later days.
    """
    import pandas as pd

    offsets = pd.offsets
    if per_year is None:
        raise ValueError("n_holidays needs the spacing of the dates: give at least two, or period=")
    months = next((12 // bars for bars in (1, 4, 12) if math.isclose(per_year, bars, rel_tol=ROUNDING)), None)
    if months is not None:
        last = (days + offsets.Day(1)).month != days.month  # is_month_end differs for some index frequencies
        last_business = ((days + offsets.BusinessDay()).month != days.month) & (days.day_of_week < 5) & ~last
        ends = (days + pd.DateOffset(months=months)).where(~last, days + offsets.MonthEnd(months))
        return ends.where(~last_business, days + offsets.BusinessMonthEnd(months))
    if per_year < 240.0:
        return days + offsets.Day(round(365.25 / per_year))
    all_days = per_year > 300.0 and any(_is_multiple(per_year, year) for year in (182.5, 365.0, 365.25, 365.2425))
    return days + (offsets.Day(1) if all_days else offsets.BusinessDay())


def _is_multiple(per_year: float, year: float) -> bool:
    """True if a year of ``year`` days has a whole number of bars per day, up to rounding."""
    return math.isclose(per_year, max(round(per_year / year), 1) * year, rel_tol=ROUNDING)
