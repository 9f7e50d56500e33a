"""Step rates on 10 million bars against 10 thousand, and the time and memory to load 10 million.

Envs that start at different bars read different parts of the market. Their steps are slower on many bars because of
cache and TLB misses, not because the env does more work.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.speed.envs import FEATURES, WINDOW, scalar_block, vector_block
from benchmarks.speed.timing import Goal, Measured, Part, chunk_of, interleave, ratios
from trading_env import Costs, Market

FEW = 10_000
GOALS = [
    Goal("one env on many bars against few", "many bars x 1", "few bars x 1", 0.8),
    Goal("1024 envs on many bars against few", "many bars x 1024", "few bars x 1024", 0.8),
    Goal("1024 envs, random starts, on many bars against few", "many bars x 1024, apart", "few bars x 1024, apart"),
]

LOAD = """
import resource, sys, time
from trading_env import Market
from trading_env.features.build import feature_table
start = time.perf_counter()
feature_table(Market.from_parquet(sys.argv[1]))
seconds = time.perf_counter() - start
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Step rates on few and many bars; seconds and GiB to load many from Parquet with default features."""
    many = 100_000 if quick else 10_000_000
    blocks = {**blocks_of("few", FEW), **blocks_of("many", many)}
    chunks = {name: chunk_of(0.02 if quick else 0.25, block) for name, block in blocks.items()}
    rates = interleave(chunks, rounds(quick), tick)
    del blocks, chunks
    loads = [load(many) for _ in range(1 if quick else 3)]
    seconds, gib = (statistics.median(column) for column in zip(*loads, strict=True))
    tick()
    measured = [
        *ratios(rates, GOALS),
        Measured("many bars from Parquet with default features", seconds, 15.0, "s"),
        Measured("peak memory of that", gib, 2.5, "GiB"),
    ]
    return Part(rates, measured, [f"many bars: {many:,}; few: {FEW:,}"], {"many": many, "few": FEW})


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 2 if quick else 9


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return 6 * (rounds(quick) + 1) + 1


def walk(n_bars: int) -> dict[str, Any]:
    """Open, high, low, close and volume (T,) of a sine wave with a little noise."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(0.1 * np.sin(np.arange(n_bars) / 500.0) + rng.normal(0.0, 0.001, n_bars))
    opened = close * np.exp(rng.normal(0.0, 0.0002, n_bars))
    high, low = np.maximum(opened, close) * 1.0003, np.minimum(opened, close) * 0.9997
    return {"open": opened, "high": high, "low": low, "close": close, "volume": rng.uniform(1e5, 1e6, n_bars)}


def blocks_of(name: str, n_bars: int) -> dict[str, Callable[[], int]]:
    """Blocks of one env, of 1024 in lockstep, and of 1024 that start at random bars.

    Trades are free so that random trading ruins no account: a ruined env would restart and leave the lockstep.
    """
    features = np.random.default_rng(1).standard_normal((n_bars, FEATURES), dtype=np.float32)
    market, free = Market.from_arrays(**walk(n_bars)), Costs(commission=0.0, slippage=0.0)
    keywords = {"data": market, "features": features, "window": WINDOW, "costs": free}
    apart = {"random_start": True, "episode_length": 1000}
    return {
        f"{name} bars x 1": scalar_block(gym.make(ENV_ID, **keywords)),
        f"{name} bars x 1024": vector_block(gym.make_vec(ENV_ID, 1024, **keywords)),
        f"{name} bars x 1024, apart": vector_block(gym.make_vec(ENV_ID, 1024, **apart, **keywords)),
    }


def load(n_bars: int) -> tuple[float, float]:
    """Seconds and peak GiB of a fresh process that loads this number of bars from Parquet."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bars.parquet"
        time = pd.date_range("2000-01-01", periods=n_bars, freq="min")
        pd.DataFrame({"time": time, **walk(n_bars)}).to_parquet(path)
        command = [sys.executable, "-c", LOAD, os.fspath(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, gib = run.stdout.split()[-2:]
    return float(seconds), float(gib)
