"""What the options of several commands stand for: a market, an agent, the part of a market to act on."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from trading_env._extras import optional
from trading_env.command.output import note, usage
from trading_env.command.parser import UsageError
from trading_env.data.datasets import load
from trading_env.data.market import Market


def read(arguments: argparse.Namespace) -> Market:
    """The market of the file."""
    asked = {"adjust": arguments.adjust, "ticker": arguments.ticker}
    options = {name: value for name, value in asked.items() if value is not None}
    return load(arguments.file, on_missing=arguments.on_missing, **options)


def agents() -> Any:
    """The package of agents.

    Raises:
        ImportError: it needs an extra that is missing.
    """
    optional("torch", "agents", "an agent")
    optional("safetensors", "agents", "an agent")
    import agents

    return agents


def agent_of(arguments: argparse.Namespace) -> Any:
    """The agent in the file, or the one seed of it that is asked for."""
    agent = agents().load(arguments.agent)
    if arguments.seed is None:
        return agent
    if arguments.seed not in agent.seeds:
        raise UsageError(f"--seed must be one of {list(agent.seeds)}, got {arguments.seed}")
    return agent[agent.seeds.index(arguments.seed)]


def part_of(market: Market, agent: Any, arguments: argparse.Namespace) -> Market:
    """The part of the market to act on: from the date asked for, or else all after the bars learnt from."""
    if arguments.start is not None:
        with usage("--from"):
            return market.split(arguments.start)[1]
    learnt = learnt_until(agent)
    if arguments.whole or learnt is None or market.local_time is None:
        return market
    later = np.asarray(market.local_time) > learnt
    if not later.any():
        note("all bars lie in the time that was learnt from: this is no test")
        return market
    if later.all():
        return market
    first = market.time_of(int(later.argmax())).rpartition(" (")[0]
    note(f"from {first}, the first bar after those learnt from; --whole takes all")
    return market.split(first)[1]


def learnt_until(agent: Any) -> Any:
    """The last time in the bars that an agent learnt from, datetime64; None if it is unknown."""
    try:
        ends = [str(data["last"]).rpartition(" (")[0] for data in agent.env_config["data"]]
        return max((np.datetime64(end) for end in ends if end), default=None)
    except (KeyError, TypeError, ValueError):
        return None
