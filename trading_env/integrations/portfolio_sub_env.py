"""PortfolioSubEnv: a view of one sub-env of a TradingVecEnv on portfolios that looks like a PortfolioEnv."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.error import ResetNeeded

from trading_env.envs import state as env_state
from trading_env.envs.portfolio import state as portfolio_state
from trading_env.envs.portfolio.accounts import KEYS
from trading_env.envs.portfolio.env import PortfolioEnv
from trading_env.envs.portfolio.vector_env import PortfolioVectorEnv
from trading_env.integrations.sub_env import SubEnv
from trading_env.kernel.layout import OFFSET, ROW
from trading_env.kernel.portfolio import PANEL
from trading_env.kernel.rules import Floats


class PortfolioSubEnv(SubEnv):
    """Sub-env i of a TradingVecEnv on portfolios; see `SubEnv`. It has no afterstates and no episode."""

    def get_state(self) -> dict[str, Any]:
        """The running episode and the random stream, for ``set_state`` of a PortfolioEnv."""
        venv, i = self._place
        envs: Any = self._envs
        return state_of(envs, i, venv.reset_infos[i], venv.orders_of(i))

    @property
    def symbols(self) -> tuple[str, ...]:
        """The instrument at each place, in the order of this episode."""
        symbols: tuple[str, ...] = self._as_env().symbols
        return symbols

    def _as_env(self) -> Any:
        """A PortfolioEnv in the state of this sub-env."""
        task: Any = self.task
        env = PortfolioEnv.of_task(task, self.keywords, self.render_mode)
        env.set_state(self.get_state())
        return env


def state_of(envs: PortfolioVectorEnv, i: int, first: dict[str, Any], actions: Floats) -> dict[str, Any]:
    """The state of sub-env i in the form of `PortfolioEnv.get_state`.

    Args:
        envs: the vector env.
        i: which sub-env.
        first: info of the reset that began its episode; empty if there was none.
        actions: those since then, in the form of Box (S, K).

    Raises:
        ResetNeeded: the sub-env has moved since, but not by these actions.
    """
    task, streams = envs.task, env_state.get_streams([envs.np_random[i]])
    state = {"fingerprint": portfolio_state.fingerprint(task), "streams": streams, "_running": False}
    if not first:
        return state
    accounts, orders, clock = (part[i : i + 1].copy() for part in envs._portfolios.arrays)
    start = int(first["bar"])
    if not envs._begun or clock[0, ROW] != clock[0, OFFSET] + start + len(actions):
        raise ResetNeeded(f"call reset: sub-env {i} was moved by other means than step and reset of the VecEnv")
    market = int(clock[0, PANEL])
    if len(actions) == 0:  # the vector env still has the account before the reset
        clock[0] = task.new_clock(market, start)
        accounts[0, accounts.shape[1] // 2 :] = 0.0
        orders[0, task.n :] = orders[0, : task.n]
    before = after = {key: first[key] for key in KEYS}
    if task.function is not None and len(actions):
        before, after = ({key: _row(values[key][i]) for key in KEYS} for values in (envs._past, envs._before))
    arrays = {"_accounts": accounts, "_orders": orders, "_clock": clock, "_asked": actions.reshape(-1, task.n)}
    return {**state, "_running": True, **arrays, "_opened": [market, start], "_before": before, "_info": after}


def _row(value: Any) -> Any:
    return value.item() if np.ndim(value) == 0 else value.copy()
