"""``python -m benchmarks compare``: our DQN and Stable-Baselines3's on real prices, beside simple baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from agents.base.commands import checking, printable, refusing
from agents.common.files import check_folder
from agents.common.folders import write_folder
from benchmarks.contenders.named import Contender
from benchmarks.contenders.settings import CompareSettings, folder_of, parse
from benchmarks.reports import compare as report
from benchmarks.reports import figures
from benchmarks.statistics.intervals import median_and_range
from benchmarks.study.checks import check
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import Place
from benchmarks.study.engines.run import rows_of
from benchmarks.study.folds import Plan, folds_of
from benchmarks.study.job import data, jobs_of
from benchmarks.study.results import json_bytes, parquet_bytes
from benchmarks.study.rows import Row
from benchmarks.study.suite import Suite
from benchmarks.suites.run import ERRORS, begin, finish, place_of

PROGRAM = "python -m benchmarks compare"
RULES = ("buy_and_hold", "flat", "volatility_target", "time_series_momentum", "moving_average_crossover")


def main(arguments: Sequence[str]) -> int:
    """Runs the comparison that the command line describes, and prints it for one dataset after the other."""
    settings = parse(list(arguments), PROGRAM)
    with checking(PROGRAM):
        suite = suite_of(settings)
        check(suite)
        check_episodes(suite)
        place, jobs = place_of(suite, settings.folder), list(jobs_of(suite))
        several = len(suite.data) > 1
        folders = [place.folder / folder_of(name) if several else place.folder for name in suite.data]
        for folder in folders:
            check_folder(folder, "folder")
        begin(suite, place, jobs)
    with refusing(PROGRAM, ERRORS):
        code = finish(jobs, place, local(settings.processes), settings.progress)
        found = [
            written(settings, with_random(suite, dataset, settings, place), place, folder)
            for dataset, folder in zip(suite.data, folders, strict=True)
        ]
    if several:
        report.print_together(found, wide=settings.wide)
    return code


def suite_of(settings: CompareSettings) -> Suite:
    """The comparison as a suite of one fold, without random traders."""
    steps, shared = settings.total_timesteps, asdict(settings.dqn)
    return Suite(
        name=settings.name,
        data=settings.data,
        walk_forward=Plan(split=settings.split),
        env=settings.env_keywords(),
        seeds=settings.seeds,
        episode_length=settings.episode_length,
        points=0,  # nothing is chosen
        contenders=(
            *(Contender(strategy=name) for name in RULES),
            Contender(forecast="ridge", name="forecast"),
            Contender(agent="DQN", name="dqn", steps=steps, hyperparameters=shared, block=2),
            Contender(sb3="DQN", name="sb3_dqn", steps=steps, hyperparameters=settings.dqn.for_sb3(), block=1),
            *(Contender(make=name, name=name) for name in settings.contender),
        ),
    )


def check_episodes(suite: Suite) -> None:
    """Raises ValueError for episodes longer than the training period."""
    for name in suite.data:
        start, stop = folds_of(data(name), suite.walk_forward, suite.purge)[0].train
        if suite.episode_length > stop - start - 1:
            raise ValueError(f"episode_length must be at most {stop - start - 1} on {name}, got {suite.episode_length}")


def with_random(suite: Suite, dataset: str, settings: CompareSettings, place: Place) -> Suite:
    """The suite on one dataset, with random traders that trade as much as the median seed of our DQN."""
    alone = replace(suite, data=(dataset,))
    found = [row.metrics["turnover"] for row in rows_of(list(jobs_of(alone)), place) if row.contender == "dqn"]
    if not found:
        return alone
    turnover = float(median_and_range(np.concatenate(found)).median)
    random = Contender(random=turnover, seeds=settings.random_seeds, block=settings.random_seeds)
    rules = len(RULES)
    return replace(alone, contenders=(*suite.contenders[:rules], random, *suite.contenders[rules:]))


def written(settings: CompareSettings, suite: Suite, place: Place, folder: Path) -> dict[str, Any]:
    """The results on the suite's dataset, printed and written to the folder."""
    jobs = list(jobs_of(suite))
    finish([job for job in jobs if job.contender == "random"], place, local(0), progress=False)
    rows: list[Row] = rows_of(jobs, place)
    results = report.results(settings.as_json(), suite, suite.data[0], rows)
    contents = {
        "results.json": json_bytes(results),
        "equity.parquet": parquet_bytes(report.equity_frame(rows)),
        "equity.png": figures.picture(figures.equity_figure(rows, results), folder / "equity.png"),
    }
    write_folder(folder, contents)
    report.print_comparison(results, wide=settings.wide)
    print(printable(f"written: {folder}/results.json, equity.parquet, equity.png"))
    return results
