"""`tear_sheet`: one page on one policy, of one run or of many seeds."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trading_env.report import calendar, curves, trading
from trading_env.report.account import Account
from trading_env.report.arrays import Arrays
from trading_env.report.benchmark import Benchmark, benchmark_of
from trading_env.report.calendar import cell_value, keyed
from trading_env.report.measures import BESIDE, STRATEGY, TRADING, Beside, Measure, measures_of
from trading_env.report.page import Cell, Chart, Choice, Page, Section, Table, Words
from trading_env.report.sources import account_of

SPREAD = (
    ("median", "Of the runs at which it is defined.", np.median),
    ("lowest", "Of these runs.", np.min),
    ("highest", "Of these runs.", np.max),
)


def tear_sheet(
    backtest_or_history: Any,
    path: str | os.PathLike[str],
    benchmark: Any = None,
    *,
    title: str | None = None,
    bars_per_year: float | None = None,
) -> Path:
    """Writes a page on a policy: its metrics, calendar, risk, costs, and every trade on candles; returns the path.

    Args:
        backtest_or_history: one of

            - a Backtest, of one run or many seeds;
            - an env, whose episode so far is shown;
            - a DataFrame as `TradingEnv.history` returns it, or any with a column equity and, if they are known,
              exposure, turnover, commission, slippage, financing and close, by dates in the index or a column time;
            - a Series of equity;
            - a list of histories over the same bars, one per run.
        path: of the HTML file, which is self-contained and opens offline; its folder is made if there is none.
        benchmark: what the strategy is shown beside: a market to hold, as `load` takes it (a dataset's name, a path, a
            DataFrame of bars, a Market), a Backtest, or a history. It changes no number of the strategy.
        title: of the page; by default the policy's and the market's names.
        bars_per_year: annualises; by default the backtest's or the one that the timestamps show.

    Raises:
        TypeError: the first argument is none of these.
        ValueError: a history is too short, or the benchmark cannot be aligned.
        ImportError: Jinja2 or plotly is missing; the message names the extra.
    """
    return page_of(backtest_or_history, benchmark, title, bars_per_year).write(path)


def page_of(source: Any, benchmark: Any = None, title: str | None = None, bars_per_year: float | None = None) -> Page:
    """The page of `tear_sheet`."""
    account = account_of(source, bars_per_year)
    other = None if benchmark is None else benchmark_of(benchmark, account)
    arrays, several = Arrays(), len(account.labels) > 1
    by = ("run",) if several else ()
    sections = [
        Section("Growth and risk", _growth(account, arrays, other, by)),
        Section("Numbers", _numbers(account, other)),
        Section("Trades", _trades(account, arrays, by)),
        Section("By month and year", _calendar(account, other, by), _no_time(account)),
        Section("Rolling", _rolling(account, arrays, other), _rolling_lead(account)),
        Section("Returns", _returns(account, arrays, other, by)),
        Section("Assumptions", [Words(account.notes or ("None are known.",))]),
    ]
    choices = [Choice("run", "Run", account.labels, account.middle)] if several else []
    named = title or (f"{account.name} on {account.market}" if account.market else account.name)
    sections = [section for section in sections if section.blocks or section.lead]
    return Page(named, sentence(account), sections, arrays, choices, notes=_notes(several))


def sentence(account: Account) -> str:
    """The result in one sentence."""
    numbers = account.tracks
    total, fall = numbers.metric("total_return"), numbers.metric("max_drawdown")
    ratio, error = numbers.metric("sharpe_ratio"), numbers.metric("sharpe_standard_error")
    runs = f"{len(total)} runs" if len(total) > 1 else "One run"
    span = _span(account)
    known = ~np.isnan(ratio)
    sharpe = f", Sharpe ratio {np.median(ratio[known]):z.2f} ± {np.median(error[known]):z.2f}" if known.any() else ""
    middle = "median return" if len(total) > 1 else "return"
    result = f"{middle} {np.median(total):+z,.1%}{sharpe}, largest drawdown {np.median(fall):z.1%}"
    return f"{runs} of {total_bars(account):,} bars{span}: {result}."


def total_bars(account: Account) -> int:
    """T."""
    return int(account.tracks.equity.shape[1]) - 1


def _span(account: Account) -> str:
    if account.time is None:
        return ""
    days = [str(one.astype("datetime64[D]")) for one in account.time[[0, -1]]]
    return f" from {days[0]} to {days[1]}"


def _numbers(account: Account, benchmark: Benchmark | None) -> list[Table]:
    """The tables of all measures: of the run, or their median and range; and of the benchmark."""
    known, rate = measures_of(account), account.tracks.bars_per_year
    yearly = f"A year has {rate:z,.0f} bars." if rate else "Bars per year are unknown, and with them numbers per year."
    risk = [one for one in known if one in STRATEGY]
    trading_ = [one for one in known if one in TRADING]
    tables = [_table("numbers", "Return and risk", yearly, risk, account, benchmark)]
    title = "Trading"
    if benchmark is not None:
        trading_ += [_beside(one, benchmark, rate) for one in BESIDE if rate is not None or not one.yearly]
        title = f"Trading, and beside {benchmark.name}"
    return [*tables, _table("trading-numbers", title, yearly, trading_, account, None)] if trading_ else tables


def _table(
    name: str,
    title: str,
    text: str,
    measures: Sequence[Measure],
    account: Account,
    benchmark: Benchmark | None,
) -> Table:
    """A row for each measure: of the run, or median and range of several, and of the benchmark's account."""
    single = len(account.labels) == 1
    heads = [("measure", "")] + ([(account.name, "")] if single else [(name, help_) for name, help_, _ in SPREAD])
    heads += [(benchmark.name, "On the closes at which it is known.")] if benchmark else []
    rows = []
    for one in measures:
        values = np.array([one.of(account, k) for k in range(len(account.labels))])
        cells = [_cell(value, one.form) for value in _spread(values)]
        cells += [_cell(one.of(benchmark.account, 0), one.form)] if benchmark else []
        rows.append([Cell(one.name), *cells])
    meanings = " ".join(f"{one.name[0].upper()}{one.name[1:]}: {one.meaning}" for one in measures)
    return Table(name, title, f"{text} {meanings}", heads, {"": rows}, half=True)


