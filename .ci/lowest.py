"""Prints the lowest versions that pyproject.toml allows, a requirement a line: `python .ci/lowest.py agents`."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
PINNED = {"torch": "2.13.0"}  # its other builds, with CUDA, take gigabytes: the lower bound of torch is not tested
TESTS = ("pytest", "hypothesis")  # of the extra dev, with which the tests run


def lowest(*extras: str) -> dict[str, str]:
    """The lowest version of each dependency of the core, of these extras, and of what the tests need, by its name."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    wanted += [
        line for line in project["optional-dependencies"]["dev"] if line.startswith(TESTS) and "xdist" not in line
    ]
    found = {}
    for line in wanted:
        match = re.fullmatch(r"([\w.-]+)>=([\w.]+)", line)
        if match is None:
            raise ValueError(f"a dependency must have a lower bound and nothing else, got {line!r}")
        found[match[1]] = PINNED.get(match[1], match[2])
    return found


if __name__ == "__main__":
    print("\n".join(f"{name}=={version}" for name, version in lowest(*sys.argv[1:]).items()))
