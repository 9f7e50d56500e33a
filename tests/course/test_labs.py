"""What holds of every lab: its notebooks are those of its text, its holes are checked, and its solution is right."""

import re

import pytest

from course import notebooks
from course.grading import checks_of, grade
from course.labs import LABS, find
from tests.course.helpers import holes, messages, solution

NAMES = [lab.name for lab in LABS]


@pytest.mark.parametrize("name", NAMES)
def test_the_notebooks_are_those_of_the_text(name):
    lab = find(name)
    student, solved = (notebooks.read(lab.folder / f"{kind}.ipynb") for kind in ("lab", "solution"))
    assert notebooks.sources(student) == notebooks.sources(notebooks.student_notebook(lab))
    assert notebooks.sources(solved) == notebooks.sources(notebooks.solution_notebook(lab))
    assert not any(cell.get("outputs") for cell in student.cells)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_gets_all_points_on_any_inputs(name):
    module = solution(name)
    for seed in range(5):
        assert messages(name, module, seed) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_hole_has_a_check_and_every_check_a_hole(name):
    checked = {check.hole for check in checks_of(find(name))}
    assert checked == set(holes(name))
    assert len({check.name for check in checks_of(find(name))}) == len(checks_of(find(name)))


@pytest.mark.parametrize("name", NAMES)
def test_the_student_s_notebook_is_all_holes_and_says_so_in_one_line_each(name):
    result = grade(find(name), find(name).folder / "lab.ipynb")
    assert result.problems == ()
    assert {line.status for line in result.results} == {"open"}
    assert result.points == 0
    for line in result.results:
        assert line.message.startswith(f"a hole is left: lab {find(name).number}: write ")
        assert "\n" not in str(line)


@pytest.mark.parametrize("name", NAMES)
def test_no_answer_or_solution_is_left_in_the_student_s_notebook(name):
    text = (find(name).folder / "lab.ipynb").read_text()
    assert "SOLUTION" not in text
    solved = notebooks.solution_notebook(find(name))
    answers = [cell.source for cell in solved.cells if "answer" in cell.metadata.get("tags", [])]
    assert len(answers) == len(re.findall(r"\*\*Question \d+\.\*\*", text))
    assert not any(answer in text for answer in answers)
