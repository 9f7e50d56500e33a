"""Seconds that a fresh interpreter needs to import trading_env, and to make an env and step it once."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.speed.timing import Measured, Part

IMPORT = "import time; start = time.perf_counter(); import trading_env; print(time.perf_counter() - start)"
FIRST_STEP = """
import time, gymnasium, trading_env
start = time.perf_counter()
env = gymnasium.make("trading_env:TradingEnv-v0")
env.reset(seed=0)
env.step(2)
print(time.perf_counter() - start)
"""


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Median seconds over fresh processes with numba's cache warm, and one with an empty cache."""
    measured = []
    for name, code, most in (("import trading_env", IMPORT, 0.3), ("first gym.make, reset and step", FIRST_STEP, 1.0)):
        seconds = []
        for number in range(runs(quick)):
            taken = in_fresh_process(code)
            seconds += [taken] if number else []  # the first one fills the caches
            tick()
        measured.append(Measured(name, statistics.median(seconds), most, "s"))
    with tempfile.TemporaryDirectory() as empty:
        cold = in_fresh_process(FIRST_STEP, NUMBA_CACHE_DIR=empty)
    measured.append(Measured("first gym.make, reset and step, nothing compiled yet", cold, 15.0, "s"))
    tick()
    return Part({}, measured, [], {"runs": runs(quick) - 1})


def in_fresh_process(code: str, **environment: str) -> float:
    """The seconds that the code prints in a fresh process."""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **environment})
    return float(run.stdout.split()[-1])


def runs(quick: bool) -> int:
    """Number of processes, including the first."""
    return 2 if quick else 10


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return 2 * runs(quick) + 1
