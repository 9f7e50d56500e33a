"""Steps per second of the envs, against copying memory, Gymnasium's CartPole and other trading envs.

All trading envs observe a window of 30 bars x 5 features over 2,500 bars. Random actions are drawn in advance; vector
envs return their default info.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np

from benchmarks.evaluation.tracks import ENV_ID
from benchmarks.speed.timing import Chunk, Goal, Part, chunk_of, interleave, ratios
from trading_env import Market

BARS, WINDOW, FEATURES = 2500, 30, 5
BLOCK = 256  # steps between two readings of the clock
PEERS = {"gym-anytrading": "gym_anytrading", "Gym-Trading-Env": "gym_trading_env"}

GOALS = [
    Goal("1024 envs against copying their observations", "TradingEnv x 1024", "copy x 1024", 0.35),
    Goal("1024 envs against Gymnasium's native CartPole", "TradingEnv x 1024", "CartPole x 1024", 1.3),
    Goal("1024 envs, compact, against that CartPole", "TradingEnv x 1024, compact", "CartPole x 1024", 2.0),
    Goal("1024 envs, random starts, against copying", "TradingEnv x 1024, random starts", "copy x 1024"),
    Goal("16 envs against copying their observations", "TradingEnv x 16", "copy x 16"),
    Goal("16 envs against Gymnasium's native CartPole", "TradingEnv x 16", "CartPole x 16"),
    Goal("one env against CartPole, neither wrapped", "TradingEnv, raw", "CartPole, raw"),
    Goal("one env against gym-anytrading, neither wrapped", "TradingEnv, raw", "gym-anytrading, raw", 1.5),
    Goal("one env against Gym-Trading-Env, neither wrapped", "TradingEnv, raw", "Gym-Trading-Env, raw", 10.0),
    Goal("16 envs against one raw gym-anytrading", "TradingEnv x 16", "gym-anytrading, raw", 8.0),
]


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Rates of all installed contenders, and the goals' ratios."""
    blocks = {**vector_blocks(), **scalar_blocks()}
    remarks = []
    for name, module in PEERS.items():
        if importlib.util.find_spec(module) is None:
            remarks.append(f"{name} is not installed (pip install {name.lower()}): not compared with it")
        else:
            blocks.update(_alone(name, _begun(peer_env(name))))
    chunks = {name: chunk_of(0.02 if quick else 0.25, block) for name, block in blocks.items()}
    rates = interleave(chunks, rounds(quick), tick)
    setting = {"bars": BARS, "window": WINDOW, "features": FEATURES, "rounds": rounds(quick)}
    return Part(rates, list(ratios(rates, GOALS)), remarks, setting)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 2 if quick else 9


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    installed = sum(importlib.util.find_spec(module) is not None for module in PEERS.values())
    return (rounds(quick) + 1) * (8 + 4 + 2 * installed)


# -- contenders ------------------------------------------------------------------------------------------------


