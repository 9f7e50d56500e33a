"""One episode over the whole test period, run by a policy of one or more seeds in one vector env.

Axis letters: K runs (one per seed), T bars, D observation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from benchmarks.evaluation.episodes import Policy, greedy_steps
from trading_env import Market
from trading_env.analysis import metrics

ENV_ID = "trading_env:TradingEnv-v0"
Floats = npt.NDArray[np.float64]


class PerSeed:
    """K single-run policies acting as one policy: policy k acts on row k of the observations."""

    def __init__(self, policies: Sequence[Any]) -> None:
        self.policies = list(policies)

    def __len__(self) -> int:
        return len(self.policies)

    def __getitem__(self, k: int) -> Any:
        return self.policies[k]

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """Actions (K,) of the policies, each for its own observation, and their states."""
        states = [None] * len(self) if state is None else state
        actions, after = [], []
        for k, policy in enumerate(self.policies):
            start = None if episode_start is None else episode_start[k : k + 1]
            action, next_state = policy.predict(_row(observation, k), states[k], start, deterministic)
            actions.append(action[0])
            after.append(next_state)
        return np.stack(actions), after


def _row(observation: Any, k: int) -> Any:
    """The observation of run k as a batch of one."""
    if isinstance(observation, dict):
        return {key: values[k : k + 1] for key, values in observation.items()}
    return observation[k : k + 1]


@dataclass(frozen=True)
class Tracks:
    """The accounts of K runs over the same T bars.

    Attributes:
        time: timestamps of the T+1 closes, from the first decision on; None where the market has none.
        bars_per_year: of the market.
        equity: after each close (K, T+1).
        exposure, turnover, commission, slippage, financing: of each bar (K, T), as the env's info has them; 0
            after a ruin.
    """

    time: npt.NDArray[np.datetime64] | None
    bars_per_year: float
    equity: Floats
    exposure: Floats
    turnover: Floats
    commission: Floats
    slippage: Floats
    financing: Floats

    @property
    def returns(self) -> Floats:
        """Simple returns (K, T); 0 after a ruin."""
        before, after = self.equity[:, :-1], self.equity[:, 1:]
        return np.divide(after, before, out=np.ones_like(before), where=before > 0.0) - 1.0

    def measures(self) -> dict[str, Floats]:
        """The metrics of each run: name -> (K,)."""
        runs = [self._measure(k) for k in range(len(self.equity))]
        return {name: np.array([run[name] for run in runs]) for name in runs[0]}

    def _measure(self, k: int) -> dict[str, float]:
        years = self.bars_per_year
        equity, returns, turnover = self.equity[k], self.returns[k], self.turnover[k]
        until = _end(equity)
        return {
            "total_return": metrics.total_return(equity[[0, -1]]),
            "annual_return": metrics.annual_return(equity[:until], years),
            "annual_volatility": metrics.annual_volatility(returns, years),
            "sharpe": metrics.sharpe_ratio(returns, years),
            "sharpe_se": metrics.sharpe_standard_error(returns, years),
            "sharpe_se_gmm": metrics.sharpe_standard_error(returns, years, method="gmm"),
            "sortino": metrics.sortino_ratio(returns, years),
            "calmar": metrics.calmar_ratio(equity[:until], years),
            "max_drawdown": metrics.max_drawdown(equity[:until]),
            "max_drawdown_length": float(metrics.max_drawdown_length(equity[:until])),
            "turnover": metrics.annual_turnover(turnover, years),
            "exposure": metrics.mean_exposure(self.exposure[k]),
            "hit_rate": metrics.hit_rate(returns),
            "cost_paid": metrics.cost_paid(self.commission[k], self.slippage[k]),
            "break_even_cost": metrics.break_even_cost(
                equity[:until], turnover[: until - 1], (self.commission + self.slippage)[k, : until - 1]
            ),
        }


def _end(equity: Floats) -> int:
    """Length of the curve up to and including the first equity of 0 or less."""
    gone = np.flatnonzero(equity <= 0.0)
    return int(gone[0]) + 1 if gone.size else len(equity)


def evaluate(policy: Policy, market: Market, runs: int = 1, **keywords: Any) -> Tracks:
    """Accounts of the greedy policy from the market's first decision bar to its end, in ``runs`` envs at once.

    Args:
        policy: acts on observations (K, D), or has `acting_in(envs)`, which returns a policy that may query the envs.
        market: the test period; rows before its first bar serve as history only.
        runs: K.
        keywords: of TradingEnv, as in training, but without random_start and episode_length.

    Raises:
        ValueError: keywords ask for random or shortened episodes.
    """
    envs: Any = gym.make_vec(ENV_ID, runs, data=market, **keywords)
    task = envs.unwrapped.task
    if task.drawn or task.episode_length is not None:
        raise ValueError("an evaluation is one whole episode: no random_start, no episode_length, one dataset")
    first, last = task.firsts[0], len(market) - 1
    record = _record(policy, envs, last - first)
    envs.close()
    time = None if market.local_time is None else market.local_time[first : last + 1]
    return Tracks(time=time, bars_per_year=_bars_per_year(market, keywords), **record)


def _record(policy: Policy, envs: Any, steps: int) -> dict[str, Floats]:
    """The record of the episode: equity (K, T+1), the rest (K, T)."""
    keys = ("exposure", "turnover", "commission", "slippage", "financing")
    record = {key: np.zeros((envs.num_envs, steps)) for key in keys}
    obs, info = envs.reset()
    equity = np.repeat(info["equity"][:, None], steps + 1, axis=1)
    for t, step in enumerate(greedy_steps(policy, envs, obs)):
        equity[:, t + 1] = np.where(step.running, step.info["equity"], equity[:, t])
        for key, values in record.items():
            values[:, t] = np.where(step.running, step.info[key], 0.0)
    equity[:, t + 1 :] = equity[:, t + 1, None]  # all ruined before the end
    return {"equity": equity, **record}


def _bars_per_year(market: Market, keywords: dict[str, Any]) -> float:
    rate = keywords.get("bars_per_year") or market.bars_per_year
    if rate is None:
        raise ValueError(f"bars_per_year must be given: {market.name!r} has no timestamps to infer it from")
    return float(rate)
