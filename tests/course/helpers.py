"""Solutions with planted mistakes, and what the checks say of them."""

import ast
import textwrap
from types import ModuleType

from course import notebooks
from course.grading import checks_of, run
from course.labs import find
from course.student import load


def solution(lab):
    """The lab's solution as a student's module."""
    module, problems = load(find(lab).folder / "solution.py")
    assert problems == []
    return module


def with_mistake(lab, wrong):
    """The solution with one function, method of a class ("class A:" around it) or constant written differently."""
    module = ModuleType("student")
    module.__dict__.update(solution(lab).__dict__)
    for statement in ast.parse(textwrap.dedent(wrong)).body:
        if isinstance(statement, ast.ClassDef):
            names = dict(module.__dict__)
            exec(compile(ast.Module([statement], []), "wrong", "exec"), names)
            own = {key: value for key, value in vars(names[statement.name]).items() if callable(value)}
            setattr(module, statement.name, type(statement.name, (getattr(module, statement.name),), own))
        else:
            exec(compile(ast.Module([statement], []), "wrong", "exec"), module.__dict__)
    return module


def messages(lab, module, seed=0):
    """What the checks say of a module, where it is not ok."""
    results = [run(check, module, seed) for check in checks_of(find(lab))]
    return [result.message for result in results if result.status != "ok"]


def holes(lab):
    """The names of the holes in the student's notebook."""
    cells = notebooks.student_notebook(find(lab)).cells
    lines = [line.strip() for cell in cells for line in cell.source.splitlines()]
    return [line.split(": write ")[1].rstrip('")') for line in lines if line.startswith("raise course.Hole(")]
