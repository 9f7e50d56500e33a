"""How many steps a second DQN learns from, one seed and many, against Stable-Baselines3's DQN.

Both train on the real env, step by step, with the same network and hyperparameters: SB3's defaults, but for a replay
memory that fits the machine. Counted are the steps of all seeds together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym

from benchmarks import speed_env
from benchmarks.evaluate import ENV_ID
from benchmarks.timing import Chunk, Goal, Part, interleave, ratios

SEEDS = (1, 16, 64)
SHARED: dict[str, Any] = {
    "learning_rate": 1e-4,
    "buffer_size": 10_000,
    "learning_starts": 100,
    "batch_size": 32,
    "train_freq": 4,
    "target_update_interval": 1_000,
    "exploration_fraction": 1e-6,  # the greedy action nearly always, as in most of a training
    "exploration_final_eps": 0.05,
}
NET_ARCH = (64, 64)
THREADS = (1, 2)  # of torch, tried for Stable-Baselines3

GOALS = [
    Goal("DQN, 1 seed, against SB3's DQN", "DQN x 1", "SB3 DQN", 2.5),
    Goal("DQN, 16 seeds, against SB3's DQN", "DQN x 16", "SB3 DQN", 15.0),
    Goal("DQN, 64 seeds, against SB3's DQN", "DQN x 64", "SB3 DQN"),
]


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Rates of DQN at several numbers of seeds and of SB3's at its best number of threads, and the goals' ratios."""
    model = sb3_model()
    tried = interleave({str(n): sb3_chunk(model, 20 if quick else 400, n) for n in THREADS}, 1, tick)
    best = max(THREADS, key=lambda n: tried[str(n)][0])
    lengths = {1: 4000, 16: 1200, 64: 300}  # about half a second each
    chunks = {f"DQN x {S}": dqn_chunk(S, 100 if quick else lengths[S]) for S in SEEDS}
    chunks["SB3 DQN"] = sb3_chunk(model, 100 if quick else 1000, best)
    rates = interleave(chunks, rounds(quick), tick)
    speeds = ", ".join(f"{n}: {tried[str(n)][0]:,.0f} steps/s" for n in THREADS)
    remarks = [f"SB3 runs with the faster of its torch thread settings ({speeds}); DQN with its default"]
    setting = {**SHARED, "net_arch": NET_ARCH, "sb3_threads": best, "rounds": rounds(quick)}
    return Part(rates, list(ratios(rates, GOALS)), remarks, setting)


def rounds(quick: bool) -> int:
    """How many there are."""
    return 1 if quick else 7


def ticks(quick: bool) -> int:
    """How often `measure` calls ``tick``."""
    return 2 * len(THREADS) + (rounds(quick) + 1) * (len(SEEDS) + 1)


def training_env() -> gym.Env[Any, Any]:
    """The env that both learn in."""
    return gym.make(ENV_ID, random_start=True, episode_length=252, **speed_env.keywords())


def dqn_chunk(seeds: int, steps: int) -> Chunk:
    """Steps per seed of a training that goes on from chunk to chunk; counts those of all seeds."""
    from agents.dqn import DQN

    agent = DQN(training_env(), seeds=seeds, device="cpu", net_arch=NET_ARCH, **SHARED)
    agent.learn(200)

    def chunk() -> int:
        agent.learn(steps, reset_num_timesteps=False)
        return steps * seeds

    return chunk


def sb3_model() -> Any:
    """Stable-Baselines3's DQN, past its first random steps."""
    from stable_baselines3 import DQN

    policy = {"net_arch": list(NET_ARCH)}
    return DQN("MlpPolicy", training_env(), seed=0, device="cpu", policy_kwargs=policy, **SHARED).learn(200)


def sb3_chunk(model: Any, steps: int, threads: int) -> Chunk:
    """Steps of a training that goes on from chunk to chunk, with that many torch threads."""
    import torch

    def chunk() -> int:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        model.learn(steps, reset_num_timesteps=False)
        torch.set_num_threads(before)
        return steps

    return chunk
