"""Causal feature columns of a market: the row of bar t is made of bars up to t only. T = bars, F = features.

The default features are computed over a fixed number of bars in a fixed order, so that a row is the same to
the last bit whether or not later rows exist, and on a split as on the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief, integer
from trading_env.data.bars import Floats, as_column
from trading_env.data.market import Market
from trading_env.data.zones import local_time
from trading_env.features import calendars, indicators
from trading_env.features.calendars import calendar_features
from trading_env.features.scaler import FeatureScaler
from trading_env.features.table import FeatureTable, checked_table

__all__ = [
    "DEFAULT_FEATURES",
    "FeatureScaler",
    "FeatureTable",
    "calendar_features",
    "default_features",
    "feature_table",
    "log_return",
    "price_range",
    "sliding_windows",
    "volatility",
    "volume_change",
]

Features = str | Sequence[Any] | Callable[[Market], Any] | NDArray[Any]
Column = tuple[str, Callable[[NDArray[np.float32]], None]]  # its name, and what writes its (T,) values

_CHUNK = 1 << 16  # rows computed at once: temporaries stay in the cache


def log_return(close: Floats, bars: int) -> Floats:
    """log(c_t / c_{t-bars}) for t = bars, ..., T-1: (T - bars,)."""
    result: Floats = np.log(close[bars:] / close[:-bars])
    return result


def price_range(high: Floats, low: Floats) -> Floats:
    """log(high / low) of each bar (T,)."""
    result: Floats = np.log(high / low)
    return result


def volatility(close: Floats, bars: int) -> Floats:
    """Standard deviation (divisor ``bars``) of the last ``bars`` one-bar log returns: (T - bars,)."""
    returns = log_return(close, 1)
    mean = _trailing_sum(returns, bars) / bars
    squares = np.zeros_like(mean)
    for i in range(bars):
        squares += (returns[i : i + mean.size] - mean) ** 2
    result: Floats = np.sqrt(squares / bars)
    return result


def volume_change(volume: Floats, bars: int) -> Floats:
    """Volume over the mean of the last ``bars`` volumes, its own included, minus 1: (T - bars + 1,).

    0 where that mean is 0.
    """
    with np.errstate(over="ignore"):
        mean = _trailing_sum(volume, bars) / bars
    now, traded = volume[bars - 1 :], mean > 0.0
    change = np.divide(now, mean, out=np.ones_like(mean), where=traded) - 1.0
    if (beyond := np.isinf(mean)).any():  # the sum is too large for a float, the mean is not: units of 2 ** 64
        large = np.ldexp(volume, -64)
        change[beyond] = large[bars - 1 :][beyond] / (_trailing_sum(large, bars)[beyond] / bars) - 1.0
    return change


def _trailing_sum(values: Floats, bars: int) -> Floats:
    """Sum of the last ``bars`` values: (T - bars + 1,). A running sum would carry its rounding on."""
    total = values[: values.size - bars + 1].copy()
    for i in range(1, bars):
        total += values[i : i + total.size]
    return total


@dataclass(frozen=True)
class _Default:
    needs: tuple[str, ...]  # columns of the market
    lookback: int  # earlier bars that a value needs
    formula: Callable[..., Floats]  # of those columns over n bars, gives the last n - lookback values


DEFAULT_FEATURES: Mapping[str, _Default] = {
    "log_return_1": _Default(("close",), 1, lambda close: log_return(close, 1)),
    "log_return_5": _Default(("close",), 5, lambda close: log_return(close, 5)),
    "log_return_20": _Default(("close",), 20, lambda close: log_return(close, 20)),
    "range": _Default(("high", "low"), 0, price_range),
    "volume_change": _Default(("volume",), 19, lambda volume: volume_change(volume, 20)),
    "volatility_20": _Default(("close",), 20, lambda close: volatility(close, 20)),
}


def default_features(market: Market) -> tuple[str, ...]:
    """The default names that the market can give: range needs high and low, volume_change volume."""
    known = set(market.column_names)
    return tuple(name for name, feature in DEFAULT_FEATURES.items() if known.issuperset(feature.needs))


def feature_table(
    market: Market,
    features: Features = "default",
    scaler: FeatureScaler | Mapping[str, Any] | None = None,
) -> FeatureTable:
    """The features of each bar of ``market``, float32 (T, F), scaled if a scaler is given.

    Args:
        market: the bars.
        features: one of

            - "default": log_return_1, log_return_5, log_return_20, range, volume_change and volatility_20,
              less those whose columns the market lacks; always computed, whatever columns the market has;
            - a sequence of names, each looked up in this order: columns of the market ("close", "volume",
              further ones by their names); default features; calendar columns ("doy", "dom", "month", "year",
              "n_holidays"); technical indicators by TA-Lib's names, as "RSI_14" or
              ("RSI", {"timeperiod": 14}), see `trading_env.features.indicators`;
            - a callable Market -> DataFrame or array (T, F);
            - an array (T, F).
        scaler: a fitted FeatureScaler, or its ``to_dict()``.

    Raises:
        TypeError: a wrong type or dtype.
        ValueError: an unknown name, a wrong shape, a value that is infinite, or NaN after the leading rows;
            the message names the column and the row.
    """
    if isinstance(features, str) and features == "default":
        table = _from_columns([(name, _default_writer(name, market)) for name in default_features(market)], market)
    elif callable(features):
        table = _from_values(features(market), market, "the feature callable's result")
    elif isinstance(features, np.ndarray):
        table = _from_values(features, market, "features")
    elif isinstance(features, Sequence) and not isinstance(features, str):
        table = _from_columns([column for name in features for column in _columns(name, market)], market)
    else:
        raise TypeError(
            f"features must be 'default', a list of names, a callable or an array (T, F), got {brief(features)}"
        )
    if isinstance(scaler, Mapping):
        scaler = FeatureScaler.from_dict(scaler)
    if scaler is not None and not isinstance(scaler, FeatureScaler):
        raise TypeError(f"scaler must be a FeatureScaler, its to_dict() or None, got {brief(scaler)}")
    return table if scaler is None else scaler.transform_at(table, market.time)


def _from_columns(columns: Sequence[Column], market: Market) -> FeatureTable:
    if not columns:
        raise ValueError("features must have at least one name, got none")
    values = np.empty((len(market), len(columns)), np.float32)
    for j, (_, write) in enumerate(columns):
        with np.errstate(all="ignore"):  # a value that is not finite raises with its row
            write(values[:, j])
    return checked_table(values, [name for name, _ in columns], market.time)


def _columns(name: Any, market: Market) -> list[Column]:
    """The column, or the columns of an indicator with several outputs, that ``name`` stands for."""
    if isinstance(name, str) and name in market.column_names:
        return [(name, _writer(market.column(name)))]
    if isinstance(name, str) and name in DEFAULT_FEATURES:
        return [(name, _default_writer(name, market))]
    if isinstance(name, str) and name in calendars.CALENDAR_FEATURES:
        return [(name, _writer(calendars.market_column(market, name)))]
    if indicators.is_spelled_like_one(name):
        try:
            outputs = indicators.compute(name, market)
        except (TypeError, ValueError) as error:
            raise (TypeError if isinstance(error, TypeError) else ValueError)(f"features: {error}") from error
        return [(key, _writer(values)) for key, values in outputs.items()]
    raise ValueError(
        f"unknown feature {name!r}; known: {[*DEFAULT_FEATURES]}, the columns {list(market.column_names)}, "
        f"the calendar's {list(calendars.CALENDAR_FEATURES)}, and TA-Lib's indicators such as 'RSI_14'"
    )


def _writer(values: NDArray[Any]) -> Callable[[NDArray[np.float32]], None]:
    def write(out: NDArray[np.float32]) -> None:
        out[:] = values

    return write


def _default_writer(name: str, market: Market) -> Callable[[NDArray[np.float32]], None]:
    feature = DEFAULT_FEATURES[name]
    missing = [column for column in feature.needs if column not in market.column_names]
    if missing:
        raise ValueError(f"feature {name!r} needs {missing}, which {market.name!r} lacks")

    def write(out: NDArray[np.float32]) -> None:
        out[: feature.lookback] = np.nan
        for start in range(feature.lookback, len(out), _CHUNK):
            rows = slice(start - feature.lookback, start + _CHUNK)
            out[start : start + _CHUNK] = feature.formula(*(market.column(c)[rows] for c in feature.needs))

    return write


def _from_values(values: Any, market: Market, what: str) -> FeatureTable:
    """The table of a DataFrame or an array (T, F)."""
    names = None
    if hasattr(values, "columns"):  # a DataFrame; the name would import pandas
        names = [str(name) for name in values.columns]
        _check_index(values, market, what)
    if isinstance(values, np.ma.MaskedArray):
        raise TypeError(f"{what} must be a plain array, got a masked one: fill it first")
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{what} must be an array (T, F), got rows of different lengths") from error
    if array.ndim != 2 or array.shape[0] != len(market) or array.shape[1] == 0:
        raise ValueError(f"{what} must have shape ({len(market)}, F) with F >= 1, got {array.shape}")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"{what} must hold real numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        table = np.array(array, dtype=np.float32, order="C")
    return checked_table(table, names or [f"feature_{j}" for j in range(array.shape[1])], market.time)


def _check_index(frame: Any, market: Market, what: str) -> None:
    """Raises ValueError where a frame indexed by dates has other dates than the market."""
    index = frame.index
    if index.dtype.kind != "M" or market.time is None or len(index) != len(market):
        return
    dates = index.to_numpy("datetime64[ns]")  # with a time zone, in UTC
    differs = dates != market.time
    if differs.any() and not (index.tz is None and np.array_equal(dates, local_time(market.time))):
        row = int(differs.argmax())
        raise ValueError(f"{what} must have the market's dates, got {index[row]} for {market.time_of(row)}")


def sliding_windows(series: Any, window_size: int, horizon: int = 1) -> Any:
    """A supervised table of a series: each row holds ``window_size`` past values and the label to forecast.

    Columns -{window_size}_steps, ..., -1_steps, oldest first, then label: the value ``horizon`` steps after
    -1_steps. A row is dated at its label: the first, window_size + horizon - 1 steps after the series begins.

    Args:
        series: a pandas Series of numbers (n,), or a sequence or array, which is then indexed by position.
        window_size: past values in a row.
        horizon: steps from the last past value to the label.

    Returns:
        DataFrame (n - window_size - horizon + 1, window_size + 1).

    Raises:
        TypeError: window_size or horizon is no int, or the series is a DataFrame or holds no numbers.
        ValueError: one is below 1, or the series is too short, has a NaN or more than one axis.
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
