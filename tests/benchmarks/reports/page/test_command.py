"""``python -m benchmarks report``: what it shows, what it refuses, and its other forms."""

import math
import shlex
from dataclasses import replace

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from benchmarks.__main__ import main
from benchmarks.reports import study as report
from benchmarks.reports.page.accounts import joined_of, prices_at
from benchmarks.reports.page.papers import for_latex, written
from benchmarks.reports.page.study import page_of
from benchmarks.reports.page.tensorboard import write_logs
from benchmarks.reports.table import for_markdown
from benchmarks.statistics.sharpe import mean_sharpe_over
from benchmarks.study.finished import finished
from tests.benchmarks.reports.page.conftest import HOSTILE
from tests.benchmarks.reports.page.kept import ledger, mine, tracks
from tests.pages import Reader


@pytest.fixture(scope="module")
def reader(study):
    return Reader(study.page)


def test_the_commands_on_the_page_make_it_again_without_training(study, capsys):
    text = study.page.partition('<pre tabindex="0"><code>python')[2].partition("</code>")[0]
    lines = [shlex.split(line) for line in f"python{text}".splitlines()]
    before = {path: path.stat().st_mtime_ns for path in (study.folder / "rows").rglob("*")}
    shown = study.page
    for line in lines:
        assert line[:3] == ["python", "-m", "benchmarks"]
        assert main([*line[3:], *(["--processes", "0"] if line[3] == "run" else [])]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (study.folder / "rows").rglob("*")}
    capsys.readouterr()
    assert Reader(study.page).book == Reader(shown).book


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
    assert frame.loc["flat", ["sharpe", "sharpe_se", "sharpe_low", "sharpe_high"]].isna().all()


def test_learning_curves_are_read_by_tensorboard(study, capsys):

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


def undefined(value):
    """The same results with every measured number as NaN."""
    if isinstance(value, dict):
        return {key: one if key == "costs" else undefined(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(undefined(one) for one in value)
    return math.nan if isinstance(value, float) else value


def test_no_form_of_the_report_prints_nan(study):
    results = report.results(study.suite, study.rows, ledger(study))
    for place in ("contenders", "best_learner", "superior", "overfitting", "selection", "hindsight"):
        less = {**results, place: undefined(results[place])}
        if place == "superior":
            less[place] |= {"better": (), "confidence_set": ()}
        for form in ("md", "tex", "csv"):
            assert "nan" not in written(less, form).lower()
        page = Reader(page_of(study.suite, study.rows, less, "command").html())
        cells = [cell for table in page.tables.values() for row in table for cell, _ in row]
        alts = [one["alt"] for chart in page.book["charts"].values() for one in chart["figures"].values()]
        assert "nan" not in " ".join([*cells, *page.facts.values(), *alts]).lower().split()


def test_contenders_whose_names_are_the_same_folder_have_logs_of_their_own(study, tmp_path):
    names = ("a/b", "a b", "A-B", "a-b (2)")
    row = mine(study, "DQN")[0]
    assert write_logs([replace(row, contender=name) for name in names], tmp_path) == len(names) * len(row.seeds)
    folders = {path.relative_to(tmp_path).parts[0].casefold() for path in tmp_path.rglob("events*")}
    assert len(folders) == len(names)
    assert len(list(tmp_path.rglob("events*"))) == len(names) * len(row.seeds)
