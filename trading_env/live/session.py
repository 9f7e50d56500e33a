"""Session: decides bar after bar, keeps account and decisions in a file, and continues after a kill."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trading_env._checks import brief
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.envs.acting.learnt import config_for
from trading_env.envs.config import EnvConfig, json_keywords
from trading_env.envs.keywords import shows_keywords
from trading_env.envs.standing import Account
from trading_env.live.broker import Broker, Fill
from trading_env.live.decide import Decision, decision_of
from trading_env.live.files import locked, read_whole, write_whole
from trading_env.live.fresh import check_fresh

KIND = "session"


class Session:
    """Decisions of one policy for one account, bar after bar.

    Call `step` with all bars up to now, once for each new bar; a second call for the same bar returns the same decision
    and sends no second order. Account, decisions and fills are in a file that is written whole before an order is sent,
    and the broker accepts the order's key once. If the program is killed at any moment, nothing is lost or repeated:
    the next `step` continues. An order is never sent after its bar is over, since its price is out of date.

    Args:
        path: the file; it is made at the first step.
        policy: as for `decide`.
        broker: executes the orders; see `Broker`.
        config: keywords of TradingEnv; by default those that the policy learnt with, if it keeps them.
        check_env: as for `decide`.
        **keywords: of TradingEnv, in place of the config's.

    Raises:
        TypeError: a keyword is wrong, or the broker lacks a method.
        ValueError: the file is damaged, is the broker's own, or was begun with other keywords.
    """

    @shows_keywords
    def __init__(
        self,
        path: str | os.PathLike[str],
        policy: Any,
        broker: Broker,
        *,
        config: EnvConfig | Mapping[str, Any] | None = None,
        check_env: bool = True,
        **keywords: Any,
    ) -> None:
        self.path, self.policy, self.broker, self.check_env = Path(path), policy, broker, check_env
        _check_broker(broker, self.path)
        given = config_for(Session, policy, config, keywords, learnt=check_env)
        self.config = replace(given, random_start=False, episode_length=None)
        plain, left_out = json_keywords(self.config)
        begun = {"keywords": plain, "left_out": left_out}
        new: dict[str, Any] = {"kind": KIND, "config": begun, "account": None, "decisions": [], "fills": []}
        self._kept = read_whole(self.path, KIND, new) or new
        _check_same(self._kept["config"], begun, self.path)

    def step(self, frame: Any, as_of: Any = None, max_missed: int = 0) -> Decision:
        """The decision after the last bar; its order has been sent to the broker.

        Args:
            frame: all bars up to now, as `load` takes them, with their times.
            as_of: the present time; bars that are stale or unfinished then are refused, as in `decide`.
            max_missed: as in `decide`.

        Raises:
            ValueError: the bars have no times, are stale, unfinished, or older than the last decision.
            RuntimeError: another program is in a step of the same session.
        """
        market = load(frame, on_missing=self.config.on_missing)
        if market.time is None:
            raise ValueError(f"{market.name!r} has no times, so a session cannot tell which bars are new")
        check_fresh(market, as_of, max_missed)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            self._kept = read_whole(self.path, KIND, self._kept) or self._kept
            return self._step(market, str(market.time[-1]))

    def _step(self, market: Market, key: str) -> Decision:
        last = self._kept["decisions"][-1] if self._kept["decisions"] else None
        if last is not None and np.datetime64(last["key"]) > np.datetime64(key):
            raise ValueError(f"{self.path}: a decision was made at {last['key']}, and the data end at {key}")
        self.broker.update(market)
        fills = [list(fill) for fill in self.broker.fills(len(self._kept["fills"]))]
        account = self._settled(self.broker.account(), fills, float(market.close[-1]))
        settled = {"account": list(account), "fills": [*self._kept["fills"], *fills]}
        if last is None or last["key"] != key:
            decision = decision_of(self.policy, market, self.config, account, self.check_env)
            last = {"key": key, **decision.to_dict(), "sent": False}
            self._keep(**settled, decisions=[*self._kept["decisions"], last])
        decision = _decision(last)
        if not last["sent"]:
            self.broker.submit(key, decision)
            self._keep(**settled, decisions=[*self._kept["decisions"][:-1], {**last, "sent": True}])
        return decision

    def _settled(self, account: Account, fills: list[list[Any]], close: float) -> Account:
        """The broker's account, with its missing fields taken from the last step and the fills since."""
        equity = account.cash + account.units * close
        known = self.account or Account(0.0, 0.0, peak=equity)
        return Account(
            account.units,
            account.cash,
            self._target(account, known, {fill[0] for fill in fills}) if account.target is None else account.target,
            _entry(account, known, fills) if account.entry is None else account.entry,
            max(equity, known.peak or equity) if account.peak is None else account.peak,
        )

    def _target(self, account: Account, known: Account, filled: set[str]) -> float:
        """The target exposure of the last order that was sent; 0 before the first, and after a position was closed.

        An order with a fill was sent, even if the program was killed before it recorded that.
        """
        if account.units == 0.0 and known.units != 0.0:
            return 0.0
        for entry in reversed(self._kept["decisions"]):
            if entry["target"] is not None and (entry["sent"] or entry["key"] in filled):
                return float(entry["target"])
        return 0.0

    @property
    def account(self) -> Account | None:
        """The account at the last step; None before the first."""
        return None if self._kept["account"] is None else Account(*self._kept["account"])

    @property
    def decisions(self) -> list[Decision]:
        """All decisions so far, oldest first."""
        return [_decision(entry) for entry in self._kept["decisions"]]

    @property
    def fills(self) -> list[Fill]:
        """All fills so far, oldest first."""
        return [Fill(*fill) for fill in self._kept["fills"]]

    def _keep(self, **changes: Any) -> None:
        kept = {**self._kept, **changes}
        write_whole(self.path, kept)
        self._kept = kept

    def __repr__(self) -> str:
        last = self._kept["decisions"][-1]["key"] if self._kept["decisions"] else "no bar"
        return f"<Session {str(self.path)!r}: {len(self._kept['decisions'])} decisions up to {last}>"


