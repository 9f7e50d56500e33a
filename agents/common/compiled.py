"""The decorator of the few compiled loops, for which NumPy and torch have no operation."""

import atexit
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numba
from numba.core import caching, config

Kernel = Callable[..., Any]


@cache
def _stamp(folder: Path) -> bytes:
    """Checksum of all source files of a folder."""
    sources = [(file.name, file.read_bytes()) for file in sorted(folder.glob("*.py"))]
    return hashlib.sha256(repr(sources).encode()).digest()


def _stamped(locator: Any) -> Any:
    """One of numba's cache locators that stamps a function's folder: numba's own stamps its file only."""
    return type(locator.__name__, (locator,), {"get_source_stamp": lambda self: _stamp(Path(self._py_file).parent)})


class _Files(caching.CompileResultCacheImpl):
    """Where the compiled code of a function is kept."""

    _locator_classes = [_stamped(locator) for locator in caching.CompileResultCacheImpl._locator_classes]


class KernelCache(caching.FunctionCache):
    """Compiled code of one function, valid until any file of its folder changes: kernels call those of other files."""

    _impl_class = _Files


def compiled(kernel: Kernel) -> Kernel:
    """`kernel` compiled, and cached on disk if possible; sums may be reordered, NaN and infinity are respected."""
    dispatcher: Any = numba.njit(fastmath={"reassoc", "contract", "arcp", "nsz"}, error_model="numpy")(kernel)
    if _CACHE:
        dispatcher._cache = _cache_of(kernel)
    return cast(Kernel, dispatcher)


def _cache_of(kernel: Kernel) -> Any:
    make: Any = KernelCache  # numba has no types for it
    return make(kernel)


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
        _cache_of(_finds_a_place)
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
