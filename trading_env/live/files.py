"""JSON files that are written whole or not at all, and used by one program at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trading_env._checks import brief

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be replaced: two writers fail by themselves
    fcntl = None  # type: ignore[assignment]


def write_whole(path: Path, content: Mapping[str, Any]) -> None:
    """Writes the content as JSON; a reader finds either the old content or the new one, whatever happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=1, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_whole(path: Path, kind: str, names: Collection[str] = ()) -> dict[str, Any] | None:
    """The content of a file of this kind; None if there is no file.

    Raises:
        ValueError: it is damaged, of another kind or version, or lacks one of the names.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} must be a {kind} file, but it is no JSON: {error}") from error
    if not isinstance(content, dict) or content.get("kind") != kind:
        raise ValueError(f"{path} must be a {kind} file, got {brief(content)}")
    if missing := [name for name in names if name not in content]:
        raise ValueError(f"{path} must be a {kind} file, but it has no {', '.join(map(repr, missing))}")
    return content


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A context that only one program at a time can be in for the same file.

    Raises:
        RuntimeError: another program is in this context.
    """
    handle = os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o666)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeError(f"{path} is in use by another program") from None
        yield
    finally:
        os.close(handle)
