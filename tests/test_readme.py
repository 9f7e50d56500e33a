"""Every block of the README and of the guide runs."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "guide.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(language, text=README):
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


CODE = blocks("python") + blocks("python", GUIDE)


@pytest.mark.parametrize("number", range(len(CODE)))
def test_a_python_block_runs(number, tmp_path):
    command = [sys.executable, "-W", "error", "-c", CODE[number]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert result.returncode == 0, result.stderr


def commands():
    """The commands of the shell blocks and those in running text, less their comments."""
    lines = [line.split("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    lines += re.findall(r"`((?:make|python -m) [^`]+)`", README)
    return sorted({line for line in lines if line})


@pytest.mark.parametrize("command", commands())
def test_a_command_exists(command):
    words = command.split()
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", MAKEFILE, flags=re.MULTILINE), command
        return
    assert words[:2] == ["python", "-m"], command
    name = words[2:4] if words[2] == "benchmarks" else words[2:3]
    helped = subprocess.run(
        [sys.executable, "-m", *name, "--help"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert helped.returncode == 0, helped.stderr
    options = [word for word in words if word.startswith("--")]
    assert all(option in helped.stdout for option in options), command


def test_links_lead_to_files():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
