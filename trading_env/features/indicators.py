"""Technical indicators by TA-Lib's names (extra ``talib``). T = bars.

An indicator is written in one of two ways:

    "RSI", "RSI_14", "MACD_12_26_9"    its name, then parameters in TA-Lib's order, with defaults for the rest
    ("RSI", {"timeperiod": 14})        its name, and parameters by TA-Lib's names

An indicator with several outputs gives a column for each, named like "MACD_12_26_9.macdsignal"; that name alone
selects one output. The inputs are the market's columns with TA-Lib's names; an indicator of one price uses the close.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from trading_env._checks import number
from trading_env._extras import optional
from trading_env.data.bars import Floats
from trading_env.data.market import Market

_SPELLING = re.compile(r"[A-Z][A-Z0-9_]*(\.\d+)?(_-?\d+(\.\d+)?)*(\.[a-z]\w*)?")


def is_spelled_like_one(name: Any) -> bool:
    """True if ``name`` has the form of an indicator: capitals with numbers, or a string and a mapping."""
    if isinstance(name, str):
        return _SPELLING.fullmatch(name) is not None
    return isinstance(name, (tuple, list)) and len(name) == 2 and isinstance(name[1], Mapping)


def compute(name: Any, market: Market) -> dict[str, Floats]:
    """The indicator's outputs (T,) by column name.

    Raises:
        ImportError: TA-Lib is not installed.
        TypeError: a parameter has a wrong type.
        ValueError: TA-Lib has no such indicator, parameter or output, or the market lacks a column for it.
    """
    talib = optional("talib", "talib", f"feature {name!r}, no column of {market.name!r},")
    key, given, output = _parse(name, talib.get_functions())
    function = optional("talib.abstract", "talib", "an indicator").Function(key)
    outputs = list(function.output_names)
    if output is not None and output not in outputs:
        raise ValueError(f"indicator {key!r} has the outputs {outputs}, got {name!r}")
    parameters = _parameters(name, dict(function.parameters), given)
    try:
        result = function(_inputs(name, function, market), **parameters)
    except TypeError as error:
        raise TypeError(f"indicator {name!r}: {error}") from error
    except Exception as error:  # TA-Lib raises a bare Exception for a parameter out of range
        if isinstance(error, ValueError):
            raise
        raise ValueError(f"indicator {name!r}: {error}") from error
    label = _label(name, key, parameters)
    if len(outputs) == 1:
        return {label: result}
    return {f"{label}.{o}": values for o, values in zip(outputs, result, strict=True) if output in (None, o)}


def _parse(name: Any, known: list[str]) -> tuple[str, list[float] | dict[str, Any], str | None]:
    """TA-Lib's name of the indicator, the parameters given by order or by name, and the chosen output."""
    if not isinstance(name, str):
        key, given, output = name[0], dict(name[1]), None
        if not isinstance(key, str) or key not in known:
            raise ValueError(f"unknown indicator {key!r}: TA-Lib has none of that name")
        return key, given, output
    spelled, output = _split_output(name)
    keys = [key for key in known if spelled == key or spelled.startswith(f"{key}_")]
    if not keys:
        raise ValueError(f"unknown feature {name!r}: no column, and TA-Lib has no indicator of that name")
    key = max(keys, key=len)  # LINEARREG_SLOPE_14 is not LINEARREG
    numbers = spelled[len(key) + 1 :]
    try:
        return key, [float(number) for number in numbers.split("_") if numbers], output
    except ValueError:
        raise ValueError(f"unknown feature {name!r}: after {key!r} come numbers, as in 'RSI_14'") from None


def _split_output(name: str) -> tuple[str, str | None]:
    """The indicator and the output of "MACD_12_26_9.macdhist"; None for "BBANDS_20_2.5", which has no output."""
    match = re.fullmatch(r"(.*)\.([a-z]\w*)", name)
    return (match[1], match[2]) if match else (name, None)


def _parameters(name: Any, defaults: dict[str, Any], given: list[float] | dict[str, Any]) -> dict[str, Any]:
    """All parameters of the indicator, with TA-Lib's defaults for those not given."""
    if isinstance(given, list):
        if len(given) > len(defaults):
            raise ValueError(f"indicator {name!r} has the parameters {list(defaults)}, got {len(given)} numbers")
        given = dict(zip(defaults, given, strict=False))
    unknown = sorted(set(given) - set(defaults), key=repr)
    if unknown:
        raise ValueError(f"indicator {name!r} has the parameters {list(defaults)}, got {unknown}")
    return {k: _as_kind(f"{k} of {name!r}", given.get(k, default), default) for k, default in defaults.items()}


def _as_kind(name: str, value: Any, default: Any) -> Any:
    """``value`` as an int if TA-Lib takes an int and it is whole, else as a float."""
    real = number(name, value)
    return int(real) if isinstance(default, int) and real.is_integer() else real  # TA-Lib refuses other floats


def _inputs(name: Any, function: Any, market: Market) -> dict[str, Floats]:
    """The market's columns that the indicator takes, by TA-Lib's name."""
    needed: list[str] = []
    for value in function.input_names.values():
        needed += [value] if isinstance(value, str) else value
    missing = [column for column in needed if column not in market.column_names]
    if missing:
        raise ValueError(f"indicator {name!r} needs {missing}, which {market.name!r} lacks")
    return {column: market.column(column) for column in needed}


def _label(name: Any, key: str, parameters: dict[str, Any]) -> str:
    """The column's name: as written, or TA-Lib's name with all parameters."""
    if isinstance(name, str):
        return _split_output(name)[0]
    return "_".join([key, *(f"{value:g}" for value in parameters.values())])
