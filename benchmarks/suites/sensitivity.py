"""``python -m benchmarks sensitivity``: scores over grids of hyperparameters, ours and Stable-Baselines3's."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refuse, refusing
from agents.common import files
from agents.common.files import check_folder
from benchmarks.reports import sensitivity as report
from benchmarks.reports import table as tables
from benchmarks.reports.figures import picture
from benchmarks.study.certificates.job import certificates_of, jobs_of
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import LinePlace
from benchmarks.study.provenance import in_words
from benchmarks.study.results import KeptError
from benchmarks.study.sensitivity import SECOND, Grid, surfaces
from benchmarks.suites.run import finish
from benchmarks.tasks.checks import check_counts, check_processes

PROGRAM = "python -m benchmarks sensitivity"
DESCRIPTION = """\
Trains DQN over learning rates and batch sizes, and PPO over learning rates and entropy coefficients, ours and
Stable-Baselines3's with the same other hyperparameters, in the observed regime, whose optimum is known. Prints a table
and draws the mean score of each point, and that of its worst seed. Rows are kept, and never computed twice."""


@dataclass(frozen=True)
class SensitivitySettings:
    """Options of ``python -m benchmarks sensitivity``."""

    agents: tuple[Literal["DQN", "PPO"], ...] = ("DQN", "PPO")
    """Agents to train."""
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    """Learning rates, which fall to zero."""
    batches: tuple[int, ...] = (32, 64, 128, 256)
    """Batch sizes of DQN."""
    entropies: tuple[float, ...] = (0.0, 0.01, 0.05, 0.2)
    """Entropy coefficients of PPO."""
    seeds: int = 5
    """Training seeds at each point."""
    steps: int = 20_000
    """Training steps of each seed."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Six points, 2 seeds and 4,000 steps."""
    folder: Path = Path("results/sensitivity")
    """Where rows, table and picture are kept."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the table, however wide that is."""
    processes: int | None = None
    """Processes; one per core unless given, 0 for none beside this one."""
    progress: bool = True
    """Print a line for each point."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds", "steps"))
        check_processes(self.processes)
        for name, least in (("rates", 1e-8), ("batches", 1), ("entropies", 0.0)):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values) or not all(least <= value < math.inf for value in values):
                raise ValueError(f"{name} must be different numbers of at least {least:g}, got {list(values)}")
        if not self.agents:
            raise ValueError(f"agents must be of {list(SECOND)}, got none")

    def grids(self) -> list[Grid]:
        """The grid of each agent."""
        values: dict[str, tuple[Any, ...]] = {"DQN": self.batches, "PPO": self.entropies}
        return [Grid(agent, self.rates, values[agent], self.steps) for agent in self.agents]


QUICK: dict[str, Any] = {
    "rates": (3e-4, 3e-3, 3e-2),
    "batches": (32, 128),
    "entropies": (0.0, 0.05),
    "seeds": 2,
    "steps": 4_000,
    "folder": Path("results/sensitivity-quick"),
}


def main(arguments: Sequence[str]) -> int:
    """Trains what is missing, prints the table and draws the picture; 1 if a training failed."""
    default = SensitivitySettings(**QUICK) if "--quick" in arguments else SensitivitySettings()
    settings: SensitivitySettings = commands.parse(
        PROGRAM, SensitivitySettings, list(arguments), default=default, description=DESCRIPTION
    )
    with checking(PROGRAM):
        grids = settings.grids()
        jobs = list(jobs_of([entry for grid in grids for entry in grid.entries()], settings.seeds, points=1))
        check_folder(settings.folder, "folder")

    place = LinePlace(settings.folder, settings.folder / "ledger.jsonl", shlex.join([*PROGRAM.split(), *arguments]))
    with refusing(PROGRAM, (KeptError, OSError)):
        failed = finish(jobs, place, local(settings.processes), settings.progress)
        certificates = certificates_of(jobs, settings.folder)
    if not certificates:
        raise refuse(PROGRAM, f"no training succeeded; see {settings.folder}/failed")
    found = surfaces(grids, certificates)
    console, table = tables.console_of(), report.table_of(found)
    tables.show(table, console, settings.wide)
    made = {in_words(one) for certificate in certificates for one in certificate.made}
    page = [*tables.markdown(table), "", f"{settings.seeds} seeds, {settings.steps:,} steps.", "", *sorted(made)]
    path = settings.folder / "sensitivity.png"
    files.write_together(
        {settings.folder / "sensitivity.md": "\n".join([*page, ""]).encode(), path: picture(report.draw(found), path)}
    )
    print(printable(f"written: {settings.folder}/sensitivity.md, sensitivity.png"))
    return failed
