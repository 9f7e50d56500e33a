"""The decorator of the few loops that NumPy and torch have no operation for."""

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, cast

import numba
from numba.core import config

Kernel = Callable[..., None]


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` compiled, and kept on disk if possible; free to reorder sums, not to assume away NaN and infinity."""
    fastmath = {"reassoc", "contract", "arcp", "nsz"}
    return cast(Kernel, numba.njit(cache=_CACHE, fastmath=fastmath, error_model="numpy")(kernel))


def can_cache() -> bool:
    """True if numba can keep what it compiles of this folder's modules on disk.

    Where neither this folder nor the home can be written, a temporary folder serves this process and those that it
    starts; without even that, every process compiles anew. A warning tells either.
    """
    if _finds_a_place():
        return True
    try:
        folder = tempfile.mkdtemp(prefix="numba-")
    except OSError:
        _warn("every process compiles anew")
        return False
    atexit.register(_remove, folder, os.getpid())
    settings: Any = config  # numba has no types for it
    os.environ["NUMBA_CACHE_DIR"] = settings.CACHE_DIR = folder  # of processes started by this one, and its own
    _warn(f"compiled code is kept in {folder} until this process ends")
    return _finds_a_place()


def _warn(consequence: str) -> None:
    warnings.warn(
        f"numba can keep compiled code neither in {os.path.dirname(__file__)} nor in a cache folder of the user: "
        f"{consequence}. Set NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=3,
    )


def _finds_a_place() -> bool:
    """True if numba accepts a function of this folder for its cache; nothing is compiled."""
    try:
        numba.njit(cache=True)(_finds_a_place)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return False
    return True


def _remove(folder: str, pid: int) -> None:
    """Removes the temporary folder when the process that made it ends, not when one forked from it does."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


_CACHE = can_cache()
