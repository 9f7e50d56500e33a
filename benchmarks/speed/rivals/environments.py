"""Virtual environments of rivals, kept in the user's cache folder: nothing of them is among our dependencies."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from collections.abc import Sequence
from pathlib import Path

LONGEST = 900  # seconds of one installation
READY = "installed.json"  # written last; holds the requirements


class NotInstalledError(RuntimeError):
    """A rival could not be installed."""


def cache_folder() -> Path:
    """Where the environments are kept."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "trading-env" / "rivals"


def python_of(name: str, requirements: Sequence[str], folder: Path | None = None) -> Path:
    """The Python of the environment that has these requirements, which is made if there is none.

    Args:
        name: of the environment.
        requirements: for pip, from the index that it is configured for.
        folder: of all environments; None means the cache folder.

    Raises:
        NotInstalledError: if pip fails; the message is its last line.
    """
    place = (folder or cache_folder()) / name
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    wanted = list(requirements)
    ready = place / READY
    if ready.exists() and json.loads(ready.read_text(encoding="utf-8")) == wanted:
        return python
    try:
        venv.create(place, clear=True, with_pip=True)
        command = [os.fspath(python), "-m", "pip", "install", "--quiet", *wanted]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=LONGEST)
    except (OSError, subprocess.SubprocessError) as error:
        raise NotInstalledError(_reason(error)) from error
    ready.write_text(json.dumps(wanted), encoding="utf-8")
    return python


def _reason(error: Exception) -> str:
    """The last line that pip wrote, or what else went wrong."""
    lines = [line for line in str(getattr(error, "stderr", None) or "").splitlines() if line.startswith("ERROR")]
    return lines[-1] if lines else str(error).splitlines()[0]