def _entry(account: Account, known: Account, fills: list[list[Any]]) -> float | None:
    """The average entry price of the position after the fills; None if it is not known."""
    units, entry = known.units, known.entry or 0.0
    for _, _, traded, price, _ in fills:
        after = units + traded
        if units * after <= 0.0:
            entry = price
        elif abs(after) > abs(units):
            entry = (abs(units) * entry + abs(traded) * price) / abs(after)
        units = after
    return entry if account.units != 0.0 and entry > 0.0 else None


def _decision(entry: Mapping[str, Any]) -> Decision:
    """The decision that a file keeps."""
    import pandas as pd

    names = ("target", "order_units", "close", "reason")
    action = np.array([entry["action"]], np.float32) if isinstance(entry["action"], float) else entry["action"]
    return Decision(pd.Timestamp(entry["time"]), action, *(entry[name] for name in names))


def _check_broker(broker: Any, path: Path) -> None:
    """Raises TypeError if the broker lacks a method, and ValueError if it keeps its account in the session's file."""
    methods = ("update", "fills", "account", "submit")
    if missing := [name for name in methods if not callable(getattr(broker, name, None))]:
        raise TypeError(f"broker must have the methods of Broker, but {brief(broker)} has no {', '.join(missing)}")
    own = getattr(broker, "path", None)
    if isinstance(own, Path) and own.resolve() == path.resolve():
        raise ValueError(f"path must be another file than the broker's, got {path} for both")


def _check_same(kept: Mapping[str, Any], given: Mapping[str, Any], path: Path) -> None:
    """Raises ValueError, naming the first keyword that differs, unless the session was begun with the same ones."""
    for name, value in given["keywords"].items():
        if kept["keywords"].get(name) != value:
            raise ValueError(f"{path} was begun with {name}={kept['keywords'].get(name)!r}, now it is {value!r}")
    if kept["left_out"] != given["left_out"]:
        raise ValueError(f"{path} was begun with other functions or arrays: {kept['left_out']}, {given['left_out']}")
