import os
import subprocess
import sys

import pytest

from trading_env.live.files import locked, read_whole, write_whole


def test_a_write_that_is_broken_off_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_whole(path, {"kind": "a", "n": 1})

    def broken(handle):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, {"kind": "a", "n": 2})
    assert read_whole(path, "a") == {"kind": "a", "n": 1}
    monkeypatch.undo()
    write_whole(path, {"kind": "a", "n": 3})
    assert read_whole(path, "a") == {"kind": "a", "n": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["file.json"]


def test_numbers_come_back_to_the_last_bit_and_nan_is_refused(tmp_path):
    path = tmp_path / "file.json"
    values = [0.1 + 0.2, 1e-300, -1.7976931348623157e308, 5e-324]
    write_whole(path, {"kind": "a", "values": values})
    assert read_whole(path, "a")["values"] == values
    with pytest.raises(ValueError, match="JSON"):
        write_whole(path, {"kind": "a", "values": [float("nan")]})
    assert read_whole(path, "a")["values"] == values


def test_no_file_is_nothing_and_another_kind_is_refused(tmp_path):
    path = tmp_path / "file.json"
    assert read_whole(path, "a") is None
    write_whole(path, {"kind": "b"})
    with pytest.raises(ValueError, match=r"file\.json must be a a file, got \{'kind': 'b'\}"):
        read_whole(path, "a")


def test_another_program_is_kept_out_until_the_end(tmp_path):
    path = tmp_path / "file.json"
    code = (
        f"from pathlib import Path; from trading_env.live.files import locked\nwith locked(Path({str(path)!r})): pass"
    )
    with locked(path):
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "is in use by another program" in other.stderr
    subprocess.run([sys.executable, "-c", code], check=True)
