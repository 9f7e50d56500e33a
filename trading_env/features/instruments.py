"""Feature tables of a panel's instruments, each of the instrument's own bars. K = instruments, F = features."""

from __future__ import annotations

from typing import Any

import numpy as np

from trading_env.data.panel import Panel
from trading_env.features.build import Features, feature_table
from trading_env.features.table import FeatureTable


def instrument_tables(panel: Panel, features: Features = "default") -> list[FeatureTable | None]:
    """The features of each instrument (K), a row for each of its own bars; None if it has no bar yet.

    Args:
        panel: the instruments.
        features: as for `feature_table`, per instrument: a callable gets each instrument's Market. An array is
            (T, K, F); its rows where an instrument is not tradable are ignored.

    Raises:
        TypeError, ValueError: as `feature_table`, naming the instrument.
        ValueError: an array has another shape; the instruments have different features; or no row is complete.
    """
    if isinstance(features, np.ndarray) and (features.ndim != 3 or features.shape[:2] != panel.tradable.shape):
        size = f"({len(panel)}, {len(panel.symbols)}, F)"
        raise ValueError(f"features must be an array {size}, got shape {features.shape}")
    tables = [_table(panel, k, features) for k in range(len(panel.symbols))]
    known = [(symbol, t.names) for symbol, t in zip(panel.symbols, tables, strict=True) if t is not None]
    for symbol, names in known:
        if names != known[0][1]:
            raise ValueError(
                f"all instruments need the same features, but {known[0][0]!r} has {list(known[0][1])} and {symbol!r} "
                f"has {list(names)}"
            )
    if all(table is None or table.warmup == len(table) for table in tables):
        raise ValueError(f"{panel.name!r} has no row with complete features: its instruments have too few bars")
    return tables


def _table(panel: Panel, k: int, features: Any) -> FeatureTable | None:
    own, symbol = panel.tradable[:, k], panel.symbols[k]
    if not own.any():
        return None
    given = features[own, k] if isinstance(features, np.ndarray) else features
    try:
        return feature_table(panel.market(symbol), given, short=True)
    except (TypeError, ValueError) as error:
        raise (TypeError if isinstance(error, TypeError) else ValueError)(f"{symbol!r}: {error}") from error
