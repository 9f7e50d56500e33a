"""Rules of suites by name: strategies and random traders, of a market or of a panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from benchmarks.evaluation.instruments import Instruments
from trading_env import Panel
from trading_env.analysis import strategies
from trading_env.analysis.portfolio import olmar
from trading_env.analysis.portfolio import strategies as portfolios

Rule = Callable[..., Any]
STRATEGIES = (
    "flat",
    "buy_and_hold",
    "volatility_target",
    "time_series_momentum",
    "moving_average_crossover",
    "mean_reversion",
)
PORTFOLIO_STRATEGIES = (
    "equal_weight",
    "buy_and_hold",
    "inverse_volatility",
    "minimum_variance",
    "cross_sectional_momentum",
    "olmar",
)
FRACTIONS = {"actions": "continuous", "allow_short": False, "min_trade": 0.05}  # env keywords for fractional exposures


@cache
def strategy_of(name: str, panels: bool) -> Rule:
    """The strategy, of panels or of markets; that of a panel computes its weights once for all tests there."""
    if not panels:
        return getattr(strategies, name)  # type: ignore[no-any-return]
    return lru_cache(maxsize=1)(getattr(olmar if name == "olmar" else portfolios, name))


def random_trader(turnover: float, seed: int, panels: bool) -> Rule:
    """A trader of random exposures, or weights, with this turnover per year."""
    if panels:
        return lambda panel, start: portfolios.random_weights(panel, turnover, seed, start)
    return lambda market: strategies.random_policy(market, turnover, seed)


def keywords_for(strategy: str | None, traded: Instruments, keywords: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of the env with which a rule trades: any weights of a panel; long or flat on a market."""
    if isinstance(traded, Panel):
        return {**keywords, "actions": "continuous"}
    named = isinstance(keywords.get("actions", ""), str)  # a tuple names its exposures itself
    fractions = FRACTIONS if strategy == "volatility_target" else {}
    return {**keywords, **({"allow_short": False} if named else {}), **fractions}
