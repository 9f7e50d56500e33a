"""`decide`: a policy's decision at the last bar of fresh data with a given account, as it would be in the env."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trading_env._checks import brief, flag, number
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.data.zones import pandas_index
from trading_env.envs.acting.learnt import Config, check_learnt, config_for
from trading_env.envs.acting.policies import actions_for_strategies, as_policy, is_strategy, looking_at, takes_masks
from trading_env.envs.acting.strategy_policy import StrategyPolicy, actions_for
from trading_env.envs.config import EnvConfig
from trading_env.envs.keywords import shows_keywords
from trading_env.envs.standing import Account, OpenTask, env_at, observation_of, order_of, state_of, trade_at_close
from trading_env.envs.task import Task
from trading_env.envs.trading_env import TradingEnv
from trading_env.kernel.layout import EQUITY
from trading_env.live.fresh import check_fresh


@dataclass(frozen=True)
class Decision:
    """What to do after a bar.

    Attributes:
        time: of the bar, a pandas Timestamp; None if the data has no times.
        action: of the env's action space: an int, or an array (1,) if continuous.
        target: the target exposure that the order asks for, with lots the exposure that it would reach; None: hold.
        order_units: units to trade if the order fills at this close, negative = sell. At another fill price, the number
            of units that reaches the target is different.
        close: of the bar.
        reason: the order in words, or why there is none.
    """

    time: Any
    action: Any
    target: float | None
    order_units: float
    close: float
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """The decision as JSON values: the time in ISO 8601, a continuous action as a float."""
        action = float(self.action[0]) if isinstance(self.action, np.ndarray) else self.action
        time = None if self.time is None else self.time.isoformat()
        return {**vars(self), "time": time, "action": action}

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict())


@shows_keywords
def decide(
    policy: Any,
    frame: Any,
    units: float = 0.0,
    cash: float | None = None,
    *,
    target: float | None = None,
    entry: float | None = None,
    peak: float | None = None,
    as_of: Any = None,
    max_missed: int = 0,
    config: Config = None,
    check_env: bool = True,
    **keywords: Any,
) -> Decision:
    """The greedy decision of a policy after the last bar of the data, exactly as in the env with the same account.

    Args:
        policy: as for `backtest`, but with only one run. A recurrent policy, whose `predict` returns a state, first
            runs through the data in a separate episode that begins at the first decision bar.
        frame: bars up to now, as `load` takes them: at least as many as features and window need.
        units: held now; negative = short.
        cash: in the account; the config's initial_cash unless given.
        target: exposure chosen last and reached; by default that of the actions nearest to the exposure now.
        entry: average entry price of the position, spread included; by default the last close.
        peak: highest equity so far; by default equity now.
        as_of: the present time. Data that are stale, or whose last bar is unfinished at that time, are refused; see
            `trading_env.live.fresh.check_fresh`. None: nothing is checked.
        max_missed: number of bars that may be missing at ``as_of``, for holidays.
        config: keywords of TradingEnv, as for `backtest`; by default those that the policy learnt with, if it keeps
            them.
        check_env: True to refuse a policy that learnt from other observations or actions.
        **keywords: of TradingEnv, in place of the config's.

    Raises:
        TypeError: an argument of a wrong type.
        ValueError: bars that are stale, unfinished or too few, features that cannot be made, an account without
            equity, or a policy of several runs or of other data.
    """
    settings = config_for(decide, policy, config, keywords, learnt=flag("check_env", check_env))
    market = load(frame, on_missing=settings.on_missing)
    if config is None and "actions" not in keywords:
        settings = replace(settings, **actions_for_strategies(policy, market))
    check_fresh(market, as_of, max_missed)
    account = Account(
        number("units", units),
        settings.initial_cash if cash is None else number("cash", cash),
        None if target is None else number("target", target),
        None if entry is None else number("entry", entry, above=0.0),
        None if peak is None else number("peak", peak, above=0.0),
    )
    return decision_of(policy, market, settings, account, check_env)


def decision_of(policy: Any, market: Market, config: EnvConfig, account: Account, check_env: bool = True) -> Decision:
    """As `decide`, with arguments that are checked and complete."""
    task = OpenTask(market, replace(config, random_start=False, episode_length=None))
    if check_env:
        check_learnt(policy, task)
    equity = account.cash + account.units * float(task.closes[-1])
    if equity <= 0.0:
        raise ValueError(
            f"equity must be above 0 to decide, got {equity:g}: cash {account.cash}, units {account.units}"
        )
    state = state_of(task, account)
    env = env_at(task, state)
    action = _action(policy, task, env)
    order = order_of(env, action)
    traded, remembered = trade_at_close(task, state, order)
    lots, held = task.actions == "lots", math.isnan(order)
    asked = None if held or (lots and order == 0.0) else remembered if lots else order
    time = None if market.time is None else pandas_index(market.time[-1:])[0]
    reason = _reason(task, order, traded, float(state[EQUITY]), remembered)
    return Decision(time, action, asked, traded, float(task.closes[-1]), reason)


# -- the action ------------------------------------------------------------------------------------------------


def _action(policy: Any, task: Task, env: TradingEnv) -> Any:
    """The policy's action in the env: an int, or an array (1,) if continuous."""
    if isinstance(policy, StrategyPolicy):
        raise ValueError("policy follows the exposures of one market: give the strategy, a function of the market")
    if is_strategy(policy):
        exposures = np.asarray(policy(task.markets[0]), np.float64)
        if exposures.shape != task.closes.shape or not np.isfinite(exposures[-1]):
            raise ValueError(f"policy must return {len(task.closes)} finite exposures, got {brief(exposures)}")
        return _plain(actions_for(exposures[-1:], task)[0])
    acting, runs = as_policy(policy, env)
    if runs != 1:
        raise ValueError(f"policy must be one run, got {runs}: give one of them, such as agent[0]")
    with looking_at(acting, env):
        action, state = _predict(acting, env, None, True)
        if state is not None and task.firsts[0] < len(task.closes) - 1:
            action, _ = _predict(acting, env, _state_before(acting, task), False)
    return _plain(action)


