"""Pages in headless Chromium. Without Chromium these tests fail and say so; ``-m 'not browser'`` leaves them out."""

import contextlib
import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium():
    """The path of an installed Chromium."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"needs Chromium: apt-get install chromium, or name it in CHROMIUM (looked for {', '.join(NAMES)})"
    return found


@contextlib.contextmanager
def opened(path, width=1200, scheme="light"):
    """The page of a file, whose console must stay empty, without network."""
    from playwright.sync_api import sync_playwright

    said = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
            page = context.new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(path.resolve().as_uri())
            yield page
        finally:
            browser.close()
    assert said == []


def show_all(page):
    """Scrolls through the page, so that every chart is drawn."""
    for y in range(0, page.evaluate("document.documentElement.scrollHeight"), 400):
        page.evaluate(f"scrollTo(0, {y})")
        page.wait_for_timeout(30)
    page.wait_for_function(
        "[...document.querySelectorAll('.chart:not(.empty)')].every((div) => div.querySelector('.main-svg'))",
        timeout=60_000,
    )
