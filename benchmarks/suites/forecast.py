"""``python -m benchmarks forecast``: can the next returns be forecast, and does trading on that pay its costs?"""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym

from agents.base.commands import checking, printable
from agents.common.files import check_folder
from agents.common.folders import write_folder
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.forecasting.windows import Windows
from benchmarks.reports import figures
from benchmarks.reports import forecast as forecast_report
from benchmarks.study.forecast_settings import ForecastSettings, parse
from benchmarks.study.results import json_bytes
from benchmarks.study.walk_forward import parts_of, run
from trading_env import Market, load

PROGRAM = "python -m benchmarks forecast"


def main(arguments: Sequence[str]) -> None:
    """Runs the study that the command line describes."""
    settings = parse(arguments, PROGRAM)
    folder = settings.folder / settings.name
    with checking(PROGRAM):
        check_folder(folder, "folder")
        for name in settings.data:
            check_market(name, load(name), settings)
    studies = run(settings)
    results = forecast_report.results(settings, studies)
    picture = figures.picture(forecast_report.drawn(results, studies), folder / "forecast.png")
    write_folder(folder, {"results.json": json_bytes(results), "forecast.png": picture})
    forecast_report.show(results, wide=settings.wide)
    print(printable(f"written: {folder}/results.json, forecast.png"))


def check_market(name: str, market: Market, settings: ForecastSettings) -> None:
    """Raises ValueError if a study of the market would fail."""
    try:
        if market.bars_per_year is None:
            raise ValueError("it has no timestamps from which to infer its bars per year")
        windows = Windows.of(market, settings.window, settings.horizon)
        parts_of(windows, settings)
        gym.make(ENV_ID, data=market, **settings.keywords)
    except ValueError as error:
        raise ValueError(f"data {name!r}: {error}") from error
