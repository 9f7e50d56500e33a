"""What a panel is assembled of: the symbols, columns and facts of its markets. T = rows, K = instruments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from trading_env._checks import brief, number
from trading_env.data.alignment import Rows
from trading_env.data.bars import BAR_COLUMNS, Floats
from trading_env.data.market import Market, checked_market
from trading_env.data.times import bars_per_year
from trading_env.data.zones import Times

FOLDER = "us-stocks/"  # of the bundled stocks: a part of their names, not of their symbols


def checked_markets(markets: Any) -> list[Market]:
    """The markets as a list; TypeError or ValueError unless there is one, and all are Markets."""
    if isinstance(markets, (Market, str)) or not isinstance(markets, Iterable):
        raise TypeError(f"markets must be a list of Markets, got {brief(markets)}")
    found = [checked_market(market) for market in markets]
    if not found:
        raise ValueError("markets must have at least one Market, got none")
    return found


def checked_symbols(symbols: Any, markets: Sequence[Market]) -> tuple[str, ...]:
    """The symbols of the markets, by default their names.

    Raises:
        TypeError: a symbol is not a non-empty string.
        ValueError: there are more or fewer than markets, or one occurs twice.
    """
    names = tuple(market.name.removeprefix(FOLDER) for market in markets) if symbols is None else tuple(symbols)
    for name in names:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a symbol must be a non-empty string, got {brief(name)}")
    if len(names) != len(markets):
        raise ValueError(f"symbols must name {len(markets)} markets, got {len(names)}: {brief(names)}")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"each symbol must occur once, got {twice[0]!r} twice; symbols= gives the markets other names")
    return names


def spread(markets: Sequence[Market], rows: Sequence[Rows], length: int) -> dict[str, Floats]:
    """The columns that all markets have (T, K), NaN where a market has no bar."""
    shared = [name for name in markets[0].column_names if all(name in m.column_names for m in markets)]
    columns = {name: np.full((length, len(markets)), np.nan) for name in shared}
    for name, values in columns.items():
        for k, (market, own) in enumerate(zip(markets, rows, strict=True)):
            values[own, k] = market.column(name)
    return columns


def common_facts(markets: Sequence[Market], symbols: Sequence[str]) -> dict[str, Any]:
    """The metadata of a panel.

    Facts that all markets share; "instruments", the others by symbol; "left_out", the columns that only some markets
    have, and who lacks them; and survivorship_biased: true if it is of one market, unknown if it is of one.
    """
    facts = [dict(market.metadata) for market in markets]
    shared = {key: value for key, value in facts[0].items() if all(key in f and f[key] == value for f in facts)}
    own = {s: {key: v for key, v in f.items() if key not in shared} for s, f in zip(symbols, facts, strict=True)}
    result = {**shared, **({"instruments": own} if any(own.values()) else {})}
    names = dict.fromkeys(name for market in markets for name in market.column_names)
    lacking = {n: [s for s, m in zip(symbols, markets, strict=True) if n not in m.column_names] for n in names}
    if any(lacking.values()):
        result["left_out"] = {name: lack for name, lack in lacking.items() if lack}
    biased = [f.get("survivorship_biased") for f in facts]
    if any(biased) or None not in biased:
        result["survivorship_biased"] = any(biased)
    return result


def first_row(markets: Sequence[Market], rows: Sequence[Rows]) -> int:
    """The first row after the history of all markets."""
    return max(int(own[m.first - 1]) + 1 if m.first else 0 for m, own in zip(markets, rows, strict=True))


def rate_of(markets: Sequence[Market], time: Times | None, given: Any) -> float | None:
    """Bars per year of the clock: as given, or that of all markets, or inferred from the timestamps."""
    if given is not None:
        return number("bars_per_year", given, above=0.0)
    rates = {market.bars_per_year for market in markets}
    return rates.pop() if len(rates) == 1 else bars_per_year(time)


def price_columns(columns: dict[str, Floats]) -> dict[str, Floats]:
    """The bars among the columns, which are removed from them."""
    return {name: columns.pop(name) for name in BAR_COLUMNS if name in columns}
