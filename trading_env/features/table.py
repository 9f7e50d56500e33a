"""FeatureTable: checked feature columns of a market. T = bars, F = features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_env.data.bars import leading_nan
from trading_env.data.times import row_label
from trading_env.data.zones import Times


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Read-only feature columns, one row per bar, NaN in leading rows only. `checked_table` makes one.

    Attributes:
        values: float32, C-contiguous (T, F).
        names: of the columns, F of them.
        warmup: number of leading rows with a NaN in any column.
    """

    values: NDArray[np.float32]
    names: tuple[str, ...]
    warmup: int

    def __post_init__(self) -> None:
        self.values.flags.writeable = False

    def __deepcopy__(self, memo: dict[int, Any]) -> FeatureTable:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureTable, (self.values, self.names, self.warmup)

    def __len__(self) -> int:
        return len(self.values)


def checked_table(
    values: NDArray[np.float32], names: Sequence[str], time: Times | None = None, *, short: bool = False
) -> FeatureTable:
    """The table of ``values`` (T, F), which are not copied, with its warmup.

    ``short=True`` allows a column without any value, as of a market that is too short for a feature.

    Raises:
        ValueError: two columns have one name, or a column is infinite anywhere, NaN after its leading rows, or
            NaN in all rows; the message names the column and the row.
    """
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(f"features must have different names, got {twice[0]!r} twice")
    warmup = max((_leading_nan(name, values[:, j], time, short) for j, name in enumerate(names)), default=0)
    return FeatureTable(values, tuple(names), warmup)


def _leading_nan(name: str, column: NDArray[np.float32], time: Times | None, short: bool) -> int:
    """Number of leading NaN of a column (T,) that is finite after them."""
    count, bad = leading_nan(column)
    if bad is not None:
        raise ValueError(
            f"feature {name!r} must be finite (NaN in leading rows excepted), "
            f"got {column[bad]} at {row_label(time, bad)}"
        )
    if count == len(column) and not short:
        raise ValueError(f"feature {name!r} has no value: {len(column)} rows are too few for it")
    return count
