"""The results of a comparison as a dict, a table, and a frame of equity curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from benchmarks.reports import table as tables
from benchmarks.statistics.estimates import Estimate
from benchmarks.statistics.intervals import Floats, median_and_range
from benchmarks.statistics.sharpe import mean_sharpe, sharpe_gap
from benchmarks.study import provenance
from benchmarks.study.analysis import tracks_of
from benchmarks.study.folds import folds_of
from benchmarks.study.job import data
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite
from trading_env import Market

BENCHMARK = "buy_and_hold"
RULES = ("flat", BENCHMARK, "volatility_target", "time_series_momentum", "moving_average_crossover", "random")
COLUMNS = (
    "seeds",
    "total\nreturn",
    "Sharpe\n± s.e.",
    "Sharpe\n95%",
    "max\ndrawdown",
    "turnover\nper year",
    "train\nsteps/s",
)
SPARE = ("train\nsteps/s", "seeds", "turnover\nper year", "max\ndrawdown")


def results(settings: Mapping[str, Any], suite: Suite, dataset: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Settings, data and versions, and for each contender the metrics of every seed, their summary and intervals.

    Args:
        settings: of the comparison, as JSON values.
        suite: of the study, with one fold.
        dataset: which.
        rows: its rows.
    """
    market = data(dataset)
    train, _, test = folds_of(market, suite.walk_forward, suite.purge)[0].markets(market)
    returns = {name: found[dataset].returns for name, found in tracks_of(rows).items()}
    names = [one.name for one in suite.contenders if one.name in returns]
    rate = test.bars_per_year or math.nan
    return {
        "settings": dict(settings),
        "data": {
            "name": test.name,
            "metadata": dict(test.metadata),
            "train": _period(train),
            "test": _period(test),
        },
        **provenance.made(),
        "rows": {name: _row([row for row in rows if row.contender == name], returns, rate) for name in names},
        "sharpe_differences": differences({name: returns[name] for name in names}, rate),
    }


def _period(market: Market) -> dict[str, Any]:
    """First and last day of the part's own bars, and their number."""
    bars = (market.first, len(market) - 1)
    days = [f"bar {bar}" if market.time is None else market.time_of(bar).split(" ")[0] for bar in bars]
    return {"first": days[0], "last": days[1], "bars": len(market) - market.first}


def differences(returns: Mapping[str, Floats], bars_per_year: float) -> dict[str, dict[str, dict[str, Any]]]:
    """The mean Sharpe ratio of each row except rules, less that of each peer: name -> peer -> numbers.

    Intervals are family-wise: with probability 95% all of them together contain the true differences (Bonferroni).
    `detectable` is the smallest true difference whose interval would exclude 0 in four of five such studies.

    Args:
        returns: name -> (S, T).
        bars_per_year: of the data.
    """
    gaps: dict[str, dict[str, Estimate]] = {}
    for name in returns:
        peers = [peer for peer in (BENCHMARK, "random", *(["sb3_dqn"] if name == "dqn" else [])) if peer in returns]
        if name not in RULES:
            gaps[name] = {peer: sharpe_gap(returns[name], returns[peer], bars_per_year) for peer in peers}
    level = 1.0 - 0.05 / max(sum(map(len, gaps.values())), 1)
    return {name: {peer: _gap(gap, level) for peer, gap in found.items()} for name, found in gaps.items()}


def _gap(gap: Estimate, level: float) -> dict[str, Any]:
    return {"value": gap.value, "interval": gap.interval(level), "detectable": gap.detectable(level=level)}


