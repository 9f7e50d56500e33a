"""The site: every public name, example and lab has its page; links lead somewhere; nothing is loaded from elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import agents
import trading_env

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]  # strict: links too
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_public_name_has_an_entry(site):
    entries = "".join(path.read_text() for path in (site / "reference").glob("*.html"))
    found = {name.rpartition(".")[2] for name in re.findall(r'id="((?:trading_env|agents)\.[\w.]+)"', entries)}
    assert {*trading_env.__all__, *agents.AGENTS} <= found


def test_every_page_of_the_docs_every_example_and_every_lab_is_there(site):
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    docs = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    examples = {f"examples/{path.stem}.html" for path in (ROOT / "examples").glob("*.py")}
    labs = {f"labs/{path.parent.name}.html" for path in (ROOT / "course").glob("*/solution.ipynb")}
    assert labs
    algorithms = {f"agents/{name.lower()}.html" for name in agents.AGENTS}
    assert docs | examples | labs | algorithms | {"index.html", "changelog.html", "contributing.html"} <= pages


def test_nothing_is_loaded_from_elsewhere(site):
    loads = re.compile(r'<(?:script|img|link|iframe)\b[^>]*?\b(?:src|href)="?((?:https?:)?//[^">\s]+)')
    found = {(path.name, link) for path in site.rglob("*.html") for link in loads.findall(path.read_text())}
    assert found == set()


def test_pictures_of_labs_and_readme_are_there(site):
    for path in site.rglob("*.html"):
        for link in re.findall(r'<img\b[^>]*?\bsrc="([^"]+)"', path.read_text()):
            assert (path.parent / link).exists(), (path, link)


def test_formulas_are_written_for_a_browser(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_site"))
    from hooks import on_page_content

    html = r'a <span class="arithmatex">\(x &lt; y_1\)</span> b <div class="arithmatex">\[\sum_t r_t\]</div>'
    shown = on_page_content(html)
    assert [shown.count(f'display="{kind}"') for kind in ("inline", "block")] == [1, 1]
    assert "&lt;" in shown or "&#x0003C;" in shown
    assert "arithmatex" not in shown
