"""Oddities of a market that a person should look at before trusting it: gaps, jumps, closes that stand still. T = bars.

Nothing here is wrong for certain, so nothing is refused.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trading_env.data.market import Market

DAY = np.timedelta64(1, "D").astype("timedelta64[ns]")
LONG = 5  # bars, or days of a market that is closed on weekends, above which a distance between bars is a gap
FAR = 15.0  # times the usual move, above which a move is a jump
STILL = 5  # bars with the same close in a row, from which on it stands still


class Gap(NamedTuple):
    """A distance between two bars: the row after it, and its length in days."""

    row: int
    days: float


class Jump(NamedTuple):
    """A move of the close to ``row``, as a fraction; ``undone`` if the next bar takes most of it back."""

    row: int
    move: float
    undone: bool


class Still(NamedTuple):
    """A close that stays the same for ``bars`` bars, up to ``row``."""

    row: int
    bars: int


def gaps(market: Market) -> list[Gap]:
    """Distances between bars that are longer than 5 usual ones, and than 5 days if weekends have no bars."""
    if market.local_time is None or len(market) < 3:
        return []
    time = np.asarray(market.local_time)
    steps = np.diff(time)
    usual = np.median(steps.astype(np.int64)).astype("timedelta64[ns]")
    weekday = (time.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 0 = Monday
    closed = bool((weekday >= 5).mean() < 0.02)
    longest = max(LONG * usual, LONG * DAY) if closed else LONG * usual
    return [Gap(int(i) + 1, float(steps[i] / DAY)) for i in np.flatnonzero(steps > longest)]


def jumps(market: Market) -> list[Jump]:
    """Moves of the close by more than 15 times the median move."""
    moves = np.diff(np.log(market.close))
    if len(moves) < 20:
        return []
    least = FAR * float(np.median(np.abs(moves)))
    rows = np.flatnonzero(np.abs(moves) > least) if least > 0.0 else np.array([], np.int64)
    found = []
    for i in rows.tolist():
        after = float(moves[i + 1]) if i + 1 < len(moves) else 0.0
        undone = abs(moves[i] + after) < 0.25 * abs(moves[i])
        found.append(Jump(i + 1, float(np.expm1(moves[i])), bool(undone)))
    return found


def still(market: Market) -> Still | None:
    """The longest run of at least 5 equal closes; None if there is none."""
    ends = np.flatnonzero(np.append(np.diff(market.close) != 0.0, True))
    lengths = np.diff(np.append(-1, ends))
    i = int(lengths.argmax())
    return Still(int(ends[i]), int(lengths[i])) if lengths[i] >= STILL else None
