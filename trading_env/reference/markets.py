"""Reference markets that are TradingEnv itself, on simulated prices whose best policy is known.

One long path is drawn from ``market_seed``, and episodes begin anywhere on it: train and test on different seeds.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from trading_env._checks import number
from trading_env.data.market import Market
from trading_env.envs.task import Task
from trading_env.envs.trading_env import TradingEnv
from trading_env.envs.trading_vector_env import TradingVectorEnv
from trading_env.reference.market_paths import drift_market, null_market, regime_market
from trading_env.reference.problem import Bools, Policy

_EPISODE = 1000  # steps, by default
_NODES = 32  # of the quadrature over noisy returns
_OF_LONG_OR_FLAT = ("actions", "lots", "allow_short", "sizing", "lot_size", "min_trade", "fill")


# -- policies ---------------------------------------------------------------------------------------------------


class ConstantPolicy(Policy):
    """The same action everywhere."""

    def __init__(self, action: Any) -> None:
        self.action = np.asarray(action)

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[Any, Any]:
        """The action for one observation or for each of a batch, arrays or dicts."""
        part = observation
        if isinstance(observation, dict):
            part = observation["account" if "account" in observation else "weights"]
        return super().predict(part, state, episode_start, deterministic)

    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        return np.repeat(self.action[None], len(start), axis=0), state


class FollowPolicy(Policy):
    """Long (action 1) where the observed state is up, else flat (action 0)."""

    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        return (np.asarray(obs)[:, 0] > 0.0).astype(np.int64), state


# -- markets and their solutions --------------------------------------------------------------------------------


class _Known(ABC):
    """A market, the keywords of TradingEnv that it fixes, and its solution."""

    task: Task

    @abstractmethod
    def _task_keywords(self, **keywords: Any) -> dict[str, Any]:
        """Keywords of TradingEnv, derived from those of the reference env."""

    @abstractmethod
    def _check_task(self) -> None:
        """Raises ValueError if the optimum is unknown for these keywords."""

    @abstractmethod
    def optimum(self) -> float:
        """The best expected reward per step."""

    @abstractmethod
    def optimal_policy(self) -> Policy:
        """The agent that earns it, with Stable-Baselines3's `predict`."""


class _Null(_Known):
    def _task_keywords(
        self, sigma: float = 0.01, n_bars: int | None = None, market_seed: int = 0, **keywords: Any
    ) -> dict[str, Any]:
        _refuse(keywords)
        return _with_defaults(null_market(sigma, n_bars, market_seed), keywords)

    def _check_task(self) -> None:
        if self.task.actions != "continuous" and not len(self._idle()):
            orders = self.task.orders.tolist()
            raise ValueError(f"actions must have one that stays flat, for the optimum 0, got {orders}")

    def _idle(self) -> Any:
        """The discrete actions that keep an account flat."""
        return np.flatnonzero(np.isnan(self.task.orders) | (self.task.orders == 0.0))

    def optimum(self) -> float:
        """0: equity is a martingale less costs, so its log falls on average unless nothing is traded."""
        return 0.0

    def optimal_policy(self) -> Policy:
        """Never trades."""
        if self.task.actions == "continuous":
            return ConstantPolicy(np.zeros(1, np.float32))
        return ConstantPolicy(int(self._idle()[0]))


class _Drift(_Known):
    drift: float

    def _task_keywords(
        self,
        drift: float = 5e-4,
        sigma: float = 0.01,
        n_bars: int | None = None,
        market_seed: int = 0,
        **keywords: Any,
    ) -> dict[str, Any]:
        self.drift = drift
        _refuse(keywords, *_OF_LONG_OR_FLAT)
        return _with_defaults(drift_market(drift, sigma, n_bars, market_seed), {**keywords, "actions": (0.0, 1.0)})

    def _check_task(self) -> None:
        _check_proportional(self.task)

    def optimum(self) -> float:
        """max(0, drift - entry / episode_length): always long, or never."""
        assert self.task.episode_length is not None
        return max(0.0, self.drift - math.log1p(self.task.costs.buy_rate) / self.task.episode_length)

    def optimal_policy(self) -> Policy:
        """Long from the first bar, or never if an episode does not earn its entry cost."""
        return ConstantPolicy(int(self.optimum() > 0.0))


