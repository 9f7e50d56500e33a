from types import SimpleNamespace

import numpy as np

from benchmarks.contenders import training
from benchmarks.contenders.training import Mark, Marking, Points


def test_marks_stop_the_clock_and_come_when_due(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])

    def judge(model):
        now[0] += 100.0
        return model.num_timesteps / 10.0

    marking, model = Marking(judge, 4, 10), SimpleNamespace(num_timesteps=0)
    marking.mark(model)
    for _ in range(5):
        now[0] += 1.0
        model.num_timesteps += 2
        marking.tick(model)
    marking.mark(model)
    assert marking.marks == [(0, 0.0, 0.0), (4, 2.0, 0.4), (8, 4.0, 0.8), (10, 5.0, 1.0)]


def test_points_join_the_seeds_of_all_trainings_and_share_their_seconds_among_the_processes():
    first = [Mark(0, 0.0, [1.0, 2.0]), Mark(10, 4.0, [3.0, 4.0])]  # of two seeds at once
    other = [Mark(0, 0.0, [5.0]), Mark(10, 2.0, [6.0])]
    points = Points.of([first, other], processes=2)
    assert points.steps.tolist() == [0.0, 10.0]
    assert points.seconds.tolist() == [0.0, 3.0]
    np.testing.assert_array_equal(points.scores, [[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]])
