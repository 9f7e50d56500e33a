"""The rules of an account: every constant of an env that the kernel reads.

If all rules that have a default are at their default, the kernel takes a fast form, in which they are constants and the
compiler drops the code that they switch on. Rules without a default remain variables there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.core import types

from trading_env.kernel.compiled import inlined
from trading_env.kernel.records import as_floats, emitting

Floats = npt.NDArray[np.float64]
Float32s = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEXT_OPEN, NEXT_CLOSE, CLOSE = range(3)  # fill
LOG_RETURN, PNL, EXCESS_LOG_RETURN, DIFFERENTIAL_SHARPE, MEAN_VARIANCE = range(5)  # reward


class Rules(NamedTuple):
    """Every constant of an env, as floats: the kernel reads it by name, callers pass it as one array."""

    spread: float
    commission: float
    max_leverage: float
    ruin_fraction: float
    fill: float
    rebalance: float  # 1 = trade to the target at each bar, 0 = only when the chosen target changes
    mask_repeats: float  # 1 = choosing the remembered target again is masked, since "hold" does the same
    wicks: float  # 1 = the bar's low or high can take a position below its maintenance margin
    short_proceeds_earn: float  # matters with r_cash only
    reward_parameter: float  # matters with the rewards that have one
    long_only: float  # 1 = lots that would sell more than the position are refused
    fixed: float = 0.0
    minimum: float = 0.0
    per_unit: float = 0.0
    lot_size: float = 0.0  # 0 = fractional
    min_trade: float = 0.0
    maintenance: float = 0.0
    r_cash: float = 0.0
    r_margin: float = 0.0
    r_borrow: float = 0.0
    lots: float = 0.0  # 1 = an order is a number of lots, 0 = an order is a target exposure
    reward: float = LOG_RETURN


N_RULES = len(Rules._fields)  # the array of rules continues with the orders of the discrete actions
_DEFAULTS = np.array(list(Rules._field_defaults.values()), np.float64)
_FIRST_DEFAULT = N_RULES - len(_DEFAULTS)


@inlined
def as_rules(values: Floats) -> Rules:
    """The array of rules as a named tuple."""
    return Rules(*as_floats(values, N_RULES))


@inlined
def usual(values: Floats) -> bool:
    """True if every rule of the array that has a default has it."""
    changed = 0
    for k in range(_DEFAULTS.shape[0]):
        changed += values[_FIRST_DEFAULT + k] != _DEFAULTS[k]
    return changed == 0


@emitting
def as_usual(context: Any, rules: Any, wicks: Any) -> tuple[Any, Any]:
    """``as_usual(rules, wicks)``: the rules with their defaults as constants, and with ``wicks`` as given.

    The compiler drops code behind an ``if`` on a constant. It may not drop a product with zero, since NaN and infinity
    times zero are not zero.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values = []
        for k, name in enumerate(Rules._fields):
            if name in Rules._field_defaults:
                values.append(context.get_constant(types.float64, float(Rules._field_defaults[name])))
            else:
                values.append(arguments[1] if name == "wicks" else builder.extract_value(arguments[0], k))
        return context.make_tuple(builder, signature.return_type, values)

    return rules(rules, wicks), generate
