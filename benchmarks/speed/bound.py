"""Training against the rate that its matrix products alone would allow, on one core, in processor time.

No training is faster than its products. The fraction that it reaches shows how much is lost to everything else: envs,
replay memory, activations, optimiser, and Python. Processor time stands still while other programs run, though these
still take room in the caches.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from agents.common.devices import torch_threads
from benchmarks.reports.table import Columns
from benchmarks.speed.agents import CONTESTS, NET_ARCH, agent_chunk, our_agent
from benchmarks.speed.products import actor_critic_passes, alone, dqn_passes, flops_per_step
from benchmarks.speed.timing import Chunk, Goal, Part, chunk_of, interleave, ratios

AT_LEAST = {"DQN x 16": 0.5, "A2C x 16": 0.6, "PPO x 16": 0.6}
ROWS = [f"{contest.name} x {S}" for contest in CONTESTS for S in contest.steps]
GOALS = [Goal(f"{row} / its products alone", row, f"{row}, products", AT_LEAST.get(row)) for row in ROWS]


def measure(quick: bool, tick: Callable[[], Any], env: str = "TradingEnv") -> Part:
    """Rates of our agents and of their products, floating-point operations per step, and the fractions reached.

    Args:
        quick: True for short chunks and few rounds.
        tick: called after each chunk.
        env: "TradingEnv", or an id.
    """
    chunks, flops = {}, {}
    with torch_threads(1):
        for row, training, products, per_step in contenders(quick, env):
            chunks[row], chunks[f"{row}, products"], flops[row] = training, products, per_step
        rates = interleave(chunks, rounds(quick), tick, time.process_time)
    measured = list(ratios(rates, GOALS))
    table = Columns(
        "Training against its matrix products alone, one core, steps of all seeds per second of processor time",
        ["agent"],
        ["MFLOP/step", "steps/s", "products/s", "reached", "goal"],
    )
    for row, fraction in zip(ROWS, measured, strict=True):
        found, bound = (statistics.median(rates[name]) for name in (row, f"{row}, products"))
        goal = "" if fraction.goal is None else f"{fraction.goal:.2f}"
        table.rows.append(
            [row, f"{flops[row] / 1e6:.2f}", f"{found:,.0f}", f"{bound:,.0f}", f"{fraction.value:.2f}", goal]
        )
    setting = {"env": env, "net_arch": NET_ARCH, "rounds": rounds(quick), "flops_per_step": flops}
    return Part(rates, measured, [], setting, table)


def contenders(quick: bool, env: str) -> Iterator[tuple[str, Chunk, Chunk, float]]:
    """Of each row its name, a training, the products of such a training, and their operations per step of a seed."""
    for contest in CONTESTS:
        for S, steps in contest.steps.items():
            agent = our_agent(contest, env, S)
            passes = dqn_passes(agent) if contest.name == "DQN" else actor_critic_passes(agent)
            products = chunk_of(0.02 if quick else 0.25, alone(passes, S))
            training = agent_chunk(agent, steps // 10 if quick else steps)
            yield f"{contest.name} x {S}", training, products, flops_per_step(passes)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 7


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return 2 * len(ROWS) * (rounds(quick) + 1)
