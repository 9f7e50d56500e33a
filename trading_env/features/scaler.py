"""FeatureScaler: standardises features by the mean and standard deviation of the training split. F = features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief
from trading_env.data.bars import Floats, as_column
from trading_env.data.market import Market
from trading_env.data.zones import Times
from trading_env.features.build import Features, feature_table
from trading_env.features.table import FeatureTable, checked_table

if TYPE_CHECKING:
    from trading_env.data.panel import Panel

_CHUNK = 1 << 16


class FeatureScaler:
    """Subtracts the mean of the fitted rows and divides by their standard deviation.

    Fit it on the training split only. A fitted scaler and its copies are frozen: fitting again raises, and so does
    transforming a table with other columns. A column that is constant up to float32 rounding is divided by 1.

    Attributes:
        names_: names of the columns (F).
        mean_: float64 (F,), read-only.
        scale_: standard deviation (divisor n), or 1 for a constant column: float64 (F,), read-only.
    """

    names_: tuple[str, ...]
    mean_: Floats
    scale_: Floats

    def __init__(self) -> None:
        self._freeze((), np.empty(0), np.empty(0))

    @property
    def fitted(self) -> bool:
        """True once `fit` has been called."""
        return bool(self.names_)

    def fit(self, data: Market | Panel | FeatureTable, features: Features = "default") -> FeatureScaler:
        """The scaler itself, fitted to the training data.

        Args:
            data: the training Market, of which the complete rows from `first` on are used; or a Panel, of which
                those of all instruments are used, so that a column has one mean and one deviation for all; or a
                FeatureTable, of which the complete rows are used.
            features: of the Market or the Panel, as for `feature_table` or `instrument_tables`.

        Raises:
            TypeError: data is none of these.
            ValueError: the scaler is already fitted, or no row is complete.
        """
        if self.fitted:
            raise ValueError("the scaler is fitted already: it belongs to one training split, make a new one")
        names, rows = _fitting_rows(data, features)
        mean = rows.mean(axis=0, dtype=np.float64)
        most, least = rows.max(axis=0), rows.min(axis=0)  # one number rounded twice may give float32 neighbours
        spread = most - least > np.finfo(np.float32).eps * np.maximum(np.abs(most), np.abs(least))
        self._freeze(names, mean, np.where(spread, _deviation(rows, mean), 1.0))
        return self

    def transform(self, table: FeatureTable) -> FeatureTable:
        """The table with standardised columns, float32 (T, F).

        Raises:
            TypeError: the table is not a FeatureTable.
            ValueError: the scaler is not fitted, the table has other columns than those fitted, or a scaled value
                exceeds float32.
        """
        return self.transform_at(table, None)

    def transform_at(self, table: FeatureTable, time: Times | None) -> FeatureTable:
        """As `transform`; messages include the rows' timestamps (T,)."""
        if not isinstance(table, FeatureTable):
            raise TypeError(f"a scaler transforms a FeatureTable, as feature_table makes it, got {_typed(table)}")
        if not self.fitted:
            raise ValueError("the scaler is not fitted: call fit on the training split first")
        if table.names != self.names_:
            raise ValueError(f"the scaler was fitted on {list(self.names_)}, got {list(table.names)}")
        values = np.empty_like(table.values)
        with np.errstate(over="ignore"):  # checked_table reports infinite values, with their rows
            for start in range(0, len(values), _CHUNK):
                rows = slice(start, start + _CHUNK)
                values[rows] = (table.values[rows] - self.mean_) / self.scale_
        try:
            return checked_table(values, table.names, time, short=table.warmup == len(table))
        except ValueError as error:
            raise ValueError(f"after the scaler: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The fitted state as JSON values: names, mean, scale."""
        if not self.fitted:
            raise ValueError("the scaler is not fitted: there is nothing to save")
        return {"names": list(self.names_), "mean": self.mean_.tolist(), "scale": self.scale_.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> FeatureScaler:
        """The fitted scaler with the state that `to_dict` returned.

        Raises:
            TypeError: state is not a mapping, names is not a list of strings, or mean or scale is not numeric.
            ValueError: state has other keys or lengths, a repeated name, a number that is not finite, or a scale
                that is not positive.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"a scaler's state must be a mapping, as to_dict gives it, got {_typed(state)}")
        if set(state) != {"names", "mean", "scale"}:
            raise ValueError(f"a scaler's state has the keys names, mean and scale, got {sorted(state, key=repr)}")
        names = state["names"]
        if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"a scaler's names must be a list of strings, got {_typed(names)}")
        if len(set(names)) < len(names):
            raise ValueError(f"a scaler's names must differ, got {list(names)}")
        names = tuple(names)
        mean, scale = (as_column(f"a scaler's {key}", state[key]) for key in ("mean", "scale"))
        if not names or mean.shape != (len(names),) or scale.shape != (len(names),):
            raise ValueError(f"a scaler's state needs a mean and a scale for each of its names {names}")
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0.0).all()):
            raise ValueError("a scaler's mean must be finite, and its scale finite and positive")
        scaler = cls()
        scaler._freeze(names, mean, scale)
        return scaler

    def _freeze(self, names: tuple[str, ...], mean: Floats, scale: Floats) -> None:
        mean.flags.writeable = scale.flags.writeable = False
        vars(self).update(names_=names, mean_=mean, scale_=scale)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{name} of a FeatureScaler cannot be set: fit or from_dict gives it its values")

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.from_dict, (self.to_dict(),)) if self.fitted else (type(self), ())

    def __repr__(self) -> str:
        return f"FeatureScaler({', '.join(self.names_) if self.fitted else 'not fitted'})"


def scaled_features(
    market: Market, features: Features = "default", scaler: FeatureScaler | Mapping[str, Any] | None = None
) -> FeatureTable:
    """The features of each bar of ``market``, float32 (T, F), standardised if a scaler is given.

    Args:
        market: the bars.
        features: as for `feature_table`.
        scaler: a fitted FeatureScaler, its ``to_dict()``, or None.

    Raises:
        TypeError, ValueError: as `feature_table` and `FeatureScaler.transform`.
    """
    table, fitted = feature_table(market, features), checked_scaler(scaler)
    return table if fitted is None else fitted.transform_at(table, market.time)


def checked_scaler(scaler: Any) -> FeatureScaler | None:
    """The scaler of a FeatureScaler, of its ``to_dict()`` or of None; TypeError for anything else."""
    if isinstance(scaler, Mapping):
        return FeatureScaler.from_dict(scaler)
    if scaler is not None and not isinstance(scaler, FeatureScaler):
        raise TypeError(f"scaler must be a FeatureScaler, its to_dict() or None, got {brief(scaler)}")
    return scaler


def _typed(value: Any) -> str:
    return f"{type(value).__name__}: {brief(value)}"


def _fitting_rows(data: Any, features: Features) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """Names of the columns, and the rows to fit on (n, F)."""
    parts = _parts(data, features)
    rows = [table.values[max(first, table.warmup) :] for table, first in parts]
    if not any(map(len, rows)):
        total, incomplete = (sum(counts) for counts in zip(*((len(t), t.warmup) for t, _ in parts), strict=True))
        raise ValueError(f"no row to fit on: {total} rows, of which {incomplete} are incomplete")
    return parts[0][0].names, rows[0] if len(rows) == 1 else np.concatenate(rows)


def _parts(data: Any, features: Features) -> list[tuple[FeatureTable, int]]:
    """The tables, each with its first row at which a decision may be made."""
    if isinstance(data, Market):
        return [(feature_table(data, features), data.first)]
    if isinstance(data, FeatureTable):
        return [(data, 0)]
    from trading_env.data.panel import Panel  # loaded for panels alone, as the next one
    from trading_env.features.instruments import instrument_tables

    if isinstance(data, Panel):
        firsts = data.tradable[: data.first].sum(axis=0).tolist()
        tables = instrument_tables(data, features)
        return [(table, first) for table, first in zip(tables, firsts, strict=True) if table is not None]
    raise TypeError(f"a scaler is fitted on a Market, a Panel or a FeatureTable, got {type(data).__name__}")


def _deviation(rows: Any, mean: Floats) -> Floats:
    """Standard deviation of the rows (n, F) about their mean (F,), in two passes."""
    squares = np.zeros_like(mean)
    for start in range(0, len(rows), _CHUNK):
        squares += ((rows[start : start + _CHUNK] - mean) ** 2).sum(axis=0)
    deviation: Floats = np.sqrt(squares / len(rows))
    return deviation
