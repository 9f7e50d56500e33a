"""``python -m benchmarks certify``: agents on problems whose optimum is known, as fractions of it, and the controls.

Axis letters: S seeds, K test paths, P points of a training.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tyro

from agents.base import commands
from agents.base.commands import checking, refuse, refusing
from agents.common import files
from agents.common.files import check_folder, check_writable
from benchmarks.contenders import ours, sb3
from benchmarks.contenders.sb3_options import for_sb3, with_schedules
from benchmarks.contenders.training import Trained
from benchmarks.reports import certify as certify_report
from benchmarks.reports.figures import check_picture
from benchmarks.statistics.two_level import score, score_interval
from benchmarks.study import provenance
from benchmarks.study.certified import AboveOptimumError, check_possible, optimal_rewards, path_rewards
from benchmarks.study.results import KeptError, read_kept
from benchmarks.suites.certify_controls import controls_of
from benchmarks.tasks.checks import check_counts
from benchmarks.tasks.entries import ENTRIES, QUICK
from benchmarks.tasks.families import FAMILIES, entries_of
from benchmarks.tasks.problems import PROBLEMS, Entry

Floats = npt.NDArray[np.float64]
PROGRAM = "python -m benchmarks certify"
FIRST_SEED = 100  # of the certificate's training seeds; smaller ones served to choose hyperparameters
FORMAT = 1  # of the kept results

DESCRIPTION = """\
Trains agents, ours and Stable-Baselines3's, on problems whose optimum is known, and prints their mean reward over the
optimal policy's on the same noise, with a 95% bootstrap interval over seeds and paths: last weights, no choice among
seeds or checkpoints. Each result is kept in FOLDER/PROBLEM/, and what is there is not trained again, so that a long
run can be done piece by piece. Fails loudly where a whole interval lies above the optimum, or a control fails."""


_ALONE = tuple(name for name, problem in PROBLEMS.items() if not problem.family)


@dataclass(frozen=True)
class CertifySettings:
    """Options of ``python -m benchmarks certify``."""

    problems: tuple[str, ...] = _ALONE
    """Which problems."""
    agents: tuple[str, ...] = ()
    """Which agents, by class name; all unless given."""
    sides: tuple[str, ...] = ("ours", "sb3")
    """Ours, Stable-Baselines3's, or both."""
    seeds: int = 10
    """Training seeds of each."""
    points: int = 20
    """Tests of each training, by which the budget to 95% is found."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Ours alone, 2 seeds, short budgets, on most problems: a minute or two."""
    family: tyro.conf.FlagCreatePairsOff[bool] = False
    """Our agents on regime and moody-saffell at parameters that no choice has seen, a row for each."""
    train: bool = True
    """Whether to train what is missing; else it is left out of the report."""
    controls: bool = True
    """Whether to run the controls."""
    folder: Path = Path("results/certify")
    """Where results are kept."""
    figure: Path | None = None
    """Where the picture goes; FOLDER/certify.png unless given."""
    table: Path | None = None
    """Where the table goes; FOLDER/certify.md unless given."""
    docs: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the project's own page and picture, docs/certify.md and docs/certify.png: of all rows. With --family
    docs/certify-family.md and docs/certify-family.png."""
    progress: bool = True
    """Whether to show progress bars."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds", "points"))
        for name, known in (
            ("problems", {*FAMILIES} if self.family else {*_ALONE}),
            ("sides", {"ours", "sb3"}),
            ("agents", _AGENTS),
        ):
            wrong = sorted(set(getattr(self, name)) - known)
            if wrong:
                raise ValueError(f"{name} must be of {sorted(known)}, got {wrong}")
        if not self.problems or not self.sides:
            raise ValueError("problems and sides must be at least one each")
        if self.docs and not self._whole:
            raise ValueError("docs must show all rows: leave out --problems, --agents, --sides, --quick, --no-controls")

    @property
    def _whole(self) -> bool:
        """Whether nothing is left out."""
        narrowed = self.agents or self.quick or (not self.controls and not self.family)
        everything = FAMILIES if self.family else _ALONE
        return not narrowed and {*self.problems} == {*everything} and {*self.sides} == {"ours", "sb3"}

    @property
    def figure_path(self) -> Path:
        """Where the picture goes."""
        return self.figure or self._where / f"{self._name}.png"

    @property
    def table_path(self) -> Path:
        """Where the table goes."""
        return self.table or self._where / f"{self._name}.md"

    @property
    def _name(self) -> str:
        return "certify-family" if self.family else "certify"

    @property
    def _where(self) -> Path:
        return Path("docs") if self.docs else self.folder


