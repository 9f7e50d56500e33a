"""What is traded in a study, a market or a panel of several, and what each needs: its env, keywords, and backtest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from benchmarks.evaluation.tracks import ENV_ID
from trading_env import EnvConfig, Market, Panel, PortfolioConfig, backtest, load, load_panel
from trading_env.analysis.backtest import Backtest
from trading_env.analysis.portfolio.backtest import PortfolioBacktest, portfolio_backtest
from trading_env.data.panel_datasets import holds_several

Instruments = Market | Panel
PORTFOLIO_ENV_ID = "trading_env:PortfolioEnv-v0"
AND = " + "  # between the datasets that a panel is made of


@cache
def is_panel(dataset: str) -> bool:
    """True if the dataset is traded by PortfolioEnv: a panel's name, datasets with `AND`, or a file of several."""
    return AND in dataset or holds_several(dataset)


def load_dataset(dataset: str) -> Instruments:
    """The market or the panel of that name."""
    if not is_panel(dataset):
        return load(dataset)
    return load_panel(dataset.split(AND) if AND in dataset else dataset)


def env_id_of(traded: Instruments) -> str:
    """The env in which it is traded."""
    return PORTFOLIO_ENV_ID if isinstance(traded, Panel) else ENV_ID


def config_of(panels: bool, keywords: Mapping[str, Any]) -> EnvConfig | PortfolioConfig:
    """The keywords of the env of panels, or of markets, checked."""
    return PortfolioConfig(**keywords) if panels else EnvConfig(**keywords)


def tested(policy: Any, traded: Instruments, keywords: Mapping[str, Any]) -> Backtest | PortfolioBacktest:
    """The backtest of a policy; what is for training alone is left out of the keywords."""
    if isinstance(traded, Panel):
        return portfolio_backtest(policy, traded, **{**keywords, "shuffle_symbols": False})
    return backtest(policy, traded, check_env=False, **keywords)


def idle_action(envs: Any) -> Any:
    """The action of each env that holds, or else takes the least exposure."""
    task, space = envs.unwrapped.task, envs.action_space
    if isinstance(task.config, PortfolioConfig):
        return np.full(space.shape, task.n if task.discrete else 0, space.dtype)  # cash
    orders = task.config.orders
    if not orders.size:
        return np.zeros(space.shape, space.dtype)
    held = np.flatnonzero(np.isnan(orders))
    return np.full(space.shape, held[0] if held.size else np.abs(orders).argmin(), space.dtype)
