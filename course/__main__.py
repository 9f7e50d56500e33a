"""The command of the course.

python -m course list                      the labs
python -m course copy dqn [FOLDER]         a notebook to work in
python -m course check dqn FILE... [--json]   grades .py files or notebooks
python -m course build [dqn ...]           makes the notebooks of solution.py, for authors
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from course import grading, notebooks
from course.labs import LABS, Lab, find


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; the exit status is 1 if a file misses points, and 2 if there is no such lab or file."""
    parsed = parser().parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except (ValueError, OSError) as error:
        print(f"course: {error}", file=sys.stderr)
        return 2
    return status


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(prog="python -m course", description="The course as labs.")
    commands = top.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="the labs, with the minutes that each takes")
    listing.set_defaults(run=list_labs)
    copy = commands.add_parser("copy", help="copy a lab's notebook to work in")
    copy.add_argument("lab", help="name or number")
    copy.add_argument("folder", nargs="?", type=Path, default=Path(), help="where to; by default here")
    copy.set_defaults(run=copy_lab)
    check = commands.add_parser("check", help="grade files")
    check.add_argument("lab", help="name or number")
    check.add_argument("files", nargs="+", type=Path, metavar="file", help=".py or .ipynb")
    check.add_argument("--json", action="store_true", help="one JSON object per file and line")
    check.add_argument("--seed", type=int, default=0, help="from which the inputs of the checks are drawn")
    check.set_defaults(run=check_files)
    build = commands.add_parser("build", help="make the notebooks of solution.py, for authors")
    build.add_argument("labs", nargs="*", help="names or numbers; by default all")
    build.set_defaults(run=build_labs)
    return top


def list_labs(parsed: argparse.Namespace) -> int:
    """Prints the labs."""
    for lab in LABS:
        print(f"{lab.number:2}  {lab.name:16} {lab.minutes:4} min  {lab.title}")
    return 0


def copy_lab(parsed: argparse.Namespace) -> int:
    """Copies a lab's notebook; OSError if there is one already."""
    lab = find(parsed.lab)
    target = parsed.folder / f"{lab.name}.ipynb"
    if target.exists():
        raise FileExistsError(f"{target} exists already")
    shutil.copyfile(lab.folder / "lab.ipynb", target)
    print(f"{target}: when it is done, python -m course check {lab.name} {target}")
    return 0


def check_files(parsed: argparse.Namespace) -> int:
    """Grades the files, one after the other."""
    lab, whole = find(parsed.lab), True
    for path in parsed.files:
        grade = grading.grade(lab, path, parsed.seed)
        print(json.dumps(grade.to_dict()) if parsed.json else grade, flush=True)
        whole = whole and grade.points == grade.of
    return 0 if whole else 1


def build_labs(parsed: argparse.Namespace) -> int:
    """Makes the notebooks of the labs and runs their solutions."""
    for lab in [find(word) for word in parsed.labs] or LABS:
        build(lab)
        print(f"{lab.folder}: built", flush=True)
    return 0


def build(lab: Lab) -> None:
    """Writes both notebooks of a lab."""
    with tempfile.TemporaryDirectory() as folder:
        solved = notebooks.execute(notebooks.solution_notebook(lab), Path(folder))
    (lab.folder / "solution.ipynb").write_text(notebooks.text(solved), encoding="utf-8")
    (lab.folder / "lab.ipynb").write_text(notebooks.text(notebooks.student_notebook(lab)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
