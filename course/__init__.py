"""The course as labs: notebooks with holes, their solutions, and the checks that grade them.

Each folder `labNN_name` has `solution.py`, from which `python -m course build` makes `lab.ipynb` and `solution.ipynb`,
and `check.py`. Notebooks use three names of this package: `Hole`, `check` and the drawings of `course.pictures`.
"""

from course.checking import Hole
from course.grading import check_here as check

__all__ = ["Hole", "check"]
