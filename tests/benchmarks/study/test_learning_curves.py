import numpy as np

from benchmarks.study.learning_curves import Curve


def test_a_curve_says_from_where_on_its_middle_is_beyond_a_threshold():
    scores = np.array([[0.0, 1.0, 5.0], [0.0, 2.0, 6.0], [0.0, 3.0, 7.0], [0.0, 100.0, -100.0]])
    curve = Curve(np.array([0.0, 10.0, 20.0]), np.array([0.0, 1.0, 3.0]), scores)
    assert curve.middle().tolist() == [0.0, 2.5, 5.5]
    back = Curve(curve.steps, curve.seconds, scores[:, [2, 0, 1]])
    assert back.reached(2.0) == (20.0, 3.0)  # not where it was at first, by luck
    assert back.reached(0.0) == (0.0, 0.0)
    assert back.reached(3.0) is None
    assert curve.reached(2.5) == (10.0, 1.0)
    assert curve.reached(5.0) == (20.0, 3.0)
    assert curve.reached(6.0) is None
    low, high = curve.interval()
    assert (low[0], high[0]) == (0.0, 0.0)
    assert low[1] < 2.5 < high[1]