class _Regime(_Known):
    stay: float
    size: float
    sigma: float

    def _task_keywords(
        self,
        stay: float = 0.98,
        step: float = 0.001,
        sigma: float = 0.0,
        n_bars: int | None = None,
        market_seed: int = 0,
        **keywords: Any,
    ) -> dict[str, Any]:
        self.stay, self.size, self.sigma = stay, number("step", step, above=0.0), sigma
        _refuse(keywords, *_OF_LONG_OR_FLAT, "features", "scaler", "window", "observation")
        market = regime_market(stay, step, sigma, n_bars, market_seed)
        fixed = {"features": ["state"], "window": 1, "actions": (0.0, 1.0), "fill": "close"}
        return _with_defaults(market, {**keywords, **fixed})

    def _check_task(self) -> None:
        _check_proportional(self.task)

    def optimum(self) -> float:
        """max(0, E log(1 + r | up) / 2 - (1 - stay) / 2 [log(1 + kb) - log(1 - ks)])."""
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        gain = float(np.log1p(self.size + self.sigma * nodes) @ weights / weights.sum())
        costs = self.task.costs
        round_trip = math.log1p(costs.buy_rate) - math.log1p(-costs.sell_rate)
        return max(0.0, 0.5 * gain - 0.5 * (1.0 - self.stay) * round_trip)

    def optimal_policy(self) -> Policy:
        """Follows the state if that pays, else stays flat."""
        return FollowPolicy() if self.optimum() > 0.0 else ConstantPolicy(0)


def _refuse(keywords: dict[str, Any], *fixed: str) -> None:
    """Raises TypeError for keywords that must not be changed, since the optimum depends on them."""
    wrong = sorted(set(keywords) & {"data", "margin", "reward", "random_start", *fixed})
    if wrong:
        verb, whose = ("is", "it") if len(wrong) == 1 else ("are", "them")
        raise TypeError(f"{', '.join(wrong)} {verb} fixed here: the optimum rests on {whose}")


