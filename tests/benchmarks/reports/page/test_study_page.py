"""Every number on the page of a study, read back from it and computed again from the rows."""

import json
import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from benchmarks.__main__ import main
from benchmarks.reports import study as report
from benchmarks.reports.page.accounts import joined_of, prices_at
from benchmarks.reports.page.papers import for_latex
from benchmarks.reports.table import for_markdown
from benchmarks.statistics import iqm
from benchmarks.statistics.sharpe import Track, mean_sharpe_over, sharpe_gap_over
from benchmarks.study.finished import finished
from benchmarks.study.job import data
from benchmarks.study.ledger import Ledger
from benchmarks.study.results import json_bytes
from tests.benchmarks.reports.page.conftest import HOSTILE
from tests.pages import Reader
from trading_env.analysis import metrics, periods
from trading_env.report.arrays import values_of
from trading_env.report.colours import THEMES


@pytest.fixture(scope="module")
def reader(study):
    return Reader(study.page)


def mine(study, contender, dataset=None, fold=None):
    return [
        row
        for row in study.rows
        if row.contender == contender and dataset in (None, row.dataset) and fold in (None, row.fold)
    ]


def curves_of(study, contender, dataset, fold, name):
    """A curve of all seeds, whatever the blocks in which they ran."""
    return np.concatenate([row.curves[name] for row in mine(study, contender, dataset, fold)])


def tracks(study, contender):
    """Returns of all seeds over both folds, by dataset, without the study's own function."""
    found = {}
    for dataset in study.suite.data:
        equity = [curves_of(study, contender, dataset, fold, "equity") for fold in (0, 1)]
        returns = np.concatenate([one[:, 1:] / one[:, :-1] - 1.0 for one in equity], axis=1)
        first = [mine(study, contender, dataset, fold)[0] for fold in (0, 1)]
        found[dataset] = Track(np.concatenate([row.time[1:] for row in first]), returns, first[0].bars_per_year)
    return found


def curve(reader, values):
    return values_of(reader.book["arrays"], values)


def figure(reader, name, key=""):
    return reader.book["charts"][name]["figures"][key]


# -- tables -----------------------------------------------------------------------------------------------------


def test_every_number_of_the_leaderboard_is_that_of_the_tested_function(study, reader):
    rows = {row[0][0]: [value for _, value in row] for row in reader.tables["leaderboard"][1:]}
    assert rows.keys() == {one.name for one in study.suite.contenders}
    level = 1.0 - 0.05 / 3  # three rows have a ratio to compare
    for name, cells in rows.items():
        own = mine(study, name)
        sharpe = mean_sharpe_over(tracks(study, name))
        mean = {key: np.concatenate([row.metrics[key] for row in own]) for key in ("annual_return", "max_drawdown")}
        assert cells[1] == len(tracks(study, name)[study.suite.data[0]].returns)
        assert cells[7] == pytest.approx(mean["annual_return"].mean())
        assert cells[8] == pytest.approx(mean["max_drawdown"].mean())
        late = np.concatenate([row.stress["growth_a_bar_late"] * row.bars_per_year for row in own]).mean()
        assert cells[11] == pytest.approx(late)
        if name == "flat":
            assert cells[2] is cells[3] is cells[4] is cells[5] is None
            continue
        assert cells[2:5] == pytest.approx([sharpe.value, sharpe.standard_error, sharpe.interval()[0]])
        if name != "buy_and_hold":
            gap = sharpe_gap_over(tracks(study, name), tracks(study, "buy_and_hold"))
            others = report.results(study.suite, study.rows, ledger(study))["contenders"][name]["less_benchmark"]
            assert cells[5] == pytest.approx(others["interval"][0])
            assert level < 1.0
            assert gap.value == pytest.approx(others["value"])


def ledger(study):
    return Ledger(study.folder.parent / "ledger.jsonl")


def test_the_page_embeds_the_results_of_its_rows(study, reader):
    expected = json.loads(json_bytes(report.results(study.suite, study.rows, ledger(study))))
    kept = reader.book["numbers"]["results"]
    assert kept["contenders"] == expected["contenders"]
    assert kept["superior"] == expected["superior"]
    assert kept["best_learner"] == expected["best_learner"]
    assert kept["trials"] == expected["trials"] == {"count": 5, "variance": expected["trials"]["variance"]}
    assert report.sentence(report.results(study.suite, study.rows, ledger(study))).split()[0] in study.page


