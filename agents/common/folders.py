"""Folders of results that are replaced as a whole: the files are of one run, even if a writer is killed."""

import ctypes
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agents.common.files import lock, make_folder, part_of, parts_of, sync_folder, write_together

_HERE = -100  # AT_FDCWD of Linux
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def write_folder(folder: str | os.PathLike[str], contents: Mapping[str, bytes]) -> None:
    """Writes a run's files to a folder, replacing those of the previous run; other files in it stay.

    A new folder is filled beside the old one, and both are exchanged in one step. If the system or the folder does not
    allow that (network drives, the current folder of the program), the complete files are moved one by one.

    Args:
        folder: The folder; it and those above it are made if there are none.
        contents: Name -> bytes.

    Raises:
        OSError: If they cannot be written; the old files stay.
    """
    folder = Path(os.path.realpath(folder))
    make_folder(folder.parent)
    for name in contents:
        if (folder / name).is_dir():
            raise IsADirectoryError(f"{folder / name} is a folder, and no file can be written there")
    with _one_writer(folder.parent) as alone:
        for part in parts_of(folder) if alone else ():
            if part.is_dir() and not part.is_symlink():
                _hand_back(part, folder, contents)  # a killed writer's
        part = _new_part(folder)
        try:
            write_together({part / name: content for name, content in contents.items()})
            _put_in_place(part, folder, contents)
        finally:
            if part.exists():
                _hand_back(part, folder, contents)
        sync_folder(folder.parent)


@contextmanager
def _one_writer(folder: Path) -> Iterator[bool]:
    """Waits until no other program exchanges folders in this one; False if that cannot be known."""
    if os.name != "posix" or not os.access(folder, os.R_OK):
        yield False
        return
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield lock(handle, wait=True) is True
    finally:
        os.close(handle)


def _new_part(folder: Path) -> Path:
    """A new folder beside `folder`, or in it if nothing can be made beside it."""
    part = part_of(folder)
    try:
        part.mkdir()
    except OSError:
        if not folder.is_dir():
            raise
        part = folder / part.name
        part.mkdir()
    if folder.is_dir():
        part.chmod(stat.S_IMODE(folder.stat().st_mode))
    return part


def _put_in_place(part: Path, folder: Path, contents: Mapping[str, bytes]) -> None:
    if not os.path.lexists(folder):
        os.rename(part, folder)
    elif Path.cwd().is_relative_to(folder) or part.parent == folder or not _exchange(part, folder):
        for name in contents:
            os.replace(part / name, folder / name)
        sync_folder(folder)


def _exchange(one: Path, other: Path) -> bool:
    """True if two folders were exchanged in one step."""
    if sys.platform not in ("linux", "darwin") or not other.is_dir():
        return False
    paths, libc = (os.fsencode(one), os.fsencode(other)), ctypes.CDLL(None)
    try:
        if sys.platform == "darwin":
            failed = libc.renamex_np(*paths, _EXCHANGE)
        else:
            failed = libc.renameat2(_HERE, paths[0], _HERE, paths[1], _EXCHANGE)
    except AttributeError:  # an older C library
        return False
    return not failed


def _hand_back(part: Path, folder: Path, contents: Mapping[str, bytes]) -> None:
    """Removes a temporary folder: deletes the run's files, and moves all others back to `folder`."""
    for entry in part.iterdir():
        ours = entry.name in contents or any(entry in parts_of(part / name) for name in contents)
        if ours and not (entry.is_dir() and not entry.is_symlink()):
            entry.unlink()
        elif not os.path.lexists(folder / entry.name):
            folder.mkdir(exist_ok=True)
            os.rename(entry, folder / entry.name)
    if not any(part.iterdir()):
        shutil.rmtree(part)
