"""Provenance of results: commit, versions and processor."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("trading-env", "gymnasium", "numpy", "numba", "pandas", "torch", "stable-baselines3")
UNKNOWN = "unknown: kept by an earlier version"


def made() -> dict[str, Any]:
    """Commit, versions, processor, its cores, and the day, as JSON values."""
    return {"commit": commit(), "versions": versions(), **machine(), "date": time.strftime("%Y-%m-%d")}


def versions(*more: str) -> dict[str, str]:
    """Versions of Python and of the installed packages that results depend on."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The processor's name, and the number of cores."""
    return {"processor": processor(), "cores": os.cpu_count()}


@cache
def commit() -> str | None:
    """The commit of this checkout, with "+" if tracked files have changed; None outside a checkout."""
    here = Path(__file__).parent
    try:
        found = _git(here, "rev-parse", "HEAD")
        return found[:12] + ("+" if _git(here, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or no answer in time
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", os.fspath(folder), *arguments]  # looks, and leaves no lock if killed
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def processor() -> str:
    """The processor's name, or else its architecture."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def in_words(made: Mapping[str, Any] | None) -> str:
    """The provenance as one line of text."""
    if made is None:
        return UNKNOWN
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    commit = made["commit"] or "unknown"
    return f"commit {commit}, {made['date']}, {made['processor']}, {made['cores']} cores; {versions}"
