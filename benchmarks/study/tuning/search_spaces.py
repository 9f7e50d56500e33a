"""The hyperparameters that tuning varies, of each algorithm, the same for ours and Stable-Baselines3's.

Ranges are wide, as in RL Baselines3 Zoo: rates in the logarithm, sizes in powers of two. Names are those of the
hyperparameters, which both sides share; only the widths of the network have another place in Stable-Baselines3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.contenders.named import Contender


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, drawn evenly, or evenly in their logarithm."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Range | tuple[Any, ...]]
"""Name of a hyperparameter -> its range, or the values to choose from."""

_ALL: Space = {"learning_rate": Range(1e-5, 1e-2, log=True), "gamma": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999)}
_NETWORK: Space = {"net_arch": ((64,), (64, 64), (128, 128), (256, 256))}
_LSTM: Space = {"lstm_size": (16, 32, 64, 128)}
_EXPLORING: Space = {"exploration_fraction": Range(0.05, 0.5), "exploration_final_eps": Range(0.01, 0.2)}
_REPLAYING: Space = {
    **_ALL,
    **_EXPLORING,
    "batch_size": (16, 32, 64, 128),
    "learning_starts": (100, 250, 500, 1_000),
    "train_freq": (1, 2, 4, 8),
    "target_update_interval": (100, 250, 500, 1_000, 2_500),
}
_CONTINUOUS: Space = {
    **_ALL,
    "batch_size": (64, 128, 256, 512),
    "learning_starts": (100, 250, 500, 1_000),
    "train_freq": (1, 2, 4, 8),
    "tau": (0.001, 0.005, 0.01, 0.02, 0.05),
}
_POLICY_GRADIENT: Space = {
    **_ALL,
    "ent_coef": Range(1e-8, 0.1, log=True),
    "vf_coef": Range(0.2, 1.0),
    "max_grad_norm": (0.3, 0.5, 1.0, 2.0, 5.0),
}
_ADVANTAGE: Space = {**_POLICY_GRADIENT, "gae_lambda": (0.8, 0.9, 0.95, 0.98, 1.0)}
_A2C: Space = {**_ADVANTAGE, "n_steps": (8, 16, 32, 64, 128), "normalize_advantage": (False, True)}
_PPO: Space = {
    **_ADVANTAGE,
    "n_steps": (64, 128, 256, 512, 1_024),
    "batch_size": (16, 32, 64, 128, 256),
    "n_epochs": (1, 5, 10, 20),
    "clip_range": (0.1, 0.2, 0.3, 0.4),
}
SPACES: Mapping[str, Space] = {
    "A2C": {**_A2C, **_NETWORK, "use_rms_prop": (False, True)},
    "CounterfactualDQN": {**_REPLAYING, **_NETWORK},
    "CourseDQN": {
        **_ALL,
        **_NETWORK,
        "batch_size": (16, 32, 64, 128),
        "exploration_decay": (0.99, 0.995, 0.998, 0.999, 0.9995),
        "exploration_final_eps": Range(0.01, 0.2),
    },
    "DQN": {**_REPLAYING, **_NETWORK},
    "MaskablePPO": {**_PPO, **_NETWORK},
    "PPO": {**_PPO, **_NETWORK},
    "PQN": {
        **_ALL,
        **_EXPLORING,
        **_NETWORK,
        "n_steps": (8, 16, 32, 64),
        "batch_size": (32, 64, 128, 256),
        "n_epochs": (1, 2, 4),
        "q_lambda": (0.0, 0.3, 0.5, 0.65, 0.8, 0.95),
    },
    "QLearning": {**_ALL, **_EXPLORING, "learning_rate": Range(1e-3, 1.0, log=True)},
    "QRDQN": {**_REPLAYING, **_NETWORK},
    "REINFORCE": {**_POLICY_GRADIENT, **_NETWORK, "n_episodes": (2, 4, 8, 16)},
    "Rainbow": {**_REPLAYING, **_NETWORK, "n_steps": (1, 3, 5), "prioritized_replay_alpha": Range(0.3, 0.8)},
    "RecurrentA2C": {**_A2C, **_LSTM},
    "RecurrentDQN": {**_REPLAYING, **_LSTM, "batch_size": (8, 16, 32), "sequence_length": (8, 16, 32)},
    "RecurrentPPO": {**_PPO, **_NETWORK},
    "SAC": {**_CONTINUOUS, **_NETWORK},
    "TD3": {**_CONTINUOUS, **_NETWORK},
    "TDLambda": {**_ALL, **_EXPLORING, "trace_decay": (0.0, 0.3, 0.5, 0.7, 0.9)},
}


def space_of(contender: Contender) -> Space:
    """What is varied of the contender.

    Raises:
        ValueError: it does not learn, or its algorithm has no space.
    """
    algorithm = contender.agent or contender.sb3
    if algorithm is None:
        raise ValueError(f"contender must be an agent, ours or of Stable-Baselines3, got {contender.name!r}")
    if algorithm not in SPACES:
        raise ValueError(f"contender must be one of {sorted(SPACES)}, got {contender.name!r}: {algorithm} has no space")
    return SPACES[algorithm]


def untuned(contender: Contender) -> dict[str, Any]:
    """The hyperparameters that tuning leaves as they are."""
    kept = {name: value for name, value in contender.hyperparameters.items() if name not in space_of(contender)}
    if contender.sb3 is not None and "policy_kwargs" in kept:
        kept["policy_kwargs"] = {name: value for name, value in kept["policy_kwargs"].items() if name != "net_arch"}
    return kept


def tuned(contender: Contender, drawn: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a trial: those drawn, to four digits, and those that tuning leaves as they are.

    A batch is no larger than a rollout.
    """
    values = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in drawn.items()}
    if "n_epochs" in values:
        values["batch_size"] = min(values["batch_size"], values["n_steps"] * contender.n_envs)
    rest = untuned(contender)
    if "net_arch" in values:
        values["net_arch"] = list(values["net_arch"])
        if contender.sb3 is not None:
            rest["policy_kwargs"] = {**rest.get("policy_kwargs", {}), "net_arch": values.pop("net_arch")}
    return {**rest, **values}
