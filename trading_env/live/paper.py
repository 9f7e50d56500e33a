"""PaperBroker: fills orders at the following bars with the env's kernel, with costs, financing and margin calls."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trading_env.data.market import Market
from trading_env.envs.acting.learnt import config_for
from trading_env.envs.config import EnvConfig
from trading_env.envs.fills import units_after_orders
from trading_env.envs.keywords import shows_keywords
from trading_env.envs.standing import Account, OpenTask, account_in
from trading_env.kernel.compiled import Bound
from trading_env.kernel.layout import STATE, new_state
from trading_env.kernel.rules import Floats
from trading_env.kernel.scalar import STEP, step_one
from trading_env.live.broker import Fill
from trading_env.live.decide import Decision
from trading_env.live.files import read_whole, write_whole

KIND = "paper account"
_TERMS = ("costs", "margin", "fill", "actions", "lots", "allow_short", "sizing", "lot_size", "min_trade")
_MORE = ("bars_per_year", "initial_cash")


class PaperBroker:
    """A broker that fills at the prices of the coming bars, exactly as the env with the same keywords does.

    The account begins with initial_cash at the first bar that it sees. Without an order, the position is held.

    Args:
        path: the file that keeps the account; it is made if there is none.
        config: keywords of TradingEnv, as an EnvConfig or a mapping.
        **keywords: of TradingEnv, in place of the config's. Features, window and the like are not needed.

    Raises:
        TypeError, ValueError: a keyword is wrong, or the file is damaged.
    """

    @shows_keywords
    def __init__(
        self, path: str | os.PathLike[str], *, config: EnvConfig | Mapping[str, Any] | None = None, **keywords: Any
    ) -> None:
        self.path = Path(path)
        given = config_for(PaperBroker, None, config, keywords)
        terms = {name: getattr(given, name) for name in (*_TERMS, *_MORE)}
        self.config = EnvConfig(**terms, features=_no_features, window=1)
        state = new_state(given.initial_cash, 0.0)[: len(STATE)].tolist()
        new = {"kind": KIND, "time": None, "close": None, "state": state, "order": None, "fills": [], "ruined": False}
        self._kept = read_whole(self.path, KIND, new) or new

    def update(self, market: Market) -> None:
        """Fills the order at the bars since the last call, and updates the account to the last bar.

        Bars that end before the account's change nothing: a program that was killed may show them again.

        Raises:
            ValueError: the bars do not continue those of the last call.
        """
        if market.time is None:
            raise ValueError(f"{market.name!r} has no times, so a paper account cannot tell which bars are new")
        kept = dict(self._kept)
        if kept["time"] is not None and np.datetime64(kept["time"]) > np.asarray(market.time)[-1]:
            return
        last = len(market) - 1
        row = last if kept["time"] is None else self._row(market)
        if kept["time"] is None:
            state = new_state(self.config.initial_cash, OpenTask(market, self.config).years[0])
            kept["state"] = state[: len(STATE)].tolist()
        if row < last and not kept["ruined"]:
            self._move(kept, market, row)
        if kept["time"] is None or row < last:
            kept.update(time=str(market.time[-1]), close=float(market.close[-1]), order=None)
            self._keep(kept)

    def fills(self, after: int) -> Sequence[Fill]:
        """All fills but the first ``after``, oldest first."""
        return [Fill(*fill) for fill in self._kept["fills"][after:]]

    def account(self) -> Account:
        """The account at the last bar, with all fields."""
        return account_in(np.array(self._kept["state"]))

    @property
    def ruined(self) -> bool:
        """True if equity fell to ruin_fraction of the initial cash, which ended the episode."""
        return bool(self._kept["ruined"])

    def submit(self, key: str, decision: Decision) -> None:
        """Keeps the order for the next bar, once for each key.

        Raises:
            ValueError: the decision is not one for the last bar that it has seen.
        """
        if decision.time is None or key_of(decision.time) != self._kept["time"]:
            raise ValueError(f"the order of bar {decision.time} came when the account stood at {self._kept['time']}")
        action = decision.to_dict()["action"]
        if self._kept["order"] is None:
            self._keep({**self._kept, "order": {"key": key, "action": action}})

    def _row(self, market: Market) -> int:
        """The market's row of the last bar seen, whose close must be the same."""
        assert market.time is not None
        rows = np.flatnonzero(np.asarray(market.time) == np.datetime64(self._kept["time"]))
        if len(rows) == 0:
            raise ValueError(f"{self.path}: the account stands at {self._kept['time']}, a bar that the data lack")
        row = int(rows[0])
        if market.close[row] != self._kept["close"]:
            raise ValueError(
                f"{self.path}: the close of {self._kept['time']} was {self._kept['close']}, now it is "
                f"{market.close[row]}: the prices were adjusted meanwhile, so begin a new account"
            )
        return row

    def _move(self, kept: dict[str, Any], market: Market, row: int) -> None:
        """Runs the kernel from a row to the last one."""
        task = OpenTask(market, self.config)
        state = np.concatenate([kept["state"], kept["state"]])
        clock = np.array([[row, len(market) - 1, 0, -1]])
        obs, mask = np.empty(task.width, np.float32), np.ones(len(task.orders), np.bool_)
        others = (state, clock, task.bars, task.table, task.rules, obs, mask)
        kernel, fills = Bound.of(step_one, 0.0, *others), []
        for t in range(row, len(market) - 1):
            given = kept["order"] if t == row else None
            order = _hold(task) if given is None else _order(task, given["action"])
            before = account_in(state)
            step = {"order": order, **dict(zip(STEP, kernel.call(order, *others), strict=True))}
            fills += _fills(task, t, before, account_in(state), step, "hold" if given is None else given["key"])
            kept["ruined"] = bool(step["terminated"])
            if kept["ruined"]:
                break
        kept["state"], kept["fills"] = state[: len(STATE)].tolist(), [*kept["fills"], *fills]

    def _keep(self, kept: dict[str, Any]) -> None:
        write_whole(self.path, kept)
        self._kept = kept

    def __repr__(self) -> str:
        account = self.account()
        return f"<PaperBroker at {self._kept['time']}: cash {account.cash:,.2f}, units {account.units:,.6g}>"


