"""Files of agents: safetensors with JSON inside, never pickle. Loading one can run no code.

A file holds named arrays and, in safetensors' own metadata, one JSON text and a checksum of everything.
"""

import json
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from agents.common import files
from agents.common.checks import short

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
    contiguous = {name: array.detach().cpu().contiguous() for name, array in arrays.items()}
    text = json.dumps(facts)
    metadata = {"format": FORMAT, "facts": text, "checksum": _checksum(contiguous, text)}
    files.write(path, save(contiguous, metadata))  # not save_file, which writes a file of its own, not synced
    return path


def check_writable(path: str | os.PathLike[str], field: str = "path") -> None:
    """Checks in advance that `write` can write there; OSError naming the field if not."""
    files.check_writable(with_suffix(path), field)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The arrays and facts in a file that `write` wrote.

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
        facts = json.loads(metadata["facts"])
    except (KeyError, ValueError, RecursionError) as error:  # ValueError of integers with thousands of digits too
        raise ValueError(f"{path} is corrupt: its facts are not JSON ({error})") from error
    odd = [name for name, array in arrays.items() if array.dtype not in _DTYPES]
    if odd:
        raise ValueError(f"{path} is corrupt: {odd[0]} has the type {arrays[odd[0]].dtype}, which no agent writes")
    if metadata.get("checksum") != _checksum(arrays, metadata["facts"]):
        raise ValueError(f"{path} is corrupt: its checksum does not match what it holds")
    if not isinstance(facts, dict):
        raise ValueError(f"{path} is corrupt: its facts are no JSON object but {short(facts)}")
    return arrays, facts


def pack(tree: Any, arrays: dict[str, torch.Tensor], name: str) -> Any:
    """`tree` as plain JSON: each array in it goes to `arrays`, under the path that leads to it.

    Args:
        tree: Dicts and lists of arrays, tensors, and plain JSON.
        arrays: The arrays of the file, to which those of the tree are added.
        name: Path of the tree itself.

    Raises:
        TypeError: If the tree holds anything else.
    """
    if isinstance(tree, np.ndarray | torch.Tensor):
        try:
            arrays[name] = torch.as_tensor(tree)
        except TypeError as error:
            raise TypeError(f"{name} cannot be written: {error}") from error
        return {_ARRAY: name}
    if isinstance(tree, dict):
        return {str(key): pack(part, arrays, f"{name}.{key}") for key, part in tree.items()}
    if isinstance(tree, list | tuple):
        return [pack(part, arrays, f"{name}.{i}") for i, part in enumerate(tree)]
    if isinstance(tree, np.generic):
        return tree.item()
    if tree is not None and not isinstance(tree, bool | int | float | str):
        raise TypeError(f"{name} cannot be written: {tree!r} is neither an array nor plain JSON")
    return tree


def unpack(tree: Any, arrays: Mapping[str, torch.Tensor], name: str = "facts") -> Any:
    """The tree that was given to `pack`, with NumPy arrays, and lists in place of tuples.

    Raises:
        ValueError: Naming the place, if there is no such array.
    """
    if isinstance(tree, dict):
        if tree.keys() == {_ARRAY}:
            stored = tree[_ARRAY]
            if not isinstance(stored, str) or stored not in arrays:
                raise ValueError(f"{name} must be an array of the file, got {short(stored)}")
            return arrays[stored].numpy()
        return {key: unpack(part, arrays, f"{name}.{key}") for key, part in tree.items()}
    if isinstance(tree, list):
        return [unpack(part, arrays, f"{name}.{i}") for i, part in enumerate(tree)]
    return tree


_ARRAY = "array of this file"
_WORDS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64)
_DTYPES = frozenset((*_WORDS, torch.bool))


def _checksum(arrays: Mapping[str, torch.Tensor], text: str) -> str:
    total = zlib.crc32(text.encode())
    for name, array in sorted(arrays.items()):
        total = zlib.crc32(f"{name} {array.dtype} {tuple(array.shape)}".encode(), total)
        total = zlib.crc32(array.numpy().data if array.numel() else b"", total)
    return f"{total:08x}"