_AGENTS = {entry.agent for entry in ENTRIES}
QUICK_SETTINGS: dict[str, Any] = {
    "seeds": 2,
    "points": 4,
    "folder": Path("results/certify-quick"),
}
FAMILY_SETTINGS: dict[str, Any] = {
    "problems": FAMILIES,
    "points": 1,
    "controls": False,
    "folder": Path("results/certify-family"),
}


@dataclass(frozen=True)
class Certificate:
    """How an agent did on a problem.

    Attributes:
        entry: what was trained.
        steps: that each seed had taken at each point [P].
        seconds: that training had taken by then, of all seeds on all processes used [P].
        rewards: mean rewards per step on the test paths [P, S, K].
        optimal: those of the optimal policy [K].
        made: at which commit, with which versions and processor; None where that was not kept.
    """

    entry: Entry
    steps: Floats
    seconds: Floats
    rewards: Floats
    optimal: Floats
    made: Mapping[str, Any] | None = None

    @property
    def difference(self) -> bool:
        """Whether the score is a difference from the optimum, since that is 0."""
        return PROBLEMS[self.entry.problem].optimum_is_zero

    @property
    def score(self) -> float:
        """Of the last weights."""
        return score(self.rewards[-1], self.optimal, difference=self.difference)

    @property
    def interval(self) -> tuple[float, float]:
        """Of the score."""
        return score_interval(self.rewards[-1], self.optimal, difference=self.difference)

    @property
    def worst(self) -> float:
        """Score of the worst seed."""
        return min(score(seed[None], self.optimal, difference=self.difference) for seed in self.rewards[-1])

    @property
    def goal(self) -> float | None:
        """The score to reach."""
        if self.entry.goal_reward is not None:
            return self.entry.goal_reward / float(self.optimal.mean())
        return self.entry.goal

    @property
    def met(self) -> bool | None:
        """Whether the interval's lower end reaches the goal; where the optimum is 0, whether it is not above it.

        At a point of a family the worst seed has to reach it.
        On such a problem nobody can win: a lower end above 0 would show a leak.
        """
        if self.difference:
            return self.interval[0] <= 0.0
        low = self.worst if PROBLEMS[self.entry.problem].family else self.interval[0]
        return None if self.goal is None else low >= self.goal

    def budget_to(self, fraction: float) -> float | None:
        """Steps from which on the mean score over seeds is that high; None where it never is."""
        if self.difference:
            return None
        below = np.flatnonzero(self.rewards.mean((1, 2)) / self.optimal.mean() < fraction)
        point = below[-1] + 1 if below.size else 0
        return float(self.steps[point]) if point < len(self.steps) else None


def main(arguments: Sequence[str]) -> None:
    """Trains what is missing, runs the controls, writes table and picture, and fails if anything is too good."""
    settings = parse(list(arguments))
    with checking(PROGRAM):
        check_settings(settings)
    with refusing(PROGRAM, (KeptError,)):
        found = [certificate_of(settings, entry) for entry in chosen(settings)]
    certificates = [certificate for certificate in found if certificate is not None]
    if not certificates:
        raise refuse(PROGRAM, f"nothing to report: nothing of these settings is in {settings.folder}")
    controls = controls_of(settings.quick) if settings.controls else []
    certify_report.write(certificates, controls, settings)
    certify_report.show(certificates, controls, settings)
    check(certificates)
    for control in controls:
        control.require()


def check_settings(settings: CertifySettings) -> None:
    """Raises if something is wrong that would show only after training."""
    if not list(chosen(settings)):
        asked = f"agents {list(settings.agents) or 'all'} of sides {list(settings.sides)}"
        raise ValueError(f"nothing to report: {asked} are not trained on problems {list(settings.problems)}")
    check_folder(settings.folder, "folder")
    check_writable(settings.table_path, "table")
    check_picture(settings.figure_path, "figure")


