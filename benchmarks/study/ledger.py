"""The ledger: one line for each configuration that was ever scored on a test stretch.

The number of different configurations is the N of the deflated Sharpe ratio of the best one. Lines are appended under a
lock, and are never changed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from agents.common.files import lock, make_folder, naming

OPENED, SCORED = "opened", "scored"


class Trials(NamedTuple):
    """Trials on given data, as recorded in the ledger."""

    count: int
    """Different configurations that have seen the test."""
    variance: float
    """Variance of their Sharpe ratios per bar; 0 with fewer than two."""


class Ledger:
    """The file of all test openings.

    Args:
        path: The file, one JSON object a line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, **line: Any) -> None:
        """Appends one line, whole, with the time.

        Raises:
            OSError: it cannot be written; nothing was opened then.
        """
        text = json.dumps({**line, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}, allow_nan=False)
        with naming("the ledger", self.path):
            make_folder(self.path.parent)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                lock(handle, wait=True)
                torn = self._torn()
                os.write(handle, (b"\n" if torn else b"") + text.encode() + b"\n")
                os.fsync(handle)
            finally:
                os.close(handle)

    def _torn(self) -> bool:
        """True if the last line has no end, because its writer was killed."""
        with open(self.path, "rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def lines(self) -> list[dict[str, Any]]:
        """All whole lines, oldest first; none if there is no file."""
        if not self.path.exists():
            return []
        found = []
        for text in self.path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:  # of a writer that was killed
                continue
            if isinstance(line, dict):
                found.append(line)
        return found

    def trials(self, data: Iterable[str]) -> Trials:
        """The configurations that have seen a test stretch of data with one of these fingerprints."""
        asked = set(data)
        lines = [line for line in self.lines() if line.get("data") in asked]
        ratios: dict[str, list[float]] = {}
        for line in lines:
            if line.get("event") == SCORED and isinstance(line.get("sharpe_per_bar"), float):
                ratios.setdefault(line["config"], []).append(line["sharpe_per_bar"])
        means = [sum(values) / len(values) for values in ratios.values()]
        centre = sum(means) / len(means) if means else 0.0
        variance = sum((mean - centre) ** 2 for mean in means) / (len(means) - 1) if len(means) > 1 else 0.0
        return Trials(len({line["config"] for line in lines if "config" in line}), variance)
