"""``python -m benchmarks tune SUITE --contender NAME``: hyperparameters of an agent, chosen on validation alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from agents.base import commands
from agents.base.commands import checking, printable, refusing
from benchmarks.reports import table
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import KeptError
from benchmarks.study.suite import SuiteError
from benchmarks.study.suite_file import own_file, toml, write_hyperparameters
from benchmarks.study.tuning.trial import result_of, untested
from benchmarks.suites.run import prepared
from benchmarks.tasks.checks import check_counts, check_processes

if TYPE_CHECKING:
    from benchmarks.study.tuning.run import Tuning

PROGRAM = "python -m benchmarks tune"

DESCRIPTION = """\
Tries hyperparameters of one agent of a suite. A trial trains all its seeds on the first fold of each dataset, and is
scored by the log growth per bar on the validation stretch; no test is opened, and datasets whose stretch reaches into
the time of another's test are left out. The same command on other machines, with the same folder, shares the trials;
killed at any moment, it goes on where it was. Each trial counts in FOLDER/ledger.jsonl."""


@dataclass(frozen=True)
class TuneSettings:
    """Options of ``python -m benchmarks tune``."""

    suite: Annotated[str, tyro.conf.Positional]
    """A built-in suite (see ``python -m benchmarks list``), or a TOML file."""
    contender: str
    """The agent of the suite to tune, by its name there."""
    trials: int = 50
    """Number of trials, those that have been run before included."""
    trial: int | None = None
    """Train the trial of this number again, and print its score beside the one that was kept."""
    write: tyro.conf.FlagCreatePairsOff[bool] = False
    """Put the best hyperparameters into the suite's file."""
    folder: Path = Path("results")
    """Where studies and the ledger are kept."""
    seeds: int | None = None
    """Seeds of each trial, in place of the suite's."""
    processes: int | None = None
    """Trials side by side; one per core unless given, 0 for none beside this process."""
    progress: bool = True
    """Print a line for each trial."""

    def __post_init__(self) -> None:
        check_counts(self, ("trials", "seeds"))
        check_processes(self.processes)
        if self.trial is not None and self.write:
            raise ValueError("write cannot be given with trial, which chooses nothing")


def main(arguments: Sequence[str]) -> int:
    """Runs the trials; 1 if none has a score, or if one that is trained again differs."""
    settings: TuneSettings = commands.parse(PROGRAM, TuneSettings, list(arguments), description=DESCRIPTION)
    with checking(PROGRAM):
        if settings.write:
            own_file(settings.suite)
        number, tuning = opened(settings)
    with refusing(PROGRAM, (KeptError, OSError, SuiteError)):
        if settings.trial is not None:
            return again(tuning, settings.trial)
        for result in tuning.run(settings.trials, settings.processes):
            if settings.progress:
                print(printable(f"trial {result['trial']}: {said(result)}"), file=sys.stderr, flush=True)
        best = show(tuning)
        if best is not None and settings.write:
            write_hyperparameters(own_file(settings.suite), number, best)
            print(printable(f"written: {settings.suite}"))
    return 1 if best is None else 0


def opened(settings: TuneSettings) -> tuple[int, Tuning]:
    """The contender's number in the suite, and its trials.

    Raises:
        ImportError: Optuna is missing.
        ValueError: the suite is wrong, or has no such agent.
    """
    from benchmarks.study.tuning.run import Tuning

    suite, place, _ = prepared(settings.suite, settings.folder, settings.seeds)
    if suite.tasks or suite.walk_forward.split is not None:
        raise ValueError(f"suite must have folds with a validation stretch, {settings.suite!r} has none")
    names = [one.name for one in suite.contenders]
    if settings.contender not in names:
        raise ValueError(f"contender must be one of {names}, got {settings.contender!r}")
    number = names.index(settings.contender)
    return number, Tuning(suite, suite.contenders[number], place.folder, Ledger(place.ledger))


def again(tuning: Tuning, number: int) -> int:
    """Trains a trial again and prints its scores; 1 if they differ from those that were kept."""
    with checking(PROGRAM):
        trial = tuning.trial(number)
    kept, found = tuning.result(number), result_of(trial)
    print(printable(f"hyperparameters = {toml(found['hyperparameters'])}"))
    for dataset, scores in found.get("scores", {}).items():
        print(printable(f"{dataset}: {', '.join(f'{1e4 * score:.3f}' for score in scores)} bps per bar"))
    print(printable(f"trial {number}: {said(found)}"))
    if kept is None:
        print("its first training has no result yet")
        return 0
    same = all(kept.get(name) == found.get(name) for name in ("hyperparameters", "score", "scores", "error"))
    print("the same as before" if same else printable(f"it was different before: {said(kept)}"))
    return 0 if same else 1


def said(result: Mapping[str, Any]) -> str:
    """The outcome of a trial in words."""
    return f"{1e4 * result['score']:.3f} bps per bar" if "score" in result else f"failed: {result['error']}"


def show(tuning: Tuning) -> dict[str, Any] | None:
    """Prints the best trials, and returns the hyperparameters of the best; None without any that has a score."""
    results = tuning.results()
    scored = [one for one in results if "score" in one]
    columns = table.Columns(f"{tuning.contender.name} in {tuning.suite.name}", ["trial"], ["bps per bar"])
    columns.rows += [[str(one["trial"]), f"{1e4 * one['score']:.3f}"] for one in scored[:5]]
    console = table.console_of()
    table.show(columns, console)
    console.print()
    used = untested(tuning.suite)
    left = [name for name in tuning.suite.data if name not in used]
    notes = [
        f"{len(results)} trials, of which {len(results) - len(scored)} failed; all count in {tuning.ledger.path}. "
        "Scores are log growth per bar on the first fold's validation stretch, means over datasets and seeds.",
        *(
            [f"Left out, since their validation is not over when the first test begins: {', '.join(left)}."]
            if left
            else []
        ),
        *(f"trial {one['trial']} failed: {one['error']}" for one in results[len(scored) :][:3]),
    ]
    if scored:
        notes.append(f"best, trial {scored[0]['trial']}: hyperparameters = {toml(scored[0]['hyperparameters'])}")
    table.say([printable(note) for note in notes], console)
    return dict(scored[0]["hyperparameters"]) if scored else None
