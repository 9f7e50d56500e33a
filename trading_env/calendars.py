"""Calendar columns of dates: known in advance, hence causal. T = dates."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from trading_env.market import Market
from trading_env.validation import Floats, bars_per_year

if TYPE_CHECKING:
    import pandas as pd

CALENDAR_FEATURES = ("doy", "dom", "month", "year", "n_holidays")


def calendar_features(index: pd.DatetimeIndex, period: Any = None) -> pd.DataFrame:
    """Day of year, day of month, month, year, number of US federal holidays in the coming period.

    n_holidays counts the holidays after the date, up to and including the date one period later: what a decision
    made at the date has ahead of it.

    Args:
        index: dates (T,), increasing; with a time zone, the local dates count.
        period: a pandas offset or its alias ("W", "B", "MS"); by default the index's freq, or else what its
            spacing says: a business day, a day, a week, a month or a quarter; a day for intraday bars.

    Returns:
        DataFrame (T, 5) of int64: doy, dom, month, year, n_holidays.

    Raises:
        TypeError: index is no DatetimeIndex.
        ValueError: it has missing dates, or no spacing and no period is given.
    """
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        raise TypeError(f"index must be a pandas DatetimeIndex, got {type(index).__name__}")
    if index.hasnans:
        raise ValueError("index must have no missing dates")
    offset = index.freq if period is None else pd.tseries.frequencies.to_offset(period)
    if offset is None:
        offset = _period(bars_per_year(index.tz_localize(None).to_numpy()))
    days = index.tz_localize(None).normalize()
    fields = {"doy": days.day_of_year, "dom": days.day, "month": days.month, "year": days.year}
    table = pd.DataFrame({**fields, "n_holidays": _coming_holidays(days, offset)}, index=index)
    return table.astype(np.int64)


def market_column(market: Market, name: str) -> Floats:
    """One calendar column (T,) of a market's own dates (UTC); the period is that of its bars_per_year.

    Raises:
        ValueError: the market has no timestamps.
    """
    import pandas as pd

    if market.time is None:
        raise ValueError(f"feature {name!r} needs timestamps, which {market.name!r} has not")
    table = calendar_features(pd.DatetimeIndex(market.time), _period(market.bars_per_year))
    return table[name].to_numpy(np.float64)


def _coming_holidays(days: pd.DatetimeIndex, offset: Any) -> Any:
    """Number of holidays in (day, day + offset] for each day; an intraday offset counts as a day."""
    import pandas as pd

    if days.empty:
        return np.zeros(0)
    ends = days + offset
    if (ends == days).any() or (ends.normalize() != ends).any():
        ends = days + pd.offsets.Day(1)
    holidays = _holidays(days.min().year, ends.max().year)
    after, until = (holidays.searchsorted(dates.to_numpy(), side="right") for dates in (days, ends))
    return until - after


@lru_cache
def _holidays(first_year: int, last_year: int) -> Any:
    """US federal holidays of those years, in order; kept, because their rules take a tenth of a second."""
    from pandas.tseries.holiday import USFederalHolidayCalendar

    return USFederalHolidayCalendar().holidays(f"{first_year}-01-01", f"{last_year}-12-31").to_numpy()


def _period(per_year: float | None) -> Any:
    """The offset of one bar, a day at least, of bars that come so often."""
    import pandas as pd

    if per_year is None:
        raise ValueError("n_holidays needs the spacing of the dates: give at least two, or period=")
    known = {52.0: pd.offsets.Day(7), 12.0: pd.DateOffset(months=1), 4.0: pd.DateOffset(months=3)}
    if per_year in known:
        return known[per_year]
    if per_year < 252.0:
        return pd.offsets.Day(round(365.25 / per_year))
    return pd.offsets.BusinessDay() if per_year % 252.0 == 0.0 else pd.offsets.Day(1)
