"""The rows and notes of a backtest's summary. K = runs, T = bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from trading_env.analysis.tracks import Floats, Tracks
from trading_env.config import Costs, as_config
from trading_env.data.market import Market
from trading_env.data.panel import Panel
from trading_env.envs.config import EnvConfig


def _percent(value: float) -> str:
    """0.1234 as "+12.3%", 12.34 as "+1,234%", 1e6 as "+1.0e+08%"."""
    if abs(value) >= 1e4:
        return f"{100.0 * value:+.1e}%"
    return f"{value:+,.1%}" if abs(value) < 10.0 else f"{value:+,.0%}"


def _plain_percent(value: float) -> str:
    return _percent(value).lstrip("+")


COLUMNS: dict[str, Callable[[float], str]] = {  # metric, and how it is written
    "total_return": _percent,
    "annual_return": _percent,
    "annual_volatility": _plain_percent,
    "sharpe_ratio": "{:.2f}".format,
    "sharpe_standard_error": "{:.2f}".format,
    "max_drawdown": _plain_percent,
    "annual_turnover": "{:,.1f}".format,
}
SHORT = 0.25  # years, below which the summary warns of its figures per year
HEADINGS = ("", "return", "per year", "volatility", "Sharpe ±", "drawdown", "turnover", "trades")


def table_of(
    tracks: Tracks, trades: Sequence[int], names: Sequence[str], close: Floats, alike: bool
) -> list[list[str]]:
    """The cells of each row: the runs, median and range of several that are alike, and holding.

    Args:
        tracks: K runs.
        trades: number of trades of each (K,).
        names: of the runs (K,).
        close: closes, from that of the first decision on (T+1,).
        alike: True if the runs are seeds of one policy.
    """
    values = [tracks.metric(metric) for metric in COLUMNS]
    runs = [[column[k] for column in values] for k in range(len(names))]
    if len(names) == 1:
        rows = [row("policy", runs[0], trades[0])]
    else:
        rows = [row(name, run, n) for name, run, n in zip(names, runs, trades, strict=True)]
    if len(names) > 1 and alike:
        for name, measure in (("median", np.median), ("lowest", np.min), ("highest", np.max)):
            rows.append(row(name, [_of(measure, column) for column in values], _of(measure, trades)))
    held = _held(tracks, close)
    return [*rows, row("holding", [held.metric(metric)[0] for metric in COLUMNS], math.nan)]


def notes(tracks: Tracks, config: EnvConfig) -> list[str]:
    """The assumptions behind the numbers, one per line."""
    costs = as_config(Costs, config.costs, "costs")
    rates = [f"commission {1e4 * costs.commission:g} bps", f"spread and slippage {1e4 * costs.spread:g} bps"]
    rates += [] if costs.proportional else ["fees per trade or unit"]
    paid = f"Each trade pays {', '.join(rates)}, filled at {config.fill}; holding pays nothing."
    return [paid, *notes_on_years(tracks)]


def notes_on_years(tracks: Tracks) -> list[str]:
    """What figures per year mean, and whether they say anything, one line each."""
    lines = [
        "± is Lo's standard error of the yearly Sharpe ratio; turnover is per year, buying and selling all counts as 2."
    ]
    bars, rate = tracks.equity.shape[1] - 1, tracks.bars_per_year
    if rate is None:
        lines.append("bars_per_year is unknown, and with it figures per year: give bars_per_year=...")
    elif bars < SHORT * rate:
        lines.append(f"{_bars(bars)} of {rate:,.0f} a year: figures per year say little.")
    return lines


def period_of(data: Market | Panel, first: int) -> str:
    """The name of the data, its first and last day, if known, and the number of bars after row ``first``."""
    days = [] if data.time is None else [data.time_of(row).split(" ")[0] for row in (first, len(data) - 1)]
    return ", ".join([data.name, *([" to ".join(days)] if days else []), _bars(len(data) - 1 - first)])


def _bars(n: int) -> str:
    return f"{n} bar{'' if n == 1 else 's'}"


def _held(tracks: Tracks, close: Floats) -> Tracks:
    """The account that holds the market from the first close on, without costs."""
    equity = (tracks.equity[0, 0] * (close / close[0]))[None]  # [1, T+1]
    nothing = np.zeros((1, equity.shape[1] - 1))
    return Tracks(tracks.time, tracks.bars_per_year, equity, nothing + 1.0, *[nothing] * 4)


def _of(measure: Callable[[Floats], float], values: Sequence[float] | Floats) -> float:
    """The measure of the values that are numbers; NaN if there are none."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(measure(known)) if known.size else math.nan


def row(name: str, values: Sequence[float], trades: float = math.nan) -> list[str]:
    """The cells of a row: its name, the metrics of `COLUMNS`, and the number of trades."""
    cells = ["n/a" if math.isnan(value) else show(value) for value, show in zip(values, COLUMNS.values(), strict=True)]
    *returns, sharpe, error, drawdown, turnover = cells
    ratio = f"{sharpe} ± {error}" if sharpe != "n/a" else sharpe
    return [name, *returns, ratio, drawdown, turnover, "" if math.isnan(trades) else f"{trades:,g}"]
