"""Locks by which one running training at a time writes a file; they end with its program at the latest."""

import os
import stat
from pathlib import Path

from agents.common.files import lock, make_folder, naming

_OPENING = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class InUseError(OSError, ValueError):
    """Another running training writes the file."""


class Lock:
    """A hidden lock file beside `path`, which exists while the lock is held; no lock where files cannot be locked.

    Args:
        path: The file to be written.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._file = path, path.absolute().with_name(f".{path.name}.lock")
        self._handle: int | None = None
        self._firm = True

    def acquire(self, firmly: bool = True) -> None:
        """Acquires the lock, if it is not held already.

        Args:
            firmly: Whether to hold it against all others; if not, another training of this program can take it over.

        Raises:
            InUseError: If another training holds it, in this program or another.
            OSError: If the lock file cannot be made.
        """
        self._firm = firmly
        for other in tuple(_HELD):
            if other is not self and other._file == self._file and not other._firm:
                other.release()
        while self._handle is None:
            handle = self._opened()
            free = lock(handle)
            if free is False:
                holder = os.read(handle, 20).decode("ascii", "replace")
                os.close(handle)
                raise self._refusal(holder)
            if free and self._is_there(handle):
                self._handle = handle
                _HELD.add(self)
                os.ftruncate(handle, 0)
                os.write(handle, str(os.getpid()).encode())
                return
            os.close(handle)
            if free is None:  # files cannot be locked here
                return

    def release(self) -> None:
        """Releases the lock, if it is held."""
        if self._handle is not None:
            self._file.unlink(missing_ok=True)
            self._close()

    def _opened(self) -> int:
        """The lock file, open."""
        with naming("the lock of a checkpoint", self._file):
            make_folder(self._file.parent)
            handle = os.open(self._file, _OPENING, 0o666)
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                os.close(handle)
                raise OSError(17, "it is no plain file")
        return handle

    def _is_there(self, handle: int) -> bool:
        """True if the lock file is still the one that was opened: it may have been released and removed meanwhile."""
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self._file))
        except FileNotFoundError:
            return False

    def _refusal(self, holder: str) -> InUseError:
        return InUseError(
            f"{self.path} is being written by another running training (process {holder or 'unknown'}): "
            "give this one a file of its own, or wait for its end"
        )

    def _close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
            _HELD.discard(self)


_HELD: set[Lock] = set()


def _forget() -> None:
    """Closes the parent's locks in a child process, which might outlive it."""
    for held in tuple(_HELD):
        held._close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
