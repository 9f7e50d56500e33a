"""Outcomes of all actions, computed on copies of the account; exact because the market does not react.

Axis letters: N sub-envs, A actions, D observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from trading_env.envs.rewards import call_reward
from trading_env.envs.task import Task
from trading_env.kernel.lanes import step_rows
from trading_env.kernel.layout import OFFSET, PAST_ROW, ROW, SCRATCH, STATE, before_last_step, new_blocks, set_accounts
from trading_env.kernel.measure import INFO
from trading_env.kernel.observe import observe_rows, trade_rows
from trading_env.kernel.rules import Bools, Float32s, Floats, Ints


class Counterfactual(tuple[Any, Any]):
    """Pair (reward, next_obs) of every action; the attribute ``terminated`` is True for actions that end in ruin."""

    terminated: Any

    def __new__(cls, reward: Any, next_obs: Any, terminated: Any) -> Counterfactual:
        """The pair, with ``terminated`` as an attribute."""
        pair = super().__new__(cls, (reward, next_obs))
        pair.terminated = terminated
        return pair

    def __getnewargs__(self) -> tuple[Any, Any, Any]:
        return (*self, self.terminated)  # to be pickled and copied


def afterstates(task: Task, state: Floats, clock: Ints) -> Any:
    """Observations (N, A, D) right after each action, traded with its costs at the close just seen."""
    orders, state, clock = _each_action(task, state, clock)
    trade_rows(orders, state, clock, task.closes, task.rules)
    obs, mask = np.empty((len(orders), task.width), np.float32), np.empty((len(orders), len(task.orders)), np.bool_)
    rows = np.arange(len(orders))
    observe_rows(rows, state, clock, task.closes, task.table, task.rules, obs, mask)
    return task.shaped(obs.reshape(-1, len(task.orders), task.width))


def counterfactual(
    task: Task, state: Floats, clock: Ints, before: Mapping[str, Any] | None
) -> tuple[Floats, Float32s, Bools]:
    """Reward (N, A), next observation (N, A, D) and terminated (N, A) of every action at the last step.

    Args:
        task: of the env.
        state: accounts (N, 2 len(STATE)).
        clock: rows of each env (N, 4); the result is 0 for an env that has not stepped.
        before: info as it was before the step, arrays (N,) or numbers of one env, for a reward callable.
    """
    n, n_actions = len(state), len(task.orders)
    reward, terminated = np.zeros((n, n_actions)), np.zeros((n, n_actions), np.bool_)
    obs = np.zeros((n, n_actions, task.width), np.float32)
    rows = np.flatnonzero(clock[:, PAST_ROW] >= 0)
    if len(rows):
        orders, state, clock = _each_action(task, *before_last_step(state[rows], clock[rows]))
        # a reset may have gone to another market since
        clock[:, OFFSET] = np.asarray(task.offsets)[np.searchsorted(task.offsets, clock[:, ROW], "right") - 1]
        step = _step(task, orders, state, clock)
        values = step["reward"]
        if task.function is not None and before is not None:
            old = {key: np.repeat(np.atleast_1d(value)[rows], n_actions) for key, value in before.items()}
            values = call_reward(task.function, old, step["info"])
        reward[rows] = values.reshape(-1, n_actions)
        terminated[rows] = step["terminated"].reshape(-1, n_actions)
        obs[rows] = step["obs"].reshape(-1, n_actions, task.width)
    return reward, obs, terminated


def first_env(obs: Any) -> Any:
    """The first observation of a batch, which is an array or a dict of arrays."""
    return {key: value[0] for key, value in obs.items()} if isinstance(obs, dict) else obs[0]


def _each_action(task: Task, state: Floats, clock: Ints) -> tuple[Floats, Floats, Ints]:
    """Orders (N A,) and copies of state and clock, one for each action of each row."""
    n_actions = len(task.orders)
    if n_actions == 0:
        raise ValueError("afterstates and counterfactual need discrete actions, got actions='continuous'")
    return np.tile(task.orders, len(state)), np.repeat(state, n_actions, axis=0), np.repeat(clock, n_actions, axis=0)


def _step(task: Task, orders: Floats, state: Floats, clock: Ints) -> dict[str, Any]:
    """One step of each row under its own order."""
    n = len(orders)
    obs, reward, bar = np.empty((n, task.width), np.float32), np.empty(n), np.empty(n, np.int64)
    terminated, truncated = np.empty(n, np.bool_), np.empty(n, np.bool_)
    info, mask = np.empty((len(INFO), n)), np.empty((n, 0), np.bool_)
    before, rows = new_blocks(n), np.arange(n)
    set_accounts(before, rows, state[:, : len(STATE)])
    accounts = (before, new_blocks(n), np.zeros(1, SCRATCH), clock)
    world = (task.bars, task.table, task.rules)
    outputs = (obs, reward, terminated, truncated, info, bar, mask)
    step_rows(rows, orders, np.zeros(n, np.bool_), *accounts, *world, *outputs)
    after = {**dict(zip(INFO, info, strict=True)), "bar": bar}
    return {"obs": obs, "reward": reward, "terminated": terminated, "info": after}
