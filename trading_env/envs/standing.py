"""An env that stands at the last bar of its market with a given account, where nothing can be stepped yet."""

from __future__ import annotations

import array
from typing import Any, NamedTuple

import numpy as np

from trading_env.data.market import Market
from trading_env.envs.task import Task
from trading_env.envs.trading_env import TradingEnv
from trading_env.envs.turns import new_turn
from trading_env.kernel.layout import CASH, ENTRY, EQUITY, PEAK, TARGET, UNITS, new_state
from trading_env.kernel.observe import trade_rows
from trading_env.kernel.rules import Floats


class OpenTask(Task):
    """A task whose market may end at the first decision bar: the bar after it is still to come."""

    def _check_length(self, market: Market, first: int) -> None:
        if first >= len(market):
            raise ValueError(
                f"{market.name!r} has {len(market)} rows, too few: features and window={self.window} need {first + 1} "
                "for a decision"
            )


class Account(NamedTuple):
    """What a decision depends on beside the bars; None where it is not known.

    Attributes:
        units: held; negative = short.
        cash: currency.
        target: the exposure chosen last and reached; None: that of the actions nearest to the exposure.
        entry: average entry price of the position, spread included; None: the last close.
        peak: highest equity so far; None: equity now.
    """

    units: float
    cash: float
    target: float | None = None
    entry: float | None = None
    peak: float | None = None


def state_of(task: Task, account: Account) -> Floats:
    """The kernel's state (2 len(STATE),) of the account at the last close."""
    close = float(task.closes[-1])
    units, equity = account.units, account.cash + account.units * close
    entry = close if account.entry is None else account.entry
    state = new_state(task.initial_cash, task.years[0])
    state[CASH], state[UNITS], state[EQUITY] = account.cash, units, equity
    state[TARGET] = _nearest_target(task, units * close / equity) if account.target is None else account.target
    state[ENTRY] = entry if units != 0.0 else 0.0
    state[PEAK] = equity if account.peak is None else max(account.peak, equity)
    return state


def account_in(state: Floats) -> Account:
    """The account of a kernel's state."""
    return Account(*(float(state[place]) for place in (UNITS, CASH, TARGET, ENTRY, PEAK)))


def env_at(task: Task, state: Floats) -> TradingEnv:
    """The env of the task at the last bar, with an account in this state; it cannot be stepped."""
    env = TradingEnv.of_task(task, {})
    clock = np.array([[len(task.closes) - 1, len(task.closes) - 1, 0, -1]])
    env._set_episode(new_turn(), state, clock, array.array("d"))
    env._opened = (0, len(task.closes) - 1)
    return env


def order_of(env: TradingEnv, action: Any) -> float:
    """The order of an action; TypeError or ValueError if it is not in the action space."""
    return env._order(action)


def observation_of(env: TradingEnv) -> tuple[Any, Any]:
    """What the env shows now: observation and action mask (A,)."""
    obs, mask = env._observe()
    return env.task.shaped(obs), mask


def trade_at_close(task: Task, state: Floats, order: float) -> tuple[float, float]:
    """Units that the order would trade at the last close, and the target that the account would remember."""
    after = state[None].copy()
    clock = np.array([[len(task.closes) - 1, 0, 0, -1]])
    trade_rows(np.array([order]), after, clock, task.closes, task.rules)
    return float(after[0, UNITS] - state[UNITS]), float(after[0, TARGET])


def _nearest_target(task: Task, exposure: float) -> float:
    """The target exposure of the actions that is nearest to this one; the exposure itself if they are not discrete."""
    if task.actions in ("continuous", "lots"):
        return exposure
    return float(task.orders[np.nanargmin(np.abs(task.orders - exposure))])
