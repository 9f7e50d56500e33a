"""One clock for several markets: the union of their timestamps. T = rows of the clock, K = markets, n = bars of one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trading_env.data.market import Market
from trading_env.data.zones import Times, Zone, go_by_dates, local_time, zone_of, zoned

Rows = NDArray[np.intp]


def aligned(markets: Sequence[Market], symbols: Sequence[str]) -> tuple[Times | None, int, list[Rows]]:
    """The common clock, its length, and the row of each bar of each market on it (K of shape (n,)).

    Markets without timestamps are aligned by their row numbers if all have equally many bars.

    Args:
        markets: K of them.
        symbols: their names, for messages.

    Raises:
        ValueError: some have timestamps and some do not; without timestamps, their lengths differ; their time zones
            differ; or some have dates and some times of the day.
    """
    _check_kinds(markets, symbols)
    times = [market.time for market in markets if market.time is not None]
    if not times:
        return None, len(markets[0]), [np.arange(len(market)) for market in markets]
    clock: Times = np.unique(np.concatenate([np.asarray(time) for time in times]))
    rows = [np.searchsorted(clock, np.asarray(time)) for time in times]
    return zoned(clock, _common_zone(times, symbols)), clock.size, rows


def _check_kinds(markets: Sequence[Market], symbols: Sequence[str]) -> None:
    """Raises ValueError unless all markets have one kind of time, or none has any and all have equally many bars."""
    kinds = [_kind(market.time) for market in markets]
    for market, symbol, kind in zip(markets, symbols, kinds, strict=True):
        if kind != kinds[0]:
            raise ValueError(
                f"all instruments need one kind of time, but {symbols[0]!r} has {kinds[0]} and {symbol!r} has {kind}"
            )
        if market.time is None and len(market) != len(markets[0]):
            raise ValueError(
                f"instruments without timestamps need equally many bars, but {symbols[0]!r} has {len(markets[0])} "
                f"and {symbol!r} has {len(market)}"
            )


def _kind(time: Times | None) -> str:
    """The kind of timestamps in words: none, dates, or times in a zone."""
    if time is None:
        return "no timestamps"
    zone = zone_of(time)
    if zone is not None:
        return f"times in {zone.name}" if zone.name else "times with offsets from UTC"
    stamps = np.asarray(time)
    days = stamps.astype("datetime64[D]")
    return "dates" if go_by_dates(days, stamps == days) else "times without a time zone, or in UTC"


def _common_zone(times: Sequence[Times], symbols: Sequence[str]) -> Zone | None:
    """The zone of all timestamps; ValueError if two give different local times to one instant."""
    zone = zone_of(times[0])
    if zone is None:
        return None
    instants = np.concatenate([np.asarray(time) for time in times])
    local = np.concatenate([local_time(time) for time in times])
    common = Zone.of(instants, local, zone.name)
    for time, symbol in zip(times, symbols, strict=True):
        differs = common.local(np.asarray(time)) != local_time(time)
        if differs.any():
            raise ValueError(
                f"all instruments need one time zone, but {symbol!r} and another one have different local times "
                f"at {np.asarray(time)[differs][0]} UTC"
            )
    return common
