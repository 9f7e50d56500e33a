"""The hindsight bound: the best result possible with all prices known, and the actions that reach it.

A policy with a higher result shows a bug or a leak. T = bars, W = targets, A = actions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from trading_env._checks import brief, integer, number
from trading_env.data.bars import finite_column
from trading_env.data.panel import Panel
from trading_env.envs.keywords import config_of, shows_keywords
from trading_env.envs.portfolio.task import PortfolioTask
from trading_env.envs.task import Task
from trading_env.kernel.hindsight import BRANCH_CASH, BRANCH_GROWTH, BRANCH_TARGET, BRANCH_UNITS, grow_branches
from trading_env.kernel.layout import CLOSES
from trading_env.kernel.rules import Floats, Ints


@dataclass(frozen=True, eq=False)
class Hindsight:
    """The best log growth of equity, and the actions that reach it.

    Attributes:
        log_growth: log(E_end / E_start); log(ruin_fraction) if every path ends in ruin.
        actions: the env's actions (n,), one per step of the episode, or fewer if ruin is unavoidable.
        targets: the target exposure of each action (n,), NaN = hold.
        start: bar of the first decision.
    """

    log_growth: float
    actions: Ints
    targets: Floats
    start: int

    @property
    def growth(self) -> float:
        """E_end / E_start."""
        try:
            return math.exp(self.log_growth)
        except OverflowError:
            return math.inf


@shows_keywords
def hindsight(env: Any, *, start: int | None = None, index: int = 0, **keywords: Any) -> Hindsight:
    """The best log growth of any sequence of actions in an episode of the env, with all prices known.

    Found by dynamic programming on the env's own account: replaying ``actions`` in the env gives ``log_growth`` up
    to rounding. sizing="rebalance" takes O(T A^2) steps. With sizing="drift" or a hold action the account depends on
    the bar of the last trade, which takes O(T A) steps for the targets 0 and 1 and O(T^2 A^2) for others (about a
    second for 5,000 bars and three targets). The bound does not depend on the reward.

        best = hindsight("us-stocks/AAPL", actions=(-1.0, 0.0, 1.0), costs={"commission": 1e-3})
        best = hindsight(gym.make("trading_env:TradingEnv-v0"))

    Args:
        env: a TradingEnv or TradingVectorEnv, wrapped or not; or the ``data`` of a TradingEnv.
        start: bar of the first decision; by default the earliest possible.
        index: index of the dataset, if there are several.
        **keywords: those of TradingEnv, with its defaults; only if ``env`` is data.

    Raises:
        TypeError: keywords are given with an env, or an argument has a wrong type.
        ValueError: the actions are not target exposures, a cost is not proportional to the trade, lot_size or
            min_trade is set, or an argument is out of range.
    """
    task = _task_of(env, keywords)
    _check_scale_free(task)
    index = integer("index", index, 0, len(task.markets) - 1)
    n = len(task.markets[index])
    first = task.firsts[index] if start is None else integer("start", start, task.firsts[index], n - 2)
    steps = [limit for limit in (task.episode_length, _time_limit(env)) if limit is not None]
    last = min(first + min(steps, default=n), n - 1)
    rows = slice(task.offsets[index] + first, task.offsets[index] + last + 1)
    log_growth, actions = _best_path(task, np.ascontiguousarray(task.bars[:, rows]), task.years[index])
    return Hindsight(log_growth, actions, task.orders[actions], first)


def _time_limit(env: Any) -> int | None:
    """The longest episode allowed by TimeLimit, the wrapper for gym.make's max_episode_steps; None without it."""
    limits = []
    while isinstance(env, gym.Wrapper):
        if isinstance(env, gym.wrappers.TimeLimit):
            limits.append(env._max_episode_steps)
        env = env.env
    return min(limits, default=None)


def _task_of(env: Any, keywords: dict[str, Any]) -> Task:
    """The task of an env, or one made from data and keywords."""
    task = getattr(getattr(env, "unwrapped", None), "task", None)
    if isinstance(task, PortfolioTask) or isinstance(env, Panel):
        raise ValueError(
            f"hindsight bounds one instrument, got a portfolio: {brief(env)}; give the market of one instrument"
        )
    if not isinstance(task, Task):
        return Task(env, config_of(hindsight, keywords))
    if keywords:
        raise TypeError(f"hindsight takes keywords only beside data, got an env and {sorted(keywords)}")
    return task


