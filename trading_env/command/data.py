"""``trading-env data``: what is understood of a file."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from trading_env._checks import printable
from trading_env.command.options import read
from trading_env.command.output import say, say_fields, say_json
from trading_env.data import findings
from trading_env.data.market import Market
from trading_env.data.readers.splits import find_jumps

SHOWN = 3  # of each kind of oddity


def run(arguments: argparse.Namespace) -> None:
    """Prints what a file holds, and what should be looked at."""
    market = read(arguments)
    if arguments.json:
        say_json(facts(market))
        return
    say(market.name)
    say_fields({name: "\n".join(map(printable, words)) for name, words in described(market).items()})


def facts(market: Market) -> dict[str, Any]:
    """All that `described` is made of, as JSON values."""
    still = findings.still(market)
    return {
        "name": market.name,
        "columns": list(market.column_names),
        "bars": len(market),
        "first": day(market, 0),
        "last": day(market, -1),
        "bars_per_year": market.bars_per_year,
        "time_zone": market.tz,
        "lowest_close": float(market.close.min()),
        "highest_close": float(market.close.max()),
        "gaps": [{"until": day(market, gap.row), "days": gap.days} for gap in findings.gaps(market)],
        "splits": [{"at": day(market, jump.row), "move": jump.move, "ratio": jump.ratio} for jump in _splits(market)],
        "jumps": [
            {"at": day(market, jump.row), "move": jump.move, "undone": jump.undone} for jump in findings.jumps(market)
        ],
        "still": None if still is None else {"until": day(market, still.row), "bars": still.bars},
        "no_volume": None if market.volume is None else int((market.volume == 0.0).sum()),
        "metadata": dict(market.metadata),
        "fingerprint": market.fingerprint,
    }


def described(market: Market) -> dict[str, list[str]]:
    """What a person wants to know, some lines for each heading."""
    lines: dict[str, list[str]] = {
        "columns": [", ".join(market.column_names)],
        "bars": [f"{len(market):,}, {day(market, 0)} to {day(market, -1)}"],
        "time zone": [_zone(market)],
        "a year": ["unknown" if market.bars_per_year is None else f"{market.bars_per_year:,.6g} bars"],
        "close": [f"{market.close.min():,.6g} to {market.close.max():,.6g}, last {market.close[-1]:,.6g}"],
    }
    for name in ("format", "order", "adjust", "on_missing", "time"):
        if name in market.metadata:
            lines[name.replace("_", " ")] = [str(market.metadata[name])]
    lines["gaps"] = _listed(
        [(gap.days, f"{gap.days:,.3g} days before {day(market, gap.row)}") for gap in findings.gaps(market)],
        "none" if market.time is not None else "unknown: there are no times",
    )
    lines["splits"] = _listed(
        [(abs(jump.move), jump.text(market.time).removeprefix("moves by ")) for jump in _splits(market)],
        "none that prices show",
    )
    lines["jumps"] = _listed(
        [
            (abs(jump.move), f"{jump.move:+.1%} at {day(market, jump.row)}" + ", undone by the next bar" * jump.undone)
            for jump in findings.jumps(market)
        ],
        f"none above {findings.FAR:g} times the usual move",
    )
    still = findings.still(market)
    if still is not None:
        lines["still"] = [f"the close stays the same for {still.bars} bars, until {day(market, still.row)}"]
    if market.volume is not None and (empty := int(np.sum(market.volume == 0.0))):
        lines["volume"] = [f"0 in {empty:,} bars"]
    return lines


def _zone(market: Market) -> str:
    """The time zone in words."""
    if market.local_time is None:
        return "there are no times"
    time = np.asarray(market.local_time)
    dates = bool((time == time.astype("datetime64[D]")).all())
    return market.tz or ("none: dates" if dates else "none: times as written, or UTC")


def day(market: Market, row: int) -> str:
    """The time of a bar, without its row."""
    label = market.time_of(row)
    return label if market.time is None else label.rpartition(" (")[0]


def _splits(market: Market) -> list[Any]:
    names = ("open", "high", "low", "close", "volume")
    return find_jumps({name: values for name in names if (values := getattr(market, name)) is not None})


def _listed(found: list[tuple[float, str]], nothing: str) -> list[str]:
    """The largest few in words, largest first, and how many there are."""
    largest = [words for _, words in sorted(found, reverse=True)[:SHOWN]]
    more = [f"and {len(found) - SHOWN} smaller ones"] if len(found) > SHOWN else []
    return [*largest, *more] or [nothing]
