"""``trading-env train``: an agent learns on the early part of a file, and is tested once on the later part."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

import gymnasium as gym

from trading_env.analysis.backtest import backtest
from trading_env.command.backtest import table_of
from trading_env.command.options import agents, read
from trading_env.command.output import say, usage
from trading_env.command.parser import KINDS, UsageError
from trading_env.data.market import Market
from trading_env.envs.config import EnvConfig
from trading_env.features.scaler import FeatureScaler

EPISODE = 252  # bars of a training episode, if there are as many
ENV_ID = "trading_env:TradingEnv-v0"


def run(arguments: argparse.Namespace) -> None:
    """Trains, saves, and prints the test of all seeds."""
    kind = _kind(arguments.agent)
    market = read(arguments)
    with usage("--split"):
        train, test = market.split(_cut(arguments.split))
    config = _config(arguments, train)
    env = _training_env(train, config)
    path = _writable(arguments.save)
    with usage("--set"):
        options = dict(map(_option, arguments.set))
    with usage(f"--agent {kind.__name__}"):
        agent = kind(env, seeds=arguments.seeds, **options)
    start = time.perf_counter()
    agent.learn(arguments.steps, progress_bar=sys.stderr.isatty() and not arguments.quiet)
    seconds = time.perf_counter() - start
    agent.save(path)
    seeds = f"{arguments.seeds} seed{'s' * (arguments.seeds > 1)}"
    say(f"{kind.__name__}, {seeds}, learnt {arguments.steps:,} steps each in {seconds:.0f} s; saved in {path}")
    say()
    say(table_of(agent, backtest(agent, test)))


def _writable(name: str) -> Any:
    """The file to write, once it is known that it can be written."""
    from agents.common import checkpoints

    checkpoints.check_writable(name, "--save")
    return checkpoints.with_suffix(name)


def _kind(name: str) -> Any:
    """The class of agents of that name, in any case."""
    for known in KINDS:
        if known.lower() == name.lower():
            return getattr(agents(), known)
    raise UsageError(f"--agent must be one of {', '.join(KINDS)}, got {name}")


def _cut(text: str) -> Any:
    """A date, or a fraction of the bars."""
    try:
        fraction = float(text)
    except ValueError:
        return text
    return fraction if 0.0 < fraction < 1.0 else text


def _config(arguments: argparse.Namespace, train: Market) -> EnvConfig:
    """The keywords of the env that the options ask for, with a scaler fitted on the training part."""
    features = arguments.features if arguments.features == "default" else arguments.features.split(",")
    scaler = FeatureScaler().fit(train, features)
    actions: Any = arguments.actions
    if actions not in ("buy_hold_sell", "continuous", "lots"):
        with usage("--actions"):
            actions = tuple(float(word) for word in actions.split(","))
    with usage("options of the env"):
        return EnvConfig(
            features=features,
            scaler=scaler,
            window=arguments.window,
            actions=actions,
            allow_short=True if arguments.short else None,
            fill=arguments.fill,
            costs={"commission": arguments.commission, "slippage": arguments.slippage},
        )


def _training_env(train: Market, config: EnvConfig) -> Any:
    """An env whose episodes begin at random bars of the training part."""
    keywords = vars(config)
    task = gym.make(ENV_ID, data=train, **keywords).unwrapped.task  # type: ignore[attr-defined]
    length = min(EPISODE, len(train) - 1 - task.firsts[0])
    return gym.make(ENV_ID, data=train, **{**keywords, "random_start": True, "episode_length": length})


def _option(text: str) -> tuple[str, Any]:
    """A hyperparameter and its value: learning_rate=1e-3, net_arch=[64,64], normalize_reward=true."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} must be NAME=VALUE")
    if name in ("env", "seeds"):
        raise ValueError(f"{name} is no hyperparameter, it has an option or argument of its own")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
