"""Episodes of portfolios run again through the kernel, since an env stores only the actions of its past steps.

Letters: S steps of the episode, K instruments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from trading_env.data.zones import pandas_index
from trading_env.envs.portfolio.accounts import HELD, KEYS, Outputs, Portfolios
from trading_env.envs.portfolio.task import Drawn, PortfolioTask
from trading_env.envs.rewards import call_reward
from trading_env.kernel.portfolio import TOTALS
from trading_env.kernel.rules import Floats


class Steps(NamedTuple):
    """Everything that happened in an episode, from the reset on: arrays (S + 1,), and (S + 1, K) of instruments.

    Attributes:
        info: by the keys of info; row 0 is that of the reset.
        reward: of each step (S + 1,), 0 in row 0.
        actions: (S, K), in the form of Box.
    """

    info: dict[str, Any]
    reward: Floats
    actions: Floats


class PortfolioReplay:
    """The steps of one episode, each run once, when it is first needed.

    Args:
        task: of the env.
        opened: the episode.
    """

    def __init__(self, task: PortfolioTask, opened: Drawn) -> None:
        self.task, self.opened, self.n_steps = task, opened, 0
        self._account, self._waiting = Portfolios(task, 1), np.zeros(1, np.bool_)
        first = np.zeros(1, np.int64)
        self._account.begin(first, [opened], stepped=False)
        out = self._account.outputs()
        self._account.show(first, out.obs, out.totals, out.bar, out.held)
        none = np.zeros((1, task.n))
        self._rows = {name: values[:0] for name, values in _numbers(out, none).items()}
        self._write(0, [none], [out._replace(reward=np.zeros(1))])

    def steps(self, actions: Sequence[Floats]) -> Steps:
        """The first steps, with these actions (S, 1, K), the first of which may have been run before."""
        done, new = self.n_steps, actions[self.n_steps :]
        if len(new):
            self._write(1 + done, new, [self._account.step(action, self._waiting)[0] for action in new])
            self.n_steps = len(actions)
            self._call_reward(done)
        info = {name: values[: 1 + len(actions)] for name, values in self._rows.items()}
        return Steps(info, info.pop("reward"), info.pop("action")[1:])

    def _write(self, row: int, actions: Sequence[Floats], outs: Sequence[Outputs]) -> None:
        """Stores steps in the rows from ``row`` on, in arrays that double."""
        found = [_numbers(out, action) for action, out in zip(actions, outs, strict=True)]
        for name, values in self._rows.items():
            if row + len(outs) > len(values):
                longer = np.zeros((max(256, 2 * (row + len(outs))), *values.shape[1:]), values.dtype)
                longer[:row] = values[:row]
                self._rows[name] = values = longer
            values[row : row + len(outs)] = np.concatenate([one[name] for one in found])

    def _call_reward(self, done: int) -> None:
        """Replaces the rewards of the steps after ``done`` by those of the user's callable, if there is one."""
        if self.task.function is not None:
            now, then = slice(done, self.n_steps), slice(1 + done, 1 + self.n_steps)
            before, after = ({key: self._rows[key][rows] for key in KEYS} for rows in (now, then))
            self._rows["reward"][then] = call_reward(self.task.function, before, after)


def _numbers(out: Outputs, action: Floats) -> dict[str, Any]:
    """Info, reward and action of a step, arrays with a leading axis of 1."""
    info: dict[str, Any] = dict(zip(TOTALS, out.totals, strict=True))
    return {**info, **out.held._asdict(), "bar": out.bar, "reward": out.reward, "action": action}


def history(task: PortfolioTask, opened: Drawn, actions: Sequence[Floats]) -> Any:
    """`PortfolioEnv.history`: a DataFrame with a row for each step and instrument (S K rows)."""
    import pandas as pd

    panel, n = task.markets[opened.market], task.n
    steps = PortfolioReplay(task, opened).steps(actions)
    info = {key: values[1:] for key, values in steps.info.items()}
    bars = info["bar"]
    closes = panel.last_close[bars[:, None], opened.order]
    columns: dict[str, Any] = {"bar": np.repeat(bars, n)}
    if panel.time is not None:
        columns["time"] = pandas_index(panel.time[columns["bar"]])
    columns["symbol"] = np.tile(np.array(task.symbols_of(opened), object), len(bars))
    columns |= {"close": closes.ravel(), "action": steps.actions.ravel()}
    columns |= {name: info[name].ravel() for name in HELD}
    columns |= {name: np.repeat(info[name], n) for name in TOTALS}
    columns["reward"] = np.repeat(steps.reward[1:], n)
    return pd.DataFrame(columns)