def test_the_leaderboard_is_in_order_of_the_sharpe_ratio(reader):
    ratios = [row[2][1] for row in reader.tables["leaderboard"][1:] if row[2][1] is not None]
    assert ratios == sorted(ratios, reverse=True)


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
                entry, exit_ = (curve(reader, found[name_]).tolist() for name_ in ("entry", "exit"))
                assert list(zip(entry, exit_, strict=True)) == [one[:2] for one in expected]
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


# -- the command ------------------------------------------------------------------------------------------------


def test_only_folds_that_all_contenders_have_finished_are_shown(study):
    less = [row for row in study.rows if (row.contender, row.dataset, row.fold) != ("DQN", study.suite.data[0], 1)]
    whole, missing = finished(study.suite, less)
    assert missing == "3 of 4 folds are compared; not finished: DQN on 1"
    assert {(row.dataset, row.fold) for row in whole} == {
        (study.suite.data[0], 0),
        *((study.suite.data[1], f) for f in (0, 1)),
    }
    joined = joined_of(whole, "DQN", study.suite.data[0], prices_at(study.suite, whole, study.suite.data[0]))
    assert joined.account.tracks.equity.shape[1] == len(less[0].time)


def test_a_study_without_a_finished_fold_is_refused(study, tmp_path, capsys):
    folder = tmp_path / "small"
    folder.mkdir()
    with pytest.raises(SystemExit):
        main(["report", str(folder)])
    assert "suite.json" in capsys.readouterr().err
    (folder / "suite.json").write_text((study.folder / "suite.json").read_text())
    with pytest.raises(SystemExit):
        main(["report", str(folder)])
    assert "no fold that all contenders have finished" in capsys.readouterr().err
    assert not (folder / "index.html").exists()


def test_markdown_and_latex_have_the_cells_of_the_page_and_no_stars(study, reader, capsys):
    for form, escaped in (("md", for_markdown), ("tex", for_latex)):
        assert main(["report", str(study.folder), "--format", form]) == 0
        printed = capsys.readouterr().out
        assert printed == (study.folder / f"table.{form}").read_text()
        assert escaped(HOSTILE) in printed
        assert HOSTILE not in printed
        assert "***" not in printed
        for row in reader.tables["leaderboard"][1:]:
            assert escaped(row[4][0].replace("\N{MINUS SIGN}", "-")) in printed


def test_latex_escapes_what_it_would_interpret():
    assert for_latex(r"a_b & 50% #1 {x} \y ~ ^ $") == (
        r"a\_b \& 50\% \#1 \{x\} \textbackslash{}y \textasciitilde{} \textasciicircum{} \$"
    )
    assert for_latex("-0.2 to 1.1") == "$-$0.2 to 1.1"


def test_csv_has_every_number_in_full(study, capsys):
    assert main(["report", str(study.folder), "--format", "csv"]) == 0
    capsys.readouterr()
    frame = pd.read_csv(study.folder / "table.csv").set_index("contender")
    sharpe = mean_sharpe_over(tracks(study, "DQN"))
    assert frame.loc["DQN", "sharpe"] == sharpe.value
    assert (frame.loc["DQN", "sharpe_low"], frame.loc["DQN", "sharpe_high"]) == sharpe.interval()
    assert math.isnan(frame.loc["flat", "sharpe"])


def test_learning_curves_are_read_by_tensorboard(study, capsys):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):  # the second time replaces the logs
        assert main(["report", str(study.folder), "--format", "tensorboard"]) == 0
    assert "24 logs" in capsys.readouterr().out
    (place,) = (study.folder / "tensorboard" / "DQN").glob("*one.csv/fold-1/seed-2")
    log = EventAccumulator(str(place))
    log.Reload()
    row = mine(study, "DQN", study.suite.data[0], 1)[0]
    points = log.Scalars("validation/growth_per_year")
    assert [one.step for one in points] == row.learning["steps"].tolist()
    expected = row.learning["scores"][:, 2] * row.bars_per_year
    assert [one.value for one in points] == pytest.approx(expected.tolist(), rel=1e-5, abs=1e-6)
