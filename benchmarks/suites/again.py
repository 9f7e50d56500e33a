"""``python -m benchmarks again SUITE``: trains one kept row again, and says whether it gets the same numbers."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refuse, refusing
from benchmarks.study import provenance
from benchmarks.study.certificates.job import jobs_of
from benchmarks.study.certificates.settings import chosen, parse
from benchmarks.study.engines.place import Place, Work
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import KeptError
from benchmarks.study.rows import Row
from benchmarks.suites.run import prepared
from benchmarks.tasks.checks import check_counts

PROGRAM = "python -m benchmarks again"
CERTIFICATES: dict[str, list[str]] = {"certify": [], "certify-family": ["--family"], "certify-quick": ["--quick"]}
DESCRIPTION = """\
Trains one kept row of a suite, or of the certificates, again: another one each day unless --job names it. Prints the
largest difference of its numbers from those kept, and ends with code 1 if there is any."""


@dataclass(frozen=True)
class AgainSettings:
    """Options of ``python -m benchmarks again``."""

    suite: Annotated[str, tyro.conf.Positional]
    """A built-in suite, a TOML file, or certify, certify-family or certify-quick."""
    folder: Path = Path("results")
    """Where studies are kept."""
    seeds: int | None = None
    """Seeds of each learner, if the study was run with another number than the suite's."""
    job: str | None = None
    """Id of the job whose row is trained again."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds",))


def main(arguments: Sequence[str]) -> int:
    """Trains the row again; 1 if its numbers differ."""
    settings: AgainSettings = commands.parse(PROGRAM, AgainSettings, list(arguments), description=DESCRIPTION)
    with checking(PROGRAM):
        place, jobs = known(settings)
        kept = [job for job in jobs if place.row(job).exists()]
        job = picked(kept, settings.job)
    if job is None:
        raise refuse(PROGRAM, f"nothing to train again: {place.folder} has no rows of {settings.suite}")
    with refusing(PROGRAM, (KeptError, OSError)):
        before = Row.read(place.row(job))
        after = job.run(Ledger(place.ledger))
    name, size = largest_difference(before, after)
    verdict = "the same numbers" if size == 0.0 else f"{name} differs by up to {size:.3g}"
    print(printable(f"{job.name}: {verdict}"))
    print(printable(f"kept at {provenance.in_words(before.facts)}"))
    print(printable(f"now at {provenance.in_words(after.facts)}"))
    return int(size != 0.0)


def known(settings: AgainSettings) -> tuple[Place, Sequence[Work]]:
    """The place of the rows, and the jobs."""
    if settings.suite in CERTIFICATES:
        chosen_by, folder = parse(CERTIFICATES[settings.suite], PROGRAM), settings.folder / settings.suite
        jobs = list(jobs_of(list(chosen(chosen_by)), chosen_by.seeds, chosen_by.points))
        return Place(folder, folder / "ledger.jsonl", settings.suite), jobs
    _, place, jobs_of_suite = prepared(settings.suite, settings.folder, settings.seeds)
    return place, jobs_of_suite


def picked(jobs: Sequence[Work], name: str | None) -> Work | None:
    """The job of that id, or the one whose turn it is today; None if there are none.

    Raises:
        ValueError: no job has the id.
    """
    if name is None:
        return jobs[int(time.time() // 86_400) % len(jobs)] if jobs else None
    found = [job for job in jobs if job.id == name]
    if not found:
        raise ValueError(f"job must be the id of a kept row, got {name!r}")
    return found[0]


def largest_difference(before: Row, after: Row) -> tuple[str, float]:
    """The array of two rows that differs most, and by how much; seconds do not count, and NaN equals NaN."""
    sizes = {"": 0.0}
    one, other = _arrays(before), _arrays(after)
    for name in one:  # rows of earlier versions have fewer
        if name not in other or one[name].shape != other[name].shape:
            sizes[name] = np.inf
        elif not np.array_equal(one[name], other[name], equal_nan=True):
            gap = np.abs(one[name] - other[name])
            alike = np.array_equal(np.isnan(one[name]), np.isnan(other[name])) and np.isfinite(gap).any()
            sizes[name] = float(np.nanmax(gap)) if alike else np.inf
    worst = max(sizes, key=lambda name: sizes[name])
    return worst, sizes[worst]


def _arrays(row: Row) -> Mapping[str, Any]:
    parts = {"curves": row.curves, "metrics": row.metrics, "stress": row.stress, "learning": row.learning or {}}
    parts["forecasts"] = row.forecasts
    names = ((part, name, values) for part, group in parts.items() for name, values in group.items())
    return {f"{part} {name}": values for part, name, values in names if name != "seconds"}
