"""Episodes run again through the kernel, since an env stores only the orders of its past steps.

Letters: S steps of the episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from trading_env.data.zones import pandas_index
from trading_env.envs.rewards import call_reward
from trading_env.envs.task import Task
from trading_env.kernel.compiled import Bound
from trading_env.kernel.layout import TARGET
from trading_env.kernel.measure import KEYS
from trading_env.kernel.rules import Floats
from trading_env.kernel.scalar import STEP, step_one

_COLUMNS = ("order", "close", "target", *STEP)
_BAR = 1 + STEP.index("bar")


class Replay:
    """The steps of one episode, each run once, when it is first needed.

    Args:
        task: of the env.
        opened: the episode's market, by its index, and its first decision bar.
    """

    def __init__(self, task: Task, opened: tuple[int, int]) -> None:
        self._close = task.markets[opened[0]].close
        state, clock = task.begin(*opened)
        obs, mask = np.empty(task.width, np.float32), np.ones(len(task.orders), np.bool_)
        self._others = (state, np.array([clock]), task.bars, task.table, task.rules, obs, mask)
        self._kernel = Bound.of(step_one, 0.0, *self._others)
        self._rows = np.empty((0, len(_COLUMNS)), order="F")  # pictures read it by columns
        self.n_steps = 0  # run so far

    def steps(self, orders: Sequence[float] | Floats) -> Any:
        """A DataFrame of S rows, one for each of the ``orders``, some of which may have been run before."""
        import pandas as pd

        n, new = len(orders), orders[self.n_steps :]
        if n > len(self._rows):
            longer = np.empty((max(256, 2 * n), len(_COLUMNS)), order="F")
            longer[: self.n_steps] = self._rows[: self.n_steps]
            self._rows = longer
        if len(new):
            state = self._others[0]
            steps = np.array([(state[TARGET], *self._kernel.call(order, *self._others)) for order in new], np.float64)
            rows = self._rows[self.n_steps : n]
            rows[:, 0], rows[:, 1], rows[:, 2:] = new, self._close[steps[:, _BAR].astype(np.int64)], steps
            self.n_steps = n
        return pd.DataFrame(self._rows[:n], columns=_COLUMNS, copy=False)


def history(task: Task, opened: tuple[int, int], orders: Sequence[float] | Floats) -> Any:
    """`TradingEnv.history`, with two more columns.

    "target" is the target exposure remembered before the step, "exit" the price at which the broker closed the position
    in it, or 0.
    """
    frame = Replay(task, opened).steps(orders).astype({"bar": np.int64}).set_index("bar")
    if task.function is not None and len(frame):
        frame["reward"] = _called_rewards(task, opened[1], frame)
    frame.insert(0, "action", task.actions_of(frame["order"].to_numpy()))
    frame.insert(0, "close", frame.pop("close"))
    time = task.markets[opened[0]].time
    if time is not None:
        frame.insert(0, "time", pandas_index(time[frame.index]))
    return frame.drop(columns=["terminated", "truncated"])


def _called_rewards(task: Task, start: int, frame: Any) -> Floats:
    """Rewards of all steps (S,), computed by the user's callable."""
    assert task.function is not None
    first = dict.fromkeys(KEYS, 0.0) | {"bar": start}
    first["equity"] = first["cash"] = task.initial_cash
    rows = frame.reset_index()
    after = {key: rows[key].to_numpy() for key in KEYS}
    before = {key: np.concatenate([[first[key]], values[:-1]]) for key, values in after.items()}
    return call_reward(task.function, before, after)
