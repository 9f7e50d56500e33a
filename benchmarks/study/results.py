"""Results on disk: JSON and Parquet contents, files written whole or not at all, and results kept for the next run."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.common import files

if TYPE_CHECKING:
    import pandas as pd


class KeptError(ValueError):
    """A kept result is damaged, or the file is something else."""


def keep(path: Path, setting: Mapping[str, Any], **result: Any) -> None:
    """Keeps a result with the setting that it was computed for, whole or not at all."""
    text = json.dumps({"setting": setting, **result}, allow_nan=False)
    files.write(path, f"{text}\n".encode())


def kept(path: Path, setting: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The result that an earlier run with the same setting kept; None without one.

    Args:
        path: of the file.
        setting: everything that the result depends on.
        names: entries that the result must have.

    Raises:
        KeptError: the file is damaged.
    """
    if not path.exists():
        return None
    found = read_kept(path, ("setting", *names))
    return found if found["setting"] == json.loads(json.dumps(setting)) else None


def read_kept(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """The entries of a kept result, by name.

    Raises:
        KeptError: the file is damaged, or one of these names is missing.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        missing = [name for name in names if name not in found]
    except (ValueError, TypeError) as error:
        raise KeptError(f"{path} is no result of an earlier run, remove it to train anew: {error}") from error
    if missing:
        raise KeptError(f"{path} is no result of an earlier run, remove it to train anew: it has no {missing}")
    return dict(found)


def write_json(results: Mapping[str, Any], path: Path) -> None:
    """Writes the results as standard JSON, NaN as null, whole or not at all."""
    files.write(path, json_bytes(results))


def json_bytes(results: Mapping[str, Any]) -> bytes:
    """The results as standard JSON, NaN as null."""
    return (json.dumps(plain(results), indent=2, allow_nan=False) + "\n").encode()


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """The frame as a Parquet file, without its index."""
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    return content.getvalue()


def plain(value: Any) -> Any:
    """The value with NaN and infinities as None, which JSON lacks."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
