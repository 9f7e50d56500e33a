"""Every solution runs from top to bottom, and its notebook shows what a run prints."""

import resource
from pathlib import Path

import pytest

from course import notebooks
from course.labs import LABS, find

ROOT = Path(__file__).parents[2]


def seconds_of_children():
    """Processor time of the kernels that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", [lab.name for lab in LABS])
def test_a_solution_runs_and_prints_what_its_notebook_shows(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = seconds_of_children()
    ran = notebooks.execute(notebooks.solution_notebook(find(name)), tmp_path)
    assert notebooks.printed(ran) == notebooks.printed(notebooks.read(find(name).folder / "solution.ipynb"))
    assert seconds_of_children() - before < 120


@pytest.mark.parametrize("name", [lab.name for lab in LABS])
def test_outputs_are_small_and_without_warnings_and_errors(name):
    path = find(name).folder / "solution.ipynb"
    assert path.stat().st_size < 400_000
    outputs = [output for cell in notebooks.read(path).cells for output in cell.get("outputs", [])]
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)
