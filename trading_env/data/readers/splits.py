"""Unadjusted splits: detected with a warning, and adjusted for on request. T = rows.

A split is a jump between two bars by a round ratio in a market that is otherwise calm; a crash of that size comes with
wide bars before and after. Neither is certain, so the default is a warning and no correction.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_env.data.bars import ROUNDING, Floats
from trading_env.data.times import row_label
from trading_env.data.zones import Times

_RATIOS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25, 30, 40, 50, 100)  # 2:1 and more, and reverse splits of 1:2 and more
_LARGE = math.log(4.0) - 0.1  # a move by -72% or +261%: always reported
_FAR = 1.1  # allowed spread of adjusted / plain close: a few years of dividends
_AROUND = 60  # bars around a jump that show what is usual


@dataclass(frozen=True)
class Jump:
    """A price jump from the row before to ``row``; ``ratio`` is that of the split it looks like, 0 if none fits."""

    row: int
    move: float  # of the close, as a fraction
    ratio: float

    def text(self, time: Times | None) -> str:
        """The jump in words, for messages: "moves by -75.2% at 2020-08-31 (row 165), as at a 4:1 split"."""
        name = "" if self.ratio == 0.0 else f"{self.ratio:g}:1" if self.ratio > 1 else f"1:{1 / self.ratio:g}"
        kind = f", as at a {name} split" if name else ", more than prices do"
        return f"moves by {self.move:+.1%} at {row_label(time, self.row)}{kind}"


def adjusted_close(columns: Iterable[Any]) -> int | None:
    """Position of the column of adjusted closes ("Adj Close", "5. adjusted close"), or None."""
    for i, label in enumerate(columns):
        if re.sub("[^a-z]", "", str(label).lower()) in ("adjclose", "adjustedclose", "closeadj", "closeadjusted"):
            return i
    return None


def adjust_bars(
    bars: dict[str, Floats], adjusted: Floats | None, time: Times | None, adjust: bool | None, name: str
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """The bars, adjusted if ``adjust`` is True, and a report; a warning if ``adjust`` is None and a split is likely.

    Args:
        bars: open, high, low, close and volume, those that exist (T,); NaN where missing.
        adjusted: adjusted closes (T,), or None.
        time: timestamps (T,), or None.
        adjust: True: multiply prices by adjusted / close and leave volumes as traded; without adjusted closes, or if
            they equal the closes, divide the prices before each jump by its ratio and multiply the volumes. False:
            take the bars as they are. None: the same, with a warning.
        name: the market's name, for messages.

    Raises:
        ValueError: adjust is True, and an adjusted close is not positive or a jump fits no split.

    Warns:
        UserWarning: adjusted closes are far from the closes, or a price jumps as at a split; gives name and date.
    """
    if adjust is False:
        return bars, {}
    factor = None if adjusted is None else _factor(bars["close"], adjusted, time, bool(adjust))
    if factor is None or np.nanmax(np.abs(factor - 1.0)) <= ROUNDING:  # the adjusted closes are the closes
        jumps = find_jumps(bars)
        if adjust:
            return _without(bars, jumps, time)
        _warn_of_jumps(jumps, time, name, "adjusts what is before it")
        return bars, {}
    scaled = {key: values if key == "volume" else values * factor for key, values in bars.items()}
    jumps = find_jumps(scaled)
    if adjust:
        _warn_of_jumps(jumps, time, name, "")
        return scaled, {"adjust": {"by": "adjusted close"}}
    _warn_if_far(factor, time, name)
    _warn_of_jumps(jumps, time, name, "does not change that")
    return bars, {}


def find_jumps(bars: dict[str, Floats]) -> list[Jump]:
    """Price jumps that look like splits, or are too large to ignore.

    A jump looks like a split if it is unusually large, near a ratio in `_RATIOS`, and between two bars (if the opens
    differ from the closes before), while the bar's range, its volume and the moves after it are usual. Moves by -72%
    or +261% count in any case. If more than one move in a hundred is large, none counts.
    """
    close = bars["close"]
    rows = np.flatnonzero(np.isfinite(close) & (close > 0.0))
    if rows.size < 7:
        return []
    with np.errstate(all="ignore"):  # invalid prices are reported later
        moves = np.diff(np.log(close[rows]))
        gaps = _gaps(bars, rows, moves)
        at = np.flatnonzero((np.abs(gaps) > math.log(1.6)) | (np.abs(moves) > _LARGE))
        if at.size > max(3, moves.size // 100):
            return []
        ratios = [(int(i), _ratio(int(i), gaps, moves, _wideness(bars, rows, gaps is moves))) for i in at]
    return [Jump(int(rows[i + 1]), math.expm1(moves[i]), k) for i, k in ratios if k is not None]


def _gaps(bars: dict[str, Floats], rows: NDArray[np.intp], moves: Floats) -> Floats:
    """Log moves from each close to the next open (n,); from close to close if the opens are just previous closes."""
    if "open" not in bars:
        return moves
    before, after = bars["close"][rows[:-1]], bars["open"][rows[1:]]
    good = np.isfinite(after) & (after > 0.0)
    if np.mean(before == after) > 0.5:  # opens are the closes before
        return moves
    gaps: Floats = np.where(good, np.log(np.where(good, after, 1.0) / before), moves)
    return gaps


def _wideness(bars: dict[str, Floats], rows: NDArray[np.intp], closes_alone: bool) -> list[tuple[Floats, float, bool]]:
    """Ranges and volumes (n,), which are large in a crash: values, least large value, and True if in shares."""
    wide = []
    if {"high", "low"} <= bars.keys() and not closes_alone:
        wide.append((np.log(bars["high"][rows] / bars["low"][rows])[1:], 0.06, False))
    if "volume" in bars:
        wide.append((bars["volume"][rows][1:], 0.0, True))
    return wide


def _ratio(i: int, gaps: Floats, moves: Floats, wide: list[tuple[Floats, float, bool]]) -> float | None:
    """Ratio of the split that move ``i`` looks like, 0 for a jump that fits no ratio, None if it is not a jump."""
    before = np.arange(max(i - _AROUND, 0), i)
    usual_bars = before if before.size >= 20 else np.r_[before, i + 1 : min(i + 1 + _AROUND, moves.size)]
    usual = float(np.median(np.abs(moves[usual_bars])))
    gap, move = float(gaps[i]), float(moves[i])
    size = abs(gap)
    if max(size, abs(move)) < 12.0 * usual:  # eight standard deviations
        return None
    otherwise = 0.0 if max(size, abs(move)) > _LARGE else None
    ratio = min(_RATIOS, key=lambda k: abs(size - math.log(k)))
    if abs(size - math.log(ratio)) > min(max(0.04, 4.5 * float(np.median(np.abs(gaps[usual_bars])))), 0.12):
        return otherwise
    after = np.abs(moves[i + 1 : i + 11])
    if abs(move - gap) > max(0.06, 8.0 * usual) or (after.size and after.mean() > max(0.02, 3.0 * usual)):
        return otherwise
    factor = float(ratio) if gap < 0.0 else 1.0 / ratio
    for values, least, in_shares in wide:
        median = float(np.median(values[usual_bars])) * (max(factor, 1.0) if in_shares else 1.0)
        if median > 0.0 and values[i] > max(least, 5.0 * median):
            return otherwise
    return factor


def _factor(close: Floats, adjusted: Floats, time: Times | None, needed: bool) -> Floats | None:
    """Adjusted over plain close (T,), NaN where either is missing; None if no row has both.

    Raises:
        ValueError: the factor is ``needed`` and an adjusted close is not finite and positive.
    """
    good = np.isfinite(adjusted) & (adjusted > 0.0)
    bad = ~good & ~np.isnan(adjusted) & ~np.isnan(close)
    if needed and bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"the adjusted close must be finite and positive, got {adjusted[row]} at {row_label(time, row)}: "
            "adjust=False does without it"
        )
    good &= np.isfinite(close) & (close > 0.0)
    factor: Floats = np.full(close.shape, np.nan)
    np.divide(adjusted, close, out=factor, where=good)
    return factor if good.any() else None


def _without(
    bars: dict[str, Floats], jumps: list[Jump], time: Times | None
) -> tuple[dict[str, Floats], dict[str, Any]]:
    """The bars with prices before each jump divided by its ratio and volumes multiplied; and the report."""
    unknown = [jump for jump in jumps if jump.ratio == 0.0]
    if unknown:
        raise ValueError(
            f"adjust=True: the price {unknown[0].text(time)}, and there are no adjusted closes to adjust it by; "
            "adjust=False takes the prices as they are"
        )
    share = np.ones(bars["close"].shape)
    for jump in jumps:
        share[: jump.row] /= jump.ratio
    if jumps:
        bars = {key: values / share if key == "volume" else values * share for key, values in bars.items()}
    return bars, {"adjust": {"splits": [{"at": row_label(time, j.row), "ratio": j.ratio} for j in jumps]}}


def _warn_if_far(factor: Floats, time: Times | None, name: str) -> None:
    """Warns if adjusted and plain closes are far apart, with the row of the largest step."""
    rows = np.flatnonzero(~np.isnan(factor))
    ratios = factor[rows]
    if ratios.max() / ratios.min() <= _FAR:
        return
    steps = np.abs(np.diff(np.log(ratios)))
    row = int(rows[int(steps.argmax()) + 1])
    warnings.warn(
        f"{name}: the adjusted close is far from the close, {ratios.min():.4g} to {ratios.max():.4g} times it, with "
        f"the largest step by {math.expm1(steps.max()):.1%} at {row_label(time, row)}, as by splits and dividends; "
        "load(..., adjust=True) multiplies open, high, low and close by it, adjust=False takes them as they are",
        stacklevel=4,
    )


def _warn_of_jumps(jumps: list[Jump], time: Times | None, name: str, answer: str) -> None:
    """Warns of the first jump, if any; ``answer`` says what ``adjust=True`` does about it."""
    if not jumps:
        return
    more = f" (and so at {len(jumps) - 1} more, the last {row_label(time, jumps[-1].row)})" if len(jumps) > 1 else ""
    if not answer:
        what = "the adjusted close does too; adjust=False"
    elif any(jump.ratio == 0.0 for jump in jumps):
        what = "no split has that ratio; load(..., adjust=False)"
    else:
        what = f"load(..., adjust=True) {answer}, adjust=False"
    warnings.warn(f"{name}: the price {jumps[0].text(time)}{more}; {what} takes the prices as they are", stacklevel=4)
