"""The tear sheet as a reader uses it, in headless Chromium."""

import math

import numpy as np
import pytest

from tests.browser import opened, show_all
from tests.trading_env.markets import random_market
from trading_env import backtest, tear_sheet
from trading_env.analysis import strategies
from trading_env.report.arrays import Arrays
from trading_env.report.figures import figure, line
from trading_env.report.page import Cell, Chart, Page, Section, Table

pytestmark = pytest.mark.browser
DAYS = 1_500
TRACES = "(name) => document.querySelector('#chart-trades').data.filter((one) => one.name.startsWith(name))"


@pytest.fixture(scope="module")
def result():
    rules = [lambda market, k=k: strategies.moving_average_crossover(market, 3 + k, 15) for k in range(3)]
    return backtest(rules, random_market(n=DAYS, whole=True, since="2016-06-01", name="<b>bold</b>"))


@pytest.fixture(scope="module")
def path(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheet")
    return tear_sheet(result, folder / "sheet.html", random_market(seed=1, n=900, since="2017-01-01"))


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_all_charts_are_drawn_without_an_error_and_nothing_is_wider_than_the_screen(path, width, scheme):
    with opened(path, width, scheme) as page:
        show_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert page.locator(".chart.empty").count() == 0
        assert page.locator("h1").inner_text().endswith("<b>bold</b>")


def test_zooming_shows_finer_candles_and_the_trades_in_view(path, result):
    with opened(path) as page:
        show_all(page)
        (candles,) = page.evaluate(TRACES, "price")
        assert candles["name"] == "price, 4 bars a candle"
        assert (
            page.locator("figure:has(#chart-trades) .count")
            .inner_text()
            .startswith(f"{len(result.trades_of_runs[1])} of {len(result.trades_of_runs[1])} trades")
        )
        for _ in range(3):
            page.locator("[data-zoom=in]").click()
        (candles,) = page.evaluate(TRACES, "price")
        assert candles["name"] == "price"
        shown = len(candles["x"])
        assert DAYS / 16 < shown < DAYS / 4
        (close, start) = page.evaluate(
            "() => { const one = document.querySelector('#chart-trades').data[0]; return [[...one.close], one.x[0]]; }"
        )
        first = int(np.searchsorted(result.market.time.astype("datetime64[ms]").astype(float), start))
        np.testing.assert_allclose(close, result.market.close[first : first + shown], rtol=1e-6)
        page.locator("[data-zoom=all]").focus()
        page.keyboard.press("Enter")
        assert page.evaluate(TRACES, "price")[0]["name"] == "price, 4 bars a candle"


def test_another_run_changes_its_charts_and_tables(path, result):
    with opened(path) as page:
        show_all(page)
        page.select_option("select[data-choice=run]", index=2)
        page.wait_for_function("document.querySelector('#chart-yearly').data[0].name === 'seed 2'")
        table = page.locator("#table-drawdowns tbody tr")
        assert table.first.locator("td").nth(2).inner_text() == f"{result.max_drawdown[2]:.1%}"


def test_the_button_switches_between_light_and_dark(path):
    with opened(path, scheme="light") as page:
        show_all(page)
        before = page.evaluate("document.querySelector('#chart-growth').layout.font.color")
        page.locator("#theme").click()
        assert page.evaluate("document.querySelector('#chart-growth').layout.font.color") != before
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"


def test_printing_draws_every_chart_on_white_with_all_definitions_and_leaves_the_page_as_it_was(path):
    shown = "[document.documentElement.dataset.theme, document.querySelectorAll('details:not([open])').length]"
    with opened(path, scheme="dark") as page:
        page.locator("details.help summary").first.click()
        before = page.evaluate(shown)
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.printed = {shown}; }})")
        assert page.pdf().startswith(b"%PDF")
        assert page.evaluate("window.printed") == ["light", 0]
        assert page.evaluate("[...document.querySelectorAll('.chart')].every((div) => div.drawn)")
        page.wait_for_function(f"{shown}[0] === 'dark'")
        assert page.evaluate(shown) == before
        assert before[1] > 10


def test_infinite_numbers_are_sorted_as_the_largest_and_unknown_ones_last(tmp_path):
    values = {"b": 1.0, "more": math.inf, "unknown": None, "a": 2.0, "less": -math.inf}
    rows = [[Cell(name), Cell(name, value)] for name, value in values.items()]
    table = Table("costs", "Costs", "", [("name", ""), ("cost", "")], {"": rows}, sortable=True)
    path = Page("t", "s", [Section("Costs", [table])], Arrays()).write(tmp_path / "page.html")
    with opened(path) as page:
        button, names = page.locator("#table-costs th button").nth(1), page.locator("#table-costs tbody th")
        button.click()
        assert names.all_inner_texts() == ["more", "a", "b", "less", "unknown"]
        button.click()
        assert names.all_inner_texts() == ["less", "b", "a", "more", "unknown"]


OVERLAPS = """() => [...document.querySelectorAll('.chart')].filter((div) => {
  const parts = ['.legend', '.g-xtitle', '.xaxislayer-above'].map((one) => div.querySelector(one));
  const boxes = parts.map((one) => one && one.getBoundingClientRect());
  const [legend, ...others] = boxes.map((box) => box && box.width && box.height ? box : null);
  return legend && others.some((box) => box && box.top < legend.bottom - 1 && box.bottom > legend.top + 1);
}).map((div) => div.id)"""


@pytest.mark.parametrize("width", [390, 1280])
def test_the_legend_of_many_curves_covers_neither_the_axis_nor_its_title(tmp_path, width):
    curves = [line([0, 1], [0, i], f"moving average {i}", "@s0") for i in range(16)]
    drawn = figure(curves, "Curves.", {"title": {"text": "steps"}}, {})
    chart = Chart("curves", "Curves", "", {"": drawn})
    path = Page("t", "s", [Section("Curves", [chart])], Arrays()).write(tmp_path / "page.html")
    with opened(path, width) as page:
        show_all(page)
        assert page.locator("#chart-curves .g-xtitle").text_content() == "steps"
        assert page.locator("#chart-curves .legend").count() == 1
        assert page.evaluate(OVERLAPS) == []
