"""Time zones of timestamps: UTC instants with a zone attached, so that days are local days. T = timestamps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Times = NDArray[np.datetime64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Zone:
    """A time zone over the span of a market's timestamps.

    Attributes:
        name: "Australia/Sydney", "UTC+09:30", or None if only the offsets are known, as from ISO 8601 strings.
        starts: instants in UTC from which each offset applies, datetime64[ns] (K,).
        offsets: local time minus UTC, timedelta64[ns] (K,).
    """

    name: str | None
    starts: Times
    offsets: NDArray[np.timedelta64]

    @classmethod
    def of(cls, instants: Times, local: Times, name: str | None) -> Zone:
        """The zone in which instants in UTC (T,) have the given local times (T,); missing ones are ignored."""
        known = ~np.isnat(instants)
        order = np.argsort(instants[known], kind="stable")
        starts, offsets = instants[known][order], (local[known] - instants[known])[order]
        changes = np.concatenate([[True], offsets[1:] != offsets[:-1]]) if starts.size else np.zeros(0, np.bool_)
        return cls(name, starts[changes], offsets[changes])

    def local(self, instants: Any) -> Any:
        """Local time of one or more instants in UTC."""
        if self.starts.size == 0:
            return instants
        return instants + self.offsets[np.maximum(np.searchsorted(self.starts, instants, side="right") - 1, 0)]

    def __str__(self) -> str:
        return self.name or ", ".join(dict.fromkeys(offset_name(offset.item() / 1e9) for offset in self.offsets))


class ZonedTimes(np.ndarray[Any, np.dtype[np.datetime64]]):
    """Timestamps in UTC (T,) with a ``zone``, which slices, copies and pickles keep and arithmetic drops."""

    zone: Zone | None = None

    def __array_finalize__(self, source: Any) -> None:
        self.zone = getattr(source, "zone", None)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(value) if isinstance(value, ZonedTimes) else value for value in inputs]
        return getattr(ufunc, method)(*plain, **options)

    def __reduce__(self) -> Any:
        return zoned, (np.asarray(self), self.zone)


def zoned(instants: Times, zone: Zone | None) -> Times:
    """A view of ``instants`` in UTC (T,) with the zone attached; ``instants`` itself if zone is None."""
    if zone is None:
        return instants
    view = instants.view(ZonedTimes)
    view.zone = zone
    return view


def zone_of(time: Any) -> Zone | None:
    """The time zone of timestamps, or None for dates, UTC and timestamps without a zone."""
    return getattr(time, "zone", None)


def local_time(time: Times) -> Times:
    """Local times of the timestamps, a plain array (T,)."""
    zone = zone_of(time)
    local: Times = np.asarray(time) if zone is None else zone.local(np.asarray(time))
    return local


def pandas_index(time: Times) -> pd.Index[Any]:
    """The timestamps as a pandas index in their time zone, or with individual offsets if its name is unknown."""
    import pandas as pd

    zone = zone_of(time)
    index = pd.DatetimeIndex(np.array(time))
    if zone is None:
        return index
    index = index.tz_localize("UTC")
    if zone.name is not None:
        return index.tz_convert(zone.name)
    offsets = [timedelta(seconds=offset.item() / 1e9) for offset in local_time(time) - np.asarray(time)]
    stamps = [stamp.tz_convert(timezone(offset)) for stamp, offset in zip(index, offsets, strict=True)]
    return pd.Index(stamps, dtype=object)


def name_of(zone: tzinfo) -> str | None:
    """A name by which pandas finds the zone: its key, or "UTC+09:30" for a fixed offset; None if there is none."""
    offset = zone.utcoffset(None)
    if offset is not None:
        return offset_name(offset / timedelta(seconds=1))
    key = getattr(zone, "key", None) or getattr(zone, "zone", None) or str(zone).rpartition("zoneinfo/")[2].strip("')")
    from zoneinfo import ZoneInfo  # here, since most markets have no zone

    try:
        return ZoneInfo(key).key
    except (ValueError, OSError, LookupError):  # no such zone
        return None


def offset_name(seconds: float) -> str:
    """The name of a fixed offset from UTC: "UTC", "UTC+09:30"."""
    minutes, rest = divmod(abs(round(seconds)), 60)
    sign, tail = "-" if seconds < 0 else "+", f":{rest:02d}" if rest else ""
    return f"UTC{sign}{minutes // 60:02d}:{minutes % 60:02d}{tail}" if minutes or rest else "UTC"


def go_by_dates(days: Times, begins: Mask) -> bool:
    """True if timestamps are dates: at least half begin a day, and if not all, no day occurs twice.

    The bar of a session in progress, for example, does not begin its day.

    Args:
        days: the day of each timestamp; missing ones are NaT.
        begins: True where a timestamp is the beginning of that day, or missing.
    """
    if begins.all():
        return True
    known = days[~np.isnat(days)]
    return bool(2 * begins.sum() >= begins.size and (known[1:] > known[:-1]).all())
