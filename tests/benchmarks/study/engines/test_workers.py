"""Processes of a study: what they leave behind."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
HELD = """
import multiprocessing
kept = []
def hold(task):
    kept.append(multiprocessing.Lock())
"""
PROGRAM = """
import held
from benchmarks.study.engines.workers import workers
if __name__ == "__main__":
    with workers(1) as share:
        print([outcome for _, outcome in share(held.hold, [1, 2])])
"""


def test_idle_processes_put_their_locks_away(tmp_path):
    (tmp_path / "held.py").write_text(HELD)
    (tmp_path / "program.py").write_text(PROGRAM)
    result = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
    )
    assert (result.stdout, result.stderr) == ("[None, None]\n", "")
