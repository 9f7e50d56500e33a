"""Notebooks made of a lab's `solution.py`, a text in jupytext's py:percent format.

What stands between `# BEGIN SOLUTION` and `# END SOLUTION` in a function is left out of the student's notebook, where
the function raises `course.Hole` instead; Markdown cells with the tag "answer" are emptied. The solution's notebook has
all, and the outputs of a run. What stands before the first cell, the docstring of the text, is in neither.
"""

import ast
import json
import os
import re
from pathlib import Path
from typing import Any

from course.labs import Lab

BLOCK = re.compile(r"^( *)# BEGIN SOLUTION\n(.*?)^ *# END SOLUTION\n", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"^ *# (?:BEGIN|END) SOLUTION\n", re.MULTILINE)
SECONDS = 180  # that a cell may take


def source_of(lab: Lab) -> str:
    """The text that both notebooks are made of."""
    return (lab.folder / "solution.py").read_text(encoding="utf-8")


def student_notebook(lab: Lab) -> Any:
    """The notebook with holes, without outputs."""
    source = source_of(lab)

    def opened(match: re.Match[str]) -> str:
        name = enclosing(source, source.count("\n", 0, match.start()) + 1)
        return f'{match[1]}raise course.Hole("lab {lab.number}: write {name}")\n'

    notebook = as_notebook(BLOCK.sub(opened, source))
    for cell in notebook.cells:
        if "answer" in cell.metadata.get("tags", []):
            cell.source = "*Your answer:*"
    return notebook


def solution_notebook(lab: Lab) -> Any:
    """The notebook with everything written, without outputs."""
    return as_notebook(MARK.sub("", source_of(lab)))


def as_notebook(source: str) -> Any:
    """A notebook of a py:percent text, less what stands before its first cell."""
    import jupytext

    notebook = jupytext.reads(source[source.index("# %%") :], fmt="py:percent")
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def enclosing(source: str, line: int) -> str:
    """The name of the innermost function around a line, with its class."""

    def search(node: ast.AST, names: tuple[str, ...]) -> tuple[str, ...]:
        for child in ast.iter_child_nodes(node):
            named = isinstance(child, ast.FunctionDef | ast.ClassDef)
            if named and child.lineno <= line <= (child.end_lineno or 0) + 1:  # an END mark follows the last statement
                return search(child, (*names, child.name))
        return names

    found = search(ast.parse(source), ())
    if not found:
        raise ValueError(f"line {line} is in no function: # BEGIN SOLUTION marks a part of one")
    return ".".join(found)


def execute(notebook: Any, folder: Path) -> Any:
    """Runs a notebook in a folder; raises nbclient's CellExecutionError where a cell does."""
    from nbclient import NotebookClient

    client = NotebookClient(
        notebook, timeout=SECONDS, resources={"metadata": {"path": str(folder)}}, record_timing=False
    )
    quiet = {"PYTHONWARNINGS": "ignore:IProgress not found"}  # of tqdm, where there are no widgets
    client.execute(env={**os.environ, **quiet})
    return notebook


def text(notebook: Any) -> str:
    """The file of a notebook."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def read(path: Path) -> Any:
    """The notebook of a file."""
    import nbformat

    return nbformat.read(path, as_version=4)


def sources(notebook: Any) -> list[tuple[str, str]]:
    """Kind and text of each cell."""
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


def printed(notebook: Any) -> list[str]:
    """The words that each cell printed, with # for every number: numbers depend on the processor."""
    found = []
    for cell in notebook.cells:
        outputs = [output.text for output in cell.get("outputs", []) if output.get("name") == "stdout"]
        words = re.sub(r"[-+]?\d[\d,.]*(?:e[-+]?\d+)?%?", "#", "".join(outputs)).split()
        found.append(" ".join(words))
    return found
