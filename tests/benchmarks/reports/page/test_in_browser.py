"""The page of a study as a reader uses it, in headless Chromium."""

from dataclasses import replace

import pytest

from benchmarks.reports.page.study import page_of
from benchmarks.reports.study import results
from tests.benchmarks.reports.page.conftest import HOSTILE
from tests.benchmarks.reports.page.kept import ledger
from tests.browser import opened, show_all

pytestmark = pytest.mark.browser
NAMES = "#table-leaderboard tbody th"


@pytest.mark.parametrize(("width", "scheme"), [(1200, "dark"), (390, "light")])
def test_all_charts_are_drawn_without_an_error_and_nothing_is_wider_than_the_screen(study, width, scheme):
    with opened(study.folder / "index.html", width, scheme) as page:
        show_all(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").inner_text() == "Study small"
        assert page.locator(NAMES).all_inner_texts().count(HOSTILE) == 1
        page.locator("#theme").click()
        assert page.evaluate("document.documentElement.dataset.theme") != scheme


def test_without_prices_trades_are_counted_but_not_drawn(study, tmp_path):
    rows = [replace(row, facts={"data": "another"}) for row in study.rows]
    page = page_of(study.suite, rows, results(study.suite, rows, ledger(study)), "command")
    with opened(page.write(tmp_path / "page.html")) as shown:
        show_all(shown)
        shown.select_option("select[data-choice=contender]", label="random")
        text = shown.locator("figure:has(#chart-trades) .count").inner_text()
        count = text.split()[0]
        assert int(count) > 0
        assert text == f"{count} of {count} trades in view; not drawn, since their prices are unknown"


def test_the_leaderboard_is_sorted_by_mouse_and_keyboard(study):
    with opened(study.folder / "index.html") as page:
        heading = page.locator("#table-leaderboard th", has_text="turnover")
        cells = page.locator("#table-leaderboard tbody tr td:nth-child(10)")
        heading.locator("button").click()
        down = [float(text) for text in cells.all_inner_texts()]
        assert down == sorted(down, reverse=True)
        assert heading.get_attribute("aria-sort") == "descending"
        heading.locator("button").focus()
        page.keyboard.press("Enter")
        assert [float(text) for text in cells.all_inner_texts()] == sorted(down)
        assert heading.get_attribute("aria-sort") == "ascending"
        page.locator("#table-leaderboard th", has_text="Sharpe").first.locator("button").click()
        assert page.locator(NAMES).all_inner_texts()[-1] == "flat", "unknown ones are last"


def test_contender_and_seed_are_chosen_and_the_trades_zoom(study):
    with opened(study.folder / "index.html") as page:
        show_all(page)
        page.select_option("select[data-choice=contender]", label="random")
        page.select_option("select[data-choice=seed]", index=4)
        label = page.locator("#chart-trades")
        page.wait_for_function("document.querySelector('#chart-trades').getAttribute('aria-label').includes('seed 4')")
        assert label.get_attribute("aria-label").startswith("random, seed 4")
        count = page.locator("figure:has(#chart-trades) .count")
        whole = int(count.inner_text().split()[0])
        for _ in range(3):
            page.locator("[data-zoom=in]").click()
        assert 0 < int(count.inner_text().split()[0]) < whole
        page.select_option("select[data-choice=contender]", label="flat")  # which has one seed
        assert page.locator("select[data-choice=seed]").input_value() == "0"
        assert page.locator("#chart-trades").get_attribute("aria-label").startswith("flat, seed 0: 0 holdings")
        width = "document.querySelector('#chart-growth').data.find((one) => one.name === 'flat').line.width"
        assert page.evaluate(width) > 3, "the chosen contender is bold"
