"""Files and folders that are written whole, whoever else writes and whenever the writer is killed."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents.common import files
from agents.common.files import check_folder, check_writable, write, write_together
from agents.common.folders import write_folder
from agents.common.locks import InUseError, Lock

ROOT = Path(__file__).parents[3]
NAMES = ("results.json", "equity.parquet", "equity.png")
WRITER = """
import sys
from agents.common.folders import write_folder
from agents.common.files import write
i = 0
while True:
    i += 1
    content = (f"{sys.argv[1]}-{i} " * 20_000).encode()
    if sys.argv[2] == "folder":
        write_folder(sys.argv[3], {name: content for name in ("results.json", "equity.parquet", "equity.png")})
    else:
        write(sys.argv[3], content)
"""


def writer(label, kind, path):
    """A process that writes the same content to all its files, another one each time, until it is killed."""
    command = [sys.executable, "-c", WRITER, label, kind, str(path)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def appeared(path, process):
    end = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    assert path.exists(), process.stderr.read()


def words(content):
    """The words of a whole file, which are all alike."""
    found = content.decode().split()
    assert len(found) == 20_000
    return set(found)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_kills_at_any_moment_leave_one_whole_run(kind, tmp_path):
    path = tmp_path / "out"
    for k in range(6):
        process = writer(str(k), kind, path)
        appeared(path if kind == "file" else path / NAMES[0], process)
        time.sleep(0.01 + 0.017 * k)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stderr.close()
        found = (
            [words((path / name).read_bytes()) for name in NAMES] if kind == "folder" else [words(path.read_bytes())]
        )
        assert len(set.union(*found)) == 1
    if kind == "folder":
        write_folder(path, dict.fromkeys(NAMES, b""))
    else:
        write(path, b"")
    assert os.listdir(tmp_path) == ["out"]  # what the killed left is gone


def of_one_folder(path):
    """What a reader that stays with one folder finds; nothing if that was removed, another being in its place."""
    with contextlib.ExitStack() as stack:
        handle = os.open(path, os.O_RDONLY)
        stack.callback(os.close, handle)
        opened = []
        for name in NAMES:
            try:
                opened.append(stack.enter_context(os.fdopen(os.open(name, os.O_RDONLY, dir_fd=handle), "rb")))
            except FileNotFoundError:
                return []
        return [file.read() for file in opened]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_two_writers_and_a_reader_meet_neither_errors_nor_torn_files(kind, tmp_path):
    path = tmp_path / "out"
    both = [writer(label, kind, path) for label in "ab"]
    for process in both:
        appeared(path if kind == "file" else path / NAMES[0], process)
    seen, end = set(), time.monotonic() + 1.5
    while time.monotonic() < end:
        if kind == "file":
            seen |= words(path.read_bytes())
            continue
        contents = of_one_folder(path)
        if contents:
            found = set.union(*map(words, contents))
            assert len(found) == 1
            seen |= found
    for process in both:
        assert process.poll() is None, process.stderr.read()
        process.kill()
        process.wait()
        process.stderr.close()
    assert {word[0] for word in seen} == {"a", "b"}


def test_a_link_under_a_part_s_name_is_not_followed(tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.write_text("keep")
    part = files.part_of(tmp_path / "out")
    part.symlink_to(precious)
    write(tmp_path / "out", b"new")  # meets it as one that a killed writer left
    names = [part, files.part_of(tmp_path / "out")]
    monkeypatch.setattr(files, "part_of", lambda path: names[0])
    with pytest.raises(FileExistsError):  # meets it as its own
        write(tmp_path / "out", b"newer")
    assert precious.read_text() == "keep"
    assert (tmp_path / "out").read_text() == "new"


def test_pipes_and_folders_under_a_part_s_name_are_left_alone(tmp_path):
    os.mkfifo(files.part_of(tmp_path / "out"))
    files.part_of(tmp_path / "out").mkdir()
    write(tmp_path / "out", b"new")
    assert len(os.listdir(tmp_path)) == 3


def test_the_part_of_a_running_writer_is_left_alone_and_that_of_a_killed_one_removed(tmp_path):
    path = tmp_path / "out"
    with files._part(path, b"slow") as part:
        write(path, b"quick")
        assert part.exists()
        os.replace(part, path)
    assert path.read_bytes() == b"slow"
    files.part_of(path).write_bytes(b"left by one that was killed")
    write(path, b"next")
    assert os.listdir(tmp_path) == ["out"]


def test_several_files_change_only_when_all_are_complete(tmp_path, monkeypatch):
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"1"})
    real, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_together({tmp_path / "a": b"2", tmp_path / "b": b"2"})
    calls.clear()
    with pytest.raises(OSError, match="No space left"):
        write_folder(tmp_path / "run", {"a": b"2", "b": b"2"})
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("exchanged", [True, False])
def test_a_folder_of_results_keeps_what_else_is_in_it_and_its_mode(exchanged, tmp_path, monkeypatch):
    if not exchanged:
        monkeypatch.setattr("agents.common.folders._exchange", lambda one, other: False)
    run = tmp_path / "run"
    (run / "deep").mkdir(parents=True)
    (run / "deep" / "x").write_text("x")
    (run / "notes").write_text("mine")
    (run / "results.json").write_text("old")
    run.chmod(0o750)
    write_folder(run, {"results.json": b"new", "equity.png": b"new"})
    assert sorted(os.listdir(run)) == ["deep", "equity.png", "notes", "results.json"]
    assert (run / "results.json").read_text() == (run / "equity.png").read_text() == "new"
    assert (run / "notes").read_text() == "mine"
    assert (run / "deep" / "x").read_text() == "x"
    assert run.stat().st_mode & 0o777 == 0o750
    assert os.listdir(tmp_path) == ["run"]


def test_a_writer_killed_after_the_swap_loses_nothing_of_others(tmp_path):
    write_folder(tmp_path / "run", {"a": b"new"})
    part = files.part_of(tmp_path / "run")  # what the swap left there
    part.mkdir()
    (part / "a").write_text("old")
    (part / "notes").write_text("mine")
    write_folder(tmp_path / "run", {"a": b"newer"})
    assert sorted(os.listdir(tmp_path / "run")) == ["a", "notes"]
    assert os.listdir(tmp_path) == ["run"]
    assert (tmp_path / "run" / "a").read_text() == "newer"


def test_the_folder_that_the_program_runs_in_stays_the_same_folder(tmp_path, monkeypatch):
    run = tmp_path / "run"
    write_folder(run, {"a": b"1"})
    monkeypatch.chdir(run)
    write_folder(".", {"a": b"2"})
    assert Path("a").read_bytes() == (run / "a").read_bytes() == b"2"


def test_a_linked_folder_stays_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    write_folder(tmp_path / "run", {"a": b"1"})
    assert (tmp_path / "run").is_symlink()
    assert (tmp_path / "disk" / "a").read_bytes() == b"1"


def test_long_and_odd_names_can_be_written(tmp_path):
    for name in ("x" * 250, "[a].json", "a\nb", "é" * 120, os.fsdecode(b"\xff")):
        write(tmp_path / name, b"1")
        write(tmp_path / name, b"2")
        assert (tmp_path / name).read_bytes() == b"2"
    assert len(os.listdir(tmp_path)) == 5


def test_what_cannot_be_written_is_named_before_anything_is_at_stake(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"save cannot be written: Not a directory.*file/x"):
        check_writable(tmp_path / "file" / "x", "save")
    with pytest.raises(IsADirectoryError, match=r"save cannot be written: .* is a folder"):
        check_writable(tmp_path, "save")
    for wrong in (tmp_path / "file", tmp_path / "file" / "sub", Path("/proc/none")):
        with pytest.raises(OSError, match="folder cannot be written: "):
            check_folder(wrong, "folder")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_folder(tmp_path.parent, {tmp_path.name: b""})
    check_folder(tmp_path / "new", "folder")
    check_writable(tmp_path / "new" / "x")
    assert os.listdir(tmp_path / "new") == []


# The lock of a running training


def test_a_second_holder_is_refused_by_name_and_a_third_comes_in_after_the_first(tmp_path):
    one, other = Lock(tmp_path / "run"), Lock(tmp_path / "run")
    one.acquire()
    one.acquire()
    with pytest.raises(
        InUseError, match=rf"run is being written by another running training \(process {os.getpid()}\)"
    ):
        other.acquire()
    one.release()
    other.acquire()
    other.release()
    assert os.listdir(tmp_path) == []


def test_the_lock_ends_with_its_process_though_its_children_live_on(tmp_path):
    code = """
