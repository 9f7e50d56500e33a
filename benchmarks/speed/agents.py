"""Training steps per second of our agents, with one seed and with many, against Stable-Baselines3's.

Both train on the real env with the same network, optimiser and hyperparameters: SB3's defaults, except for a smaller
replay memory and 16 envs for algorithms that learn from rollouts. Steps of all seeds are counted together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from agents.common.processes import usable_cores
from agents.memory.replay import Replay
from benchmarks.contenders import ours, sb3
from benchmarks.contenders.ours import agent_class
from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.speed import envs as speed_env
from benchmarks.speed.timing import Chunk, Goal, Measured, Part, interleave, ratios

NET_ARCH = (64, 64)
MANY = 16  # seeds of a study, and of the runs with two threads
STUDY = ("DQN", 4_000)  # algorithm and steps per seed
MEMORY = {"transitions": 1_000_000, "window": 50, "features": 10}


@dataclass(frozen=True)
class Contest:
    """An algorithm and its setting on both sides.

    Attributes:
        name: of the class, ours and SB3's.
        n_envs: envs per seed.
        hyperparameters: with the same names on both sides.
        steps: number of seeds -> steps per seed in a chunk, whole rollouts of about half a second.
        sb3_steps: steps of SB3's agent in a chunk.
    """

    name: str
    n_envs: int
    hyperparameters: Mapping[str, Any]
    steps: Mapping[int, int]
    sb3_steps: int


CONTESTS = (
    Contest(
        "DQN",
        1,
        {
            "learning_rate": 1e-4,
            "buffer_size": 10_000,
            "learning_starts": 100,
            "batch_size": 32,
            "train_freq": 4,
            "target_update_interval": 1_000,
            "exploration_fraction": 1e-6,  # the greedy action nearly always, as in most of a training
            "exploration_final_eps": 0.05,
        },
        {1: 4_000, 16: 1_200, 64: 300},
        1_000,
    ),
    Contest("A2C", 16, {"learning_rate": 7e-4, "n_steps": 5}, {1: 4_000, 16: 1_600}, 2_400),
    Contest(
        "PPO",
        16,
        {"learning_rate": 3e-4, "n_steps": 64, "batch_size": 64, "n_epochs": 10},
        {1: 2_048, 16: 1_024},
        1_024,
    ),
)

AT_LEAST = {"DQN": {1: 3.0, 16: 20.0, 64: 25.0}, "A2C": {1: 2.0, 16: 12.0}, "PPO": {1: 2.0, 16: 10.0}}
GOALS = [
    Goal(f"{name}, {S} seed{'s' * (S > 1)}, against SB3's {name}", f"{name} x {S}", f"SB3 {name}", least)
    for name, by_seeds in AT_LEAST.items()
    for S, least in by_seeds.items()
] + [
    Goal(f"{name}, {MANY} seeds, 2 threads against 1", f"{name} x {MANY}, 2 threads", f"{name} x {MANY}")
    for name in AT_LEAST
]


def measure(quick: bool, tick: Callable[[], Any], env: str = "TradingEnv") -> Part:
    """Rates of our agents at several numbers of seeds and of SB3's at their best number of threads; the goals' ratios.

    Args:
        quick: True for short chunks and few rounds.
        tick: called after each chunk.
        env: "TradingEnv", or an id.
    """
    chunks, remarks, best = {}, [], {}
    for contest in CONTESTS:
        model = sb3_model(contest, env)
        steps = contest.sb3_steps // (10 if quick else 3)
        tried = interleave({str(n): sb3_chunk(model, steps, n) for n in threads(quick)}, 1, tick)
        best[contest.name] = max(threads(quick), key=lambda n, tried=tried: tried[str(n)][0])
        speeds = ", ".join(f"{n}: {tried[str(n)][0]:,.0f} steps/s" for n in threads(quick))
        remarks.append(f"SB3's {contest.name} runs with the faster of its torch thread settings ({speeds})")
        chunks.update(contenders(contest, env, quick))
        chunks[f"SB3 {contest.name}"] = sb3_chunk(model, contest.sb3_steps // (10 if quick else 1), best[contest.name])
    rates = interleave(chunks, rounds(quick), tick)
    measured = [*ratios(rates, GOALS), *study(quick, env), *memory()]
    tick()
    setting = {
        "env": env,
        "net_arch": NET_ARCH,
        "sb3_threads": best,
        "rounds": rounds(quick),
        "hyperparameters": {contest.name: dict(contest.hyperparameters) for contest in CONTESTS},
        "n_envs": {contest.name: contest.n_envs for contest in CONTESTS},
        "memory": MEMORY,
    }
    return Part(rates, measured, remarks, setting)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 7


def threads(quick: bool) -> tuple[int, ...]:
    """Numbers of torch threads tried for Stable-Baselines3."""
    return (1,) if quick else (1, 2)


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    contenders = sum(len(contest.steps) + 1 + (not quick) for contest in CONTESTS)
    return 2 * len(threads(quick)) * len(CONTESTS) + (rounds(quick) + 1) * contenders + 1


def training_env(env: str = "TradingEnv") -> gym.Env[Any, Any]:
    """The env that both sides learn in."""
    if env != "TradingEnv":
        return gym.make(env)
    return gym.make(ENV_ID, random_start=True, episode_length=252, **speed_env.keywords())


def contenders(contest: Contest, env: str, quick: bool) -> dict[str, Chunk]:
    """Chunks of our agents: each number of seeds and, unless quick, two threads, which are slow on busy cores."""
    name, steps = contest.name, {S: n // 10 if quick else n for S, n in contest.steps.items()}
    chunks = {f"{name} x {S}": our_chunk(contest, env, S, n) for S, n in steps.items()}
    if quick:
        return chunks
    return {**chunks, f"{name} x {MANY}, 2 threads": our_chunk(contest, env, MANY, steps[MANY], 2)}


def our_chunk(contest: Contest, env: str, seeds: int, steps: int, n_threads: int = 1) -> Chunk:
    """A training that continues from chunk to chunk; counts the steps of all seeds."""
    return agent_chunk(our_agent(contest, env, seeds, n_threads), steps)


def agent_chunk(agent: Any, steps: int) -> Chunk:
    """A training that continues from chunk to chunk; counts the steps of all seeds."""
    agent.learn(200)
    if hasattr(agent, "replay"):
        fill(agent.replay)

    def chunk() -> int:
        before = agent.num_timesteps
        agent.learn(steps, reset_num_timesteps=False)
        return (agent.num_timesteps - before) * len(agent)

    return chunk


def fill(replay: Replay) -> None:
    """Fills a memory with copies of what it holds, so that it does not grow while a training is timed."""
    size = replay.size
    replay.reserve(replay.buffer_size)
    for ring in replay.rows:
        ring[size:] = np.resize(ring[:size], (len(ring) - size, ring.shape[1]))
    replay.size, replay.position = replay.capacity, 0


def our_agent(contest: Contest, env: str, seeds: int, n_threads: int = 1) -> Any:
    """An untrained agent."""
    kind = agent_class(contest.name)
    options = {"n_envs": contest.n_envs, "threads": n_threads, "device": "cpu", "net_arch": NET_ARCH}
    return kind(training_env(env), seeds=seeds, **options, **contest.hyperparameters)


def sb3_model(contest: Contest, env: str) -> Any:
    """Stable-Baselines3's agent, after its first random steps."""
    from stable_baselines3.common.env_util import make_vec_env

    envs = make_vec_env(lambda: training_env(env), contest.n_envs)
    policy = {"net_arch": list(NET_ARCH)}
    kind = sb3.algorithm_class(contest.name)
    model = kind("MlpPolicy", envs, seed=0, device="cpu", policy_kwargs=policy, **contest.hyperparameters)
    for array in vars(getattr(model, "replay_buffer", None) or model.rollout_buffer).values():
        if isinstance(array, np.ndarray):
            array.fill(0)  # the system gives memory when it is first written: not while a training is timed
    return model.learn(200)


