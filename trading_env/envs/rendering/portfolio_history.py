"""Episodes of portfolios run again through the kernel, since an env stores only the actions of its past steps.

Letters: S steps of the episode, K instruments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from trading_env.data.zones import pandas_index
from trading_env.envs.portfolio.accounts import HELD, KEYS, Portfolios
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


def run_again(task: PortfolioTask, opened: Drawn, actions: Sequence[Floats]) -> Steps:
    """The steps of an episode with these actions (S, 1, K)."""
    account, waiting, first = Portfolios(task, 1), np.zeros(1, np.bool_), np.zeros(1, np.int64)
    account.begin(first, [opened], stepped=False)
    out = account.outputs()
    account.show(first, out.obs, out.totals, out.bar, out.held)
    outs = [out._replace(reward=np.zeros(1))] + [account.step(action, waiting)[0] for action in actions]
    info: dict[str, Any] = dict(zip(TOTALS, np.concatenate([out.totals for out in outs], axis=1), strict=True))
    info |= {name: np.concatenate([getattr(out.held, name) for out in outs]) for name in HELD}
    info["bar"] = np.concatenate([out.bar for out in outs])
    reward = np.concatenate([out.reward for out in outs])
    if task.function is not None and len(actions):
        before, after = ({key: info[key][rows] for key in KEYS} for rows in (slice(0, -1), slice(1, None)))
        reward[1:] = call_reward(task.function, before, after)
    return Steps(info, reward, np.array(actions).reshape(len(actions), task.n))


def history(task: PortfolioTask, opened: Drawn, actions: Sequence[Floats]) -> Any:
    """`PortfolioEnv.history`: a DataFrame with a row for each step and instrument (S K rows)."""
    import pandas as pd

    steps, panel, n = run_again(task, opened, actions), task.markets[opened.market], task.n
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
