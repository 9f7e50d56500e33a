"""Bars per year of a report: as declared, or counted where the timestamps are irregular."""

from __future__ import annotations

import numpy as np

from trading_env.data.times import bars_per_year as usual_rate
from trading_env.data.zones import Times

REGULAR = 0.15  # share by which the bars in a year may differ from their usual number
LONG = np.timedelta64(60, "D")  # a shorter span does not show how many bars a year has
YEAR = np.timedelta64(8766, "h")  # 365.25 days


def rate_of(
    given: float | None, declared: float | None, stamps: Times | None, market: Times | None
) -> tuple[float | None, list[str]]:
    """Bars per year, and a note if they were counted.

    A number that a user gave stays. One that was inferred from the distances of timestamps is wrong where these are
    irregular; the bars of the whole span are counted then.

    Args:
        given: by the caller of the report.
        declared: of the account.
        stamps: of its closes (T+1,).
        market: timestamps from which the declared rate may have been inferred.
    """
    if given is not None:
        return given, []
    usual = usual_rate(market)  # a part of a market has the rate of the whole, which may differ a little
    if declared is None or usual is None or _far(usual, declared):
        return declared, []
    assert stamps is not None
    if stamps[-1] - stamps[0] < LONG:
        return declared, []
    counted = float((stamps.size - 1) / ((stamps[-1] - stamps[0]) / YEAR))
    if not _far(counted, declared):
        return declared, []
    note = (
        f"The timestamps are irregular: {counted:,.1f} bars a year are counted over their span, where their usual "
        f"distance means {declared:,.1f}. Figures per year use the former; give bars_per_year for another number."
    )
    return counted, [note]


def _far(one: float, other: float) -> bool:
    return abs(one / other - 1.0) > REGULAR
