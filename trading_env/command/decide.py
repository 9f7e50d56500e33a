"""``trading-env decide`` and ``paper``: what a saved agent does after the last bar of a file."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import numpy as np

from trading_env.command.data import day
from trading_env.command.options import agent_of, read
from trading_env.command.output import note, say, say_fields, say_json, usage
from trading_env.command.vote import one_policy
from trading_env.data.market import Market
from trading_env.envs.config import EnvConfig
from trading_env.live.decide import Decision, decide
from trading_env.live.files import read_whole
from trading_env.live.paper import PaperBroker
from trading_env.live.session import KIND, Session

OLD = 5  # days after which a bar is hardly the last one


def run(arguments: argparse.Namespace) -> None:
    """Prints the decision for an account that is given."""
    agent, market = agent_of(arguments), read(arguments)
    _note_age(market, arguments)
    account = {name: getattr(arguments, name) for name in ("target", "entry", "peak")}
    asked: dict[str, Any] = {"as_of": _as_of(arguments), "max_missed": arguments.max_missed, **account}
    decision = decide(one_policy(agent), market, arguments.units, arguments.cash, **asked)
    each = [decide(agent[s], market, arguments.units, arguments.cash, **asked) for s in range(len(agent))]
    votes = {str(seed): one.to_dict()["action"] for seed, one in zip(agent.seeds, each, strict=True)}
    if arguments.json:
        say_json({**decision.to_dict(), "votes": votes})
        return
    cash = EnvConfig.of(agent).initial_cash if arguments.cash is None else arguments.cash
    more = {"account": _held(cash, arguments.units)}
    if len(agent) > 1:
        more["votes"] = _counted(votes, decision.to_dict()["action"])
    _say(market, decision, more)


def _held(cash: float, units: float) -> str:
    """Cash and units of an account, in words."""
    return f"cash {cash:,.2f}, units {units:,.8g}"


def _counted(votes: dict[str, Any], action: Any) -> str:
    """What the seeds chose, in words."""
    if isinstance(action, float):
        return f"the median of {len(votes)} seeds, {min(votes.values()):.4g} to {max(votes.values()):.4g}"
    return f"{sum(vote == action for vote in votes.values())} of {len(votes)} seeds choose this action"


def paper(arguments: argparse.Namespace) -> None:
    """Takes a paper account on to the last bar, and prints the decision there."""
    agent, market = agent_of(arguments), read(arguments)
    path, state = (Path(f"{arguments.account}.{kind}.json") for kind in ("session", "paper"))
    kept = read_whole(path, KIND)
    cash = arguments.cash if kept is None or arguments.cash is not None else kept["config"]["keywords"]["initial_cash"]
    config = EnvConfig.of(agent, **({} if cash is None else {"initial_cash": cash}))
    broker = PaperBroker(state, config=config)
    session = Session(path, one_policy(agent), broker, config=config)
    if arguments.start is None:
        _note_age(market, arguments)
        decision = session.step(market, _as_of(arguments), arguments.max_missed)
    else:
        decision = _played(session, market, arguments.start)
    if arguments.json:
        account = None if session.account is None else session.account._asdict()
        say_json({**decision.to_dict(), "account": account, "fills": [fill._asdict() for fill in session.fills]})
    else:
        _say(market, decision, _account(session, config, float(market.close[-1])))


def _played(session: Session, market: Market, start: str) -> Decision:
    """The last decision, after one at every bar from a date on, as if the days had passed."""
    with usage("--from"):
        first = market.split(start)[1].first
    for bars in range(first + 1, len(market)):
        session.step(market.split(day(market, bars))[0])
    return session.step(market)


def _as_of(arguments: argparse.Namespace) -> Any:
    """The time given, or the present."""
    return datetime.datetime.now().astimezone() if arguments.as_of == "now" else arguments.as_of


def _note_age(market: Market, arguments: argparse.Namespace) -> None:
    """Notes that the bars are old, where nobody asked for a check."""
    if market.time is not None and arguments.as_of is None:
        age = np.datetime64(datetime.datetime.now()) - np.asarray(market.time)[-1]
        if age > np.timedelta64(OLD, "D"):
            note(f"the last bar is that of {day(market, -1)}; --as-of now refuses data that are stale")


def _say(market: Market, decision: Decision, more: dict[str, str]) -> None:
    """Prints a decision, and more about it."""
    units = decision.order_units
    order = f"{'buy' if units > 0.0 else 'sell'} {abs(units):,.8g} units" if units else "none"
    target = "as before" if decision.target is None else f"exposure {decision.target:.4g}"
    say(f"{market.name}, after the bar of {day(market, -1)}, close {decision.close:,.8g}")
    say_fields({"order": order, "target": target, "reason": decision.reason, **more})


def _account(session: Session, config: EnvConfig, close: float) -> dict[str, str]:
    """The paper account in words, before the order."""
    account = session.account
    assert account is not None
    equity = account.cash + account.units * close
    fills = [f"{len(session.fills):,}"]
    if session.fills:
        last = session.fills[-1]
        verb = "bought" if last.units > 0.0 else "sold"
        fills.append(f"last {last.time[:16]}: {verb} {abs(last.units):,.8g} at {last.price:,.8g}")
    return {
        "account": _held(account.cash, account.units),
        "equity": f"{equity:,.2f}, {equity / config.initial_cash - 1.0:+.2%} since the account began",
        "fills": ", ".join(fills),
    }
