import pytest

from benchmarks.speed import engines
from benchmarks.speed.run import PARTS, SpeedSettings
from benchmarks.study.engines.place import FAILED


def test_a_part_that_needs_an_extra_is_measured_only_if_it_is_named():
    assert "engines" in PARTS
    assert "engines" not in SpeedSettings().parts


def test_each_engine_is_timed_with_one_worker_and_with_two(monkeypatch):
    monkeypatch.setattr(engines, "rate", lambda engine, count, quick: {"local": 10.0, "ray": 20.0}[engine] * count)
    ticked = []
    part = engines.measure(True, lambda: ticked.append(1))
    assert len(ticked) == engines.ticks(True)
    assert part.rates == {
        "local, 1 worker": [10.0],
        "local, 2 workers": [20.0],
        "ray, 1 worker": [20.0],
        "ray, 2 workers": [40.0],
    }
    assert [(one.value, one.goal, one.met) for one in part.measured] == [(2.0, 1.7, True)] * 2


def test_a_rate_is_that_of_jobs_that_were_done(monkeypatch):
    monkeypatch.setattr(engines, "blocks", lambda number, steps, of=engines.blocks: of(1, 60 + number))
    assert engines.rate("local", 0, True) > 0
    monkeypatch.setattr("benchmarks.study.engines.local._state", lambda *_: FAILED)
    with pytest.raises(RuntimeError, match="jobs of the engine local ended as"):
        engines.rate("local", 0, True)
