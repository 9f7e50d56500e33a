"""Every number on the page of a study, read back from it and computed again from the rows."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from benchmarks.reports import study as report
from benchmarks.reports.page import study as study_page
from benchmarks.reports.page.comparisons import folds_chart
from benchmarks.reports.page.names import short_names
from benchmarks.reports.page.study import page_of
from benchmarks.statistics import iqm
from benchmarks.study.job import data
from benchmarks.study.results import json_bytes
from tests.benchmarks.reports.page.conftest import HOSTILE
from tests.benchmarks.reports.page.kept import curves_of, ledger, mine, tracks
from tests.pages import Reader
from trading_env.analysis import metrics, periods
from trading_env.report.arrays import values_of
from trading_env.report.colours import THEMES


@pytest.fixture(scope="module")
def reader(study):
    return Reader(study.page)


def curve(reader, values):
    return values_of(reader.book["arrays"], values)


def figure(reader, name, key=""):
    return reader.book["charts"][name]["figures"][key]


# -- tables -----------------------------------------------------------------------------------------------------


def test_the_page_embeds_the_results_of_its_rows(study, reader):
    expected = json.loads(json_bytes(report.results(study.suite, study.rows, ledger(study))))
    kept = reader.book["numbers"]["results"]
    assert kept["contenders"] == expected["contenders"]
    assert kept["superior"] == expected["superior"]
    assert kept["best_learner"] == expected["best_learner"]
    assert kept["trials"] == expected["trials"] == {"count": 5, "variance": expected["trials"]["variance"]}
    assert report.sentence(report.results(study.suite, study.rows, ledger(study))).split()[0] in study.page


# -- charts -----------------------------------------------------------------------------------------------------


def test_growth_joins_the_folds_by_compounding_with_the_range_of_seeds(study, reader):
    for j, dataset in enumerate(study.suite.data):
        drawn = figure(reader, "growth", str(j))["data"]
        for i, one in enumerate(study.suite.contenders):
            ends = np.prod(1.0 + tracks(study, one.name)[dataset].returns, axis=1)
            traces = [trace for trace in drawn if trace["meta"] == i]
            found = [curve(reader, trace["y"])[-1] for trace in traces]
            expected = [ends[0]] if len(ends) == 1 else [ends.min(), ends.max(), np.median(ends)]
            assert found == pytest.approx(expected, rel=1e-6)
        (border,) = figure(reader, "growth", str(j))["layout"]["shapes"]
        assert border["x0"][:10] == str(mine(study, "flat", dataset, 1)[0].time[0].astype("datetime64[D]") - 1)


def test_the_heat_map_of_folds_shows_means_over_seeds_and_nothing_where_none_is_defined(study, reader):
    cells = np.array(figure(reader, "folds")["data"][0]["z"], float)
    for i, one in enumerate(study.suite.contenders):
        for j, (dataset, fold) in enumerate((d, f) for d in study.suite.data for f in range(2)):
            values = np.concatenate([row.metrics["sharpe"] for row in mine(study, one.name, dataset, fold)])
            known = values[~np.isnan(values)]
            assert cells[i, j] == pytest.approx(known.mean() if known.size else math.nan, nan_ok=True)


def test_months_and_years_are_means_over_seeds(study, reader):
    for j, dataset in enumerate(study.suite.data):
        track = tracks(study, "random")[dataset]
        time = np.concatenate([[mine(study, "random", dataset, 0)[0].time[0]], track.bars])
        equity = np.cumprod(np.column_stack([np.ones(len(track.returns)), 1.0 + track.returns]), axis=1)
        for unit, name in (("year", "yearly"), ("month", "monthly")):
            expected = np.mean([periods.period_returns(one, time, unit).returns for one in equity], axis=0)
            trace = figure(reader, name, f"2/{j}")["data"][0]
            found = trace["y"] if unit == "year" else [x for row in trace["z"] for x in row if x is not None]
            assert found == pytest.approx(expected.tolist())


def test_rolling_sharpe_ratios_are_those_of_their_windows(study, reader):
    track = tracks(study, "buy_and_hold")[study.suite.data[0]]
    found = curve(reader, figure(reader, "rolling", "0/0")["data"][0]["y"])
    window = track.returns.shape[1] // 4
    assert found[0] == pytest.approx(metrics.sharpe_ratio(track.returns[0, :window], track.bars_per_year), rel=1e-5)


def test_learning_curves_are_iqms_over_seeds(study, reader):
    rows = mine(study, "DQN")
    scores = np.mean([row.learning["scores"] * row.bars_per_year for row in rows], axis=0)  # [P, S]
    drawn = [
        one for one in figure(reader, "learning-steps")["data"] if one["name" if "name" in one else "meta"] == "DQN"
    ]
    assert drawn[0]["y"] == pytest.approx([float(iqm(one)) for one in scores])
    assert drawn[0]["x"] == rows[0].learning["steps"].tolist()
    seconds = [one for one in figure(reader, "learning-seconds")["data"] if one.get("name") == "DQN"]
    assert seconds[0]["x"] == pytest.approx(np.mean([row.learning["seconds"] / 3 for row in rows], axis=0).tolist())


def test_the_cost_curve_shows_growth_at_each_cost(study, reader):
    trace = next(one for one in figure(reader, "cost-curve")["data"] if one["name"] == "DQN")
    rows = mine(study, "DQN")
    growth = np.mean([row.stress["growth_at_costs"].mean(1) * row.bars_per_year for row in rows], axis=0)
    assert trace["y"] == pytest.approx(growth.tolist())
    assert trace["x"] == pytest.approx([0.0, 5.0, 10.0, 20.0, 50.0])


def test_trades_are_the_stretches_of_one_side_with_the_accounts_return(study, reader):
    for i, name in ((2, "random"), (3, "DQN")):
        for j, dataset in enumerate(study.suite.data):
            for k in range(5 if name == "random" else 3):
                found = figure(reader, "trades", f"{i}/{j}/{k}")["trading"]["trades"]
                expected, offset = [], 0
                for fold in (0, 1):
                    exposure, equity = (curves_of(study, name, dataset, fold, one)[k] for one in ("exposure", "equity"))
                    expected += by_hand(exposure, equity, offset)
                    offset += len(exposure)
                entry = np.cumsum(curve(reader, found["gap"]))
                exit_ = entry + curve(reader, found["held"])
                assert list(zip(entry.tolist(), exit_.tolist(), strict=True)) == [one[:2] for one in expected]
                gains = [one[2] for one in expected]
                most = max(map(abs, gains), default=0.0)
                assert curve(reader, found["net"]) == pytest.approx(gains, abs=most / 60_000 + 1e-9)
                sides = curve(reader, found["side"]) if "side" in found else np.ones(len(expected))
                assert sides.tolist() == [one[3] for one in expected]


def by_hand(exposure, equity, offset):
    """Entry, exit, return and side of each holding of a fold, bar by bar."""
    found, side, begin = [], 0, 0
    for t, now in enumerate(np.sign(np.where(np.abs(exposure) > 1e-9, exposure, 0.0)).astype(int)):
        if now == side:
            continue
        if side:
            end = t if now else t + 1
            found.append((offset + begin + 1, offset + t + 1, equity[end] / equity[begin] - 1.0, side))
        side, begin = now, t
    if side:
        found.append((offset + begin + 1, offset + len(exposure), equity[-1] / equity[begin] - 1.0, side))
    return found


def test_the_prices_are_those_of_the_tested_bars(study, reader):
    levels = reader.book["shared"]["market 1"]["market"]
    dataset = study.suite.data[1]
    market, rows = data(dataset), mine(study, "flat", dataset)
    time = np.concatenate([rows[0].time, rows[1].time[1:]])
    places = np.searchsorted(market.time, time)
    assert curve(reader, levels[0]["columns"]["close"]) == pytest.approx(market.close[places], rel=1e-6)
    assert curve(reader, levels[0]["columns"]["fill"]) == pytest.approx(market.open[places], rel=1e-6)


def test_every_figure_is_valid_plotly(reader):
    for chart in reader.book["charts"].values():
        for found in chart["figures"].values():
            assert found["alt"].endswith(".")
            if "data" in found:
                go.Figure(resolved(found["data"], reader.book["arrays"]), resolved(found["layout"], []))


def resolved(value, arrays):
    if isinstance(value, dict):
        return (
            values_of(arrays, value) if "$" in value else {name: resolved(one, arrays) for name, one in value.items()}
        )
    if isinstance(value, list):
        return [resolved(one, arrays) for one in value]
    return THEMES["light"][value[1:].partition("/")[0]] if isinstance(value, str) and value[:1] == "@" else value


def test_hostile_names_stay_text(study, reader):
    assert len(reader.scripts) == 3
    assert "alert" not in reader.scripts[1] + reader.scripts[2]
    assert {tag for tag, _ in reader.tags}.isdisjoint({"img", "b"})
    assert HOSTILE in [row[0][0] for row in reader.tables["leaderboard"]]
    names = [one["name"] for one in figure(reader, "growth", "0")["data"] if "name" in one]
    assert all("<" not in name for name in names)


def test_datasets_of_the_same_file_name_have_their_own_columns():
    assert short_names(["a/x.csv", "b/x.csv", "c/y.csv", "us-stocks/AAPL"]) == {
        "a/x.csv": "a/x.csv",
        "b/x.csv": "b/x.csv",
        "c/y.csv": "y.csv",
        "us-stocks/AAPL": "AAPL",
    }
    assert short_names(["x.csv", "a/x.csv"]) == {"x.csv": "x.csv", "a/x.csv": "a/x.csv"}
    assert short_names(["/", "C:\\d\\x.csv"]) == {"/": "/", "C:\\d\\x.csv": "x.csv"}


def test_the_heat_map_has_a_column_for_each_fold_of_datasets_with_equal_names(study):
    first, _ = study.suite.data
    rows = [replace(row, dataset=f"/{'a' if row.dataset == first else 'b'}/x.csv") for row in study.rows]
    names = [one.name for one in study.suite.contenders]
    drawn = folds_chart(rows, names, "sharpe", ".1f")["data"][0]
    assert drawn["x"] == ["a/x.csv 0", "a/x.csv 1", "b/x.csv 0", "b/x.csv 1"]
    same = folds_chart(
        [replace(row, dataset=f"x{' ' * (row.dataset == first)}") for row in study.rows], names, "sharpe", ""
    )
    assert len(set(same["data"][0]["x"])) == 4, "what plotly shows alike is told apart by numbers"


def test_changed_data_are_named_and_their_trades_counted(study):
    facts = {"data": "another"}
    rows = [replace(row, facts=facts) if row.dataset == study.suite.data[0] else row for row in study.rows]
    results = report.results(study.suite, study.rows, ledger(study))
    page = page_of(study.suite, rows, results, "command")
    assert f"The bars of {study.suite.data[0]} have changed since the study ran" in " ".join(page.notes)
    assert study.suite.data[1] not in " ".join(page.notes)
    assert page.shared["market 0"]["market"][0]["columns"].keys() == {"x"}


def test_local_hours_that_go_back_in_autumn_have_a_page(study):
    lengths = {row.fold: len(row.time) - 1 for row in study.rows}
    hours = pd.date_range("2021-10-30", periods=sum(lengths.values()) + 1, freq="h", tz="America/New_York")
    local = hours.tz_localize(None).to_numpy()
    assert (np.diff(local) <= np.timedelta64(0)).any()
    parts = {0: local[: lengths[0] + 1], 1: local[lengths[0] :]}
    rows = [replace(row, time=parts[row.fold]) for row in study.rows]
    reader = Reader(
        page_of(study.suite, rows, report.results(study.suite, study.rows, ledger(study)), "command").html()
    )
    months = [x for row in figure(reader, "monthly", "0/0")["data"][0]["z"] for x in row if x is not None]
    whole = np.prod(1.0 + tracks(study, "buy_and_hold")[study.suite.data[0]].returns)
    assert np.prod(1.0 + np.array(months)) == pytest.approx(whole, rel=1e-6)


def test_at_most_as_many_seeds_can_be_looked_at_as_the_page_has_room_for(study, monkeypatch):
    results = report.results(study.suite, study.rows, ledger(study))
    monkeypatch.setattr(study_page, "LOOKS", 14)
    page = page_of(study.suite, study.rows, results, "command")
    (chart,) = [one for section in page.sections for one in section.blocks if getattr(one, "name", "") == "trades"]
    assert len(chart.figures) == 10, "one seed of five contenders on two datasets; two seeds would be 16"
