"""Supervised tables of a series: past values and the value to forecast. n = values of the series."""

from __future__ import annotations

from typing import Any

import numpy as np

from trading_env._checks import integer
from trading_env.data.bars import as_column


def sliding_windows(series: Any, window_size: int, horizon: int = 1) -> Any:
    """A supervised table of a series: each row holds ``window_size`` past values and the label to forecast.

    The columns are -{window_size}_steps, ..., -1_steps, oldest first, then label, the value ``horizon`` steps after
    -1_steps. Each row is indexed by the date of its label; the first is window_size + horizon - 1 steps into the
    series.

    Args:
        series: a pandas Series of numbers (n,), or a sequence or array, which is then indexed by position.
        window_size: past values in a row.
        horizon: steps from the last past value to the label.

    Returns:
        DataFrame (n - window_size - horizon + 1, window_size + 1).

    Raises:
        TypeError: window_size or horizon is not an int, or the series is a DataFrame or does not hold numbers.
        ValueError: window_size or horizon is below 1, or the series is too short, not finite or not
            one-dimensional.
    """
    import pandas as pd

    window_size, horizon = integer("window_size", window_size, 1), integer("horizon", horizon, 1)
    if isinstance(series, pd.DataFrame):
        raise TypeError(f"series must be a pandas Series or a sequence of numbers, got a DataFrame {series.shape}")
    series = series if isinstance(series, pd.Series) else pd.Series(as_column("series", series))
    if series.dtype.kind not in "iuf":
        raise TypeError(f"series must be real numbers, got dtype {series.dtype}")
    values = series.to_numpy(np.float64)
    first = window_size + horizon - 1
    if values.size <= first:
        raise ValueError(f"series must have at least {first + 1} values, got {values.size}")
    if not np.isfinite(values).all():
        row = int(np.isfinite(values).argmin())
        raise ValueError(f"series must be finite, got {values[row]} at {series.index[row]}")
    past = np.lib.stride_tricks.sliding_window_view(values, window_size)[: values.size - first]
    names = [f"-{step}_steps" for step in range(window_size, 0, -1)]
    table = pd.DataFrame(past.copy(), index=series.index[first:], columns=names)
    return table.assign(label=values[first:])