def sb3_chunk(model: Any, steps: int, n_threads: int) -> Chunk:
    """A training that continues from chunk to chunk, with this number of torch threads."""
    import torch

    def chunk() -> int:
        before, threads_before = model.num_timesteps, torch.get_num_threads()
        torch.set_num_threads(n_threads)
        model.learn(steps, reset_num_timesteps=False)
        torch.set_num_threads(threads_before)
        return int(model.num_timesteps - before)

    return chunk


# -- a whole study, and the memory it takes ----------------------------------------------------------------------


def study(quick: bool, env: str) -> Iterator[Measured]:
    """The time of a study of 16 seeds on all cores: blocks of our seeds, and SB3's one by one, in a process per core.

    Both are timed from the first step, without the start of processes. Ours on one core is timed too.
    """
    name, steps = STUDY
    contest = next(contest for contest in CONTESTS if contest.name == name)
    seeds, steps = (2, 150) if quick else (MANY, steps)
    study = name, training_env(env), seeds, steps
    shared = {"n_envs": contest.n_envs, "progress_bar": False, **contest.hyperparameters}
    one, all_cores = (ours.train(*study, processes=n, net_arch=NET_ARCH, **shared).seconds for n in (1, "auto"))
    peer = sb3.train(*study, policy_kwargs={"net_arch": list(NET_ARCH)}, **shared)
    yield Measured(f"a study of {MANY} seeds of {name}, against SB3 on all cores", peer.seconds / all_cores, 8.0)
    yield Measured(f"the same, {usable_cores()} cores against one", one / all_cores, None)


def memory() -> Iterator[Measured]:
    """Size of a replay memory of a million transitions: SB3's of flat observations, ours of compact ones."""
    import torch
    from gymnasium.spaces import Box, Discrete
    from stable_baselines3.common.buffers import ReplayBuffer

    part = 1_000  # transitions; memory is proportional to their number
    space = Box(-1.0, 1.0, (MEMORY["window"] * MEMORY["features"] + 4,), np.float32)
    theirs = ReplayBuffer(part, space, Discrete(3), "cpu")
    ours = Replay(1, part, 5, 32, torch.device("cpu"))
    ours.reserve(part)
    scale = MEMORY["transitions"] / part / 2**30
    arrays = [array for array in vars(theirs).values() if isinstance(array, np.ndarray)]
    compact, flat = ours.rows.nbytes * scale, sum(array.nbytes for array in arrays) * scale
    yield Measured("replay memory of 1M transitions of 50 x 10, compact", compact, None, "GiB")
    yield Measured("the same in SB3, flat", flat, None, "GiB")
