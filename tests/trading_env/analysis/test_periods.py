import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_env.analysis import metrics
from trading_env.analysis.periods import Drawdown, moving, period_returns, worst_drawdowns


def days(first, count, step=1):
    return np.datetime64(first, "ns") + np.arange(count) * np.timedelta64(step, "D")


def test_a_month_runs_from_the_last_close_before_it_to_its_last_close():
    equity = [100.0, 110.0, 121.0, 60.5, 66.55]
    time = np.array(["2020-01-30", "2020-01-31", "2020-02-03", "2020-02-28", "2020-04-01"], "datetime64[ns]")
    found = period_returns(equity, time, "month")
    assert found.start.astype(str).tolist() == ["2020-01", "2020-02", "2020-04"]
    np.testing.assert_allclose(found.returns, [0.1, -0.45, 0.1])


@pytest.mark.parametrize(("unit", "rule"), [("month", "ME"), ("quarter", "QE"), ("year", "YE"), ("day", "D")])
def test_period_returns_agree_with_pandas(unit, rule):
    rng = np.random.default_rng(0)
    time = days("2018-11-20", 900)[np.sort(rng.choice(900, 400, replace=False))]
    equity = pd.Series(np.cumprod(1.0 + rng.normal(0.0, 0.01, 400)), time)
    ends = equity.iloc[1:].resample(rule).last().dropna()
    expected = ends / np.concatenate([[equity.iloc[0]], ends.iloc[:-1]]) - 1.0
    np.testing.assert_allclose(period_returns(equity, time, unit).returns, expected)


@given(
    st.lists(st.floats(0.5, 2.0), min_size=2, max_size=60), st.sampled_from(["day", "week", "month", "quarter", "year"])
)
def test_the_product_over_all_periods_is_the_whole_return(growth, unit):
    equity = np.cumprod([1.0, *growth])
    found = period_returns(equity, days("2019-12-20", equity.size, 5), unit)
    assert np.prod(1.0 + found.returns) == pytest.approx(1.0 + metrics.total_return(equity))


def test_clocks_that_are_put_back_open_no_period_twice():
    time = np.array(
        ["2021-10-31T23:30", "2021-11-01T00:30", "2021-10-31T23:45", "2021-11-01T00:30", "2021-11-01T00:45"],
        "datetime64[ns]",
    )
    for unit in ("day", "month"):
        found = period_returns([1.0, 1.1, 1.21, 2.42, 3.63], time, unit)
        assert found.start.astype("datetime64[D]").astype(str).tolist() == ["2021-11-01"]
        assert found.returns == pytest.approx([2.63])


def test_periods_of_times_that_do_not_increase_are_refused():
    with pytest.raises(ValueError, match="time must increase"):
        period_returns([1.0, 2.0, 3.0], np.array(["2020-01-02", "2020-01-01", "2020-01-03"], "datetime64[D]"), "day")
    with pytest.raises(ValueError, match="time must have 3 values"):
        period_returns([1.0, 2.0, 3.0], days("2020-01-01", 2), "day")


def test_drawdowns_last_until_the_peak_is_reached_again():
    equity = [10.0, 8.0, 9.0, 10.0, 12.0, 6.0, 11.0]
    assert worst_drawdowns(equity) == [Drawdown(4, 5, None, 0.5), Drawdown(0, 1, 3, pytest.approx(0.2))]
    assert worst_drawdowns(equity, 1) == [Drawdown(4, 5, None, 0.5)]
    assert worst_drawdowns([1.0, 2.0, 3.0]) == []


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=80))
def test_the_worst_drawdown_is_the_maximum_drawdown_and_none_overlap(growth):
    equity = np.cumprod([1.0, *growth])
    found = worst_drawdowns(equity, 100)
    assert max((one.depth for one in found), default=0.0) == metrics.max_drawdown(equity)
    spans = sorted((one.peak, equity.size if one.end is None else one.end) for one in found)
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_a_moving_measure_sees_its_window_alone():
    assert moving([1.0, 2.0, 3.0, 4.0], 2, [2, 4], np.sum).tolist() == [3.0, 7.0]
    assert moving([1.0, 2.0, 3.0], 2, [3], lambda a, b: float(a @ b), [5.0, 6.0, 7.0]).tolist() == [33.0]
    with pytest.raises(ValueError, match="ends must be from 2 to 3"):
        moving([1.0, 2.0, 3.0], 2, [1], np.sum)
