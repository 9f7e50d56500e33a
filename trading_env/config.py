"""Frozen, validated parameters of the account. Derived values are properties."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from trading_env._checks import brief, did_you_mean, number

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def _check_number(owner: object, name: str, low: float, high: float = math.inf) -> None:
    """Makes ``owner.name`` a float; raises unless it is a finite number in [low, high)."""
    value, where = getattr(owner, name), f"{type(owner).__name__}.{name}"
    real = number(where, value)
    if not low <= real < high:
        raise ValueError(f"{where} must be finite and in [{low:g}, {high:g}), got {brief(value)}")
    object.__setattr__(owner, name, real)


@dataclass(frozen=True)
class Costs:
    """Costs of a trade of d units at price p.

    The fill is adverse: a buy pays p (1 + s), a sale earns p (1 - s), with s = half_spread + slippage.
    The commission is max(minimum, fixed + commission * notional + per_unit * |d|), the notional taken at the
    fill price.

    Attributes:
        commission: rate on the traded notional (5e-4 is 5 bps).
        half_spread: half of the bid-ask spread, as a fraction of the price.
        slippage: market impact, as a fraction of the price; always a cost, not zero-mean noise.
        fixed: currency per trade.
        minimum: least commission of a trade, currency.
        per_unit: currency per unit traded.

    Raises:
        TypeError: a field is not a number.
        ValueError: a field is negative or not finite, or the spread and slippage reach 1.
    """

    commission: float = 5e-4
    half_spread: float = 0.0
    slippage: float = 5e-4
    fixed: float = 0.0
    minimum: float = 0.0
    per_unit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("commission", "half_spread", "slippage"):
            _check_number(self, name, 0.0, 1.0)
        for name in ("fixed", "minimum", "per_unit"):
            _check_number(self, name, 0.0)
        if self.spread >= 1.0:
            raise ValueError(f"Costs.half_spread + Costs.slippage must be below 1, got {self.spread:g}")
        if self.sell_rate >= 1.0:
            raise ValueError(f"Costs: a sale costs {self.sell_rate:g} of its notional, must be below 1")

    @property
    def spread(self) -> float:
        """Adverse move s of the fill, as a fraction of the price."""
        return self.half_spread + self.slippage

    @property
    def buy_rate(self) -> float:
        """Cost kb = s + f + s f of a buy, per unit of notional before spread."""
        return self.spread + self.commission * (1.0 + self.spread)

    @property
    def sell_rate(self) -> float:
        """Cost ks = s + f - s f of a sale, per unit of notional before spread."""
        return self.spread + self.commission * (1.0 - self.spread)

    @property
    def proportional(self) -> bool:
        """True if every cost is proportional to the notional, so that a trade has a closed form."""
        return self.fixed == 0.0 and self.minimum == 0.0 and self.per_unit == 0.0


@dataclass(frozen=True)
class Margin:
    """Leverage, financing and ruin. Rates are per year.

    Attributes:
        max_leverage: largest |exposure| that may be chosen.
        maintenance: a position is closed if equity < maintenance * |units| * price; 0.0 closes it when no equity is
            left.
        ruin_fraction: the episode ends when equity <= ruin_fraction * initial equity.
        r_cash: interest earned on positive cash.
        r_margin: interest paid on negative cash.
        r_borrow: fee on the value of units sold short.
        short_proceeds_earn: True if the proceeds of a short sale earn r_cash.
        intrabar: True if the bar's low and high, where the data has them, can close a position: at the price where
            maintenance is just met, or at the bar's first price if that is already beyond it. False: only the close
            can.

    Raises:
        TypeError: a field is of the wrong type.
        ValueError: a field is out of range.
    """

    max_leverage: float = 1.0
    maintenance: float = 0.0
    ruin_fraction: float = 0.01
    r_cash: float = 0.0
    r_margin: float = 0.0
    r_borrow: float = 0.0
    short_proceeds_earn: bool = True
    intrabar: bool = True

    def __post_init__(self) -> None:
        for name in ("maintenance", "ruin_fraction"):
            _check_number(self, name, 0.0, 1.0)
        for name in ("max_leverage", "r_cash", "r_margin", "r_borrow"):
            _check_number(self, name, 0.0, 1e6)
        if self.max_leverage == 0.0:
            raise ValueError("Margin.max_leverage must be above 0, got 0.0")
        if self.ruin_fraction < 1e-100:
            raise ValueError(f"Margin.ruin_fraction must be above 0 (at least 1e-100), got {brief(self.ruin_fraction)}")
        for name in ("short_proceeds_earn", "intrabar"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"Margin.{name} must be a bool, got {brief(getattr(self, name))}")

    @property
    def free(self) -> bool:
        """True if no rate is charged, so that the length of a bar does not matter."""
        return self.r_cash == 0.0 and self.r_margin == 0.0 and self.r_borrow == 0.0


def as_config(cls: type[T], value: T | Mapping[str, Any] | None, name: str) -> T:
    """``value`` as a ``cls``: an instance, a mapping of its fields, or None for the defaults.

    Raises:
        TypeError: value is neither.
        ValueError: the mapping has an unknown field.
    """
    if value is None:
        return cls()
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a {cls.__name__} or a mapping of its fields, got {brief(value)}")
    known = [field.name for field in fields(cls)]
    unknown = sorted(set(value) - set(known), key=repr)
    if unknown:
        raise ValueError(
            f"{name} has unknown fields {unknown}; {cls.__name__} has {known}{did_you_mean(unknown[0], known)}"
        )
    return cls(**value)


def config_of_json(cls: type[T], text: str, name: str) -> T:
    """A ``cls`` from a JSON object of its fields; missing ones have their defaults.

    Raises:
        ValueError: the text is not JSON, or has an unknown field.
        TypeError: it is not a JSON object, or a field has a wrong type.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError(f"{name} as JSON must be an object of its fields, got {brief(values)}")
    return as_config(cls, values, f"{name} as JSON")