def prices(seed: int = 0) -> dict[str, Any]:
    """Open, high, low, close and volume (T,) of a random walk."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, BARS)))
    opened = close * np.exp(rng.normal(0.0, 0.002, BARS))
    high, low = np.maximum(opened, close) * 1.003, np.minimum(opened, close) * 0.997
    return {"open": opened, "high": high, "low": low, "close": close, "volume": rng.uniform(1e5, 1e6, BARS)}


def keywords() -> dict[str, Any]:
    """Keywords of TradingEnv."""
    features = np.random.default_rng(1).standard_normal((BARS, FEATURES))
    return {"data": Market.from_arrays(**prices()), "features": features, "window": WINDOW}


def vector_blocks() -> dict[str, Chunk]:
    """Blocks of vector envs, and of copying their observations."""
    blocks: dict[str, Chunk] = {}
    for n in (16, 1024):
        envs = gym.make_vec(ENV_ID, n, **keywords())
        blocks[f"TradingEnv x {n}"] = vector_block(envs)
        cart = gym.make_vec("CartPole-v1", n, "vector_entry_point")
        blocks[f"CartPole x {n}"] = vector_block(cart)
        blocks[f"copy x {n}"] = copy_block(envs.reset(seed=0)[0])
    apart = gym.make_vec(ENV_ID, 1024, random_start=True, episode_length=252, **keywords())
    compact = gym.make_vec(ENV_ID, 1024, observation="compact", **keywords())
    blocks["TradingEnv x 1024, compact"] = vector_block(compact)
    return {**blocks, "TradingEnv x 1024, random starts": vector_block(apart)}


def vector_block(envs: Any) -> Chunk:
    """Steps of all sub-envs with random actions."""
    n = envs.num_envs
    actions = list(np.random.default_rng(2).integers(envs.single_action_space.n, size=(BLOCK, n)))
    envs.reset(seed=0)

    def block() -> int:
        for action in actions:
            envs.step(action)
        return BLOCK * n

    return block


def copy_block(obs: Any) -> Chunk:
    """Copies of observations into fresh arrays, the least that a step must do.

    The observations must have been written: fresh zeros occupy no memory yet, so copies would read one page of zeros.
    """

    def block() -> int:
        for _ in range(BLOCK):
            obs.copy()
        return BLOCK * len(obs)

    return block


def scalar_blocks() -> dict[str, Chunk]:
    """Blocks of single envs."""
    return {**_alone("TradingEnv", gym.make(ENV_ID, **keywords())), **_alone("CartPole", gym.make("CartPole-v1"))}


def _alone(name: str, env: Any) -> Mapping[str, Chunk]:
    """A single env with the wrappers of gym.make, and without any.

    Only envs without wrappers are compared: gym.make checks every step of some envs, and not of ours, whose spec says
    that they need no checker.
    """
    return {f"{name}, gym.make": scalar_block(env), f"{name}, raw": scalar_block(env.unwrapped)}


def scalar_block(env: Any) -> Chunk:
    """Steps of one env with random actions, and the resets between its episodes."""
    actions = np.random.default_rng(2).integers(env.action_space.n, size=BLOCK).tolist()
    env.reset(seed=0)

    def block() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return BLOCK

    return block


def _begun(env: Any) -> Any:
    """The env after its first reset and step, with the warnings of Gymnasium's checker suppressed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env.reset(seed=0)
        env.step(0)
    return env


def peer_env(name: str) -> Any:
    """Another project's env on the same prices, under gym.make."""
    import pandas as pd

    frame = pd.DataFrame(prices(), index=pd.date_range("2000-01-03", periods=BARS, freq="B"))
    table = np.random.default_rng(1).standard_normal((BARS, FEATURES))
    if name == "gym-anytrading":
        importlib.import_module(PEERS[name])
        envs = importlib.import_module("gym_anytrading.envs")
        closes = frame["close"].to_numpy()
        same_window = type("StocksEnv", (envs.StocksEnv,), {"_process_data": lambda self: (closes, table)})
        frame.columns = frame.columns.str.capitalize()
        gym.registry.pop("same-window-stocks-v0", None)
        gym.register("same-window-stocks-v0", entry_point=same_window)
        return gym.make("same-window-stocks-v0", df=frame, window_size=WINDOW, frame_bound=(WINDOW, BARS))
    for j in range(FEATURES):
        frame[f"feature_{j}"] = table[:, j]
    with without_our_id(), warnings.catch_warnings():  # the import turns the process's warnings into errors
        importlib.import_module(PEERS[name])
        return gym.make("TradingEnv", df=frame, positions=[0, 1], windows=WINDOW, verbose=0)


@contextmanager
def without_our_id() -> Iterator[None]:
    """Removes TradingEnv-v0 from Gymnasium's registry meanwhile: Gym-Trading-Env's "TradingEnv" clashes with it."""
    ours = gym.registry.pop("TradingEnv-v0")
    try:
        yield
    finally:
        gym.registry["TradingEnv-v0"] = ours
