"""What a page keeps of names and numbers, and how it is written."""

import re

import numpy as np
import pandas as pd
import pytest

from tests.trading_env.report.sheets import column, curve, figure, read
from trading_env import tear_sheet
from trading_env.report.arrays import Arrays, values_of
from trading_env.report.measures import decimal, percent, points, whole

EQUITY = pd.Series([1.0, 1.1, 1.2, 1.15], pd.date_range("2020-01-01", periods=4))


@pytest.mark.parametrize("form", [percent, decimal, whole, points])
def test_what_rounds_to_zero_has_no_minus_sign(form):
    assert not form(-1e-9).startswith(("-", "\N{MINUS SIGN}"))


def test_no_text_of_a_page_shows_a_negative_zero():
    flat = pd.Series(np.linspace(1.0, 1.0 - 1e-7, 60), pd.date_range("2020-01-01", periods=60))
    text = tear_sheet_text(flat)
    assert not re.search(r"[-\N{MINUS SIGN}]0(\.0+)?(%|\D)", re.sub(r"\d{4}-\d\d-\d\d", "", text))


def tear_sheet_text(source):
    """Everything that the page of this source says: cells, the sentence, and the charts in words."""
    reader = read(source)
    cells = [cell for table in reader.tables.values() for row in table for cell, _ in row]
    alts = [one["alt"] for chart in reader.book["charts"].values() for one in chart["figures"].values()]
    return " | ".join([*cells, *alts])


def test_values_beyond_four_bytes_are_kept():
    values = np.geomspace(1e-3, 1e200, 100)
    arrays = Arrays()
    assert values_of(arrays.kept, arrays.add(values)) == pytest.approx(values)
    equity = pd.Series(values, pd.date_range("2020-01-01", periods=100))
    assert curve(read(equity), figure(read(equity), "growth")["data"][0])[-1] == pytest.approx(1e203)


@pytest.mark.parametrize("name", ["half \ud83d of a pair", "\udcff.csv"])
def test_a_name_that_is_no_unicode_is_shown_with_a_question_mark(tmp_path, name):
    path = tear_sheet(EQUITY, tmp_path / "page.html", EQUITY.rename(name), title=name)
    shown = re.sub("[\ud800-\udfff]", "?", name)
    assert f"<title>{shown}</title>" in path.read_text()
    assert column(read(EQUITY, title=name), "numbers")["total return"] == pytest.approx(0.15)


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "page.html", tmp_path):
        with pytest.raises(OSError, match="the page cannot be written") as caught:
            tear_sheet(EQUITY, path)
        assert caught.value.filename == str(path)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "x"


def test_a_page_replaces_an_older_one_of_a_long_name(tmp_path):
    path = tmp_path / ("n" * 250 + ".html")
    for title in ("old", "new"):
        tear_sheet(EQUITY, path, title=title)
    assert "<title>new</title>" in path.read_text()
    assert len(list(tmp_path.iterdir())) == 1
