"""A check for look-ahead: nothing shown at a bar may change with later bars. T = bars, D = columns compared.

check_causality("default", market)                                # named features
check_causality(lambda market: my_features(market), market)       # a feature callable
check_causality(gym.make("trading_env:TradingEnv-v0", ...))       # everything that an env shows
check_causality({"features": my_features, "window": 10}, market)  # the same, by its keywords
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import integer, number
from trading_env.analysis.probes import EnvProbe, FeatureProbe, Shown, resolve
from trading_env.data.bars import BAR_COLUMNS, Floats
from trading_env.data.market import Market

_LAST_CUTS = 8  # number of these at the very end of the data


class LookAheadError(ValueError):
    """A value shown at a bar changed when only later bars were changed.

    Attributes:
        name: the first feature, observation, reward or info key that changed.
        bar: the bar at which it is shown.
        cut: the last unchanged bar, at or after ``bar``.
    """

    def __init__(self, name: str, bar: int, cut: int, label: str, before: float, after: float) -> None:
        super().__init__(
            f"{name} at {label} knows the future: it went from {before:g} to {after:g} "
            f"when only the bars after {cut} changed"
        )
        self.name, self.bar, self.cut = name, bar, cut


@dataclass(frozen=True)
class CausalityReport:
    """The result of a check that found no look-ahead.

    Attributes:
        names: names of the features and, for an env, of everything else compared.
        cuts: bars after which the future was changed.
        unmoved: features that did not react to any change, even of their own bar, like dates and constants. The
            check says nothing about values computed beforehand, which are also listed here.
    """

    names: tuple[str, ...]
    cuts: tuple[int, ...]
    unmoved: tuple[str, ...]


def check_causality(
    subject: Any,
    market: Any = None,
    *,
    scaler: Any = None,
    cuts: int | Sequence[int] | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> CausalityReport:
    """A report on ``subject`` if everything it shows up to a bar is independent of later bars; raises otherwise.

    A cut is a bar after which the data is changed. For each of many cuts, all later prices, volumes and further columns
    are changed, first upwards, then downwards, and then the data is truncated. Everything shown up to the cut must stay
    the same: for an env every feature, and in episodes that reach the cut every observation, reward, end and info. A
    fill at the open of bar t + 1 is reported with bar t + 1 and is not look-ahead. Dates are not changed, since a
    calendar is known in advance. Values computed outside ``subject`` cannot change, so compute them inside.

    Args:
        subject: features as for TradingEnv (a callable, names, "default"); or a TradingEnv, bare or with the wrappers
            of `gym.make`; or a mapping of its keywords; or a callable Market -> TradingEnv.
        market: anything that `load` accepts; by default the data of the env or of the keywords.
        scaler: a fitted FeatureScaler, for features only.
        cuts: the number of bars to cut after (at most all), or the bars themselves. By default 120 for features and
            30 for an env: each of the last 8 bars, and the others evenly spread. A leak in a single row elsewhere is
            detected only by a cut at that row.
        tolerance: changes below this fraction of a column's largest absolute value count as rounding.
        seed: seed of the changes and of the actions.

    Returns:
        The report on what was compared.

    Raises:
        LookAheadError: a value changed; the error names the first one and its bar.
        TypeError: subject is none of these (a vector env, for example), its features are a precomputed array, or an
            argument has a wrong type.
        ValueError: a cut is out of range, the market is too short to cut, or its data cannot be used.
    """
    number("tolerance", tolerance, least=0.0)
    rng = np.random.default_rng(integer("seed", seed, 0))
    make, market = resolve(subject, market)
    if make is not None and scaler is not None:
        raise TypeError("scaler goes with features; an env has its own")
    probe = FeatureProbe(subject, scaler, market) if make is None else EnvProbe(make, market, seed)
    rows = _cuts(cuts, probe.first, len(market) - 2, probe.n_cuts)
    unmoved = dict.fromkeys(probe.features.names)
    for up, short in ((True, False), (False, False), (True, True)):
        for cut in rows:
            stop = min(max(cut + 2, probe.least), len(market)) if short else len(market)
            changed = changed_future(market, cut, rng, up=up, stop=stop)
            for before, after in probe.pairs(changed, cut):
                _raise_if_moved(before, after, cut, market, tolerance)
            for name in _moved_later(probe.features, probe.latest, cut):
                unmoved.pop(name, None)
    return CausalityReport(tuple(probe.names), tuple(rows), tuple(unmoved))


def changed_future(
    market: Market, cut: int, rng: np.random.Generator, *, up: bool = True, stop: int | None = None
) -> Market:
    """The market up to ``stop``, with different bars after ``cut``.

    Prices and volumes are multiplied (or divided) by random factors from 1.5 to 4, which also change the shape of
    each bar; further columns get other values that occur in them. The result is valid: prices stay positive and in
    order, and NaN stays NaN.
    """
    stop = len(market) if stop is None else stop
    later, n = slice(cut + 1, stop), stop - cut - 1
    bars = {name: values[:stop].copy() for name in BAR_COLUMNS if (values := getattr(market, name)) is not None}
    factors = rng.uniform(1.5, 4.0, n) ** (1.0 if up else -1.0)
    for values in bars.values():
        values[later] *= factors * rng.uniform(0.9, 1.1, n)
    prices = np.array([values[later] for name, values in bars.items() if name != "volume"])
    for name, extreme in (("high", prices.max(axis=0)), ("low", prices.min(axis=0))):
        if name in bars:
            bars[name][later] = extreme
    if "volume" in bars:
        bars["volume"][later] += 1.0  # a volume of 0 changes too
    return Market(
        **bars,
        time=None if market.time is None else market.time[:stop],
        columns={name: _other_values(values[:stop], later, rng) for name, values in market.columns.items()},
        name=market.name,
        metadata=market.metadata,
        first=min(market.first, stop - 1),
        bars_per_year=market.bars_per_year,
    )


def _other_values(values: Floats, later: slice, rng: np.random.Generator) -> Floats:
    """The column with each later value replaced by another of its values; NaN stays."""
    known = np.unique(values[~np.isnan(values)])
    changed, now = values.copy(), values[later]
    if len(known) > 1:
        others = known[(np.searchsorted(known, now) + rng.integers(1, len(known), len(now))) % len(known)]
        changed[later] = np.where(np.isnan(now), np.nan, others)
    return changed


def _cuts(cuts: int | Sequence[int] | None, first: int, last: int, default: int) -> list[int]:
    """The bars after which to change the data, in [first, last]."""
    if last < first:
        raise ValueError(f"market has {last + 2} bars, too few to change any after bar {first}, the first that counts")
    if isinstance(cuts, Sequence):
        if not cuts:
            raise ValueError("cuts must have at least one bar, got none")
        return [integer(f"cuts[{i}]", cut, first, last) for i, cut in enumerate(cuts)]
    n = default if cuts is None else integer("cuts", cuts, 1)
    if n > last - first:
        return list(range(first, last + 1))
    ends = range(max(first, last - min((n + 1) // 2, _LAST_CUTS) + 1), last + 1)
    spread = np.linspace(first, last, n - len(ends) + 1, dtype=int).tolist()
    return sorted({*spread, *ends})


def _moves(before: npt.NDArray[Any], after: npt.NDArray[Any], tolerance: float) -> npt.NDArray[np.bool_]:
    """True where values (n, D) differ by more than rounding in their column; NaN equals NaN."""
    largest = np.nanmax(np.abs(np.concatenate([before, after])), axis=0, initial=0.0)
    near = np.abs(before.astype(np.float64) - after) <= tolerance * largest
    result: npt.NDArray[np.bool_] = ~(near | (np.isnan(before) & np.isnan(after)))
    return result


def _raise_if_moved(before: Shown, after: Shown, cut: int, market: Market, tolerance: float) -> None:
    """Raises LookAheadError for the first column that differs at the first bar with a difference."""
    if before.names != after.names:
        raise ValueError(f"the columns differ with the data: {before.names} and {after.names}")
    n = min(len(before.values), len(after.values))
    moved = _moves(before.values[:n], after.values[:n], tolerance)
    if moved.any():
        row, column = np.argwhere(moved)[0]
        bar, pair = before.first + int(row), (before.values[row, column], after.values[row, column])
        raise LookAheadError(before.names[column], bar, cut, market.time_of(bar), *map(float, pair))


def _moved_later(before: Shown, after: Shown, cut: int) -> list[str]:
    """Names of columns that changed with the bars after the cut."""
    n = min(len(before.values), len(after.values))
    moved = _moves(before.values[cut + 1 : n], after.values[cut + 1 : n], 0.0)
    return [name for name, column in zip(before.names, moved.T, strict=True) if column.any()]
