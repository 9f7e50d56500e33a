import json
import multiprocessing
import threading

import pytest

from agents.common.files import lock
from benchmarks.study.ledger import OPENED, SCORED, TRIED, Ledger


def add(path, worker):
    for i in range(20):
        Ledger(path).append(event=OPENED, config=f"{worker}-{i}", data="d")


def test_lines_of_several_writers_are_whole_and_all_there(tmp_path):
    path = tmp_path / "deep" / "ledger.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add, args=(path, worker)) for worker in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {line["config"] for line in lines} == {f"{w}-{i}" for w in range(3) for i in range(20)}
    assert all(line["time"].endswith("Z") for line in lines)


def test_trials_are_different_configurations_on_the_data_asked_for(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for config, data, ratio in (("a", "x", 0.1), ("a", "y", 0.3), ("b", "x", 0.0), ("c", "z", 9.0), ("d", "x", None)):
        ledger.append(event=OPENED, config=config, data=data)
        ledger.append(event=SCORED, config=config, data=data, sharpe_per_bar=ratio)
    trials = ledger.trials(["x", "y"])
    assert trials.count == 3  # a, b, d
    assert trials.variance == pytest.approx(0.02)  # of a's mean 0.2 and b's 0.0
    assert ledger.trials(["w"]) == (0, 0.0)
    assert Ledger(tmp_path / "none").trials(["x"]) == (0, 0.0)


def test_an_opening_counts_even_if_the_score_never_came(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(event=OPENED, config="a", data="x")
    assert ledger.trials(["x"]).count == 1


def test_a_line_of_a_killed_writer_spoils_no_other(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(event=OPENED, config="a", data="x")
    with open(ledger.path, "a") as file:
        file.write('{"event": "opened", "conf')
    ledger.append(event=OPENED, config="b", data="x")
    assert ledger.trials(["x"]).count == 2


def test_a_ledger_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="the ledger cannot be written"):
        Ledger(tmp_path / "file" / "ledger.jsonl").append(event=OPENED)


def test_a_job_that_was_killed_and_opened_again_weighs_as_much_as_any_other(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for config, job, ratio in (("a", 1, 0.1), ("a", 1, 0.1), ("a", 2, 0.3), ("b", 3, 0.0)):
        ledger.append(event=OPENED, config=config, data="x", job=job)
        ledger.append(event=SCORED, config=config, data="x", job=job, sharpe_per_bar=ratio)
    assert ledger.trials(["x"]) == (2, pytest.approx(0.02))


def test_configurations_tried_in_tuning_count_and_have_no_sharpe_ratio(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    for config in ("a", "b", "b"):
        ledger.append(event=TRIED, config=config, data="x", score=9.0)
    ledger.append(event=SCORED, config="a", data="x", job=1, sharpe_per_bar=0.5)
    assert ledger.trials(["x"]) == (2, 0.0)


def test_a_writer_waits_until_no_other_one_writes(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append(event=OPENED, config="a", data="x")
    before = ledger.path.read_bytes()
    writer = threading.Thread(target=ledger.append, kwargs={"event": OPENED, "config": "b", "data": "x"})
    with open(ledger.path, "ab") as other:
        assert lock(other.fileno())
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert ledger.path.read_bytes() == before
        other.write(b'{"event": "ope')  # half a line, whose writer may yet write the rest
        other.flush()
        other.write(b'ned", "config": "c", "data": "x"}\n')
    writer.join(60.0)
    assert ledger.trials(["x"]).count == 3
