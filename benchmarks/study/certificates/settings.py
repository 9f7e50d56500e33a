"""Options of the certificates, and the entries that they select."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from agents.base import commands
from benchmarks.tasks.checks import check_counts, check_processes
from benchmarks.tasks.entries import ENTRIES, QUICK
from benchmarks.tasks.families import FAMILIES, entries_of
from benchmarks.tasks.problems import PROBLEMS, Entry

DESCRIPTION = """\
Trains agents, ours and Stable-Baselines3's, on problems whose optimum is known, and prints their mean reward divided by
the optimal policy's on the same noise, with a 95% interval over seeds and paths. Scores are of the last
weights, with no choice among seeds or checkpoints. Keeps the row of each block of ten seeds in FOLDER/rows and does not
train it again, so a long run can be done piece by piece, also by several programs at once. Fails if a whole interval
lies above the optimum, or if a control fails."""

_ALONE = tuple(name for name, problem in PROBLEMS.items() if not problem.family)


SIDES = ("ours", "sb3", "structural")


@dataclass(frozen=True)
class CertifySettings:
    """Options of ``python -m benchmarks certify``."""

    problems: tuple[str, ...] = _ALONE
    """Problems to train on."""
    agents: tuple[str, ...] = ()
    """Agents to train, by class name; all unless given."""
    sides: tuple[str, ...] = SIDES
    """Our agents, Stable-Baselines3's, structural baselines."""
    seeds: int = 30
    """Training seeds of each agent."""
    points: int = 20
    """Tests during each training, to find the steps to 95%."""
    quick: tyro.conf.FlagCreatePairsOff[bool] = False
    """Our agents only, 2 seeds and short budgets, on most problems: a minute or two."""
    family: tyro.conf.FlagCreatePairsOff[bool] = False
    """Our agents on regime and moody-saffell at parameters drawn after hyperparameters were chosen, one row each."""
    train: bool = True
    """Train missing results; otherwise they are left out of the report."""
    controls: bool = True
    """Run the controls."""
    folder: Path = Path("results/certify")
    """Where results are kept."""
    figure: Path | None = None
    """File of the picture; FOLDER/certify.png unless given."""
    table: Path | None = None
    """File of the table; FOLDER/certify.md unless given."""
    docs: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the page and picture of the documentation, docs/certify.md and docs/certify.png, with all rows; with
    --family, docs/certify-family.md and docs/certify-family.png."""
    wide: tyro.conf.FlagCreatePairsOff[bool] = False
    """Print all columns of the tables, however wide that is."""
    processes: int | None = None
    """Processes; one per core unless given, 0 for none beside this one."""
    progress: bool = True
    """Print a line for each block of seeds."""

    def __post_init__(self) -> None:
        check_counts(self, ("seeds", "points"))
        check_processes(self.processes)
        for name, known in (
            ("problems", {*FAMILIES} if self.family else {*_ALONE}),
            ("sides", {*SIDES}),
            ("agents", _AGENTS),
        ):
            wrong = sorted(set(getattr(self, name)) - known)
            if wrong:
                raise ValueError(f"{name} must be of {sorted(known)}, got {wrong}")
        if not self.problems or not self.sides:
            raise ValueError("problems and sides must have at least one entry each")
        if self.docs and not self._whole:
            raise ValueError("docs must show all rows: leave out --problems, --agents, --sides, --quick, --no-controls")

    @property
    def _whole(self) -> bool:
        """True if all rows are included."""
        narrowed = self.agents or self.quick or (not self.controls and not self.family)
        everything = FAMILIES if self.family else _ALONE
        return not narrowed and {*self.problems} == {*everything} and {*self.sides} == {*SIDES}

    @property
    def figure_path(self) -> Path:
        """File of the picture."""
        return self.figure or self._where / f"{self._name}.png"

    @property
    def table_path(self) -> Path:
        """File of the table."""
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


def parse(arguments: list[str], prog: str) -> CertifySettings:
    """The settings of this command line; ``--quick`` and ``--family`` change the defaults of the others."""
    changes = FAMILY_SETTINGS if "--family" in arguments else {}
    if "--quick" in arguments:
        changes = {**QUICK_SETTINGS, **changes, "seeds": QUICK_SETTINGS["seeds"], "folder": QUICK_SETTINGS["folder"]}
    default = CertifySettings(**changes)
    found: CertifySettings = commands.parse(prog, CertifySettings, arguments, default=default, description=DESCRIPTION)
    return found


def chosen(settings: CertifySettings) -> Iterator[Entry]:
    """The entries that the settings select."""
    if settings.family:
        entries = [entry for family in settings.problems for entry in entries_of(family, ENTRIES)]
    else:
        entries = [entry for entry in ENTRIES if entry.problem in settings.problems]
    for entry in entries:
        if entry.side not in settings.sides or (settings.agents and entry.agent not in settings.agents):
            continue
        if settings.quick:
            steps = QUICK.get((PROBLEMS[entry.problem].family or entry.problem, entry.name))
            if steps is None:
                continue
            entry = replace(entry, total_timesteps=steps, goal=None, goal_reward=None)
        yield entry
