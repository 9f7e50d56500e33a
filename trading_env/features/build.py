"""Causal features of a market: the row of bar t is computed from bars up to t only. T = bars, F = features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trading_env._checks import brief
from trading_env.data.market import Market
from trading_env.data.zones import local_time
from trading_env.features.named import DEFAULT_FEATURES, NAMED_FEATURES
from trading_env.features.table import FeatureTable, checked_table

Features = str | Sequence[Any] | Callable[[Market], Any] | NDArray[Any]
Writer = Callable[[NDArray[np.float32]], None]  # writes a column's values into (T,)

_CHUNK = 1 << 16  # rows computed at once, so that temporaries stay in the cache


def default_features(market: Market) -> tuple[str, ...]:
    """Names of the default features for which the market has the columns."""
    known = set(market.column_names)
    return tuple(name for name in DEFAULT_FEATURES if known.issuperset(NAMED_FEATURES[name].needs))


def feature_table(market: Market, features: Features = "default", *, short: bool = False) -> FeatureTable:
    """The features of each bar of ``market``, float32 (T, F).

    Args:
        market: the bars.
        features: one of

            - "default": log_return_1, log_return_5, log_return_20, range, volume_change and volatility_20, except
              those for which the market lacks a column (range needs high and low, volume_change volume); columns of
              the market with these names are ignored;
            - a sequence of names, each looked up in this order: columns of the market ("close", "volume", or a
              further column); named features (`trading_env.features.named`); calendar columns ("doy", "dom",
              "month", "year", "n_holidays"); technical indicators by TA-Lib's names, as "RSI_14" or
              ("RSI", {"timeperiod": 14}), see `trading_env.features.indicators`;
            - a callable Market -> DataFrame or array (T, F);
            - an array (T, F).
        short: True to allow a market that is too short for a feature; all its rows are then incomplete.

    Raises:
        TypeError: a wrong type or dtype.
        ValueError: an unknown name, a wrong shape, a value that is infinite, or NaN after the leading rows;
            the message names the column and the row.
    """
    if isinstance(features, str) and features == "default":
        columns = [(name, _named_writer(name, market)) for name in default_features(market)]
        return _from_columns(columns, market, short)
    if callable(features):
        return _from_values(features(market), market, "the feature callable's result", short)
    if isinstance(features, np.ndarray):
        return _from_values(features, market, "features", short)
    if isinstance(features, Sequence) and not isinstance(features, str):
        return _from_columns([column for name in features for column in _columns(name, market)], market, short)
    raise TypeError(
        f"features must be 'default', a list of names, a callable or an array (T, F), got {brief(features)}"
    )


def _from_columns(columns: Sequence[tuple[str, Writer]], market: Market, short: bool) -> FeatureTable:
    if not columns:
        raise ValueError("features must have at least one name, got none")
    values = np.empty((len(market), len(columns)), np.float32)
    for j, (_, write) in enumerate(columns):
        with np.errstate(all="ignore"):  # checked_table reports values that are not finite, with their rows
            write(values[:, j])
    return checked_table(values, [name for name, _ in columns], market.time, short=short)


def _columns(name: Any, market: Market) -> list[tuple[str, Writer]]:
    """The column that ``name`` stands for, or the columns of an indicator with several outputs."""
    if isinstance(name, str) and name in market.column_names:
        return [(name, _writer(market.column(name)))]
    if isinstance(name, str) and name in NAMED_FEATURES:
        return [(name, _named_writer(name, market))]
    from trading_env.features import calendars, indicators

    if isinstance(name, str) and name in calendars.CALENDAR_FEATURES:
        return [(name, _writer(calendars.market_column(market, name)))]
    if indicators.is_spelled_like_one(name):
        try:
            outputs = indicators.compute(name, market)
        except (TypeError, ValueError) as error:
            raise (TypeError if isinstance(error, TypeError) else ValueError)(f"features: {error}") from error
        return [(key, _writer(values)) for key, values in outputs.items()]
    raise ValueError(
        f"unknown feature {name!r}; known: {[*NAMED_FEATURES]}, the columns {list(market.column_names)}, "
        f"the calendar's {list(calendars.CALENDAR_FEATURES)}, and TA-Lib's indicators such as 'RSI_14'"
    )


def _writer(values: NDArray[Any]) -> Writer:
    def write(out: NDArray[np.float32]) -> None:
        out[:] = values

    return write


def _named_writer(name: str, market: Market) -> Writer:
    feature = NAMED_FEATURES[name]
    missing = [column for column in feature.needs if column not in market.column_names]
    if missing:
        raise ValueError(f"feature {name!r} needs {missing}, which {market.name!r} lacks")

    def write(out: NDArray[np.float32]) -> None:
        out[: feature.lookback] = np.nan
        for start in range(feature.lookback, len(out), _CHUNK):
            rows = slice(start - feature.lookback, start + _CHUNK)
            out[start : start + _CHUNK] = feature.formula(*(market.column(c)[rows] for c in feature.needs))

    return write


def _from_values(values: Any, market: Market, what: str, short: bool) -> FeatureTable:
    """The table of a DataFrame or an array (T, F); ``what`` names it in messages."""
    names = None
    if hasattr(values, "columns"):  # a DataFrame; isinstance would import pandas
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
    names = names or [f"feature_{j}" for j in range(array.shape[1])]
    return checked_table(table, names, market.time, short=short)


def _check_index(frame: Any, market: Market, what: str) -> None:
    """Raises ValueError if the frame is indexed by dates that differ from the market's."""
    index = frame.index
    if index.dtype.kind != "M" or market.time is None or len(index) != len(market):
        return
    dates = index.to_numpy("datetime64[ns]")  # with a time zone, in UTC
    differs = dates != market.time
    if differs.any() and not (index.tz is None and np.array_equal(dates, local_time(market.time))):
        row = int(differs.argmax())
        raise ValueError(f"{what} must have the market's dates, got {index[row]} for {market.time_of(row)}")
