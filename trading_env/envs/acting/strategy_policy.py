"""StrategyPolicy: target exposures as the actions of an env. T = bars, N = envs, A = actions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import flag
from trading_env.data.bars import Floats, as_column

State = tuple[npt.NDArray[np.int64]]


class StrategyPolicy:
    """A policy that follows given exposures, with the `predict` of Stable-Baselines3.

    Args:
        exposures: target exposure at each bar of the env's market (T,).
        env: a TradingEnv or TradingVectorEnv, wrapped or not, with one dataset and without random_start: the policy
            ignores observations and counts bars from the first decision on.
        nearest: True to round exposures to the nearest one that the env's actions offer.

    Raises:
        TypeError: env is not a TradingEnv.
        ValueError: the episodes of env differ, exposures has another shape or is not finite, or the env has no
            action for an exposure.
    """

    def __init__(self, exposures: npt.ArrayLike, env: Any, nearest: bool = False) -> None:
        task = getattr(getattr(env, "unwrapped", None), "task", None)
        if task is None:
            raise TypeError(f"env must be a TradingEnv, got {env!r}")
        flag("nearest", nearest)
        if task.drawn:
            raise ValueError("env must have one dataset and random_start=False, so that every episode is the same")
        targets = as_column("exposures", exposures)
        bars = len(task.markets[0])
        if targets.shape != (bars,):
            raise ValueError(f"exposures must be {bars} finite numbers, got shape {targets.shape}")
        if not np.isfinite(targets).all():
            bar = int(np.isfinite(targets).argmin())
            raise ValueError(f"exposures must be {bars} finite numbers, got {targets[bar]} at bar {bar}")
        self.exposures = targets
        self.first = task.firsts[0]
        self.actions = actions_for(targets[self.first :], task, nearest)

    def predict(
        self,
        observation: Any,
        state: State | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[Any, State]:
        """Actions for one observation or a batch of N, and the state to pass to the next call.

        Args:
            observation: (D,) or (N, D), or a dict with "account" (4,) or (N, 4); only its shape is used.
            state: the state returned by the last call, or None at the first decision of an episode.
            episode_start: True for envs at the beginning of an episode (N,).
            deterministic: ignored.

        Raises:
            ValueError: an argument has a wrong shape, or the state is beyond the market's last bar.
        """
        if isinstance(observation, dict) and "account" not in observation:
            raise ValueError(f"observation must have 'account', got {list(observation)}")
        shape = np.shape(observation["account"] if isinstance(observation, dict) else observation)
        if len(shape) not in (1, 2):
            raise ValueError(f"observation must be (D,) or (N, D), got shape {shape}")
        step = steps_of(1 if len(shape) == 1 else shape[0], state, episode_start, len(self.actions))
        action = self.actions[step]
        return action[0] if len(shape) == 1 else action, (step + 1,)


def steps_of(n: int, state: State | None, episode_start: Any, length: int) -> npt.NDArray[np.int64]:
    """The number of the decision in each of n envs, below ``length``, by the state that `predict` was given (n,)."""
    step = np.zeros(n, np.int64)
    if state is not None:
        given = state[0] if isinstance(state, tuple | list) and len(state) == 1 else None
        if not isinstance(given, np.ndarray) or given.dtype.kind not in "iu" or given.shape != (n,):
            raise ValueError(f"state must be what the last call gave for {n} observations, got {state!r}")
        step = given
    if episode_start is not None:
        if np.shape(episode_start) not in ((), (n,)):
            raise ValueError(f"episode_start must be {n} flags, got shape {np.shape(episode_start)}")
        step = np.where(episode_start, 0, step)
    if n and not (step.min() >= 0 and step.max() < length):
        raise ValueError(f"state must lie in the episode of {length - 1} steps, got step {step.max()}: begin it anew")
    return step


def actions_for(targets: Floats, task: Any, nearest: bool = False) -> npt.NDArray[Any]:
    """The actions (T,), or (T, 1) if continuous, with these target exposures (T,).

    Raises:
        ValueError: the task has no action for one of them; with ``nearest``, only beyond what it allows.
    """
    if task.actions == "continuous":
        scaled = targets / task.margin.max_leverage
        if np.abs(scaled).max() > 1.0:
            raise ValueError(f"exposures reach {np.abs(targets).max():g}, max_leverage is {task.margin.max_leverage:g}")
        if scaled.min() < task.least:
            raise ValueError(f"exposures go down to {targets.min():g}, and allow_short=False refuses short positions")
        return np.asarray(scaled[:, None], np.float32)
    if task.actions == "lots":
        raise ValueError("actions='lots' choose trades, not exposures: no exposure can be met")
    distances = np.abs(targets[:, None] - task.orders)  # [T, A], NaN for hold
    chosen = np.nanargmin(distances, axis=1)
    missed = np.flatnonzero(distances[np.arange(len(targets)), chosen] > 1e-9)
    if missed.size and not nearest:
        raise ValueError(
            f"env has no action for the exposure {targets[missed[0]]:g}; it has {task.orders.tolist()}: "
            "actions='continuous' offers all"
        )
    return np.asarray(chosen, np.int64)