def _with_defaults(market: Market, keywords: dict[str, Any]) -> dict[str, Any]:
    """TradingEnv's keywords: episodes of at most 1000 steps from random bars of the market."""
    if keywords.get("episode_length", 1) is None:
        raise TypeError("episode_length must be an int, got None: episodes begin anywhere on the path")
    length = max(1, min(_EPISODE, len(market) // 4))
    return {"data": market, "window": 5, "random_start": True, "episode_length": length, **keywords}


def _check_proportional(task: Task) -> None:
    if not task.costs.proportional:
        raise ValueError(f"costs must be proportional to the trade for a known optimum, got {task.costs}")


# -- the envs ---------------------------------------------------------------------------------------------------


class _Scalar(_Known, TradingEnv):
    def __init__(self, *, render_mode: str | None = None, **keywords: Any) -> None:
        TradingEnv.__init__(self, render_mode=render_mode, **self._task_keywords(**keywords))
        self._check_task()


class _Vector(_Known, TradingVectorEnv):
    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        keywords = self._task_keywords(**keywords)
        TradingVectorEnv.__init__(self, num_envs, autoreset_mode=autoreset_mode, render_mode=render_mode, **keywords)
        self._check_task()


class NullEnv(_Null, _Scalar):
    """TradingEnv on a market in which nobody can win: independent returns of mean 0, and costs.

    ## Description
    Prices are a geometric Brownian motion without drift (`null_market`). Everything else is TradingEnv; see there
    for all keywords except data, margin, reward and random_start.

    ## Action Space
    As in TradingEnv, Discrete(3) by default: 0 sell all, 1 hold, 2 buy. One action must stay flat.

    ## Observation Space
    As in TradingEnv: by default Box float32, the features of the last five bars, then the account.

    ## Rewards
    log(E' / E).

    ## Starting State
    All cash, at a random bar.

    ## Episode End
    Truncated after episode_length steps; terminated by ruin, as in TradingEnv.

    ## Info
    As in TradingEnv.

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | sigma | 0.01 | deviation of a log return |
    | n_bars, market_seed | None, 0 | of the path; None: 20,000, or fewer to keep the price in range |
    | window, episode_length | 5, 1000 | as in TradingEnv, and so are further keywords |

    ## Vectorized environment
    `gym.make_vec("reference/Null-v0", num_envs=N)` makes a NullVectorEnv, equal bit for bit.

    ## Optimum
    0 a step, by never trading: without interest no position has a positive expected log return. On one path a lucky
    agent may score above it: compare its confidence interval with 0.

    ## Source
    A martingale less costs; the argument is in `optimum`.

    ## Version History
    * v0: initial version
    """


class NullVectorEnv(_Null, _Vector):
    """N NullEnvs at once, with TradingVectorEnv's arguments num_envs and autoreset_mode."""


class DriftEnv(_Drift, _Scalar):
    """TradingEnv on a market that rises: independent log returns of mean ``drift``, long or flat.

    ## Description
    Prices are a geometric Brownian motion (`drift_market`) whose bars open at the previous close, so that an order
    at the next open fills at the close just seen. Everything else is TradingEnv.

    ## Action Space
    Discrete(2): 0 flat, 1 long.

    ## Observation Space
    As in TradingEnv: by default Box float32, the features of the last five bars, then the account.

    ## Rewards
    log(E' / E).

    ## Starting State
    All cash, at a random bar.

    ## Episode End
    Truncated after episode_length steps; terminated by ruin, as in TradingEnv.

    ## Info
    As in TradingEnv.

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | drift, sigma | 5e-4, 0.01 | mean and deviation of a log return |
    | n_bars, market_seed | None, 0 | of the path; None: 20,000, or fewer to keep the price in range |
    | episode_length | 1000 | steps; at most a quarter of the bars unless given |
    | costs, window, features, scaler, observation | as TradingEnv, window 5 | proportional costs only |

    ## Vectorized environment
    `gym.make_vec("reference/Drift-v0", num_envs=N)` makes a DriftVectorEnv, equal bit for bit.

    ## Optimum
    Always long, which earns the drift a step, less log(1 + kb) once; or never trading, if an episode is too short to
    earn the cost of entry. This is the mean over market seeds. The mean on the path of one seed differs from it,
    however many episodes there are: by default by about 15% (standard deviation over market seeds).

    ## Source
    Derived here: the log wealth of a long position is the log price less the entry cost.

    ## Version History
    * v0: initial version
    """


class DriftVectorEnv(_Drift, _Vector):
    """N DriftEnvs at once, with TradingVectorEnv's arguments num_envs and autoreset_mode."""


class RegimeObservedEnv(_Regime, _Scalar):
    """TradingEnv, long or flat, on a market whose next mean return, +step or -step, follows from an observed state.

    ## Description
    `simulators.regime_switching`: c' = c (1 + step s + sigma eps), and s stays with probability ``stay``. Orders fill
    at the close just seen (fill="close"). Everything else is TradingEnv.

    ## Action Space
    Discrete(2): 0 flat, 1 long.

    ## Observation Space
    Box float32 (5,): state -1 or 1, then the account as in TradingEnv.

    ## Rewards
    log(E' / E).

    ## Starting State
    All cash, at a random bar.

    ## Episode End
    Truncated after episode_length steps; terminated by ruin, as in TradingEnv.

    ## Info
    As in TradingEnv.

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | stay, step, sigma | 0.98, 0.001, 0 | of the market |
    | n_bars, market_seed | None, 0 | of the path; None: 20,000, or fewer to keep the price in range |
    | costs, episode_length, initial_cash | Costs(), 1000, 1e5 | as in TradingEnv; proportional costs only |

    ## Vectorized environment
    `gym.make_vec("reference/RegimeObserved-v0", num_envs=N)` makes a RegimeObservedVectorEnv, equal bit for bit.

    ## Optimum
    Following the state earns log(1 + step) / 2 - (1 - stay) / 2 [log(1 + kb) - log(1 - ks)] a step, exactly, with kb
    and ks the cost of a buy and of a sale; if that is negative, staying flat is best. With noise the first log is
    replaced by its expectation. This is the mean over market seeds; the mean on the path of one seed differs from it,
    by default by about 5% (standard deviation over market seeds). `RegimeEnv` is the same market with additive rewards
    and short positions.

    ## Source
    Hamilton (1989), "A new approach to the economic analysis of nonstationary time series"; the optimum is derived
    here.

    ## Version History
    * v0: initial version
    """


class RegimeObservedVectorEnv(_Regime, _Vector):
    """N RegimeObservedEnvs at once, with TradingVectorEnv's arguments num_envs and autoreset_mode."""
