"""Markets and panels with another future, or with another column. T = bars."""

from __future__ import annotations

from typing import Any

import numpy as np

from trading_env.data.bars import BAR_COLUMNS, Floats
from trading_env.data.market import Market
from trading_env.data.panel import Bools, Panel


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


def changed_panel(
    panel: Panel, cut: int, rng: np.random.Generator, *, up: bool = True, stop: int | None = None
) -> Panel:
    """The panel up to ``stop``, with different bars of all instruments after row ``cut``.

    Prices go ``up``; if they go down, instruments also have other gaps after the cut, and are listed and delisted at
    other times.
    """
    stop = len(panel) if stop is None else stop
    columns = {name: values[:stop].copy() for name, values in panel.columns.items()}
    for k, symbol in enumerate(panel.symbols):
        own = panel.tradable[:stop, k]
        if not own.any():
            continue
        n, last = int(own.sum()), int(own[: cut + 1].sum()) - 1
        other = changed_future(panel.market(symbol), last, rng, up=up, stop=n)
        for name, values in columns.items():
            values[own, k] = other.column(name)
    if not up:
        missing = _dropped(panel.tradable[:stop], cut, rng)
        columns = {name: np.where(missing, np.nan, values) for name, values in columns.items()}
    return panel.with_columns(columns)


def _dropped(tradable: Bools, cut: int, rng: np.random.Generator) -> Bools:
    """Bars (T, K) to leave out, all after ``cut``: about half, for some instruments all from one bar on.

    One instrument keeps all. The others keep at least one, since a last bar says that they are delisted; so do rows.
    """
    dropped, whole = np.zeros_like(tradable), rng.choice(np.flatnonzero(tradable[-1]))
    for k in range(tradable.shape[1]):
        later = cut + 1 + np.flatnonzero(tradable[cut + 1 :, k])
        if later.size > 1 and k != whole:
            end = rng.integers(1, later.size) if rng.random() < 0.5 else later.size
            chosen = rng.random(later.size) < 0.5
            chosen[end:], chosen[rng.integers(end)] = True, False
            dropped[later[chosen], k] = True
    dropped[(tradable & ~dropped).sum(axis=1) == 0] = False
    return dropped


def changed_data(
    data: Market | Panel, cut: int, rng: np.random.Generator, *, up: bool = True, stop: int | None = None
) -> Any:
    """`changed_panel` or `changed_future`, by the kind of data."""
    change: Any = changed_panel if isinstance(data, Panel) else changed_future
    return change(data, cut, rng, up=up, stop=stop)


def with_other_values(market: Market, name: str, rng: np.random.Generator) -> Market:
    """The market with other values in one further column, at every bar."""
    return Market(
        **{bar: getattr(market, bar) for bar in BAR_COLUMNS},
        time=market.time,
        columns={**market.columns, name: _other_values(market.columns[name], slice(0, None), rng)},
        name=market.name,
        metadata=market.metadata,
        first=market.first,
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
