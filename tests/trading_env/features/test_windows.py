import numpy as np
import pandas as pd
import pytest

from trading_env.features.windows import sliding_windows

TEN = [
    0.7713206433, 0.02075194936, 0.6336482349, 0.7488038825, 0.4985070123,
    0.2247966455, 0.1980628648, 0.7605307122, 0.1691108366, 0.08833981417,
]  # fmt: skip


def test_sliding_windows_are_dated_at_their_label():
    series = pd.Series(TEN, index=pd.date_range("2018-01-01", periods=10))
    table = sliding_windows(series, window_size=3, horizon=1)
    assert list(table.columns) == ["-3_steps", "-2_steps", "-1_steps", "label"]
    assert table.index.equals(pd.date_range("2018-01-04", periods=7))
    for i in range(7):
        assert table.iloc[i].tolist() == TEN[i : i + 4]


def test_the_horizon_counts_from_the_last_past_value():
    table = sliding_windows(TEN, window_size=2, horizon=3)
    assert table.index.tolist() == [4, 5, 6, 7, 8, 9]
    assert table.loc[4].tolist() == [TEN[0], TEN[1], TEN[4]]
    assert table.loc[9].tolist() == [TEN[5], TEN[6], TEN[9]]


@pytest.mark.parametrize(
    ("series", "window", "horizon", "error", "message"),
    [
        (TEN, 0, 1, ValueError, "window_size must be at least 1, got 0"),
        (TEN, 3, 0, ValueError, "horizon must be at least 1, got 0"),
        (TEN, 3.0, 1, TypeError, "window_size must be an integer, got 3.0"),
        (TEN, 3, True, TypeError, "horizon must be an integer, got True"),
        (TEN, 9, 2, ValueError, "series must have at least 11 values, got 10"),
        ([1.0, np.nan, 1.0], 1, 1, ValueError, "series must be finite, got nan at 1"),
        (["a", "b"], 1, 1, TypeError, "series must be real numbers, got .*'a'"),
        (pd.Series(["a", "b"]), 1, 1, TypeError, "series must be real numbers, got dtype"),
        (pd.DataFrame({"close": TEN}), 3, 1, TypeError, r"series must be a pandas Series .* got a DataFrame \(10, 1\)"),
        (np.ones((10, 1)), 3, 1, ValueError, r"series must be one-dimensional, got shape \(10, 1\)"),
        (3.0, 3, 1, ValueError, r"series must be one-dimensional, got shape \(\)"),
    ],
)
def test_windows_that_cannot_be_raise(series, window, horizon, error, message):
    with pytest.raises(error, match=message):
        sliding_windows(series, window, horizon)
    assert len(sliding_windows(TEN, 9, 1)) == 1