def _row(rows: Sequence[Row], returns: Mapping[str, Floats], rate: float) -> dict[str, Any]:
    """The numbers of a contender, whose rows are blocks of its seeds."""
    mine, held = returns[rows[0].contender], returns.get(BENCHMARK)
    measured = {name: np.concatenate([row.metrics[name] for row in rows]) for name in rows[0].metrics}
    sharpe, seconds = mean_sharpe(mine, rate), sum(row.seconds or 0.0 for row in rows)
    steps = sum(row.steps * len(row.seeds) for row in rows if row.steps is not None)
    return {
        "seeds": len(mine),
        "metrics": {name: values.tolist() for name, values in measured.items()},
        "summary": {name: median_and_range(values)._asdict() for name, values in measured.items()},
        "sharpe": {"mean": sharpe.value, "standard_error": sharpe.standard_error, "interval_95": sharpe.interval()},
        "sharpe_minus_buy_and_hold_95": (math.nan,) * 2 if held is None else sharpe_gap(mine, held, rate).interval(),
        "training_steps_per_second": steps / seconds if seconds else None,
        "training_seconds": seconds or None,
    }


def equity_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Every seed's equity after every close: columns time, policy, seed, equity."""
    frames = []
    for row in rows:
        runs, closes = row.curves["equity"].shape
        columns = {
            "time": np.tile(row.time, runs),
            "policy": row.contender,
            "seed": np.repeat(np.array(row.seeds), closes),
            "equity": row.curves["equity"].ravel(),
        }
        frames.append(pd.DataFrame(columns))
    return pd.concat(frames, ignore_index=True)


# -- the table -------------------------------------------------------------------------------------------------


def print_comparison(results: Mapping[str, Any], console: Console | None = None, wide: bool = False) -> None:
    """Prints the table, all of its columns if ``wide``, and below it the notes needed to judge it."""
    console = tables.console_of(console)
    rows: list[Sequence[str] | None] = [
        [name, str(row["seeds"]), *_cells(row)] for name, row in results["rows"].items()
    ]
    tables.show(tables.Columns(_title(results), ["policy"], COLUMNS, rows, spare=SPARE), console, wide)
    tables.say(notes(results), console)


def print_together(found: Sequence[Mapping[str, Any]], console: Console | None = None, wide: bool = False) -> None:
    """Prints the mean Sharpe ratio of each row on each dataset."""
    console = tables.console_of(console)
    names = [results["data"]["name"] for results in found]
    rows: list[Sequence[str] | None] = [
        [policy, *(_sharpe(results["rows"][policy]) for results in found)] for policy in found[0]["rows"]
    ]
    tables.show(tables.Columns("Mean Sharpe ratio ± s.e. on each market", ["policy"], names, rows), console, wide)
    tables.say(["Markets of one time move together: results on several are not as many independent ones."], console)


def _sharpe(row: Mapping[str, Any]) -> str:
    """The mean Sharpe ratio and its standard error; undefined for a row that never held a position."""
    sharpe = row["sharpe"]
    return f"{decimal(sharpe['mean'])} ± {decimal(sharpe['standard_error'])}" if sharpe_known(row) else "undefined"


def sharpe_known(row: Mapping[str, Any]) -> bool:
    """True if a run of the row has a Sharpe ratio."""
    return bool(row["summary"]["sharpe"]["defined"])


def _title(results: Mapping[str, Any]) -> str:
    data = results["data"]
    return f"{data['name']}, test {data['test']['first']} to {data['test']['last']}, {data['test']['bars']} bars"


def _cells(row: Mapping[str, Any]) -> list[str]:
    """The row's numbers: the median and, for several seeds, the range on a second line."""
    summary, several, speed = row["summary"], row["seeds"] > 1, row["training_steps_per_second"]
    cells = {
        "total_return": _spread(summary["total_return"], percent, several),
        "sharpe": _spread(summary["sharpe"], decimal, several),
        "interval": between(row["sharpe"]["interval_95"], decimal),
        "max_drawdown": _spread(summary["max_drawdown"], percent, several),
        "turnover": _spread(summary["turnover"], tenths, several),
        "speed": "" if speed is None else f"{speed:,.0f}",
    }
    if sharpe_known(row):
        _, *spread = cells["sharpe"].split("\n")
        cells["sharpe"] = "\n".join([_sharpe(row), *spread])
    return list(cells.values())


