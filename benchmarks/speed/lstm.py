"""Training speed of agents and forecasters with an LSTM, against sb3-contrib's RecurrentPPO and torch's own LSTM.

sb3-contrib has no recurrent A2C; with one epoch over one minibatch of the whole rollout, RecurrentPPO does A2C's work:
the same env, LSTM, rollouts and number of updates. The forecaster's epoch includes everything, from scaling to Adam's
steps; torch's is the forward and backward pass of `torch.nn.LSTM` and a linear layer over the same batches, without
optimiser steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.speed.agents import training_env
from benchmarks.speed.timing import Chunk, Goal, Part, interleave, ratios

SIZES = {"lstm_size": 64, "n_envs": 16, "n_steps": 16}
SHARED: dict[str, Any] = {"learning_rate": 7e-4, "gamma": 0.99, "gae_lambda": 0.95, "ent_coef": 0.0, "vf_coef": 0.5}
ROLLOUT = SIZES["n_envs"] * SIZES["n_steps"]
SEEDS = {1: 16, 16: 6}  # rollouts per seed in a chunk
WINDOWS = {"windows": 4096, "window": 20, "features": 8, "lstm_size": 32, "batch_size": 64}
THREADS = (1, 2)  # of torch, tried for sb3-contrib

GOALS = [
    Goal("A2C with an LSTM, 1 seed, against RecurrentPPO", "recurrent A2C x 1", "sb3-contrib RecurrentPPO"),
    Goal("A2C with an LSTM, 16 seeds, against RecurrentPPO", "recurrent A2C x 16", "sb3-contrib RecurrentPPO", 4.0),
    Goal("LSTM forecaster, 1 seed, against torch.nn.LSTM", "forecaster x 1", "torch.nn.LSTM", 0.77),
    Goal("LSTM forecaster, 16 seeds, against torch.nn.LSTM", "forecaster x 16", "torch.nn.LSTM"),
]


def measure(quick: bool, tick: Callable[[], Any]) -> Part:
    """Steps per second of the agents and windows per second of the forecasters, of all seeds; the goals' ratios."""
    model = sb3_model()
    tried = interleave({str(n): sb3_chunk(model, 1 if quick else 4, n) for n in threads(quick)}, 1, tick)
    best = max(threads(quick), key=lambda n: tried[str(n)][0])
    chunks = {f"recurrent A2C x {S}": agent_chunk(S, 1 if quick else rollouts) for S, rollouts in SEEDS.items()}
    chunks["sb3-contrib RecurrentPPO"] = sb3_chunk(model, 1 if quick else 8, best)
    windows = WINDOWS["windows"] // (16 if quick else 1)
    chunks |= {f"forecaster x {S}": forecaster_chunk(S, windows) for S in SEEDS}
    chunks["torch.nn.LSTM"] = torch_chunk(windows)
    rates = interleave(chunks, rounds(quick), tick)
    speeds = ", ".join(f"{n}: {tried[str(n)][0]:,.0f} steps/s" for n in threads(quick))
    remarks = [
        f"RecurrentPPO runs one epoch of one minibatch, with the faster of its torch thread settings ({speeds})",
        "rates of forecasters and torch.nn.LSTM are in windows; the goal of 0.77 allows an epoch 1.3 times the time",
    ]
    setting = {**SIZES, **SHARED, **WINDOWS, "sb3_threads": best, "rounds": rounds(quick)}
    return Part(rates, list(ratios(rates, GOALS)), remarks, setting)


def rounds(quick: bool) -> int:
    """Number of rounds."""
    return 1 if quick else 7


def threads(quick: bool) -> tuple[int, ...]:
    """Numbers of torch threads tried for sb3-contrib."""
    return THREADS[:1] if quick else THREADS


def ticks(quick: bool) -> int:
    """Number of times that `measure` calls ``tick``."""
    return 2 * len(threads(quick)) + (rounds(quick) + 1) * (2 * len(SEEDS) + 2)


def agent_chunk(seeds: int, rollouts: int) -> Chunk:
    """A training that continues from chunk to chunk; counts the steps of all seeds."""
    from agents.recurrent_a2c import RecurrentA2C

    agent = RecurrentA2C(training_env(), seeds=seeds, device="cpu", **SIZES, **SHARED).learn(ROLLOUT)

    def chunk() -> int:
        agent.learn(rollouts * ROLLOUT, reset_num_timesteps=False)
        return rollouts * ROLLOUT * seeds

    return chunk


def sb3_model() -> Any:
    """sb3-contrib's RecurrentPPO with the same network, a single epoch and a single minibatch."""
    from sb3_contrib import RecurrentPPO
    from stable_baselines3.common.env_util import make_vec_env

    policy = {"lstm_hidden_size": SIZES["lstm_size"], "net_arch": {"pi": [], "vf": []}}  # policy's and critic's
    once = {"n_steps": SIZES["n_steps"], "n_epochs": 1, "batch_size": ROLLOUT, "normalize_advantage": False}
    envs = make_vec_env(training_env, SIZES["n_envs"], seed=0)
    options: dict[str, Any] = {"seed": 0, "device": "cpu", "policy_kwargs": policy}
    return RecurrentPPO("MlpLstmPolicy", envs, **options, **once, **SHARED).learn(ROLLOUT)


def sb3_chunk(model: Any, rollouts: int, n: int) -> Chunk:
    """A training that continues from chunk to chunk, with n torch threads."""
    from agents.common.devices import torch_threads

    def chunk() -> int:
        with torch_threads(n):
            model.learn(rollouts * ROLLOUT, reset_num_timesteps=False)
        return rollouts * ROLLOUT

    return chunk


def forecaster_chunk(seeds: int, windows: int) -> Chunk:
    """Fits of one epoch; counts the windows of all seeds."""
    import numpy as np

    from agents.common.devices import torch_threads
    from agents.forecasters import LSTMForecaster

    rng = np.random.default_rng(0)
    X = rng.normal(size=(windows, WINDOWS["window"], WINDOWS["features"])).astype(np.float32)
    y = rng.normal(size=windows)
    sizes = {name: WINDOWS[name] for name in ("lstm_size", "batch_size")}

    def chunk() -> int:
        with torch_threads(1):
            LSTMForecaster(seeds, epochs=1, **sizes).fit(X, y)
        return windows * seeds

    return chunk


def torch_chunk(windows: int) -> Chunk:
    """Forward and backward passes of `torch.nn.LSTM` and a linear layer over the same batches; counts windows."""
    import torch

    from agents.common.devices import torch_threads

    lstm, head = torch.nn.LSTM(WINDOWS["features"], WINDOWS["lstm_size"]), torch.nn.Linear(WINDOWS["lstm_size"], 1)
    X, y = torch.randn(WINDOWS["window"], windows, WINDOWS["features"]), torch.randn(windows)

    def chunk() -> int:
        with torch_threads(1):
            for rows in torch.randperm(windows).split(WINDOWS["batch_size"]):
                lstm.zero_grad()
                head.zero_grad()
                forecast = head(lstm(X[:, rows])[0][-1])[:, 0]
                torch.nn.functional.mse_loss(forecast, y[rows]).backward()
        return windows

    return chunk