def _predict(policy: Any, env: TradingEnv, state: Any, start: bool) -> tuple[Any, Any]:
    """The action for what the env shows now, and the state after it."""
    obs, mask = observation_of(env)
    return _predict_for(policy, env, obs, mask, state, start)


def _predict_for(policy: Any, env: TradingEnv, obs: Any, mask: Any, state: Any, start: bool) -> tuple[Any, Any]:
    acting = policy.acting_in(env) if hasattr(policy, "acting_in") else policy
    seen = {key: values[None] for key, values in obs.items()} if isinstance(obs, dict) else obs[None]
    masks = {"action_masks": mask[None]} if len(mask) and takes_masks(acting) else {}
    action, state = acting.predict(seen, state=state, episode_start=np.array([start]), deterministic=True, **masks)
    return np.asarray(action)[0], state


def _state_before(policy: Any, task: Task) -> Any:
    """The policy's state before the last bar, at the end of a separate episode over the earlier bars."""
    env = TradingEnv.of_task(task, {})
    obs, info = env.reset()
    state, start, ended = None, True, False
    while not ended:
        mask = info.get("action_mask", np.ones(0, np.bool_))
        action, state = _predict_for(policy, env, obs, mask, state, start)
        obs, _, terminated, truncated, info = env.step(_plain(action))
        start, ended = False, terminated or truncated
    return state


def _plain(action: Any) -> Any:
    """A discrete action as an int, a continuous one as an array (1,)."""
    values = np.asarray(action)
    return int(values) if values.dtype.kind in "iu" else values.astype(np.float32, copy=False).reshape(1)


# -- the reason ------------------------------------------------------------------------------------------------


def _reason(task: Task, order: float, traded: float, equity: float, remembered: float) -> str:
    """Why the order trades that many units at the last close."""
    if math.isnan(order) or (task.actions == "lots" and order == 0.0):
        return "hold: the action trades nothing"
    asked = f"{order:+g} lots" if task.actions == "lots" else f"target exposure {order:g}"
    if traded != 0.0:
        return f"{asked}: {'buy' if traded > 0.0 else 'sell'} {abs(traded):g} units"
    if task.actions == "lots":
        return f"{asked}: refused, beyond the margin or below min_trade"
    if order == remembered and not task.config.rebalances:
        return f"{asked}: chosen already, and sizing='drift' trades when the choice changes"
    return f"{asked}: the trade is below min_trade, below a lot, nothing, or costs more than the account has"
