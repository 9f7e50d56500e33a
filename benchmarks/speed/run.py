"""``python -m benchmarks speed``: envs, agents and start-up against their peers, as ratios beside the goals."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import tyro
from tqdm import tqdm

from agents.base.commands import checking, parse
from agents.common.files import check_folder
from benchmarks.reports import table as tables
from benchmarks.speed import agents as speed_agents
from benchmarks.speed import bound as speed_bound
from benchmarks.speed import cores as speed_cores
from benchmarks.speed import engines as speed_engines
from benchmarks.speed import envs as speed_env
from benchmarks.speed import lstm as speed_lstm
from benchmarks.speed import portfolios as speed_portfolios
from benchmarks.speed import sb3 as speed_sb3
from benchmarks.speed import scale as speed_scale
from benchmarks.speed import start as speed_start
from benchmarks.speed.rivals import part as speed_rivals
from benchmarks.speed.timing import Measured, Part
from benchmarks.study import provenance
from benchmarks.study.results import write_json
from benchmarks.tasks.checks import check_distinct, check_name

PROGRAM = "python -m benchmarks speed"
PARTS: Mapping[str, ModuleType] = {
    "start": speed_start,
    "env": speed_env,
    "portfolio": speed_portfolios,
    "scale": speed_scale,
    "agents": speed_agents,
    "bound": speed_bound,
    "cores": speed_cores,
    "lstm": speed_lstm,
    "sb3": speed_sb3,
    "engines": speed_engines,
    "rivals": speed_rivals,
}
OWN = tuple(name for name in PARTS if name not in ("engines", "rivals"))  # which need Ray, and other projects

DESCRIPTION = """\
Measures speed side by side: contenders take turns in short chunks, and a ratio is the median over rounds, so a busy
machine slows both of its sides alike. Prints rates and ratios beside the goals, and writes speed.json to FOLDER/NAME.
Trust the ratios; the rates depend on this machine and its load."""


@dataclass(frozen=True)
class SpeedSettings:
    """Options of ``python -m benchmarks speed``."""

    parts: tuple[
        Literal["start", "env", "portfolio", "scale", "agents", "bound", "cores", "lstm", "sb3", "engines", "rivals"],
        ...,
    ] = OWN
    """Parts to measure; sb3 is the speed of Stable-Baselines3 on our vector envs. Two are not measured unless they are
    named: engines (jobs of a study by 1 and 2 workers) needs the extra ray; rivals installs other projects into virtual
    environments of their own in the cache folder."""
    env: Literal["TradingEnv", "CartPole-v1"] = "TradingEnv"
    """Env of the parts agents and bound."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """A run of a few seconds that shows that everything works; its ratios mean little."""
    name: str = "speed"
    """Folder under --folder for the results."""
    folder: Path = Path("results")
    """Where results are kept."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    progress: bool = True
    """Show a progress bar."""

    def __post_init__(self) -> None:
        check_name(self.name)
        check_distinct("parts", self.parts)


def main(arguments: Sequence[str]) -> None:
    """Measures the parts that the command line names."""
    settings: SpeedSettings = parse(PROGRAM, SpeedSettings, arguments, description=DESCRIPTION)
    folder = settings.folder / settings.name
    with checking(PROGRAM):
        check_folder(folder, "folder")
    parts = measure(settings)
    write_json(results(settings, parts), folder / "speed.json")
    print_speed(parts, settings.wide)
    tables.say(
        ["", f"made at {provenance.in_words(provenance.made())}", f"written: {folder}/speed.json"], tables.console_of()
    )


def measure(settings: SpeedSettings) -> dict[str, Part]:
    """The results of the parts, measured one after the other."""
    total = sum(PARTS[name].ticks(settings.quick) for name in settings.parts)
    with tqdm(total=total, unit="chunk", desc="speed", disable=not settings.progress) as bar:
        return {
            name: PARTS[name].measure(settings.quick, bar.update, **_options(settings, name)) for name in settings.parts
        }


def _options(settings: SpeedSettings, part: str) -> dict[str, Any]:
    """Keywords that only this part takes."""
    return {"env": settings.env} if part in ("agents", "bound") else {}


def results(settings: SpeedSettings, parts: Mapping[str, Part]) -> dict[str, Any]:
    """The measurements as JSON values."""
    return {
        "quick": settings.quick,
        "machine": {**provenance.machine(), "load": os.getloadavg()[0]},
        **{name: value for name, value in provenance.made().items() if name in ("commit", "date", "versions")},
        "parts": {name: _part(part) for name, part in parts.items()},
    }


def _part(part: Part) -> dict[str, Any]:
    rates = {
        name: {"median": statistics.median(values), "low": min(values), "high": max(values), "rounds": values}
        for name, values in part.rates.items()
    }
    measured = [
        {"name": item.name, "value": item.value, "unit": item.unit, "goal": item.goal, "met": item.met}
        for item in part.measured
    ]
    return {"setting": dict(part.setting), "rates": rates, "measured": measured, "remarks": part.remarks}


def print_speed(parts: Mapping[str, Part], wide: bool = False) -> None:
    """Prints steps per second of all contenders, then ratios and times beside their goals; all columns if ``wide``."""
    console = tables.console_of()
    rates = tables.Columns("Steps per second", ["contender"], ["median", "lowest", "highest"])
    plain = [part for part in parts.values() if part.table is None]
    for name, values in (item for part in plain for item in part.rates.items()):
        rates.rows.append([name, *(f"{f(values):,.0f}" for f in (statistics.median, min, max))])
    if rates.rows:
        tables.show(rates, console, wide)
    for own in (part.table for part in parts.values() if part.table is not None):
        tables.show(own, console, wide)
    measured = tables.Columns("Ratios and times", ["measured"], ["value", "goal", "met"])
    measured.rows += [[item.name, *_cells(item)] for part in plain for item in part.measured]
    if measured.rows:
        tables.show(measured, console, wide)
    tables.say((remark for part in parts.values() for remark in part.remarks), console)


def _cells(item: Measured) -> tuple[str, str, str]:
    """Value, goal and verdict as text."""
    value = "missing" if math.isnan(item.value) else f"{item.value:.2f} {item.unit}"
    bound = "" if item.goal is None else f"{'>=' if item.unit == 'x' else '<='} {item.goal:g} {item.unit}"
    return value, bound, {True: "yes", False: "NO", None: ""}[item.met]
