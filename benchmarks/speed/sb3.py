"""Steps per second of Stable-Baselines3 on TradingVecEnv and on a DummyVecEnv of the same envs.

Both sides have the same algorithm, hyperparameters and observations, and one torch thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.contenders import sb3
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.speed import envs as speed_env
from benchmarks.speed.agents import NET_ARCH, sb3_chunk
from benchmarks.speed.timing import Chunk, Goal, Part, chunk_of, interleave, ratios

ENVS = (1, 16)
BLOCK = 64  # steps between two readings of the clock
HYPERPARAMETERS: dict[str, dict[str, Any]] = {
    "DQN": {"buffer_size": 10_000, "learning_starts": 100, "exploration_fraction": 1e-6},
    "PPO": {"batch_size": 64},
}
ROLLOUT = 1_024  # steps of PPO between updates, of all envs together
STEPS = {("DQN", 1): 800, ("DQN", 16): 6_400, ("PPO", 1): ROLLOUT, ("PPO", 16): ROLLOUT}  # of a chunk

GOALS = [
    Goal(
        f"steps of {n} env{'s' * (n > 1)}, TradingVecEnv against DummyVecEnv",
        f"TradingVecEnv x {n}",
        f"DummyVecEnv x {n}",
    )
    for n in ENVS
] + [
    Goal(
        f"SB3's {name}, {n} env{'s' * (n > 1)}, {kind.split()[0]} against DummyVecEnv",
        f"SB3 {name}, {kind} x {n}",
        f"SB3 {name}, DummyVecEnv x {n}",
    )
    for name in HYPERPARAMETERS
    for n in ENVS
    for kind in ("TradingVecEnv", "compact TradingVecEnv")
]


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Rates of stepping and of training on both, and their ratios."""
    chunks: dict[str, Chunk] = {}
    for n in ENVS:
        for kind in ("TradingVecEnv", "DummyVecEnv"):
            chunks[f"{kind} x {n}"] = chunk_of(0.02 if quick else 0.25, block(vec_env(kind, n)))
    for name in HYPERPARAMETERS:
        for n in ENVS:
            for kind in ("TradingVecEnv", "compact TradingVecEnv", "DummyVecEnv"):
                steps = STEPS[name, n] // (8 if quick else 1)
                chunks[f"SB3 {name}, {kind} x {n}"] = sb3_chunk(model(name, kind, n, quick), steps, 1)
    rates = interleave(chunks, rounds(quick), tick)
    setting = {"hyperparameters": HYPERPARAMETERS, "net_arch": NET_ARCH, "rollout": ROLLOUT, "rounds": rounds(quick)}
    return Part(rates, list(ratios(rates, GOALS)), [], setting)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 5


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return (rounds(quick) + 1) * len(ENVS) * (2 + 3 * len(HYPERPARAMETERS))


def vec_env(kind: str, n: int) -> Any:
    """A vector env of n envs, of the kind that the contender's name says."""
    from stable_baselines3.common.env_util import make_vec_env

    from trading_env.sb3 import TradingVecEnv

    keywords = {"random_start": True, "episode_length": 252, **speed_env.keywords()}
    if kind == "DummyVecEnv":
        return make_vec_env(lambda: gym.make(ENV_ID, **keywords), n)
    return TradingVecEnv(n, observation="compact" if "compact" in kind else "flat", **keywords)


def block(envs: Any) -> Chunk:
    """Steps with random actions."""
    actions = list(np.random.default_rng(2).integers(envs.action_space.n, size=(BLOCK, envs.num_envs)))
    envs.reset()

    def steps() -> int:
        for action in actions:
            envs.step(action)
        return BLOCK * envs.num_envs

    return steps


def model(name: str, kind: str, n: int, quick: bool) -> Any:
    """SB3's agent on n envs, after its first random steps."""
    from trading_env.sb3 import CompactExtractor

    envs = vec_env(kind, n)
    policy = {"net_arch": list(NET_ARCH), **(CompactExtractor.of(envs) if "compact" in kind else {})}
    options = dict(HYPERPARAMETERS[name])
    if name == "PPO":
        options["n_steps"] = ROLLOUT // (8 if quick else 1) // n
    return sb3.algorithm_class(name)("MlpPolicy", envs, seed=0, device="cpu", policy_kwargs=policy, **options).learn(
        200
    )