def _spread(summary: Mapping[str, float], show: Callable[[float], str], several: bool) -> str:
    """The median and, for several seeds, a second line with their range."""
    text = show(summary["median"])
    return f"{text}\n{between((summary['low'], summary['high']), show)}" if several else text


def between(ends: tuple[float, float], show: Callable[[float], str]) -> str:
    """A range, as "-0.2 to 1.5" or "12 to 30%"."""
    low, high = ends
    return "undefined" if math.isnan(low) else f"{show(low).rstrip('%')} to {show(high)}"


def percent(value: float) -> str:
    """0.1234 as "12%"."""
    return "undefined" if math.isnan(value) else f"{100.0 * value:.0f}%"


def decimal(value: float) -> str:
    """1.234 as "1.23"."""
    return "undefined" if math.isnan(value) else f"{value:.2f}"


def tenths(value: float) -> str:
    """1.234 as "1.2"."""
    return f"{value:.1f}"


# -- notes ------------------------------------------------------------------------------------------------------


def notes(results: Mapping[str, Any]) -> list[str]:
    """Settings, meaning and limits of the table's numbers, one line each."""
    settings, data, rows = results["settings"], results["data"], results["rows"]
    lines = [
        f"Trained on {data['train']['first']} to {data['train']['last']} ({data['train']['bars']} bars): "
        f"{settings['total_timesteps']:,} steps per seed, {settings['seeds']} seeds, the same for both learners.",
        f"Costs: commission {1e4 * settings['commission']:g} bps and slippage {1e4 * settings['slippage']:g} bps of "
        f"each trade, filled at {settings['fill']}. Turnover counts buying and selling the whole equity as 2.",
        "With several seeds: the median (Sharpe: the mean), and below it the range. random has the turnover of the "
        "median dqn seed.",
        "Standard error and 95% interval of the mean annual Sharpe ratio are over seeds and dependent bars.",
        *_differences(results["sharpe_differences"]),
        "Two rows differ if the interval of their difference excludes 0; their own intervals do not show it. All "
        "intervals of differences together hold with 95%.",
        *_undefined(rows),
        *_own(settings),
        f"Made at {provenance.in_words(results)}." if "versions" in results else provenance.UNKNOWN,
        "One stock over one period says little about any other, and past returns promise no profit.",
    ]
    if data["metadata"].get("survivorship_biased"):
        lines.append(
            f"Survivorship bias: {data['metadata'].get('survivorship_note', 'the data contains only survivors.')}"
        )
    return lines


def _differences(differences: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line per difference: the Sharpe ratio of a learner or a user's row against a peer's, on the same bars."""
    lines = []
    for name, peers in differences.items():
        for peer, gap in peers.items():
            low, high = gap["interval"]
            if not math.isnan(low):
                found = verdict(low, high)
                power = f" (a true one of {decimal(gap['detectable'])} would be, four times in five)"
                interval = f"{decimal(gap['value'])}, {decimal(low)} to {decimal(high)}"
                lines.append(f"{name}: Sharpe minus {peer}'s {interval}: {found}{power if low <= 0.0 <= high else ''}.")
    return lines


def verdict(low: float, high: float) -> str:
    """The verdict of the interval of a difference."""
    return "no difference shown" if low <= 0.0 <= high else "better" if low > 0.0 else "worse"


def _own(settings: Mapping[str, Any]) -> list[str]:
    """One line on the contenders of the user, if there are any."""
    names = settings.get("contender", ())
    return [f"Made from the bars of training alone, by functions of your own: {', '.join(names)}."] if names else []


def _undefined(rows: Mapping[str, Any]) -> list[str]:
    """One line for each row with seeds that never held a position and so have no Sharpe ratio."""
    idle = {name: row["seeds"] - row["summary"]["sharpe"]["defined"] for name, row in rows.items() if name != "flat"}
    return [
        f"{name}: {count} of {rows[name]['seeds']} seeds never held a position and have no Sharpe ratio."
        for name, count in idle.items()
        if count
    ]
