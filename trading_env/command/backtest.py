"""``trading-env backtest`` and ``plot``: an agent over a file, after the bars that it learnt from."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from trading_env.analysis.backtest import Backtest, backtest
from trading_env.analysis.table import Summary
from trading_env.analysis.tracks import METRICS
from trading_env.command.options import agent_of, part_of, read
from trading_env.command.output import note, say, say_json, usage
from trading_env.command.vote import Vote
from trading_env.config import Costs, as_config
from trading_env.envs.config import EnvConfig
from trading_env.report.tear_sheet import tear_sheet


def run(arguments: argparse.Namespace) -> None:
    """Prints the summary of every seed and of their vote, or all metrics as JSON, or every trade."""
    agent, result = _tested(arguments)
    if arguments.report is not None:
        report(result, arguments.report)
    if arguments.json:
        say_json(as_json(agent, result))
    elif arguments.trades:
        print(result.trades().to_csv(index=False, lineterminator="\n"), end="")
    else:
        say(table_of(agent, result))


def report(result: Backtest, out: str) -> None:
    """Writes the tear sheet, beside holding the market where it has timestamps."""
    held = None if result.market.time is None else result.market
    note(f"written: {tear_sheet(result, out, held)}")


def plot(arguments: argparse.Namespace) -> None:
    """Draws the median seed, or the one asked for, into a file; into a GIF as a film."""
    _, result = _tested(arguments)
    out = Path(arguments.out)
    out = out if out.suffix else out.with_name(f"{out.name}.png")
    if out.suffix.lower() == ".gif":
        result.film(out)
    else:
        result.plot().savefig(out)
    say(f"{result.policy} on {result.period}: drawn in {out}")


def _tested(arguments: argparse.Namespace) -> tuple[Any, Backtest]:
    """The agent, and its backtest at the costs and the fill asked for, or else at those that it learnt with."""
    agent = agent_of(arguments)
    rates = {name: rate for name in ("commission", "slippage") if (rate := getattr(arguments, name)) is not None}
    terms: dict[str, Any] = {} if arguments.fill is None else {"fill": arguments.fill}
    if rates:
        with usage("costs"):
            terms["costs"] = replace(as_config(Costs, EnvConfig.of(agent).costs, "costs"), **rates)
    return agent, backtest(agent, part_of(read(arguments), agent, arguments), **terms)


def table_of(agent: Any, result: Backtest) -> Summary:
    """The summary of a backtest, with a row for the vote of its seeds if there are several."""
    summary = result.summary()
    if len(result) == 1:
        return summary
    row = list(_voted(agent, result).summary().rows[0])
    rows = [*summary.rows[:-1], ["vote", *row[1:]], summary.rows[-1]]
    return replace(summary, rows=rows, notes=[*summary.notes, "vote is one account, traded as most seeds choose."])


def as_json(agent: Any, result: Backtest) -> dict[str, Any]:
    """Every metric of every seed, and of their vote if there are several."""
    found = {
        "policy": result.policy,
        "market": result.market.name,
        "period": result.period,
        "bars": result.tracks.equity.shape[1] - 1,
        "config": {"costs": vars(result.config.costs), "fill": result.config.fill},
        "seeds": {str(seed): _metrics(result, k) for k, seed in enumerate(result.seeds)},
    }
    return found if len(result) == 1 else {**found, "vote": _metrics(_voted(agent, result), 0)}


def _voted(agent: Any, result: Backtest) -> Backtest:
    return backtest(Vote(agent), result.market, config=result.config)


def _metrics(result: Backtest, k: int) -> dict[str, float]:
    return {name: float(result.tracks.metric(name)[k]) for name in METRICS}