import os, sys, time, pathlib
from agents.common.locks import Lock
lock = Lock(pathlib.Path(sys.argv[1]) / "run")
lock.acquire()
if os.fork() == 0:
    print(os.getpid(), flush=True)  # after the locks of its parent are closed in it
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    lock = Lock(tmp_path / "run")
    try:
        with pytest.raises(InUseError, match=f"process {process.pid}"):
            lock.acquire()
        process.kill()
        process.wait()
        lock.acquire()
        lock.release()
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def test_locks_taken_and_given_back_by_many_threads_are_never_held_twice(tmp_path):
    holders, most = [], []

    def work():
        for _ in range(100):
            lock = Lock(tmp_path / "run")
            try:
                lock.acquire()
            except InUseError:
                continue
            holders.append(1)
            most.append(len(holders))
            holders.pop()
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_waits_under_the_lock_s_name_is_refused(kind, tmp_path):
    name = tmp_path / ".run.lock"
    if kind == "link":
        (tmp_path / "precious").write_text("keep")
        name.symlink_to(tmp_path / "precious")
    else:
        os.mkfifo(name)
    with pytest.raises(OSError, match="the lock of a checkpoint cannot be written"):
        Lock(tmp_path / "run").acquire()
    if kind == "link":
        assert json.dumps((tmp_path / "precious").read_text()) == '"keep"'
