"""What a check for look-ahead cannot judge, and why. T = bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from trading_env.analysis.held import data_held_by, rows_fitted
from trading_env.analysis.probes import EnvProbe, FeatureProbe, Given
from trading_env.data.market import Market
from trading_env.features.build import feature_table
from trading_env.features.calendars import CALENDAR_FEATURES
from trading_env.features.scaler import FeatureScaler

Probe = FeatureProbe | EnvProbe


def unjudged(
    probe: Probe, market: Market, unmoved: Iterable[str], changed: Market, column_changed: Callable[[str], Market]
) -> dict[str, str]:
    """Inputs that no change of the market can judge -> the reason.

    Args:
        probe: of the features or the env.
        market: that is checked.
        unmoved: features that reacted to no change of the data.
        changed: the market with other prices at every bar.
        column_changed: a column's name -> the market with other values in it.
    """
    found = {}
    for name in market.columns:
        _, shown = probe.given_on(column_changed(name))
        if not np.array_equal(shown.values, probe.features.values, equal_nan=True):
            found[f"column {name!r}"] = "it is data, and how it was computed is not seen"
    for name in unmoved:
        values = probe.features.values[probe.first :, probe.features.names.index(name)]
        if np.ptp(values) > 0.0 and not (name in CALENDAR_FEATURES and not callable(probe.given.features)):
            found[f"feature {name!r}"] = "it reacts to no change of the data: made of dates, or beforehand"
    other, _ = probe.given_on(changed)
    return {**found, **_callables(probe.given, other), **_scaler(probe, other, market)}


def _callables(given: Given, other: Given) -> dict[str, str]:
    """The callables that hold data which was not made from the market: those of another market hold the same."""
    found = {}
    for name in ("features", "reward"):
        one, again = getattr(given, name), getattr(other, name)
        if callable(one) and (data := _shared(data_held_by(one), data_held_by(again))):
            found[name] = _holds(data)
    for name, one in given.code.items():
        held = [_own_data(env) for env in (one, other.code.get(name)) if env is not None]
        if data := _shared(held[0], held[-1]):
            found[name] = _holds(data)
    return found


def _own_data(env: Any) -> dict[str, Any]:
    """Data that an env's class, or a wrapper, adds to what it wraps."""
    parts = {name: part for name, part in vars(type(env)).items() if callable(part) and not isinstance(part, type)}
    if env is not env.unwrapped:
        parts |= {name: part for name, part in vars(env).items() if name != "env" and not name.endswith("_space")}
    return {key: value for name, part in parts.items() for key, value in data_held_by(part, name).items()}


def _shared(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    same = {id(value) for value in other.values()}
    return [name for name, value in one.items() if id(value) in same]


def _holds(names: Iterable[str]) -> str:
    return f"it holds data that was made beforehand: {', '.join(names)}"


def _scaler(probe: Probe, other: Given, market: Market) -> dict[str, str]:
    """The scaler, unless it was fitted on the first bars of this market, or is made anew for each market."""
    scaler, again = (_as_scaler(given.scaler) for given in (probe.given, other))
    if scaler is None or again is None or scaler.to_dict() != again.to_dict():
        return {}
    table = feature_table(market, probe.given.features)
    for first in {max(market.first, table.warmup), table.warmup}:
        stop = rows_fitted(scaler, np.asarray(table.values, np.float64), first)
        if stop == len(market):
            return {"scaler": "it was fitted on all bars of this market, those that come later among them"}
        if stop is not None:
            return {}
    return {"scaler": "it was fitted beforehand, on bars that are not the first ones of this market"}


def _as_scaler(scaler: Any) -> FeatureScaler | None:
    return FeatureScaler.from_dict(scaler) if isinstance(scaler, Mapping) else scaler
