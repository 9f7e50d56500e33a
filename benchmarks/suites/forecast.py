"""``python -m benchmarks forecast``: can the next returns be forecast, and does trading on that pay its costs?"""

from __future__ import annotations

from collections.abc import Sequence

from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder
from agents.common.folders import write_folder
from benchmarks.reports import figures
from benchmarks.reports import forecast as forecast_report
from benchmarks.study.checks import check
from benchmarks.study.engines.local import local
from benchmarks.study.engines.run import rows_of
from benchmarks.study.forecast_settings import parse
from benchmarks.study.job import data, jobs_of
from benchmarks.study.results import json_bytes
from benchmarks.study.walk_forward import study_of
from benchmarks.suites.run import ERRORS, begin, finish, place_of

PROGRAM = "python -m benchmarks forecast"


def main(arguments: Sequence[str]) -> int:
    """Runs the study that the command line describes; 1 if a job failed."""
    settings = parse(arguments, PROGRAM)
    with checking(PROGRAM):
        suite = settings.suite()
        for name in suite.data:
            if data(name).bars_per_year is None:
                raise ValueError(f"data {name!r}: it has no timestamps from which to infer its bars per year")
        check(suite)
        place, jobs = place_of(suite, settings.folder), list(jobs_of(suite))
        check_folder(place.folder, "folder")
        begin(suite, place, jobs)
    with refusing(PROGRAM, ERRORS):
        if code := finish(jobs, place, local(settings.processes), settings.progress):
            return code
        rows = rows_of(jobs, place)
    studies = {name: study_of(rows, name) for name in suite.data}
    results = forecast_report.results(settings, studies)
    picture = figures.picture(forecast_report.drawn(results, studies), place.folder / "forecast.png")
    write_folder(place.folder, {"results.json": json_bytes(results), "forecast.png": picture})
    forecast_report.show(results, wide=settings.wide)
    print(printable(f"written: {place.folder}/results.json, forecast.png"))
    return 0
