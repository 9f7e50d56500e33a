"""Broker: the four methods that a `Session` needs to have its orders executed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from trading_env.data.market import Market
from trading_env.envs.standing import Account
from trading_env.live.decide import Decision

__all__ = ["Account", "Broker", "Fill"]


class Fill(NamedTuple):
    """Units that changed hands.

    Attributes:
        key: of the order, or "broker" for a position that the broker closed.
        time: in ISO 8601; of the bar in which it happened, or exact.
        units: negative = sold.
        price: paid or received per unit, spread and slippage included.
        commission: currency.
    """

    key: str
    time: str
    units: float
    price: float
    commission: float


class Broker(Protocol):
    """Executes the orders of one account in one instrument.

    A session calls `update`, `fills` and `account` before a decision, and `submit` after it. If the program is killed,
    every method may be called again with the same arguments, and must then have no further effect.
    """

    def update(self, market: Market) -> None:
        """Takes note of all bars up to now. A paper broker fills orders at them; a real one does nothing here."""

    def fills(self, after: int) -> Sequence[Fill]:
        """All fills but the first ``after``, oldest first; the order in which they are listed never changes."""

    def account(self) -> Account:
        """The present units and cash. The session itself tracks the other fields that are None."""

    def submit(self, key: str, decision: Decision) -> None:
        """Places the order of a decision, once for each key, however often it is called.

        The key is the bar's time. A real broker uses it as the client's order id, and trades decision.order_units, or,
        better, the number of units that reaches decision.target at its own price.
        """