def key_of(time: Any) -> str:
    """The key of an order: the bar's time in UTC, as NumPy writes it."""
    stamp = time if time.tzinfo is None else time.tz_convert("UTC").tz_localize(None)
    return str(np.datetime64(stamp.to_datetime64(), "ns"))


def _no_features(market: Market) -> Floats:
    """An empty feature table: a broker does not observe features."""
    return np.zeros((len(market), 1))


def _hold(task: OpenTask) -> float:
    return 0.0 if task.actions == "lots" else math.nan


def _order(task: OpenTask, action: Any) -> float:
    """The order of an action as it was kept."""
    actions = np.array([[action]], np.float32) if task.actions == "continuous" else np.array([action])
    return float(task.orders_of(actions)[0])


def _fills(task: OpenTask, t: int, before: Account, after: Account, step: Mapping[str, Any], key: str) -> list[Fill]:
    """The fills of a step from bar t: of the order, and of a liquidation."""
    called, ordered = step["exit"] > 0.0, after.units
    if called:
        arrays = {name: np.array([step[name]]) for name in ("order", "price", "exit", "financing", "turnover")}
        cash, units = np.array([before.cash]), np.array([before.units])
        equity = cash + units * task.closes[t]
        arrays["target"] = np.array([before.target])
        ordered = float(units_after_orders(task, cash, units, equity, arrays)[0])
    first, second = (ordered - before.units, step["price"]), (after.units - ordered, step["exit"])
    moved = [abs(units) * price for units, price in (first, second)]
    share = step["commission"] * moved[0] / sum(moved) if sum(moved) else 0.0
    times: Any = task.markets[0].time
    fills = []
    if first[0] != 0.0:
        time = str(times[t if task.fill == "close" else t + 1])
        fills.append(Fill(key, time, first[0], _paid(task, *first), share))
    if called:
        fills.append(Fill("broker", str(times[t + 1]), second[0], _paid(task, *second), step["commission"] - share))
    return fills


def _paid(task: OpenTask, units: float, price: float) -> float:
    """The price with spread and slippage."""
    return price * (1.0 + task.costs.spread if units > 0.0 else 1.0 - task.costs.spread)