def _check_scale_free(task: Task) -> None:
    """Raises ValueError unless the account scales with its size, as the bound requires."""
    if task.actions not in ("targets", "buy_hold_sell"):
        raise ValueError(
            f"hindsight needs a tuple of target exposures or 'buy_hold_sell', got actions={task.actions!r}"
        )
    if not task.costs.proportional:
        raise ValueError(f"hindsight needs costs proportional to the trade, got {task.costs}")
    for name in ("lot_size", "min_trade"):
        if getattr(task, name) != 0.0:
            raise ValueError(f"hindsight needs fractional units and no band, got {name}={getattr(task, name)}")


def _best_path(task: Task, bars: Floats, years: float) -> tuple[float, Ints]:
    """Log growth and actions (n,) of the best path through the bars (K, n + 1)."""
    n_steps, n_orders = bars.shape[1] - 1, len(task.orders)
    size = n_steps * (n_orders + 1) + 2
    branches, origins, alive = np.empty((size, 4)), np.empty((size, 3), np.int64), np.empty(size, np.int64)
    scratch = np.empty((n_orders + 1, 4)), np.empty((n_orders + 1, 2), np.int64)
    n = grow_branches(task.orders, task.rules, bars, years, branches, origins, alive, *scratch)
    if n == 0:  # every path ends in ruin, where the log reward has its floor
        log_growth, end, n_steps = math.log(task.margin.ruin_fraction), size - 1, int(origins[-1, 0]) + 1
    else:
        rows = alive[:n]
        equity = branches[rows, BRANCH_CASH] + branches[rows, BRANCH_UNITS] * bars[CLOSES, -1]
        growths = branches[rows, BRANCH_GROWTH] + np.log(equity)
        log_growth, end = float(growths.max()), int(rows[growths.argmax()])
    return log_growth, _actions_to(end, n_steps, origins, branches[:, BRANCH_TARGET], task.orders)


def _actions_to(end: int, n_steps: int, origins: Ints, targets: Floats, orders: Floats) -> Ints:
    """The actions (n_steps,) that lead to the branch ``end``: its trades, and between them actions that hold."""
    actions = np.empty(n_steps, np.int64)
    stop = n_steps
    while end > 0:
        step, parent, action = origins[end]
        actions[step] = action
        if step + 1 < stop:
            actions[step + 1 : stop] = _keeping(targets[end], orders)
        stop, end = step, parent
    return actions


def _keeping(target: float, orders: Floats) -> int:
    """The action that does not trade: hold if there is one, else the current target again."""
    holds = np.isnan(orders)
    return int(np.argmax(holds if holds.any() else orders == target))


def rebalanced_bound(
    returns: Any, targets: Sequence[float] = (0.0, 1.0), *, cost: float = 0.0, initial: float = 0.0
) -> Hindsight:
    """The best log growth with constant exposure within each bar, at a cost per unit of exposure changed.

    V_0(w) = log(1 - c |w - w_init|) + log(1 + w r_1); V_t(w) = max_w' [V_{t-1}(w') + log(1 - c |w - w'|)]
    + log(1 + w r_{t+1}). This account is idealised: it rebalances at no cost within a bar, while TradingEnv's
    exposure drifts until the next trade.

    Args:
        returns: simple returns of the bars (T,).
        targets: the possible exposures (W,).
        cost: c, a fraction of the equity per unit of exposure changed.
        initial: exposure before the first bar.

    Returns:
        The bound; its ``actions`` are indices into targets.

    Raises:
        TypeError: an argument is not a number.
        ValueError: there are no returns or targets, a number is not finite, or cost is not in [0, 1).
    """
    r = finite_column("returns", returns)
    w = np.array([number(f"targets[{i}]", target) for i, target in enumerate(targets)])
    if not len(w):
        raise ValueError("targets must have at least one exposure, got none")
    if number("cost", cost, least=0.0) >= 1.0:
        raise ValueError(f"cost must be below 1, got {cost!r}")
    with np.errstate(divide="ignore", invalid="ignore"):  # log(0) = -inf is ruin
        moves = _log(1.0 - cost * np.abs(w[:, None] - w))  # [W from, W to]
        gains = _log(1.0 + np.multiply.outer(r, w))  # [T, W]
        value = _log(1.0 - cost * np.abs(w - number("initial", initial))) + gains[0]
        origins = np.zeros((len(r), len(w)), np.int64)
        for t in range(1, len(r)):
            reached = value[:, None] + moves
            origins[t] = reached.argmax(axis=0)
            value = reached.max(axis=0) + gains[t]
    actions = np.empty(len(r), np.int64)
    actions[-1] = value.argmax()
    for t in range(len(r) - 1, 0, -1):
        actions[t - 1] = origins[t, actions[t]]
    return Hindsight(float(value.max()), actions, w[actions], 0)


def _log(values: Floats) -> Floats:
    """log(values), -inf where nothing is left."""
    result: Floats = np.where(values > 0.0, np.log(values), -np.inf)
    return result
