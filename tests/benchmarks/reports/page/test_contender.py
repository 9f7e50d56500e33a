"""Charts and tables of the chosen contender and the data, read back from the page and computed again."""

import numpy as np
import pytest

from benchmarks.statistics.sharpe import mean_sharpe_over
from benchmarks.study.job import data
from tests.benchmarks.reports.page.kept import curves_of, mine, tracks
from tests.pages import Reader
from trading_env.analysis import periods
from trading_env.report.arrays import spread, values_of
from trading_env.report.measures import percent

FOLDS = (0, 1)
POINTS = 100


@pytest.fixture(scope="module")
def reader(study):
    return Reader(study.page)


def traces(reader, chart, key):
    """Curves of a figure, in order."""
    return [values_of(reader.book["arrays"], one["y"]) for one in reader.book["charts"][chart]["figures"][key]["data"]]


def equity_of(study, name, dataset):
    """Joined equity of all seeds (K, T+1), from 1 on."""
    returns = tracks(study, name)[dataset].returns
    return np.cumprod(np.column_stack([np.ones(len(returns)), 1.0 + returns]), axis=1)


def joined(study, name, dataset, curve):
    return np.concatenate([curves_of(study, name, dataset, fold, curve) for fold in FOLDS], axis=1)


@pytest.mark.parametrize(("i", "name"), [(0, "buy_and_hold"), (2, "random"), (3, "DQN")])
def test_worst_drawdowns_are_those_of_the_seed_with_the_median_final_equity(study, reader, i, name):
    for j, dataset in enumerate(study.suite.data):
        equity = equity_of(study, name, dataset)
        middle = equity[np.argsort(equity[:, -1], kind="stable")[(len(equity) - 1) // 2]]
        time = np.concatenate([[mine(study, name, dataset, 0)[0].time[0]], tracks(study, name)[dataset].bars])
        rows = reader.book["tables"]["worst"]["rows"][f"{i}/{j}"]
        expected = periods.worst_drawdowns(middle)
        assert len(rows) == len(expected)
        for cells, one in zip(rows, expected, strict=True):
            end = "not yet" if one.end is None else str(time[one.end].astype("datetime64[D]"))
            days = [str(time[place].astype("datetime64[D]")) for place in (one.peak, one.trough)]
            assert [text for text, _ in cells[:4]] == [*days, end, percent(one.depth)]
            last = len(middle) - 1 if one.end is None else one.end
            numbers = [one.depth, one.trough - one.peak, last - one.peak]
            assert [value for _, value in cells[3:]] == pytest.approx(numbers)


def test_costs_are_shares_of_the_joined_equity_paid_so_far(study, reader):
    for j, dataset in enumerate(study.suite.data):
        before = equity_of(study, "random", dataset)[:, :-1]
        own = [curves_of(study, "random", dataset, fold, "equity")[:, :-1] for fold in FOLDS]
        scale = before / np.concatenate(own, axis=1)
        names = ("commission", "slippage", "financing")
        paid = [(joined(study, "random", dataset, name) * scale).sum(1).mean() for name in names]
        ends = [one[-1] for one in traces(reader, "costs", f"2/{j}")]
        assert ends == pytest.approx([one for one in paid if one != 0.0], rel=1e-5)
        assert len(ends) > 0


def test_exposure_is_the_mean_over_the_bars_of_a_point_with_the_range_of_seeds(study, reader):
    for j, dataset in enumerate(study.suite.data):
        exposure = joined(study, "random", dataset, "exposure")
        starts = spread(exposure.shape[1], POINTS)
        stops = np.append(starts[1:], exposure.shape[1])
        means = np.array([exposure[:, a:b].mean(1) for a, b in zip(starts, stops, strict=True)]).T
        for found, measure in zip(traces(reader, "exposure", f"2/{j}"), (np.min, np.max, np.median), strict=True):
            np.testing.assert_allclose(found, measure(means, axis=0), atol=1e-6)


def test_intervals_are_drawn_around_the_mean_ratios(study, reader):
    (trace,) = reader.book["charts"]["intervals"]["figures"][""]["data"]
    assert trace["x"] == sorted(trace["x"])
    for name, mean, up, down in zip(
        trace["y"], trace["x"], trace["error_x"]["array"], trace["error_x"]["arrayminus"], strict=True
    ):
        if name in {one.name for one in study.suite.contenders}:
            sharpe = mean_sharpe_over(tracks(study, name))
            assert [mean, mean - down, mean + up] == pytest.approx([sharpe.value, *sharpe.interval()], rel=1e-6)
    assert "flat" not in trace["y"]


def test_the_table_of_data_has_stretches_bars_and_hashes(study, reader):
    for cells, dataset in zip(reader.tables["data"][1:], study.suite.data, strict=True):
        first, last = (mine(study, "flat", dataset, fold)[0].time for fold in FOLDS)
        days = f"{str(first[0])[:10]} to {str(last[-1])[:10]}"
        bars = len(first) + len(last) - 2
        assert [text for text, _ in cells] == [dataset, days, f"{bars:,}", "unknown", data(dataset).fingerprint[:16]]
        assert cells[2][1] == bars