def _beside(one: Beside, benchmark: Benchmark, rate: float | None) -> Measure:
    """The measure of a run beside this benchmark."""
    return Measure(
        one.name,
        one.meaning,
        one.form,
        lambda account, k: one.of(account.tracks.returns[k], benchmark.returns, rate or math.nan),
    )


def _spread(values: Any) -> list[float]:
    """The value of a single run, or median and range over those at which it is defined."""
    known = values[~np.isnan(values)]
    if len(values) == 1 or not known.size:
        return [float(values[0])] * (1 if len(values) == 1 else len(SPREAD))
    return [float(measure(known)) for _, _, measure in SPREAD]


def _cell(value: float, form: Any) -> Cell:
    return Cell(form(value), cell_value(value))


def _growth(account: Account, arrays: Arrays, benchmark: Benchmark | None, by: Sequence[str]) -> list[Chart]:
    band = "The line is the median over runs, the band from the lowest to the highest. " if by else ""
    charts = [
        Chart(
            "growth",
            "Return",
            f"{band}Equity over initial equity, minus 1, after costs. The benchmark is shown where it has data.",
            {"": curves.growth_chart(account, arrays, benchmark, log=False)},
        ),
        Chart(
            "log-growth",
            "Growth, logarithmic",
            f"{band}Equal distances are equal factors of growth.",
            {"": curves.growth_chart(account, arrays, benchmark, log=True)},
            half=benchmark is not None,
        ),
    ]
    if benchmark is not None and benchmark.account.tracks.returns.size > 1:
        text = "Returns of the benchmark times the ratio of the volatilities, compounded."
        figures = {"": curves.matched_chart(account, arrays, benchmark)}
        charts.append(Chart("matched", "Return, benchmark at the same volatility", text, figures, half=True))
    charts += [
        Chart(
            "drawdown",
            "Drawdown",
            f"{band}Loss from the highest equity so far.",
            {"": curves.drawdown_chart(account, arrays)},
        ),
        Chart(
            "worst",
            "Ten worst drawdowns",
            "Shaded from the peak until equity is as high again.",
            keyed(account, lambda a, k: curves.worst_chart(a, arrays, k)),
            by,
        ),
    ]
    table = Table(
        "drawdowns",
        "Ten worst drawdowns",
        "The drawdowns do not overlap.",
        calendar.DRAWDOWNS,
        keyed(account, calendar.drawdown_rows),
        by,
    )
    return [*charts, table]  # type: ignore[list-item]


def _trades(account: Account, arrays: Arrays, by: Sequence[str]) -> list[Chart]:
    def figure(account: Account, k: int) -> dict[str, Any]:
        return trading_figure(account, arrays, k)

    text = (
        "Each beam joins a trade's entry and exit at their fill prices; it is dotted for a loss after costs. Triangles "
        "are entries, circles exits. Drag or use the buttons to zoom: candles get finer until one is a bar. Exposure "
        "is that after each close; equity is relative to its start."
    )
    charts = [Chart("trades", "Trades", text, keyed(account, figure), by, height=720, zoom=True)]
    if account.knows("exposure"):
        help_ = "Value of the position over equity after each close."
        charts.append(Chart("exposure", "Exposure", help_, {"": curves.exposure_chart(account, arrays)}, half=True))
    if all(account.knows(name) for name in ("commission", "slippage", "financing")):
        help_ = "Paid so far, as a share of the initial equity; mean over runs. Negative financing was received."
        charts.append(Chart("costs", "Costs", help_, {"": curves.costs_chart(account, arrays)}, half=True))
    return charts


