"""A registered Gymnasium environment for trading: exact account, no look-ahead, fast.

Importing it registers TradingEnv-v0. Names and modules load when first used, and with them numba and pandas.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

from gymnasium.envs.registration import register

if TYPE_CHECKING:
    from trading_env.analysis.backtest import Backtest, backtest
    from trading_env.analysis.causality import check_causality
    from trading_env.analysis.hindsight import hindsight
    from trading_env.config import Costs, Margin
    from trading_env.data.datasets import load
    from trading_env.data.market import Market
    from trading_env.data.panel import Panel
    from trading_env.data.panel_datasets import load_panel
    from trading_env.envs.config import EnvConfig
    from trading_env.envs.portfolio.config import PortfolioConfig
    from trading_env.envs.portfolio.env import PortfolioEnv
    from trading_env.envs.portfolio.vector_env import PortfolioVectorEnv
    from trading_env.envs.rewards import DifferentialSharpe, MeanVariance
    from trading_env.envs.trading_env import TradingEnv
    from trading_env.envs.trading_vector_env import TradingVectorEnv
    from trading_env.features.scaler import FeatureScaler
    from trading_env.live.broker import Broker
    from trading_env.live.decide import Decision, decide
    from trading_env.live.paper import PaperBroker
    from trading_env.live.session import Session
    from trading_env.report.tear_sheet import tear_sheet

_HOMES = {
    "Backtest": "analysis.backtest",
    "Broker": "live.broker",
    "Costs": "config",
    "Decision": "live.decide",
    "DifferentialSharpe": "envs.rewards",
    "EnvConfig": "envs.config",
    "FeatureScaler": "features.scaler",
    "Margin": "config",
    "Market": "data.market",
    "MeanVariance": "envs.rewards",
    "Panel": "data.panel",
    "PaperBroker": "live.paper",
    "PortfolioConfig": "envs.portfolio.config",
    "PortfolioEnv": "envs.portfolio.env",
    "PortfolioVectorEnv": "envs.portfolio.vector_env",
    "Session": "live.session",
    "TradingEnv": "envs.trading_env",
    "TradingVectorEnv": "envs.trading_vector_env",
    "backtest": "analysis.backtest",
    "check_causality": "analysis.causality",
    "decide": "live.decide",
    "hindsight": "analysis.hindsight",
    "load": "data.datasets",
    "load_panel": "data.panel_datasets",
    "tear_sheet": "report.tear_sheet",
}

__version__ = "0.1.0"
__all__ = [
    "Backtest",
    "Broker",
    "Costs",
    "Decision",
    "DifferentialSharpe",
    "EnvConfig",
    "FeatureScaler",
    "Margin",
    "Market",
    "MeanVariance",
    "Panel",
    "PaperBroker",
    "PortfolioConfig",
    "PortfolioEnv",
    "PortfolioVectorEnv",
    "Session",
    "TradingEnv",
    "TradingVectorEnv",
    "backtest",
    "check_causality",
    "decide",
    "hindsight",
    "load",
    "load_panel",
    "tear_sheet",
]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module, or a module (PEP 562)."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _modules():
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def _modules() -> set[str]:
    return {module.name for module in iter_modules(__path__)}


def _register(name: str, module: str, env: str, **keywords: Any) -> None:
    """Registers ``env``Env and ``env``VectorEnv of the module, which is imported when first used."""
    home = f"{__name__}.reference.{module}:{env}"
    register(name, f"{home}Env", vector_entry_point=f"{home}VectorEnv", kwargs=keywords, disable_env_checker=True)


register(
    id="TradingEnv-v0",
    entry_point="trading_env.envs.trading_env:TradingEnv",
    vector_entry_point="trading_env.envs.trading_vector_env:TradingVectorEnv",
    order_enforce=False,  # it refuses a step without a reset itself
    disable_env_checker=True,  # Gymnasium's fails in the step after a refused reset, and our tests check more
)
register(
    id="PortfolioEnv-v0",
    entry_point="trading_env.envs.portfolio.env:PortfolioEnv",
    vector_entry_point="trading_env.envs.portfolio.vector_env:PortfolioVectorEnv",
    order_enforce=False,
    disable_env_checker=True,
)
_register("reference/CFMLinear-v0", "cfm", "CFM")
_register("reference/CFMMaxPosition-v0", "cfm", "CFM", risk=0.0, limit=2.0)
_register("reference/CFMQuadratic-v0", "cfm", "CFM", cost="quadratic", psi=1.0)
_register("reference/GarleanuPedersen-v0", "garleanu_pedersen", "GarleanuPedersen")
_register("reference/Kelly-v0", "kelly", "Kelly")
_register("reference/Ritter-v0", "ritter", "Ritter")
_register("reference/MoodySaffell-v0", "moody_saffell", "MoodySaffell")
_register("reference/RegimeHidden-v0", "regime", "Regime")
_register("reference/RegimeAdditive-v0", "regime", "Regime", observed=True)
_register("reference/RegimeObserved-v0", "markets", "RegimeObserved")
_register("reference/Null-v0", "markets", "Null")
_register("reference/Drift-v0", "markets", "Drift")
