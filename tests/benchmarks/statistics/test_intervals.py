import math

from benchmarks.statistics import intervals as statistics


def test_median_and_range_by_hand():
    assert statistics.median_and_range([3.0, 1.0, 2.0]) == (2.0, 1.0, 3.0, 3)
    assert statistics.median_and_range([4.0, math.nan, 2.0]) == (3.0, 2.0, 4.0, 2)
    assert statistics.median_and_range([math.nan]).defined == 0
    assert math.isnan(statistics.median_and_range([math.nan]).median)
