"""``python -m benchmarks certify``: scores of agents as fractions of a known optimum, and the controls."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from agents.base.commands import checking, refuse, refusing
from agents.common.files import check_folder, check_writable
from benchmarks.reports import certify as certify_report
from benchmarks.reports.figures import check_picture
from benchmarks.study.certificates.certified import check
from benchmarks.study.certificates.job import CertifyJob, certificates_of, jobs_of
from benchmarks.study.certificates.settings import CertifySettings, chosen, parse
from benchmarks.study.engines.local import local
from benchmarks.study.engines.place import LinePlace
from benchmarks.study.results import KeptError
from benchmarks.suites.certify_controls import controls_of
from benchmarks.suites.run import finish

PROGRAM = "python -m benchmarks certify"


def main(arguments: Sequence[str]) -> int:
    """Trains missing rows, runs the controls, writes table and picture; fails if a result is too good, or missing."""
    settings = parse(list(arguments), PROGRAM)
    with checking(PROGRAM):
        check_settings(settings)
    jobs = list(jobs_of(list(chosen(settings)), settings.seeds, settings.points))
    with refusing(PROGRAM, (KeptError, OSError)):
        certificates_of(jobs, settings.folder)  # a damaged row is named before anything is trained
        failed = train_missing(jobs, settings, arguments) if settings.train else 0
        certificates = certificates_of(jobs, settings.folder)
    if not certificates:
        raise refuse(PROGRAM, f"nothing to report: {settings.folder} has no results of these settings")
    controls = controls_of(settings.quick) if settings.controls else []
    certify_report.write(certificates, controls, settings)
    certify_report.show(certificates, controls, settings)
    check(certificates)
    for control in controls:
        control.require()
    return failed


def train_missing(jobs: Sequence[CertifyJob], settings: CertifySettings, arguments: Sequence[str]) -> int:
    """Runs the jobs whose rows are missing; 1 if one of them failed."""
    line = shlex.join([*PROGRAM.split(), *arguments])
    place = LinePlace(settings.folder, settings.folder / "ledger.jsonl", line)
    return finish(jobs, place, local(settings.processes), settings.progress)


def check_settings(settings: CertifySettings) -> None:
    """Raises for a mistake that would otherwise show only after training."""
    if not list(chosen(settings)):
        asked = f"agents {list(settings.agents) or 'all'} of sides {list(settings.sides)}"
        raise ValueError(f"nothing to report: {asked} are not trained on problems {list(settings.problems)}")
    check_folder(settings.folder, "folder")
    check_writable(settings.table_path, "table")
    check_picture(settings.figure_path, "figure")
