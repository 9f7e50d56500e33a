"""Features of a panel's instruments on its clock. T = rows of the clock, K = instruments, F = features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_env.data.panel import Panel
from trading_env.features.build import Features
from trading_env.features.instruments import instrument_tables
from trading_env.features.scaler import FeatureScaler, checked_scaler


@dataclass(frozen=True, eq=False)
class PanelFeatures:
    """Read-only feature columns of K instruments, without NaN.

    Attributes:
        values: float32, C-contiguous (T, K, F).
        names: of the columns, F of them.
        warmup: number of leading rows in which no instrument has complete features.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    warmup: int

    def __post_init__(self) -> None:
        self.values.flags.writeable = False

    def __deepcopy__(self, memo: dict[int, Any]) -> PanelFeatures:
        return self

    def __len__(self) -> int:
        return len(self.values)


def panel_features(
    panel: Panel, features: Features = "default", scaler: FeatureScaler | Mapping[str, Any] | None = None
) -> PanelFeatures:
    """The features of each instrument at each row, standardised if a scaler is given.

    Each instrument's features are computed from its own bars, so that a gap of one moves nothing else. Where it is not
    tradable, the row of its last bar stands; before its features are complete, and before it is listed, zeros do.

    Args:
        panel: the instruments.
        features: as for `instrument_tables`.
        scaler: a FeatureScaler fitted on a panel or a market, its ``to_dict()``, or None.

    Raises:
        TypeError, ValueError: as `instrument_tables` and `FeatureScaler.transform`.
    """
    tables = instrument_tables(panel, features)
    fitted = checked_scaler(scaler)
    first = next(table for table in tables if table is not None)
    values = np.zeros((len(panel), len(tables), first.values.shape[1]), np.float32)
    warmup = len(panel)
    for k, table in enumerate(tables):
        if table is None:
            continue
        shown = table if fitted is None else fitted.transform_at(table, panel.market(panel.symbols[k]).time)
        own = panel.own_rows[:, k]
        complete = own >= table.warmup
        values[complete, k] = shown.values[own[complete]]
        warmup = min(warmup, int(complete.argmax()) if complete.any() else len(panel))
    return PanelFeatures(values, first.names, warmup)
