"""Arrays of a page: each kept once, in plotly's binary form, referred to by number; and thinned out. T = points."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SMALL = 24  # values: shorter arrays are written as numbers
WHOLE = {
    f"{kind}{size}": (np.iinfo(f"{kind}{size}").min, np.iinfo(f"{kind}{size}").max) for size in "124" for kind in "ui"
}


class Arrays:
    """The arrays of a page. Equal ones are kept once."""

    def __init__(self) -> None:
        self.kept: list[dict[str, str]] = []
        self._places: dict[tuple[str, bytes], int] = {}

    def add(self, values: npt.ArrayLike, dtype: str = "f4") -> Any:
        """What stands for the array in a figure: {"$": number}, or the numbers themselves if there are few.

        Args:
            values: (T,) numbers, NaN for gaps, or timestamps, which become milliseconds since 1970.
            dtype: as plotly names it: "f4", "f8", "i1", "i2", "i4", "u1", "u2" or "u4".
        """
        array = np.asarray(values)
        if array.dtype.kind == "M":
            array, dtype = milliseconds(array), "f8"
        if array.size < SMALL:
            return [short(value) if dtype == "f4" else value for value in array.tolist()]
        if dtype == "f4" and np.abs(array[np.isfinite(array)]).max(initial=0.0) > np.finfo(np.float32).max:
            dtype = "f8"
        content = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()
        key = (dtype, content)
        if key not in self._places:
            self._places[key] = len(self.kept)
            self.kept.append({"dtype": dtype, "bdata": base64.b64encode(content).decode()})
        return {"$": self._places[key]}

    def add_whole(self, values: npt.ArrayLike) -> Any:
        """The same for whole numbers, in as few bytes as hold them all."""
        array = np.asarray(values, np.int64)
        low, high = int(array.min(initial=0)), int(array.max(initial=0))
        return self.add(array, next(name for name, (least, most) in WHOLE.items() if least <= low and high <= most))

    def add_rounded(self, values: npt.ArrayLike) -> Any:
        """The same for numbers that may be rounded to a 32,000th of the largest: {"$": number, "per": divisor}."""
        array = np.asarray(values, np.float64)
        most = float(np.abs(array).max(initial=0.0))
        if array.size < SMALL or not math.isfinite(most):
            return self.add(array)
        per = float(f"{32_000.0 / most:.3g}") if most > 0.0 else 1.0
        return {**self.add(np.round(array * per), "i2"), "per": per}


def values_of(kept: list[Mapping[str, str]], found: Any) -> npt.NDArray[Any]:
    """The array that `Arrays.add` wrote, NaN for gaps: what a reader of the page does."""
    if isinstance(found, Mapping):
        part = kept[found["$"]]
        values = np.frombuffer(base64.b64decode(part["bdata"]), np.dtype(part["dtype"]).newbyteorder("<"))
        return values / found["per"] if "per" in found else values
    return np.array([math.nan if value is None else value for value in found])


def short(value: float) -> float | None:
    """The number with seven digits, as many as four bytes hold; None if it is not finite, which JSON lacks."""
    return float(f"{value:.7g}") if math.isfinite(value) else None


def milliseconds(time: npt.NDArray[Any]) -> Floats:
    """Timestamps as milliseconds since 1970, as plotly takes them on an axis of dates."""
    return np.asarray(time, "datetime64[us]").astype(np.int64) / 1e3


# -- thinning out -----------------------------------------------------------------------------------------------


def spread(count: int, most: int) -> Ints:
    """At most ``most`` indices of ``count`` values, first and last among them, evenly apart."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))


def buckets(count: int, size: int) -> Ints:
    """First index of each run of ``size`` values, the last of which may be shorter."""
    return np.arange(0, count, size)


def coarser(columns: Mapping[str, Floats], size: int) -> dict[str, Floats]:
    """Each column of runs of ``size`` bars: a candle's first open, highest high, lowest low, and last of all others.

    "exposure" is the mean of the run, "drawdown" its deepest point, both (T,).
    """
    count = len(next(iter(columns.values())))
    starts = buckets(count, size)
    last = np.append(starts[1:], count) - 1
    found = {}
    for name, values in columns.items():
        if name == "open":
            found[name] = values[starts]
        elif name == "high":
            found[name] = np.maximum.reduceat(values, starts)
        elif name in ("low", "drawdown"):
            found[name] = np.minimum.reduceat(values, starts)
        elif name == "exposure":
            found[name] = np.add.reduceat(values, starts) / (last - starts + 1)
        else:
            found[name] = values[last]
    return found
