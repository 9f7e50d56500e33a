"""States cut into blocks of seeds, and put together again.

In a state, the first axis of every array, and of every list, is the seed (or the env of a seed); dicts only name their
parts, and numbers hold for all seeds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from agents.common.state import part


def cut(tree: Any, start: int, stop: int, length: int) -> Any:
    """The rows `start` to `stop` of a state with `length` of them; arrays and tensors become NumPy arrays.

    Raises:
        ValueError: Naming the part, if an array or a list has another length.
    """
    if isinstance(tree, dict):
        return {name: _named(name, cut, value, start, stop, length) for name, value in tree.items()}
    if isinstance(tree, torch.Tensor):
        tree = tree.cpu().numpy()
    if not isinstance(tree, list) and not (isinstance(tree, np.ndarray) and tree.ndim):
        return tree
    if len(tree) != length:
        raise ValueError(f"its first axis must be the seeds (or their envs), {length}, but it has {len(tree)}")
    return tree[start:stop]


def contiguous(tree: Any) -> Any:
    """The state with every array in one piece of memory: itself, or a copy."""
    if isinstance(tree, dict):
        return {name: contiguous(value) for name, value in tree.items()}
    return np.ascontiguousarray(tree) if isinstance(tree, np.ndarray) and tree.ndim else tree


def join(trees: Sequence[Any]) -> Any:
    """The state whose blocks of rows are `trees`. Of numbers that differ, the largest.

    Raises:
        ValueError: Naming the part, if the blocks do not fit together.
    """
    first = trees[0]
    if isinstance(first, dict):
        if any(not isinstance(tree, dict) or tree.keys() != first.keys() for tree in trees):
            raise ValueError("the blocks have different parts")
        return {name: _named(name, join, [tree[name] for tree in trees]) for name in first}
    if isinstance(first, np.ndarray | torch.Tensor) and np.ndim(first):
        return np.concatenate([np.asarray(tree) for tree in trees])
    if isinstance(first, list):
        return [row for tree in trees for row in tree]
    if isinstance(first, int | float):
        return max(trees)
    if any(tree != first for tree in trees):
        raise ValueError(f"the blocks have different values: {trees}")
    return first


def join_last(values: Sequence[Any]) -> Any:
    """Arrays and tensors [S, ...] in tuples and lists, of blocks of seeds, as those of all seeds.

    Raises:
        ValueError: If the blocks have different parts.
    """
    first = values[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(list(values))
    if isinstance(first, np.ndarray):
        return np.concatenate(values)
    if isinstance(first, list | tuple):
        parts = [join_last(column) for column in zip(*values, strict=True)]
        return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
    raise ValueError(f"there is no axis of seeds in {first!r}")


def _named(name: str, function: Any, *arguments: Any) -> Any:
    with part(name):
        return function(*arguments)
