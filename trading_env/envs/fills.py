"""How many units an order trades, also in steps in which the broker then closes the position. S = steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from trading_env.envs.task import Task
from trading_env.kernel.layout import CASH, EQUITY, PAST_ROW, ROW, STATE, TARGET, UNITS
from trading_env.kernel.observe import trade_rows
from trading_env.kernel.rules import Floats


def units_after_orders(task: Task, cash: Floats, units: Floats, equity: Floats, steps: Any) -> Floats:
    """Units held once each step's order is filled (S,), whatever the broker does afterwards.

    Args:
        task: of the env.
        cash: before each step (S,).
        units: held before each step (S,).
        equity: before each step (S,).
        steps: columns (S,): order, the remembered target before the step, price, exit, financing, turnover.
    """
    order, price = (np.ascontiguousarray(steps[name], np.float64) for name in ("order", "price"))
    if task.fill != "close":
        cash = cash - np.asarray(steps["financing"])
    state, clock = np.ones((len(order), len(STATE))), np.zeros((len(order), PAST_ROW + 1), np.int64)
    state[:, CASH], state[:, UNITS], state[:, EQUITY] = cash, units, cash + units * price
    state[:, TARGET], clock[:, ROW] = steps["target"], np.arange(len(order))
    trade_rows(order, state, clock, price, task.rules)
    filled: Floats = state[:, UNITS]
    if task.fill == "next_close":  # a margin call within the bar voids its order
        closed = np.abs(units) * np.asarray(steps["exit"])
        void = np.isclose(np.asarray(steps["turnover"]) * equity, closed, rtol=1e-9, atol=0.0)
        filled = np.where(void, units, filled)
    return filled
