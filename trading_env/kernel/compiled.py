"""Compiling the kernel, caching the compiled code on disk, and calling it without looking up types."""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
import warnings
from importlib.resources import files
from typing import Any

from numba import njit, typeof
from numba.core import caching, config

# -- the cache: numba's, but invalid as soon as any file of this folder changes ---------------------------------------


def _folder_stamp() -> bytes:
    """Checksum of all source files of this folder."""
    sources = [(file.name, file.read_bytes()) for file in files(__package__).iterdir() if file.name.endswith(".py")]
    return hashlib.sha256(repr(sorted(sources)).encode()).digest()


_STAMP = _folder_stamp()


def _stamped(locator: Any) -> Any:
    """A cache locator of numba with a stamp of the whole folder: numba's own covers only the file of a function."""
    return type(locator.__name__, (locator,), {"get_source_stamp": lambda self: _STAMP})


class _Files(caching.CompileResultCacheImpl):
    """The place of a function's compiled code on disk."""

    _locator_classes = [_stamped(locator) for locator in caching.CompileResultCacheImpl._locator_classes]


class KernelCache(caching.FunctionCache):
    """Compiled code of one function, valid until any file of this folder changes."""

    _impl_class = _Files


def can_cache() -> bool:
    """True if numba can cache the compiled code of this folder on disk.

    If neither this folder nor the user's cache folder can be written, a temporary folder serves this process and its
    children; if that fails too, every process compiles anew. A warning reports either case.
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
    os.environ["NUMBA_CACHE_DIR"] = settings.CACHE_DIR = folder  # of child processes, and of this one
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
    """True if the cache accepts a function of this folder; nothing is compiled."""
    try:
        KernelCache(_finds_a_place)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return False
    return True


def _remove(folder: str, pid: int) -> None:
    """Removes the temporary folder at the exit of the process that made it, not of a process forked from it."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


# -- compiling and calling -------------------------------------------------------------------------------------------

_CACHED = can_cache()


def compiled(function: Any, **options: Any) -> Any:
    """The function compiled by numba, and cached on disk if possible.

    NumPy's error model and no reference counts (`_nrt`), since checks and counts would take more than half of a step:
    the kernel neither divides by an unchecked zero nor allocates an array. No wrapper for C, since nothing calls it
    and it would take a twentieth of the compile time.
    """
    compile_with: Any = njit  # numba's types do not know `_nrt`
    dispatcher = compile_with(error_model="numpy", _nrt=False, no_cfunc_wrapper=True, **options)(function)
    if _CACHED:
        dispatcher._cache = KernelCache(function)
    return dispatcher


def inlined(function: Any) -> Any:
    """The function compiled into those that call it."""
    return compiled(function, forceinline=True)


class Bound:
    """A compiled function bound to the types of its arguments: ``call`` skips the look-up of types, 0.4 us a call.

    Args:
        function: a compiled function.
        types: numba's types of the arguments; arguments of other types must not be passed.
    """

    __slots__ = ("call", "function", "types")

    def __init__(self, function: Any, types: tuple[Any, ...]) -> None:
        self.function, self.types = function, types
        self.call = function.compile(types)

    @classmethod
    def of(cls, function: Any, *arguments: Any) -> Bound:
        """``function`` bound to the types of these arguments."""
        type_of: Any = typeof  # numba has no types for it
        return cls(function, tuple(type_of(argument) for argument in arguments))

    def __reduce__(self) -> tuple[Any, ...]:
        return Bound, (self.function, self.types)

    def __deepcopy__(self, memo: Any) -> Bound:
        return self
