"""A student's file as a module: its imports, definitions and constants, without running anything else.

Notebooks train agents and draw; a grader needs only what they define. So of each cell, or of the whole .py file, these
statements are run: imports, functions, classes, and assignments to names in capitals, such as GAMMA. A cell that does
not parse and a statement that raises become a problem in words, and the rest is loaded all the same.
"""

import ast
import json
import linecache
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

NAME = "student"


def load(path: Path) -> tuple[ModuleType, list[str]]:
    """The module, and what is wrong with the file, a line each.

    Raises:
        ValueError: The file is neither Python nor a notebook.
        OSError: It cannot be read.
    """
    module, problems = ModuleType(NAME), []
    sys.modules[NAME] = module  # dataclasses look their module up
    for label, text in blocks(path):
        linecache.cache[label] = (len(text), None, text.splitlines(keepends=True), label)
        try:
            tree = ast.parse(text, label)
        except SyntaxError as error:
            problems.append(f"{label}, line {error.lineno} does not parse: {error.msg}")
            continue
        for statement in filter(is_definition, tree.body):
            try:
                exec(compile(ast.Module([statement], []), label, "exec"), module.__dict__)
            except Exception as error:
                problems.append(f"{label}, line {statement.lineno}: {type(error).__name__}: {error}")
    return module, problems


def blocks(path: Path) -> Iterator[tuple[str, str]]:
    """Label and text of each piece of code: the cells of a notebook, or the whole of a .py file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        yield path.name, text
        return
    if path.suffix != ".ipynb":
        raise ValueError(f"a solution must be a .py or an .ipynb file, got {path.name}")
    try:
        cells = json.loads(text)["cells"]
        code = [(i, "".join(cell["source"])) for i, cell in enumerate(cells, 1) if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path.name} is not a notebook") from None
    for i, source in code:
        lines = ["" if line.lstrip().startswith(("%", "!")) else line for line in source.splitlines()]
        yield f"cell {i} of {path.name}", "\n".join(lines)


def is_definition(statement: ast.stmt) -> bool:
    """Whether a statement is an import, a function, a class, or assigns to names in capitals only."""
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [name for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        return bool(names) and all(name.id.isupper() and len(name.id) > 1 for name in names)  # X is data, GAMMA is not
    return isinstance(statement, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def where(error: BaseException, labels: tuple[str, ...]) -> str:
    """The last line of the student's code in an error's traceback, or "" if it has none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in labels:
            return f" ({frame.filename}, line {frame.lineno}: {(frame.line or '').strip()})"
    return ""
