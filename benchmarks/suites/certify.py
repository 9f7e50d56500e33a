"""``python -m benchmarks certify``: scores of agents as fractions of a known optimum, and the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from agents.base.commands import checking, refuse, refusing
from agents.common.files import check_folder, check_writable
from benchmarks.contenders import ours, sb3
from benchmarks.contenders.sb3_options import for_sb3, with_schedules
from benchmarks.contenders.training import Trained
from benchmarks.reports import certify as certify_report
from benchmarks.reports.figures import check_picture
from benchmarks.study import provenance
from benchmarks.study.certified import Certificate, check, optimal_rewards, path_rewards
from benchmarks.study.certify_settings import CertifySettings, chosen, parse
from benchmarks.study.results import KeptError, keep, kept
from benchmarks.suites.certify_controls import controls_of
from benchmarks.tasks.problems import PROBLEMS, Entry

PROGRAM = "python -m benchmarks certify"
FIRST_SEED = 100  # of the certificate's training seeds; smaller ones served to choose hyperparameters
FORMAT = 1  # of the kept results
ARRAYS = ("steps", "seconds", "rewards")  # of a kept result


def main(arguments: Sequence[str]) -> None:
    """Trains missing results, runs the controls, writes table and picture, and fails if a result is too good."""
    settings = parse(list(arguments), PROGRAM)
    with checking(PROGRAM):
        check_settings(settings)
    with refusing(PROGRAM, (KeptError,)):
        found = [certificate_of(settings, entry) for entry in chosen(settings)]
    certificates = [certificate for certificate in found if certificate is not None]
    if not certificates:
        raise refuse(PROGRAM, f"nothing to report: {settings.folder} has no results of these settings")
    controls = controls_of(settings.quick) if settings.controls else []
    certify_report.write(certificates, controls, settings)
    certify_report.show(certificates, controls, settings)
    check(certificates)
    for control in controls:
        control.require()


def check_settings(settings: CertifySettings) -> None:
    """Raises for a mistake that would otherwise show only after training."""
    if not list(chosen(settings)):
        asked = f"agents {list(settings.agents) or 'all'} of sides {list(settings.sides)}"
        raise ValueError(f"nothing to report: {asked} are not trained on problems {list(settings.problems)}")
    check_folder(settings.folder, "folder")
    check_writable(settings.table_path, "table")
    check_picture(settings.figure_path, "figure")


def certificate_of(settings: CertifySettings, entry: Entry) -> Certificate | None:
    """The result that an earlier run with the same setting kept, else a new one, which is kept; None if not trained."""
    path = settings.folder / entry.problem.replace(", ", "-").replace(" ", "-") / f"{_file_name(entry)}.json"
    setting = _setting(settings, entry)
    optimal = optimal_rewards(entry.problem, **entry.keywords)
    found = kept(path, setting, ARRAYS)
    if found is not None:
        return Certificate(entry, *(np.array(found[name]) for name in ARRAYS), optimal, found.get("made"))
    if not settings.train:
        return None
    points, made = train(settings, entry).points, provenance.made()
    assert points is not None
    arrays = {name: values.tolist() for name, values in zip(ARRAYS, points, strict=True)}
    keep(path, setting, made=made, optimal=optimal.tolist(), **arrays)
    return Certificate(entry, *points, optimal, made)


def _file_name(entry: Entry) -> str:
    words = "".join(c if c.isalnum() else " " for c in entry.name).split()
    return "-".join(words).lower()


def _setting(settings: CertifySettings, entry: Entry) -> dict[str, Any]:
    """Everything that a result depends on."""
    problem = {**asdict(PROBLEMS[entry.problem]), "about": None}
    problem = {name: value for name, value in problem.items() if value or name not in _LATER}
    return {
        "format": FORMAT,
        "entry": {**asdict(entry), "goal": None, "goal_reward": None},
        "problem": problem,
        "seeds": settings.seeds,
        "points": settings.points,
    }


_LATER = ("market_seeds", "family", "point")  # fields of a problem that older results lack


def _seeds(settings: CertifySettings) -> list[int]:
    return list(range(FIRST_SEED, FIRST_SEED + settings.seeds))


def train(settings: CertifySettings, entry: Entry) -> Trained:
    """Trains all seeds, with tests on the way."""
    problem = PROBLEMS[entry.problem]
    shared: dict[str, Any] = {
        "n_envs": entry.n_envs,
        "progress_bar": settings.progress,
        "judge": partial(path_rewards, problem=problem, **entry.keywords),
        "every": entry.total_timesteps // settings.points,
    }
    task = (entry.agent, problem.spec(**entry.keywords), _seeds(settings), entry.total_timesteps)
    if entry.side == "ours":
        return ours.train(*task, **shared, **entry.hyperparameters)
    policy = "MlpLstmPolicy" if entry.agent.startswith("Recurrent") else "MlpPolicy"
    return sb3.train(*task, policy=policy, **shared, **_sb3_options(entry))


def _sb3_options(entry: Entry) -> dict[str, Any]:
    """Hyperparameters by SB3's names; unnamed ones have our defaults if the agent is also one of ours."""
    if entry.agent in ("DQN", "A2C", "PPO"):
        return for_sb3(entry.agent, asdict(ours.agent_class(entry.agent).Config(**entry.hyperparameters)))
    return with_schedules(entry.hyperparameters)