def parse(arguments: list[str]) -> CertifySettings:
    """The settings that the command line asks for; ``--quick`` changes the defaults of the others."""
    changes = FAMILY_SETTINGS if "--family" in arguments else {}
    if "--quick" in arguments:
        changes = {**QUICK_SETTINGS, **changes, "seeds": QUICK_SETTINGS["seeds"], "folder": QUICK_SETTINGS["folder"]}
    default = CertifySettings(**changes)
    found: CertifySettings = commands.parse(
        PROGRAM, CertifySettings, arguments, default=default, description=DESCRIPTION
    )
    return found


def chosen(settings: CertifySettings) -> Iterator[Entry]:
    """The entries asked for."""
    asked = ENTRIES
    if settings.family:
        asked = tuple(entry for family in settings.problems for entry in entries_of(family, ENTRIES))
    for entry in asked:
        if not settings.family and entry.problem not in settings.problems:
            continue
        if entry.side not in settings.sides:
            continue
        if settings.agents and entry.agent not in settings.agents:
            continue
        if settings.quick:
            steps = QUICK.get((PROBLEMS[entry.problem].family or entry.problem, entry.name))
            if steps is None:
                continue
            entry = replace(entry, total_timesteps=steps, goal=None, goal_reward=None)
        yield entry


def check(certificates: Sequence[Certificate]) -> None:
    """Raises if any interval lies wholly above the optimum.

    Raises:
        AboveOptimumError: naming all that do.
    """
    wrong = []
    for one in certificates:
        try:
            name = f"{one.entry.name} on {one.entry.problem}"
            check_possible(name, one.interval[0], 0.0 if one.difference else 1.0)
        except AboveOptimumError as error:
            wrong.append(str(error))
    if wrong:
        raise AboveOptimumError("\n".join(wrong))


# -- training ----------------------------------------------------------------------------------------------------


def certificate_of(settings: CertifySettings, entry: Entry) -> Certificate | None:
    """The result kept by an earlier run with the same setting, else a new one, which is kept, or None."""
    path = settings.folder / entry.problem.replace(", ", "-").replace(" ", "-") / f"{_file_name(entry)}.json"
    setting = json.loads(json.dumps(_setting(settings, entry)))
    optimal = optimal_rewards(entry.problem, **entry.keywords)
    if path.exists():
        kept = read_kept(path, ("setting", "steps", "seconds", "rewards"))
        if kept["setting"] == setting:
            found = (np.array(kept[name]) for name in ("steps", "seconds", "rewards"))
            return Certificate(entry, *found, optimal, kept.get("made"))
    if not settings.train:
        return None
    points = train(settings, entry).points
    assert points is not None
    steps, seconds, rewards = points
    result = {"steps": steps.tolist(), "seconds": seconds.tolist(), "rewards": rewards.tolist()}
    made = provenance.made()
    text = json.dumps({"setting": setting, "made": made, "optimal": optimal.tolist(), **result}, allow_nan=False)
    files.write(path, f"{text}\n".encode())
    return Certificate(entry, steps, seconds, rewards, optimal, made)


def _file_name(entry: Entry) -> str:
    words = "".join(c if c.isalnum() else " " for c in entry.name).split()
    return "-".join(words).lower()


def _setting(settings: CertifySettings, entry: Entry) -> dict[str, Any]:
    """All that a result depends on, as plain JSON but for tuples."""
    described = {**asdict(entry), "goal": None, "goal_reward": None}
    problem = {**asdict(PROBLEMS[entry.problem]), "about": None}
    problem = {name: value for name, value in problem.items() if value or name not in _LATER}
    return {
        "format": FORMAT,
        "entry": described,
        "problem": problem,
        "seeds": settings.seeds,
        "points": settings.points,
    }


_LATER = ("market_seeds", "family", "point")  # fields of a problem that older results do not have


def _seeds(settings: CertifySettings) -> list[int]:
    return list(range(FIRST_SEED, FIRST_SEED + settings.seeds))


def train(settings: CertifySettings, entry: Entry) -> Trained:
    """The training of all seeds, scored on the test paths on the way."""
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
    """Options by SB3's names; for an agent that we have too, our defaults in place of SB3's."""
    if entry.agent in ("DQN", "A2C", "PPO"):
        return for_sb3(entry.agent, asdict(ours.agent_class(entry.agent).Config(**entry.hyperparameters)))
    return with_schedules(entry.hyperparameters)
