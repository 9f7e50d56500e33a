"""Results that cannot be written are refused before training, and those that can are written whole."""

import json
import os

import pytest

from benchmarks.__main__ import main
from benchmarks.reports import figures
from benchmarks.speed import run as speed
from benchmarks.study.results import write_json
from benchmarks.suites import certify, compare, curves, forecast


@pytest.mark.parametrize(
    ("command", "module", "work"),
    [
        ("compare", compare, "finish"),
        ("forecast", forecast, "finish"),
        ("speed", speed, "measure"),
        ("curves", curves, "finish"),
        ("certify", certify, "train_missing"),
    ],
)
def test_a_folder_that_cannot_be_written_is_refused_before_training(
    command, module, work, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").touch()
    monkeypatch.setattr(module, work, lambda *args: pytest.fail("it trains"))
    with pytest.raises((OSError, SystemExit)) as refused:
        main([command, "--folder", str(tmp_path / "file")])
    assert "folder cannot be written: Not a directory" in f"{refused.value} {capsys.readouterr().err}"


@pytest.mark.parametrize(
    ("figure", "said"), [("a.nope", "figure must end in one of"), ("file/a.png", "figure cannot be written")]
)
def test_a_picture_that_cannot_be_written_is_refused_before_training(figure, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setattr(curves, "finish", lambda *args: pytest.fail("it trains"))
    with pytest.raises((OSError, ValueError, SystemExit)) as refused:
        main(["curves", "--folder", str(tmp_path / "kept"), "--figure", str(tmp_path / figure)])
    assert said in f"{refused.value} {capsys.readouterr().err}"


def test_a_failed_write_of_json_leaves_the_old_one(tmp_path, monkeypatch):
    write_json({"a": float("nan")}, tmp_path / "results.json")
    monkeypatch.setattr(os, "fsync", lambda handle: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_json({"a": 2.0}, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == {"a": None}
    assert os.listdir(tmp_path) == ["results.json"]


def test_a_picture_is_of_the_kind_that_its_name_says(tmp_path):
    figure = figures.Figure()
    for name, start in (("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        assert figures.picture(figure, tmp_path / name).startswith(start)
