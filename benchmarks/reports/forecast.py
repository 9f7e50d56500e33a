"""The results of a forecast study as a dict, as tables with findings, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.console import Console

from agents.base.commands import printable
from benchmarks.evaluation.tracks import measures
from benchmarks.forecasting import metrics
from benchmarks.reports import figures
from benchmarks.reports import table as tables
from benchmarks.statistics.sharpe import mean_sharpe, sharpe_gap
from benchmarks.study import provenance
from benchmarks.study.forecast_settings import ForecastSettings
from benchmarks.study.walk_forward import Study

NAIVE, BENCHMARK = "last_value", "buy_and_hold"
NAMES = ("last_value", "mean_of_20", "ridge", "forest", "boosting", "lstm")
NAME_COLUMNS = ("market", "forecaster")
SKILL_COLUMNS = ("RMSE %", "MAE %", "MALR %", "direction\nright %", "skill %", "95% interval", "Clark-West\np")
TRADE_COLUMNS = (
    "total\nreturn %",
    "Sharpe",
    "less buy-and-hold\n95% interval",
    "max\ndrawdown %",
    "turnover\nper year",
    "exposure",
)
SPARE_SKILLS = ("MALR %", "MAE %", "RMSE %", "direction\nright %", "Clark-West\np")
SPARE_TRADES = ("exposure", "turnover\nper year", "max\ndrawdown %")
COLOURS = dict(zip(NAMES, ("#999999", "#E69F00", "#56B4E9", "#009E73", "#D55E00", "#0072B2"), strict=True))


def results(settings: ForecastSettings, studies: Mapping[str, Study]) -> dict[str, Any]:
    """The results as JSON values."""
    return {
        "settings": {**asdict(settings), "folder": str(settings.folder)},
        **provenance.made(),
        "versions": provenance.versions("scikit-learn"),
        "markets": {name: _market(study) for name, study in studies.items()},
    }


def _market(study: Study) -> dict[str, Any]:
    naive = study.forecasts[NAIVE]
    days = None if study.time is None else [str(study.time[i])[:10] for i in (0, -1)]
    bars_per_year = study.market.bars_per_year or 252.0
    held = study.tracks[BENCHMARK].returns
    return {
        "test": {"days": days, "forecasts": len(study.truth)},
        "survivorship_biased": bool(study.market.metadata.get("survivorship_biased")),
        "forecasters": {
            name: {
                "rmse": metrics.rmse(forecast, study.truth),
                "mae": metrics.mae(forecast, study.truth),
                "malr": metrics.malr(forecast, study.truth),
                "directional_accuracy": metrics.directional_accuracy(forecast, study.truth),
                "skill": metrics.skill(forecast, naive, study.truth),
                "skill_interval_95": metrics.skill_estimate(forecast, naive, study.truth).interval(),
                "clark_west_p": metrics.clark_west(forecast, naive, study.truth),
                "margins": study.margins[name],
            }
            for name, forecast in study.forecasts.items()
        },
        "traders": {
            name: {
                **{key: float(np.median(values)) for key, values in measures(tracks).items() if key in _MEASURES},
                "sharpe": mean_sharpe(tracks.returns, bars_per_year).value,
                "sharpe_minus_buy_and_hold_95": sharpe_gap(tracks.returns, held, bars_per_year).interval(),
            }
            for name, tracks in study.tracks.items()
        },
    }


_MEASURES = ("total_return", "max_drawdown", "turnover", "exposure")


# -- tables ----------------------------------------------------------------------------------------------------


def show(results: Mapping[str, Any], console: Console | None = None, wide: bool = False) -> None:
    """Prints both tables, all of their columns if ``wide``, each with its findings."""
    console = tables.console_of(console)
    skills, trades = tables_of(results)
    for table, lines in ((skills, skill_findings(results)), (trades, trading_findings(results))):
        tables.show(table, console, wide)
        tables.say(lines, console)
    if "versions" in results:
        tables.say([f"Made at {provenance.in_words(results)}."], console)


def tables_of(results: Mapping[str, Any]) -> tuple[tables.Columns, tables.Columns]:
    """The tables of forecasts and of trades on them, with a line between markets."""
    title = f"Forecasts of {results['settings']['horizon']}-bar returns, walking forward"
    skills = tables.Columns(title, NAME_COLUMNS, SKILL_COLUMNS, spare=SPARE_SKILLS)
    title = "Trading on them, after costs (medians over seeds; Sharpe: means)"
    trades = tables.Columns(title, NAME_COLUMNS, TRADE_COLUMNS, spare=SPARE_TRADES)
    for market, found in results["markets"].items():
        for i, (name, row) in enumerate(found["forecasters"].items()):
            cells = [100.0 * row[key] for key in ("rmse", "mae", "malr", "directional_accuracy", "skill")]
            interval = _between(row["skill_interval_95"], 100.0)
            nested = "" if name == NAIVE else _number(row["clark_west_p"])
            skills.rows.append(["" if i else market, name, *map(_number, cells), interval, nested])
        for i, (name, row) in enumerate(found["traders"].items()):
            ratios = _between(row["sharpe_minus_buy_and_hold_95"]) if name != BENCHMARK else ""
            cells = [_number(100.0 * row["total_return"], 0), _number(row["sharpe"]), ratios]
            cells += [_number(100.0 * row["max_drawdown"], 0), _number(row["turnover"], 1), _number(row["exposure"])]
            trades.rows.append(["" if i else market, name, *cells])
        for table in (skills, trades):
            table.rows.append(None)
    return skills, trades


def _number(value: float, digits: int = 2) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f}"


def _between(interval: tuple[float, float], factor: float = 1.0) -> str:
    return "" if math.isnan(interval[0]) else f"{factor * interval[0]:.2f} to {factor * interval[1]:.2f}"


# -- findings --------------------------------------------------------------------------------------------------


def skill_findings(results: Mapping[str, Any]) -> list[str]:
    """Sentences on the skills, derived from their intervals."""
    rows = {
        (market, name): row["skill_interval_95"]
        for market, found in results["markets"].items()
        for name, row in found["forecasters"].items()
        if name != NAIVE
    }
    above = [f"{name} on {market}" for (market, name), (low, _) in rows.items() if low > 0.0]
    below = sum(high < 0.0 for _, high in rows.values())
    horizon = results["settings"]["horizon"]
    if not above:
        first = (
            f"No forecaster's skill interval lies above 0: {horizon}-bar returns are close to unpredictable here, and "
            f"the forecast of an unchanged price is hard to beat."
        )
    else:
        first = (
            f"{len(above)} of {len(rows)} skill intervals lie above 0 ({', '.join(above)}); by chance alone about "
            f"{0.025 * len(rows):.1f} would."
        )
    return [
        first,
        f"{below} of {len(rows)} lie below 0: these forecasts are worse than none.",
        "Skill is 1 - MSE / MSE of last_value; Clark-West tests whether the forecast has anything to add to it. "
        "Intervals of skill are for dependent bars, one row at a time, so the "
        "best of many rows looks better than it is.",
    ]


def trading_findings(results: Mapping[str, Any]) -> list[str]:
    """Sentences on the traders, derived from the intervals."""
    markets = results["markets"]
    traders = [
        (market, name, row)
        for market, found in markets.items()
        for name, row in found["traders"].items()
        if name not in (BENCHMARK, "flat", NAIVE)
    ]
    better = [f"{name} on {market}" for market, name, row in traders if row["sharpe_minus_buy_and_hold_95"][0] > 0.0]
    still = sum(row["turnover"] == 0.0 for _, _, row in traders)
    held = {market: found["traders"][BENCHMARK]["total_return"] for market, found in markets.items()}
    richer = sum(row["total_return"] > held[market] for market, _, row in traders)
    claim = f"{len(better)} traders have" if better else "No trader has"
    lines = [
        f"{claim} a Sharpe ratio above buy-and-hold's by an interval that excludes 0"
        + (f" ({', '.join(better)})." if better else "."),
        f"{richer} of {len(traders)} end with more than buy-and-hold; {still} never trade.",
    ]
    if any(found["survivorship_biased"] for found in markets.values()):
        lines.append(
            "The stocks are survivorship-biased: they were chosen because they did well, which favours holding."
        )
    return lines


# -- the picture -----------------------------------------------------------------------------------------------


@figures.names_as_text
def drawn(results: Mapping[str, Any], studies: Mapping[str, Study]) -> Figure:
    """A drawing of forecasts and truth in the last year of the first market, and of the skills on all markets."""
    figure = figures.new_figure(9.0, 8.0)
    top, bottom = figure.subplots(2, 1, height_ratios=(1.0, 1.1))
    _draw_forecasts(top, *next(iter(studies.items())), results["settings"]["horizon"])
    _draw_skills(bottom, results["markets"])
    for axes in (top, bottom):
        figures.show_grid(axes)
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", frameon=False, ncols=len(NAMES))
    return figure


def _draw_forecasts(axes: Any, market: str, study: Study, horizon: int, last: int = 250) -> None:
    when: Any = np.arange(len(study.truth)) if study.time is None else study.time
    axes.fill_between(when[-last:], 100.0 * study.truth[-last:], color="#BBBBBB", linewidth=0.0, label="truth")
    for name, colour in figures.colours_of((name for name in study.forecasts if name != NAIVE), COLOURS).items():
        mean = 100.0 * study.forecasts[name].mean(axis=0)  # [n]
        axes.plot(when[-last:], mean[-last:], color=colour, linewidth=1.2, label=printable(name))
    if study.time is not None:
        figures.show_dates(axes)
    axes.set_ylabel(f"return of the next {horizon} bars, %")
    axes.set_title(f"{printable(market)}: forecasts and truth", loc="left", fontsize=11)


def _draw_skills(axes: Any, markets: Mapping[str, Any]) -> None:
    names = list(dict.fromkeys(name for found in markets.values() for name in found["forecasters"] if name != NAIVE))
    for i, (name, colour) in enumerate(figures.colours_of(names, COLOURS).items()):
        there = [k for k, found in enumerate(markets.values()) if name in found["forecasters"]]
        at = np.array(there) + 0.75 / max(len(names), 5) * (i - (len(names) - 1) / 2)
        rows = [found["forecasters"][name] for found in markets.values() if name in found["forecasters"]]
        skill = 100.0 * np.array([row["skill"] for row in rows])
        ends = 100.0 * np.array([row["skill_interval_95"] for row in rows])
        axes.vlines(at, ends[:, 0], ends[:, 1], color=colour, linewidth=2.0)
        axes.plot(at, skill, "o", color=colour, markersize=4.5)
    axes.axhline(0.0, color="#000000", linewidth=1.0)
    axes.set_xticks(np.arange(len(markets)), [printable(market.removeprefix("us-stocks/")) for market in markets])
    axes.set_xlim(-0.6, len(markets) - 0.4)
    axes.set_ylabel("skill, %")
    axes.set_title("skill against the forecast of an unchanged price, with 95% intervals", loc="left", fontsize=11)
