"""Metadata of a market: JSON values, copied and made read-only in a form that json and pickle accept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from trading_env._checks import brief


def json_copy(metadata: Any) -> dict[str, Any]:
    """A deep copy of ``metadata``.

    Raises:
        TypeError: it is not a mapping of JSON values.
    """
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a mapping, got {brief(metadata)}")
    try:
        copied: dict[str, Any] = json.loads(json.dumps(dict(metadata), default=_plain))
    except (TypeError, ValueError) as error:
        raise TypeError(f"metadata must hold JSON values only: {error}") from error
    return copied


def _plain(value: Any) -> Any:
    """A NumPy scalar as a Python number."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"got {brief(value)} of type {type(value).__name__}")


def frozen(value: Any) -> Any:
    """``value`` with every dict and list in it replaced by a read-only one."""
    if isinstance(value, dict):
        return FrozenDict((key, frozen(item)) for key, item in value.items())
    if isinstance(value, list):
        return FrozenList(frozen(item) for item in value)
    return value


def thawed(value: Any) -> Any:
    """``value`` with every read-only dict and list in it replaced by an ordinary one."""
    if isinstance(value, FrozenDict):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, FrozenList):
        return [thawed(item) for item in value]
    return value


def _refuse(self: Any, *args: Any, **kwargs: Any) -> NoReturn:
    raise TypeError(f"this {type(self).__name__} cannot be changed: copy.deepcopy gives one that can")


class FrozenDict(dict[Any, Any]):
    """A dict that cannot be changed; its pickles and deep copies are ordinary dicts."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (thawed(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        copy: dict[Any, Any] = thawed(self)
        return copy


class FrozenList(list[Any]):
    """A list that cannot be changed; its pickles and deep copies are ordinary lists."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (thawed(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        copy: list[Any] = thawed(self)
        return copy
