"""PortfolioPolicy: target weights as the actions of a portfolio env. T = rows, K = instruments, N = envs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import brief
from trading_env.data.bars import Floats
from trading_env.data.panel import Panel
from trading_env.envs.acting.strategy_policy import State, steps_of

Strategy = Callable[..., Any]  # Panel -> target weights (T, K); with a parameter "start", the first decision row too


class PortfolioPolicy:
    """A policy that follows given weights, with the `predict` of Stable-Baselines3.

    Args:
        weights: target weights at each row of the env's panel (T, K), NaN to keep an instrument's units; or a strategy,
            a function of the panel that returns them. One with a parameter ``start`` gets the row of the env's first
            decision.
        env: a PortfolioEnv or PortfolioVectorEnv, wrapped or not, with one panel, without random_start and
            shuffle_symbols: the policy ignores observations and counts rows from the first decision on. NaN needs
            allow_hold=True.

    Raises:
        TypeError: env is not a PortfolioEnv.
        ValueError: the episodes of env differ, weights have another shape, or the env has no action for them.
    """

    def __init__(self, weights: npt.ArrayLike | Strategy, env: Any) -> None:
        task = getattr(getattr(env, "unwrapped", None), "task", None)
        if task is None or not isinstance(task.markets[0], Panel):
            raise TypeError(f"env must be a PortfolioEnv, got {brief(env)}")
        if task.drawn or task.config.shuffle_symbols:
            raise ValueError(
                "env must have one panel, no random_start and no shuffle_symbols, so that every episode is the same"
            )
        self.first = task.firsts[0]
        panel = task.markets[0]
        given = weights_of(weights, panel, self.first) if callable(weights) else weights
        self.weights = _checked(given, panel)
        self.actions = _actions(self.weights[self.first :], task)

    def predict(
        self,
        observation: Any,
        state: State | None = None,
        episode_start: npt.NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[Any, State]:
        """Actions for one observation or a batch of N, and the state to pass to the next call.

        Args:
            observation: (D,) or (N, D), or a dict with "weights" (K,) or (N, K); only its shape is used.
            state: the state returned by the last call, or None at the first decision of an episode.
            episode_start: True for envs at the beginning of an episode (N,).
            deterministic: ignored.

        Raises:
            ValueError: an argument has a wrong shape, or the state is beyond the panel's last row.
        """
        shape = np.shape(observation["weights"] if isinstance(observation, dict) else observation)
        if len(shape) not in (1, 2):
            raise ValueError(f"observation must be (D,) or (N, D), got shape {shape}")
        step = steps_of(1 if len(shape) == 1 else shape[0], state, episode_start, len(self.actions))
        action = self.actions[step]
        return action[0] if len(shape) == 1 else action, (step + 1,)


def weights_of(strategy: Strategy, panel: Panel, start: int) -> Any:
    """The weights of a strategy on a panel, with the row of the first decision for one that asks for it."""
    asks = "start" in inspect.signature(strategy).parameters
    return strategy(panel, start=start) if asks else strategy(panel)


def _checked(weights: Any, panel: Panel) -> Floats:
    """Weights (T, K) as float64."""
    values: Floats = np.array(weights, np.float64)
    if values.shape != panel.tradable.shape:
        raise ValueError(
            f"weights must have shape {panel.tradable.shape}, a row for each of {panel.name!r}, got {values.shape}"
        )
    if np.isinf(values).any():
        row = int(np.isinf(values).any(axis=1).argmax())
        raise ValueError(f"weights must be finite, or NaN to hold, got {values[row].tolist()} at {panel.time_of(row)}")
    return values


def _actions(weights: Floats, task: Any) -> npt.NDArray[Any]:
    """The actions (T, K) with these target weights, or (T,) where they are discrete.

    Raises:
        ValueError: the task has no action for one of them.
    """
    gross, most = np.nansum(np.abs(weights), axis=1), task.margin.max_leverage
    if (gross > most * (1.0 + 1e-9)).any():
        raise ValueError(f"weights reach a gross exposure of {gross.max():g}, max_leverage is {most:g}")
    if np.nanmin(weights, initial=0.0) < 0.0 and not task.config.allow_short:
        raise ValueError(f"weights go down to {np.nanmin(weights):g}: they need an env with allow_short=True")
    if np.isnan(weights).any() and not task.config.allow_hold:
        raise ValueError("weights are NaN, which keeps units: they need an env with allow_hold=True")
    if task.config.actions == "one_of":
        return _choices(weights, most)
    return np.asarray(weights / most)


def _choices(weights: Floats, most: float) -> npt.NDArray[np.int64]:
    """The discrete actions (T,) with these weights: all in one instrument, or cash."""
    chosen, n = weights.argmax(axis=1), weights.shape[1]
    chosen[weights.max(axis=1) == 0.0] = n
    distance = np.abs(weights - most * np.eye(n + 1, n)[chosen]).max(axis=1)
    missed = ~(distance <= 1e-9)  # NaN is no choice either
    if missed.any():
        wrong = weights[int(missed.argmax())].tolist()
        raise ValueError(f"env has no action for the weights {brief(wrong)}: actions='one_of' is all in one, or cash")
    return np.asarray(chosen, np.int64)
