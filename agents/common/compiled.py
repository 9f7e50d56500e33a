"""The decorator of the few compiled loops, for which NumPy and torch have no operation."""

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
    """`kernel` compiled, and cached on disk if possible; sums may be reordered, NaN and infinity are respected."""
    fastmath = {"reassoc", "contract", "arcp", "nsz"}
    return cast(Kernel, numba.njit(cache=_CACHE, fastmath=fastmath, error_model="numpy")(kernel))


def can_cache() -> bool:
    """True if numba can cache compiled code of this folder's modules on disk.

    If neither this folder nor the home can be written, a temporary folder serves this process and those that it
    starts; if that fails too, every process compiles anew. A warning says so in both cases.
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
    os.environ["NUMBA_CACHE_DIR"] = settings.CACHE_DIR = folder  # for this process and those it starts
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
    """True if numba can cache a function of this folder; nothing is compiled."""
    try:
        numba.njit(cache=True)(_finds_a_place)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return False
    return True


def _remove(folder: str, pid: int) -> None:
    """Removes the temporary folder when the process that made it ends, not when a forked one does."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


_CACHE = can_cache()
