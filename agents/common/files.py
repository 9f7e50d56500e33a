"""Atomic writes: a file is written under a temporary name beside its target, and moved there when it is complete.

Readers see the old file or the new one, never an incomplete one. The temporary file, or part, is opened without
following links. A program that is killed while writing leaves its part behind, which the next writer of the same target
removes: a part belongs to a running program as long as it is locked.
"""

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl as _fcntl
except ImportError:  # Windows, where no file that is open can be removed
    fcntl: Any = None
else:
    fcntl = _fcntl

OPENING = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LOOKING = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_LONGEST = 200  # bytes of a target's name that its part is named after, of the 255 that names may have
_ABANDONED = 3600.0  # seconds after which a part is nobody's, where files cannot be locked


def write(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file whole or not at all; its folder is made if there is none.

    Raises:
        OSError: If it cannot be written; the old file stays.
    """
    write_together({path: content})


def write_together(contents: Mapping[str | os.PathLike[str], bytes]) -> None:
    """Writes several files: all are complete on disk before the first is moved to its target.

    Args:
        contents: Path -> bytes.

    Raises:
        OSError: If one cannot be written; the old files stay.
    """
    paths = {Path(path): content for path, content in contents.items()}
    with ExitStack() as stack:
        parts = [(stack.enter_context(_part(path, content)), path) for path, content in paths.items()]
        for part, path in parts:
            os.replace(part, path)
    for folder in dict.fromkeys(path.parent for path in paths):
        sync_folder(folder)


def check_writable(path: str | os.PathLike[str], field: str = "path") -> None:
    """Checks in advance that `write` can write there.

    Raises:
        OSError: Naming field and path, if it cannot.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{field} cannot be written: {path} is a folder, and no file can be written there")
    with naming(field, path), _part(path, b""):
        pass


def check_folder(folder: str | os.PathLike[str], field: str) -> None:
    """Checks in advance that files can be written to a folder, which is made if there is none.

    Raises:
        OSError: Naming field and folder, if they cannot.
    """
    with naming(field, Path(folder)), _part(Path(folder) / "probe", b""):
        pass


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it, if there are none; NotADirectoryError where a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(20, "Not a directory", str(folder)) from error


@contextmanager
def naming(field: str, path: Path) -> Iterator[None]:
    """Adds the name of the argument to an OSError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno or 5, f"{field} cannot be written: {reason}", str(path)) from error


@contextmanager
def _part(path: Path, content: bytes) -> Iterator[Path]:
    """A complete file beside `path`, removed at the end unless it was moved."""
    make_folder(path.parent)
    _remove_abandoned(path)
    part, handle = _opened(path)
    try:
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows moves no open file
            yield part  # locked until it is moved
    finally:
        part.unlink(missing_ok=True)


def _opened(path: Path) -> tuple[Path, int]:
    """A new part and its handle, locked."""
    while True:
        part = part_of(path)
        handle = os.open(part, OPENING, 0o666)
        if not lock(handle, wait=True) or os.fstat(handle).st_nlink:
            return part, handle
        os.close(handle)  # another writer found it before it was locked, and took it for abandoned


def part_of(path: Path) -> Path:
    """A new name beside `path`."""
    return path.with_name(f".{_stem(path)}.{os.urandom(8).hex()}.part")


def parts_of(path: Path) -> list[Path]:
    """The parts beside `path` that its writers made, including the caller's."""
    pattern = re.compile(re.escape(f".{_stem(path)}.") + r"[0-9a-f]{16}\.part")
    try:
        names = os.listdir(path.parent)
    except PermissionError:  # one may write to a folder without being let to list it
        return []
    return [path.with_name(name) for name in names if pattern.fullmatch(name)]


def _stem(path: Path) -> str:
    """The stem of the names of parts: the file's name, or a hash of it if that is long."""
    name = os.fsencode(path.name)
    return path.name if len(name) <= _LONGEST else hashlib.sha256(name).hexdigest()[:32]


def _remove_abandoned(path: Path) -> None:
    """Removes the parts that killed writers of `path` left."""
    for part in parts_of(path):
        try:
            handle = os.open(part, _LOOKING)
        except OSError:  # gone meanwhile, or a link, or another user's
            continue
        try:
            if _is_abandoned(handle):
                part.unlink(missing_ok=True)
        finally:
            os.close(handle)


def _is_abandoned(handle: int) -> bool:
    """True if it is a plain file that no running program writes; it is then locked by this one."""
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        return False
    return lock(handle) is True if fcntl is not None else time.time() - found.st_mtime > _ABANDONED


def lock(handle: int, wait: bool = False) -> bool | None:
    """True if the open file is now locked by this program, False if another has it, None if files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return None
    return True


def sync_folder(folder: Path) -> None:
    """Flushes a folder's new entries to disk, on systems where folders can be opened."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
