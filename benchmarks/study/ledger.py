"""The ledger: lines about each configuration that was ever scored on a test stretch, or tried in tuning.

A job writes "opened" before it looks at a test stretch, and "scored" after that; a trial of a tuning writes "tried"
before it is scored on a validation stretch. The number of different configurations is the N of the deflated Sharpe
ratio of the best one. A job that was killed before its row was written runs again, and writes its lines again: that is
the same configuration on the same data, so it counts once, and with its last score. A line with `"counted": false` is
of a policy trained at another cost, for the cost curve alone: nothing is chosen from these, so they do not count. Lines
are appended under a lock, and are never changed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from agents.common.files import lock, make_folder, naming

OPENED, SCORED, TRIED = "opened", "scored", "tried"


class LedgerError(OSError):
    """The ledger cannot be written, so nothing may be tested."""


class Trials(NamedTuple):
    """Trials on given data, as recorded in the ledger."""

    count: int
    """Different configurations that have seen the test, or were tried in tuning."""
    variance: float
    """Variance of the Sharpe ratios per bar of those that have seen the test; 0 with fewer than two."""


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
            LedgerError: it cannot be written; the file is as before.
        """
        text = json.dumps({**line, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}, allow_nan=False)
        try:
            with naming("the ledger", self.path):
                make_folder(self.path.parent)
                self._append(text.encode())
        except OSError as error:
            raise LedgerError(*error.args, error.filename) from error

    def _append(self, text: bytes) -> None:
        """Appends the line under a lock, whole or not at all."""
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            lock(handle, wait=True)
            before = os.fstat(handle).st_size
            rest = memoryview((b"\n" if self._torn() else b"") + text + b"\n")
            try:
                while rest:  # a disk that fills up takes a part of it first
                    rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, before)
                raise
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

    def configurations(self, data: Iterable[str]) -> set[str]:
        """Those that were tried or tested on data with one of these fingerprints."""
        return {line["config"] for line in self._counted(data)}

    def trials(self, data: Iterable[str], more: Iterable[Mapping[str, Any]] = ()) -> Trials:
        """The trials on data with one of these fingerprints; ``more`` are lines that it may have lost."""
        lines = [*self._counted(data), *more]
        ratios: dict[str, dict[Any, float]] = {}  # by configuration and job
        for number, line in enumerate(lines):
            ratio = line.get("sharpe_per_bar")
            if line.get("event") == SCORED and isinstance(ratio, int | float):
                ratios.setdefault(line["config"], {})[line.get("job", number)] = float(ratio)
        means = [sum(values.values()) / len(values) for values in ratios.values()]
        centre = sum(means) / len(means) if means else 0.0
        variance = sum((mean - centre) ** 2 for mean in means) / (len(means) - 1) if len(means) > 1 else 0.0
        return Trials(len({line["config"] for line in lines}), variance)

    def _counted(self, data: Iterable[str]) -> list[dict[str, Any]]:
        asked = set(data)
        return [line for line in self.lines() if line.get("data") in asked and "config" in line and _counts(line)]


def _counts(line: Mapping[str, Any]) -> bool:
    """False for a line of the cost curve, which nothing is chosen from."""
    return line.get("counted") is not False
