"""Kelly's problem for several instruments: PortfolioEnv on returns drawn independently from a table.

Letters: M outcomes of the table, K instruments.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from trading_env._checks import brief, flag, integer, number
from trading_env.config import Costs, Margin
from trading_env.data.bars import Floats
from trading_env.data.market import Market
from trading_env.data.panel import Panel
from trading_env.data.paths import BARS_PER_YEAR, business_days
from trading_env.envs.portfolio.env import PortfolioEnv
from trading_env.envs.portfolio.task import PortfolioTask
from trading_env.envs.portfolio.vector_env import PortfolioVectorEnv
from trading_env.reference.kelly_solution import Kelly, best_weights
from trading_env.reference.market_paths import longest_path
from trading_env.reference.markets import ConstantPolicy
from trading_env.reference.problem import Policy

RETURNS = (  # a race of three instruments, of which one wins; all are worth holding, in unequal parts
    (0.6, -0.3, -0.3),
    (-0.3, 1.0, -0.3),
    (-0.3, -0.3, 1.5),
)
PROBABILITIES = (0.5, 0.3, 0.2)
_LARGEST_LOG = 10.0  # of a simple return's log, so that paths have bars enough


Rows = tuple[tuple[float, ...], ...]


@lru_cache(maxsize=4)
def kelly_panels(
    returns: Rows, probabilities: tuple[float, ...], n_bars: int, n_paths: int, market_seed: int
) -> list[Panel]:
    """Panels of closes from 100 on, whose joint returns (M, K) are drawn independently; cached."""
    rng = np.random.default_rng(market_seed)
    logs, days = np.log1p(np.array(returns)), business_days(n_bars)
    panels = []
    for i in range(n_paths):
        drawn = logs[rng.choice(len(probabilities), size=n_bars - 1, p=probabilities)]  # [T - 1, K]
        closes = 100.0 * np.exp(np.cumsum(np.vstack([np.zeros(logs.shape[1]), drawn]), axis=0))
        assets = [Market.from_arrays(close, time=days, bars_per_year=BARS_PER_YEAR) for close in closes.T]
        panels.append(Panel.from_markets(assets, [f"asset_{k}" for k in range(len(assets))], name=f"kelly {i}"))
    return panels


class _Kelly:
    """The table, the keywords of PortfolioEnv that it fixes, and the solution."""

    task: PortfolioTask
    table: Floats
    chances: Floats

    def _task_keywords(
        self,
        returns: Any = RETURNS,
        probabilities: Any = None,
        max_leverage: float = 1.0,
        allow_short: bool = False,
        n_bars: int | None = None,
        n_paths: int = 100,
        market_seed: int = 0,
        **keywords: Any,
    ) -> dict[str, Any]:
        """Keywords of PortfolioEnv, derived from those of the reference env."""
        _refuse(keywords)
        self.table = _checked_table(returns)
        self.chances = _checked_probabilities(probabilities, returns, len(self.table))
        logs = np.log1p(self.table)
        moments = zip(self.chances @ logs, self.chances @ logs**2, strict=True)  # of each instrument
        longest = min(longest_path(float(mean), float(square)) for mean, square in moments)
        length = longest if n_bars is None else integer("n_bars", n_bars, 3)
        drawn = integer("n_paths", n_paths, 1), integer("market_seed", market_seed, 0)
        margin = Margin(max_leverage=number("max_leverage", max_leverage, above=0.0))
        return {
            "data": kelly_panels(tuple(map(tuple, self.table.tolist())), tuple(self.chances.tolist()), length, *drawn),
            "margin": margin,
            "allow_short": flag("allow_short", allow_short),
            "costs": Costs(commission=0.0, slippage=0.0),
            "fill": "close",
            "features": ["log_return_1"],
            "window": 1,
            "random_start": True,
            "episode_length": max(1, min(200, length // 4)),
            **keywords,
        }

    @cached_property
    def solution(self) -> Kelly:
        """The best constant weights and their growth."""
        config = self.task.config
        return best_weights(self.table, self.chances, self.task.margin.max_leverage, config.allow_short)

    @property
    def env_config(self) -> dict[str, Any]:
        """Plain JSON: the "meaning" of observations and actions, of which the table is no part."""
        config = self.task.config
        actions = {"instruments": self.table.shape[1], "allow_short": config.allow_short}
        obs = {"observation": config.observation, "window": config.window, "features": list(self.task.feature_names)}
        return {"meaning": {"problem": "Kelly", **actions, **obs}}

    def optimum(self) -> float:
        """The largest expected log growth of a bar."""
        return self.solution.growth

    def optimal_policy(self) -> Policy:
        """The best constant weights."""
        return ConstantPolicy((self.solution.weights / self.task.margin.max_leverage).astype(np.float32))


_FIXED = (
    *("data", "costs", "fill", "reward", "random_start", "margin", "actions", "min_trade", "lot_size"),
    *("delisting_returns", "shuffle_symbols"),
)


def _refuse(keywords: dict[str, Any]) -> None:
    """Raises TypeError for keywords on which the optimum rests."""
    wrong = sorted(set(keywords) & set(_FIXED))
    if wrong:
        raise TypeError(f"{', '.join(wrong)}: fixed here, since the optimum rests on it")
    if keywords.get("episode_length", 1) is None:
        raise TypeError("episode_length must be an int, got None: episodes begin anywhere on a path")


def _checked_table(returns: Any) -> Floats:
    """Joint returns (M, K) as an array."""
    try:
        table = np.array(returns, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"returns must be a table of numbers (outcomes x instruments), got {brief(returns)}") from error
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"returns must be a table (outcomes x instruments), got shape {table.shape}")
    with np.errstate(divide="ignore", invalid="ignore"):
        good = np.abs(np.log1p(table)) <= _LARGEST_LOG
    if not good.all():
        raise ValueError(f"returns must be above -1 and within a factor e^10 of it, got {table[~good][0]}")
    return table


def _checked_probabilities(probabilities: Any, returns: Any, outcomes: int) -> Floats:
    """Probabilities of the outcomes (M,): as given, or those of the default table, or equal ones."""
    if probabilities is None:
        return np.array(PROBABILITIES) if returns is RETURNS else np.full(outcomes, 1.0 / outcomes)
    try:
        chances = np.array(probabilities, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"probabilities must be numbers, got {brief(probabilities)}") from error
    if chances.shape != (outcomes,):
        raise ValueError(f"probabilities must be {outcomes}, one for each row of returns, got shape {chances.shape}")
    if not (chances >= 0.0).all() or not math.isclose(chances.sum(), 1.0, rel_tol=1e-9):
        raise ValueError(f"probabilities must be 0 or more, with the sum 1, got {brief(probabilities)}")
    return np.asarray(chances / chances.sum())


class KellyEnv(_Kelly, PortfolioEnv):
    """PortfolioEnv on instruments whose joint returns are drawn independently from a finite table.

    ## Description
    Each bar draws an outcome of the table, and with it the return of every instrument. There are no costs, and orders
    fill at the close just seen. Everything else is PortfolioEnv; see there for all keywords except data, costs, fill,
    margin, reward, actions and random_start.

    ## Action Space
    Box(0, 1, (K,)), or Box(-1, 1, (K,)) with allow_short: weights, as in PortfolioEnv.

    ## Observation Space
    As in PortfolioEnv: by default Box float32, the last log return of each instrument, then the account.

    ## Rewards
    log(E' / E).

    ## Starting State
    All cash, at a random bar of a random path.

    ## Episode End
    Truncated after episode_length steps; terminated by ruin, as in PortfolioEnv.

    ## Info
    As in PortfolioEnv.

    ## Arguments
    | keyword | default | meaning |
    |---|---|---|
    | returns | a race of 3 instruments | simple returns by outcome (M, K), above -1 |
    | probabilities | of the default table | of the outcomes (M,); of another table, equal ones unless given |
    | max_leverage, allow_short | 1, False | largest sum of the weights' sizes; negative weights |
    | n_paths, market_seed | 100, 0 | paths, one of which an episode runs on |
    | n_bars | None | of a path; None: as many as keep the prices in range, at most 20,000 |
    | window, features, scaler, observation, episode_length | 1, returns, None, "flat", 200 | as in PortfolioEnv |

    ## Vectorized environment
    `gym.make_vec("reference/Kelly-v0", num_envs=N)` makes a KellyVectorEnv, equal bit for bit.

    ## Optimum
    The constant weights w that maximise sum_m prob_m log(1 + r_m w), for any table: a concave problem, solved by
    Newton's method, with a bound of the error (`best_weights`). Ruin ends an episode early; the weights stay the best
    for every bar. This is the mean over paths; on given ones a lucky agent may score above it.

    ## Source
    Kelly (1956), "A new interpretation of information rate"; Breiman (1961), "Optimal gambling systems for favorable
    games".

    ## Version History
    * v0: initial version
    """

    def __init__(self, *, render_mode: str | None = None, **keywords: Any) -> None:
        keywords = self._task_keywords(**keywords)
        PortfolioEnv.__init__(self, render_mode=render_mode, **keywords)


class KellyVectorEnv(_Kelly, PortfolioVectorEnv):
    """N KellyEnvs at once, with PortfolioVectorEnv's arguments num_envs and autoreset_mode."""

    def __init__(
        self,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **keywords: Any,
    ) -> None:
        keywords = self._task_keywords(**keywords)
        PortfolioVectorEnv.__init__(self, num_envs, autoreset_mode=autoreset_mode, render_mode=render_mode, **keywords)
