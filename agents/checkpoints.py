"""Files of agents: safetensors with JSON inside, never pickle. Loading one can run no code.

A file holds named arrays and, in safetensors' own metadata, one JSON text.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

FORMAT = "seed-axis-agent-1"
SUFFIX = ".safetensors"


def with_suffix(path: str | os.PathLike[str]) -> Path:
    """`path` with ".safetensors" added if it has no suffix."""
    path = Path(path)
    return path if path.suffix else path.with_name(path.name + SUFFIX)


def write(path: str | os.PathLike[str], arrays: Mapping[str, torch.Tensor], facts: dict[str, Any]) -> Path:
    """Writes the file whole or not at all; returns its path.

    The old file is replaced only once the new one is complete on disk. `facts` must be plain JSON.
    """
    path = with_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: array.detach().cpu().contiguous() for name, array in arrays.items()}
    content = save(contiguous, metadata={"format": FORMAT, "facts": json.dumps(facts)})
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return path


def read(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The arrays and facts of a file that `write` made.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file is truncated, corrupt, or another program's.
    """
    path = with_suffix(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such checkpoint: {path}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is corrupt or no safetensors file: {error}") from error
    if metadata.get("format") != FORMAT:
        raise ValueError(f"{path} was not written by these agents: its format is {metadata.get('format')!r}")
    try:
        return arrays, json.loads(metadata["facts"])
    except (KeyError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is corrupt: its facts are not JSON ({error})") from error
