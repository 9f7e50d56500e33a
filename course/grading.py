"""Runs the checks of a lab on a student's file, in a process with a time limit, and reports a line for each.

A check that loops without an end, or kills its process, fails; the others run in a new process. This is no sandbox:
run the files of people you do not trust in a container.
"""

import contextlib
import importlib
import io
import multiprocessing
import random
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from course.checking import Check, Checks, Wrong
from course.labs import Lab, find
from course.student import blocks, load, where

LOADING, CHECKING = 120.0, 20.0  # seconds
Status = Literal["ok", "wrong", "open", "missing", "error"]


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        check: Its name: the hole and what must hold of it.
        status: "ok"; "wrong"; "open", a hole that is not filled; "missing", not defined; or "error", it raised.
        points: Reached.
        of: Reachable.
        message: What was wrong, in one line.
    """

    check: str
    status: Status
    points: int
    of: int
    message: str = ""

    def __str__(self) -> str:
        line = f"{self.status:7} {self.points}/{self.of}  {self.check}"
        return f"{line}: {self.message}" if self.message else line


@dataclass(frozen=True)
class Grade:
    """The results of a file, with the problems met while it was loaded."""

    lab: str
    file: str
    results: tuple[Result, ...]
    problems: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """Reached."""
        return sum(result.points for result in self.results)

    @property
    def of(self) -> int:
        """Reachable."""
        return sum(result.of for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "points": self.points, "of": self.of}

    def __str__(self) -> str:
        lines = [f"{self.file}, lab {self.lab}", *(f"problem      {problem}" for problem in self.problems)]
        return "\n".join([*lines, *map(str, self.results), f"{self.points} of {self.of} points"])


def checks_of(lab: Lab) -> Checks:
    """The checks in the lab's `check.py`."""
    checks: Checks = importlib.import_module(f"course.{lab.package}.check").CHECKS
    return checks


def grade(lab: Lab, path: Path, seed: int = 0) -> Grade:
    """Grades a file.

    Args:
        lab: Whose checks.
        path: A .py or .ipynb file.
        seed: From which the inputs of the checks are drawn.

    Raises:
        ValueError: The file is neither Python nor a notebook.
        OSError: It cannot be read.
    """
    list(blocks(path))  # raises here, not in a process
    checks, results, problems = checks_of(lab), [], ()
    while len(results) < len(checks):
        found, said = _in_a_process(lab, path, seed, len(results))
        results += found
        problems = said or problems
    return Grade(lab.name, path.name, tuple(results), tuple(problems))


def _in_a_process(lab: Lab, path: Path, seed: int, first: int) -> tuple[list[Result], list[str]]:
    """Results from check number `first` on, up to the one that does not end, or all; and the problems of loading."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(lab.name, str(path), seed, first, theirs), daemon=True)
    process.start()
    theirs.close()
    checks, results, problems = checks_of(lab)[first:], [], []
    try:
        if not ours.poll(LOADING):
            message = f"loading the file takes more than {LOADING:.0f} seconds"
            return [Result(check.name, "error", 0, check.points, message) for check in checks], [message]
        problems = ours.recv()
        for check in checks:
            ended = ours.poll(CHECKING)
            message = f"no end after {CHECKING:.0f} seconds: is there a loop that never stops?"
            results.append(ours.recv() if ended else Result(check.name, "error", 0, check.points, message))
            if not ended:
                break
    except EOFError:
        check = checks[len(results)]
        results.append(Result(check.name, "error", 0, check.points, "the process of the check died"))
    finally:
        process.kill()
        process.join()
    return results, problems


def _serve(name: str, path: str, seed: int, first: int, results: Any) -> None:
    """Loads the file, sends its problems, and then the result of each check from number `first` on."""
    checks = checks_of(find(name))  # its imports are no part of a check's time
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet), warnings.catch_warnings(action="ignore"):
        module, problems = load(Path(path))
        results.send(problems)
        labels = tuple(label for label, _ in blocks(Path(path)))
        for check in checks[first:]:
            results.send(run(check, module, seed, labels))


def run(check: Check, module: ModuleType, seed: int = 0, labels: tuple[str, ...] = ()) -> Result:
    """The result of one check; labels name the student's code in error messages."""
    import torch

    status, message = "ok", ""
    draw = zlib.crc32(f"{check.name} {seed}".encode())
    random.seed(draw)  # a solution may draw from a global stream
    np.random.seed(draw)  # noqa: NPY002
    torch.manual_seed(draw)
    try:
        if defined(module, check.hole):
            with warnings.catch_warnings(action="ignore"):
                check.test(module, np.random.default_rng(draw))
        else:
            status, message = "missing", f"there is no {check.hole} in the file"
    except Wrong as error:
        status, message = "wrong", str(error)
    except NotImplementedError as error:
        status, message = "open", f"a hole is left: {error}"
    except BaseException as error:  # whatever a student's code may raise, SystemExit among it
        status, message = "error", f"{type(error).__name__}: {error}".split("\n")[0] + where(error, labels)
    return Result(check.name, status, check.points if status == "ok" else 0, check.points, message)


def defined(module: ModuleType, hole: str) -> bool:
    """Whether the module has the function, or the class with the method."""
    value: Any = module
    for name in hole.split("."):
        value = getattr(value, name, None)
    return value is not None


def check_here(lab: str, names: Mapping[str, Any], hole: str | None = None, seed: int = 0) -> None:
    """Prints the results of a lab's checks, or of one hole's, for definitions in a running notebook.

    Args:
        lab: Name or number.
        names: `globals()`.
        hole: Such as "act"; None for all.
        seed: From which the inputs are drawn.

    Raises:
        ValueError: There is no such lab or hole.
    """
    checks = checks_of(find(lab))
    chosen = [check for check in checks if hole in (None, check.hole)]
    if not chosen:
        raise ValueError(f"hole must be one of {sorted({check.hole for check in checks})}, got {hole!r}")
    module = ModuleType("student")
    module.__dict__.update(names)
    for check in chosen:
        print(run(check, module, seed))