def trading_figure(account: Account, arrays: Arrays, k: int) -> dict[str, Any]:
    """Candles, trades, equity, drawdown and exposure of a run."""
    count, runs = account.tracks.equity.shape[1], len(account.labels)
    market = trading.market_columns(account.time, account.prices, count)
    exposure = account.tracks.exposure[k] if account.knows("exposure") else None
    before = math.nan if account.rows is None else 0.0  # a history may begin with a position
    own = {"x": market["x"], **trading.account_columns(account.tracks.equity[k], exposure, before)}
    trades = None if account.trades is None else trading.trades_of(account.trades[k], arrays)
    found = {
        "market": trading.levels_of(market, arrays),
        "account": trading.levels_of(own, arrays, runs),
        "trades": trades,
        "net": ",.2f",
        "axis": "linear" if account.time is None else "date",
    }
    number = "unknown" if account.trades is None else f"{len(account.trades[k]):,}"
    return {
        "trading": found,
        "alt": f"Trades of {account.labels[k]}: {number}, on the price, with equity, drawdown, exposure.",
    }


def _no_time(account: Account) -> str:
    return "" if account.time is not None else "The bars have no timestamps, so there are no months and years."


def _calendar(account: Account, benchmark: Benchmark | None, by: Sequence[str]) -> list[Any]:
    if account.time is None:
        return []
    text = "From the last close before the period to its last close, compounded, after costs."
    return [
        Chart("monthly", "Returns by month", text, keyed(account, calendar.monthly_chart), by, _height(account)),
        Chart("yearly", "Returns by year", text, keyed(account, calendar.yearly_chart, benchmark), by),
        Table(
            "years",
            "Returns by year",
            text,
            calendar.headings_of_years(benchmark),
            keyed(account, calendar.yearly_rows, benchmark),
            by,
        ),
    ]


def _height(account: Account) -> int:
    """Pixels of the monthly heat map."""
    assert account.time is not None
    years = account.time[[0, -1]].astype("datetime64[Y]").astype(int)
    return int(80 + 26 * (years[1] - years[0] + 1))


def _rolling_lead(account: Account) -> str:
    unit = "per year" if account.tracks.bars_per_year else "per bar, since bars per year are unknown"
    return f"Over the last {curves.window_of(account):,} bars, {unit}." if total_bars(account) >= 4 else ""


def _rolling(account: Account, arrays: Arrays, benchmark: Benchmark | None) -> list[Chart]:
    names = {
        "sharpe": ("Rolling Sharpe ratio", "Mean return over its standard deviation. A gap: no volatility."),
        "volatility": ("Rolling volatility", "Standard deviation of returns."),
        "sortino": ("Rolling Sortino ratio", "Mean return over the root mean square of losses. A gap: no loss."),
    }
    if benchmark is not None:
        names["beta"] = ("Rolling beta", f"Slope of the returns on those of {benchmark.name}.")
    found = {name: curves.rolling_chart(account, arrays, name, benchmark) for name in names}
    return [
        Chart(f"rolling-{name}", names[name][0], names[name][1], {"": figure}, half=True)
        for name, figure in found.items()
        if figure is not None
    ]


def _returns(account: Account, arrays: Arrays, benchmark: Benchmark | None, by: Sequence[str]) -> list[Chart]:
    charts = [
        Chart(
            "returns",
            "Returns by day or bar",
            "Of each day, or of each bar where bars are longer. Of a long series, the extremes of every few.",
            keyed(account, lambda a, k: curves.returns_chart(a, arrays, k)),
            by,
        ),
        Chart(
            "boxes",
            "Quantiles of returns",
            "Median, quartiles, and 5% and 95% quantiles, by length of period.",
            keyed(account, calendar.boxes_chart),
            by,
            half=True,
        ),
    ]
    months = keyed(account, calendar.months_chart, benchmark)
    if months:
        text = "Shares of months by return; dashed lines are means."
        charts.append(Chart("months", "Distribution of monthly returns", text, months, by, half=True))
    return charts


def _notes(several: bool) -> list[str]:
    lines = ["A past return is no promise. One run on one market says little: see the standard error."]
    return [*lines, "The range over runs shows the chance of training, not that of the market."] if several else lines
