"""Data that callables and scalers bring along: what no change of a market can reach. T = bars, F = features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from trading_env.data.bars import Floats
from trading_env.data.market import Market
from trading_env.features.scaler import FeatureScaler

_FEW = 8  # numbers: more are data, fewer are constants
_DEEP = 4  # levels of callables that are followed


def data_held_by(function: Any, name: str = "") -> dict[str, Any]:
    """Arrays, tables, markets and long sequences that a callable can reach by itself, by the variable's name.

    It looks into closures, default values, global variables that the code names, attributes, and the callables and
    objects among them. A function that holds no data can know only what it is called with.
    """
    found: dict[str, Any] = {}
    seen: set[int] = set()
    open_ = [(name or str(getattr(function, "__name__", type(function).__name__)), function, 0)]
    while open_:
        name, value, depth = open_.pop()
        if id(value) in seen or isinstance(value, (ModuleType, type, str, bytes, int, float)):
            continue
        seen.add(id(value))
        if _is_data(value):
            found[name] = value
        elif depth < _DEEP:
            open_ += [(inner, part, depth + 1) for inner, part in _parts(name, value)]
    return found


def _is_data(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    if isinstance(value, Market):
        return True
    if isinstance(shape, tuple) and all(isinstance(n, (int, np.integer)) for n in shape):
        return int(np.prod(shape)) >= _FEW
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    return isinstance(value, Sequence) and sum(isinstance(v, (int, float, np.number)) for v in value) >= _FEW


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Named values that a callable or an object refers to."""
    if isinstance(value, FunctionType):
        yield from zip(value.__code__.co_freevars, map(_content, value.__closure__ or ()), strict=True)
        yield from (("a default value", part) for part in value.__defaults__ or ())
        yield from (value.__kwdefaults__ or {}).items()
        scope = value.__globals__
        yield from ((known, scope[known]) for known in _names(value.__code__) if known in scope)
    elif isinstance(value, MethodType):
        yield from ((name, value.__self__), (name, value.__func__))
    elif isinstance(value, partial):
        yield from ((name, part) for part in (value.func, *value.args, *value.keywords.values()))
    elif isinstance(value, (list, tuple, Mapping)):
        yield from ((name, part) for part in (value.values() if isinstance(value, Mapping) else value))
    elif hasattr(value, "__dict__"):
        yield from vars(value).items()
        yield from ((name, method) for method in [vars(type(value)).get("__call__")] if method is not None)


def _names(code: CodeType) -> Iterator[str]:
    """Names that a function's code looks up, those of the functions inside it among them."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(cell: CellType) -> Any:
    """What a closure holds; None if it was not filled yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def rows_fitted(scaler: FeatureScaler, values: Floats, first: int) -> int | None:
    """The row up to which ``values`` (T, F) from ``first`` on have the scaler's means and deviations; None if none.

    A scaler that was fitted on the first years of a market is recognised by its numbers.
    """
    rows = np.asarray(values[first:], np.float64)
    if not len(rows) or rows.shape[1] != scaler.mean_.size or not np.isfinite(rows).all():
        return None
    count = np.arange(1, len(rows) + 1)[:, None]
    scaled = (rows - scaler.mean_) / scaler.scale_  # mean 0 and mean square 1 over the fitted rows
    level, square = (np.cumsum(part, axis=0) / count for part in (scaled, scaled**2))
    constant = scaler.scale_ == 1.0
    off = np.maximum(np.abs(level), np.where(constant, 0.0, np.abs(square - 1.0))).max(1)
    best = int(off.argmin())
    return first + best + 1 if off[best] < 1e-6 else None
