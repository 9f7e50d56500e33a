"""What is left of a policy's growth at other costs, and with its actions a bar late. S seeds, C costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.instruments import Instruments, idle_action, tested
from trading_env.envs.acting.policies import as_policy, first_parameter
from trading_env.envs.acting.portfolio_policy import weights_of

Floats = npt.NDArray[np.float64]
COSTS = (0.0, 5e-4, 1e-3, 2e-3, 5e-3)  # of the notional traded


class Delayed:
    """A policy whose actions are carried out a bar late; at the first bar it holds, or takes the least exposure.

    Args:
        policy: as `trading_env.backtest` takes it.
        runs: number of its runs.
    """

    def __init__(self, policy: Any, runs: int) -> None:
        self.policy, self.runs = policy, runs
        self._inner: Any = None
        self._first: Any = None

    def __len__(self) -> int:
        return self.runs

    def acting_in(self, envs: Any) -> Delayed:
        """The policy in these envs."""
        inner, _ = as_policy(self.policy, envs)
        acting = Delayed(self.policy, self.runs)
        acting._inner = inner.acting_in(envs) if hasattr(inner, "acting_in") else inner
        acting._first = idle_action(envs)
        return acting

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The actions of the bar before, and the state with those of this one."""
        inner, last = (None, self._first) if state is None else state
        action, after = self._inner.predict(
            observation, state=inner, episode_start=episode_start, deterministic=deterministic
        )
        return last, (after, np.asarray(action).reshape(self._first.shape))


def delayed(policy: Any, runs: int) -> Any:
    """The policy a bar late: `Delayed`, or a panel's strategies with the weights of the row before."""
    parts = policy if isinstance(policy, (list, tuple)) else [policy]
    if any(first_parameter(part) != "panel" for part in parts):
        return Delayed(policy, runs)
    return [_delayed_weights(part) for part in parts]


def _delayed_weights(strategy: Any) -> Any:
    def late(panel: Any, start: int) -> Floats:
        weights = np.array(weights_of(strategy, panel, start), np.float64)
        return np.concatenate([np.zeros_like(weights[:1]), weights[:-1]])

    return late


def growth_of(policy: Any, traded: Instruments, **keywords: Any) -> Floats:
    """Mean log growth per bar of each run on the market or panel [S]; -inf where it is ruined."""
    equity = tested(policy, traded, keywords).tracks.equity
    with np.errstate(divide="ignore"):
        total = np.log(np.maximum(equity[:, -1], 0.0) / equity[:, 0])
    return np.asarray(total / (equity.shape[1] - 1))


def stressed(policy: Any, runs: int, traded: Instruments, keywords: Mapping[str, Any]) -> dict[str, Floats]:
    """Mean log growth per bar of the policy, not trained again: at each of `COSTS` [C, S], and a bar late [S]."""
    curve = [
        growth_of(policy, traded, **{**keywords, "costs": {"commission": cost, "slippage": 0.0}}) for cost in COSTS
    ]
    late = growth_of(delayed(policy, runs), traded, **keywords)
    return {"costs": np.array(COSTS), "growth_at_costs": np.stack(curve), "growth_a_bar_late": late}


def break_even(costs: npt.ArrayLike, growth: npt.ArrayLike) -> float:
    """The cost at which growth [C] falls to 0, by linear interpolation; NaN if it is never above 0, inf if always."""
    at, values = np.asarray(costs, np.float64), np.asarray(growth, np.float64)
    if not values[0] > 0.0:
        return float("nan")
    below = np.flatnonzero(~(values > 0.0))
    if not below.size:
        return float("inf")
    i = int(below[0])
    share = values[i - 1] / (values[i - 1] - values[i])
    return float(at[i - 1] + share * (at[i] - at[i - 1]))
