"""Every block and every command of the README and of docs/ runs, and every link leads somewhere."""

import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDES = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
PAGES = {"README.md": README, **{f"docs/{name}": text for name, text in GUIDES.items()}}
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(language, text):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def spoken(text):
    """A line's words, with every number replaced by #: numbers depend on processor and budget."""
    return re.sub(r"[-+]?\d[\d,.]*(%|\b)", "#", text).split()


@pytest.mark.parametrize(
    ("code", "shown"), re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", README, re.DOTALL)
)
def test_a_block_of_the_readme_runs_in_a_fresh_process_and_prints_what_is_shown(code, shown, tmp_path):
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    table = shown.partition("[...]")[0].splitlines()
    assert [spoken(line) for line in table] == [spoken(line) for line in result.stdout.splitlines()[: len(table)]]


CODE = {f"{name}-{number}": code for name, text in GUIDES.items() for number, code in enumerate(blocks("python", text))}


@pytest.mark.parametrize("name", CODE)
def test_a_block_of_the_docs_runs_by_itself(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(CODE[name], name, "exec"), {"__name__": "block"})


def commands():
    """The commands of the shell blocks and those in running text, less their comments and what sets up a shell."""
    lines = [line for text in PAGES.values() for block in blocks("sh", text) for line in block.splitlines()]
    lines = [line.split("#")[0].strip() for line in lines]
    lines += [line for text in PAGES.values() for line in re.findall(r"`((?:make|python -m|trading-env) [^`]+)`", text)]
    return sorted({line for line in lines if line and not line.startswith(("source ", "export "))})


def assert_extras_exist(command):
    """Checks that pip installs this checkout, with extras that there are."""
    what = re.search(r"install -e '?\.(?:\[([\w,]+)\])?'?$", command)
    assert what, command
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set((what[1] or "").split(",")) - {""} <= extras.keys(), command


def first_word(line):
    """What a line is about: what a policy decides depends on processor and budget too."""
    return line.split()[0]


def test_the_page_on_the_command_shows_its_real_output(tmp_path, monkeypatch, capsys):
    from trading_env.command.main import main

    monkeypatch.chdir(tmp_path)
    exec(blocks("python", GUIDES["command.md"])[0])
    for block in blocks("console", GUIDES["command.md"]):
        command, *shown = block.splitlines()
        words = shlex.split(command.removeprefix("$ trading-env ").replace("--steps 20000", "--steps 1100"))
        code = main(words)
        said, beside = capsys.readouterr()
        printed = (beside if code else said).splitlines()
        read = {"data": str, "decide": first_word, "paper": first_word}.get(words[0], spoken)
        if read is first_word:
            printed = [line for line in printed if not line.startswith(" " * 13)]  # the rest of a long reason
        assert [read(line) for line in printed] == [read(line) for line in shown], command


HELP = {}


def help_of(name, capsys, monkeypatch):
    """What a module, and a command of it, says of itself; asked once."""
    if name not in HELP:
        monkeypatch.setattr(sys, "argv", [*name, "--help"])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name[0], run_name="__main__", alter_sys=True)
        assert ended.value.code in (0, None), name
        HELP[name] = capsys.readouterr().out
    return HELP[name]


@pytest.mark.filterwarnings(r"ignore:.*found in sys\.modules:RuntimeWarning")  # runs again what is imported already
@pytest.mark.parametrize("command", commands())
def test_a_command_exists(command, capsys, monkeypatch):
    words = command.split()
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", MAKEFILE, flags=re.MULTILINE), command
        return
    if words[0] == "trading-env":
        words = ["python", "-m", "trading_env", *words[1:]]
    assert words[0] in ("python", "python3"), command
    assert words[1] == "-m", command
    if words[2] == "pip":
        assert_extras_exist(command)
        return
    name = words[2:4] if words[2] in ("benchmarks", "trading_env") else words[2:3]
    helped = help_of(tuple(name), capsys, monkeypatch)
    options = [word for word in words if word.startswith("--")]
    assert all(re.search(rf"{option}(?![\w-])", helped) for option in options), command


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", PAGES[page]):
        path, _, heading = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)$", file.read_text(), flags=re.MULTILINE)
            assert heading in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, target


@pytest.mark.parametrize("page", PAGES)
def test_files_and_tests_that_are_named_exist(page):
    text = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    for name in re.findall(r"`((?:agents|benchmarks|examples|tests|trading_env)/[\w/]*\.py)`", text):
        assert (ROOT / name).exists(), name
    known = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (\w+)", path.read_text())
    }
    assert set(re.findall(r"`(test_\w+)`", text)) <= known
