"""The results of a comparison as a dict, a table, and a frame of equity curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from benchmarks.contenders.setup import Row, Setup
from benchmarks.evaluation.tracks import measures
from benchmarks.reports import table as tables
from benchmarks.statistics.intervals import bootstrap_median_sharpe, median_and_range, percentile_interval
from benchmarks.study import provenance
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


def results(setup: Setup, rows: Mapping[str, Row]) -> dict[str, Any]:
    """Settings, data and versions, and for each row the metrics of every seed, their summary and intervals."""
    settings = setup.settings
    returns = {name: row.tracks.returns for name, row in rows.items()}
    medians = bootstrap_median_sharpe(
        returns, setup.test.bars_per_year or math.nan, settings.bootstrap_samples, settings.mean_block
    )
    return {
        "settings": settings.as_json(),
        "data": {
            "name": setup.test.name,
            "metadata": dict(setup.test.metadata),
            "train": _period(setup.train),
            "test": _period(setup.test),
        },
        **provenance.made(),
        "rows": {name: _row(row, medians[name], medians.get(BENCHMARK)) for name, row in rows.items()},
        "sharpe_differences_95": differences(medians),
    }


def _period(market: Market) -> dict[str, Any]:
    """First and last day of the part's own bars, and their number."""
    bars = (market.first, len(market) - 1)
    days = [f"bar {bar}" if market.time is None else market.time_of(bar).split(" ")[0] for bar in bars]
    return {"first": days[0], "last": days[1], "bars": len(market) - market.first}


def differences(medians: Mapping[str, Any]) -> dict[str, dict[str, tuple[float, float]]]:
    """Intervals of median Sharpe ratio minus the peer's, for each row except rules: name -> peer -> interval.

    Args:
        medians: bootstrap samples on the same bars for all rows, name -> [B].
    """
    result = {}
    for name in medians:
        peers = [peer for peer in (BENCHMARK, "random", *(["sb3_dqn"] if name == "dqn" else [])) if peer in medians]
        if name not in RULES:
            result[name] = {peer: percentile_interval(medians[name] - medians[peer]) for peer in peers}
    return result


def _row(row: Row, medians: Any, benchmark: Any) -> dict[str, Any]:
    measured = measures(row.tracks)
    less = (math.nan, math.nan) if benchmark is None else percentile_interval(medians - benchmark)
    return {
        "seeds": len(row.tracks.equity),
        "metrics": {name: values.tolist() for name, values in measured.items()},
        "summary": {name: median_and_range(values)._asdict() for name, values in measured.items()},
        "sharpe_interval_95": percentile_interval(medians),
        "sharpe_minus_buy_and_hold_95": less,
        "training_steps_per_second": row.steps_per_second,
        "training_seconds": row.seconds,
    }


def equity_frame(rows: Mapping[str, Row]) -> pd.DataFrame:
    """Every seed's equity after every close: columns time, policy, seed, equity."""
    frames = []
    for name, row in rows.items():
        runs, closes = row.tracks.equity.shape
        columns = {
            "time": np.tile(np.arange(closes) if row.tracks.time is None else np.asarray(row.tracks.time), runs),
            "policy": name,
            "seed": np.repeat(np.arange(runs), closes),
            "equity": row.tracks.equity.ravel(),
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


def _title(results: Mapping[str, Any]) -> str:
    data = results["data"]
    return f"{data['name']}, test {data['test']['first']} to {data['test']['last']}, {data['test']['bars']} bars"


def _cells(row: Mapping[str, Any]) -> list[str]:
    """The row's numbers: the median and, for several seeds, the range on a second line."""
    summary, several, speed = row["summary"], row["seeds"] > 1, row["training_steps_per_second"]
    cells = {
        "total_return": _spread(summary["total_return"], percent, several),
        "sharpe": _spread(summary["sharpe"], decimal, several),
        "interval": between(row["sharpe_interval_95"], decimal),
        "max_drawdown": _spread(summary["max_drawdown"], percent, several),
        "turnover": _spread(summary["turnover"], tenths, several),
        "speed": "" if speed is None else f"{speed:,.0f}",
    }
    if summary["sharpe"]["defined"]:
        median, *spread = cells["sharpe"].split("\n")
        cells["sharpe"] = "\n".join([f"{median} ± {decimal(summary['sharpe_se']['median'])}", *spread])
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
        "With several seeds: the median, and below it the range. random has the turnover of the median dqn seed.",
        "s.e. is Lo's standard error of the annual Sharpe ratio; 95% is an interval that resamples bars and seeds.",
        *_differences(results.get("sharpe_differences_95", {})),
        "Two rows differ if the interval of their difference excludes 0; their own intervals do not show it.",
        *_undefined(rows),
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
        for peer, (low, high) in peers.items():
            if not math.isnan(low):
                interval = f"{decimal(low)} to {decimal(high)} (95%)"
                lines.append(f"{name}: Sharpe minus {peer}'s {interval}: {verdict(low, high)}.")
    return lines


def verdict(low: float, high: float) -> str:
    """The verdict of the interval of a difference."""
    return "no difference shown" if low <= 0.0 <= high else "better" if low > 0.0 else "worse"


def _undefined(rows: Mapping[str, Any]) -> list[str]:
    """One line for each row with seeds that never held a position and so have no Sharpe ratio."""
    idle = {name: row["seeds"] - row["summary"]["sharpe"]["defined"] for name, row in rows.items() if name != "flat"}
    return [
        f"{name}: {count} of {rows[name]['seeds']} seeds never held a position and have no Sharpe ratio."
        for name, count in idle.items()
        if count
    ]
