"""PortfolioConfig: all keywords of PortfolioEnv but its data, as one frozen, validated object, to and from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from trading_env._checks import brief, choice, flag, number
from trading_env.config import Costs, Margin, as_config, config_of_json
from trading_env.envs.config import EnvConfig, plain
from trading_env.envs.keywords import check_known
from trading_env.envs.rewards import Reward
from trading_env.envs.spec import check_json
from trading_env.features.build import Features
from trading_env.features.scaler import FeatureScaler

ACTIONS = ("continuous", "one_of")
OBSERVATIONS = ("flat", "dict")

# Keywords with the meaning that they have in TradingEnv.
SHARED = (
    "features",
    "scaler",
    "window",
    "lot_size",
    "min_trade",
    "fill",
    "margin",
    "initial_cash",
    "bars_per_year",
    "reward",
    "random_start",
    "episode_length",
)
AccountCosts = Costs | Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PortfolioConfig:
    """The keywords of PortfolioEnv with their defaults; its docstring explains each under Arguments.

    Costs, margin, scaler and reward may be given as mappings and are stored as objects; ``costs`` is then one Costs, or
    a mapping of symbols to Costs.

    Raises:
        TypeError: a keyword of a wrong type.
        ValueError: a keyword out of range, or one that contradicts another; the message names it.
    """

    features: Features = "default"
    scaler: FeatureScaler | Mapping[str, Any] | None = None
    window: int = 30
    actions: str = "continuous"
    allow_short: bool = False
    allow_hold: bool = False
    lot_size: float | None = None
    min_trade: float = 0.0
    fill: str = "next_open"
    costs: AccountCosts | None = None
    delisting_returns: Mapping[str, float] | None = None
    margin: Margin | Mapping[str, float] | None = None
    initial_cash: float = 100_000.0
    bars_per_year: float | None = None
    reward: Reward = "log_return"
    observation: str = "flat"
    random_start: bool = False
    episode_length: int | None = None
    shuffle_symbols: bool = False

    def __post_init__(self) -> None:
        shared = self.account_config
        values = {name: getattr(shared, name) for name in SHARED}
        values |= {
            "actions": choice("actions", self.actions, ACTIONS),
            "allow_short": flag("allow_short", self.allow_short),
            "allow_hold": flag("allow_hold", self.allow_hold),
            "observation": choice("observation", self.observation, OBSERVATIONS),
            "shuffle_symbols": flag("shuffle_symbols", self.shuffle_symbols),
            "costs": _checked_costs(self.costs),
            "delisting_returns": _checked_returns(self.delisting_returns),
        }
        if self.allow_short and self.actions == "one_of":
            raise ValueError("allow_short=True belongs to actions='continuous': 'one_of' buys one instrument or none")
        if self.allow_hold and self.actions == "one_of":
            raise ValueError("allow_hold=True belongs to actions='continuous': no action of 'one_of' is NaN")
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def account_config(self) -> EnvConfig:
        """The keywords that PortfolioEnv shares with TradingEnv, as those of an env with one instrument."""
        shared = {name: getattr(self, name) for name in SHARED}
        return EnvConfig(actions="continuous", allow_short=None if self.allow_short is True else False, **shared)

    def costs_of(self, symbol: str) -> Costs:
        """The costs of an instrument."""
        costs = self.costs
        assert costs is not None
        return costs if isinstance(costs, Costs) else costs[symbol]

    def to_dict(self) -> dict[str, Any]:
        """All keywords as JSON values.

        Raises:
            TypeError: features or reward is a callable or an array; the message says what to give instead.
        """
        values = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        if isinstance(self.costs, Mapping):
            values["costs"] = {symbol: asdict(costs) for symbol, costs in self.costs.items()}
        check_json("a PortfolioConfig", values)
        return values

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> PortfolioConfig:
        """The config that `to_json` wrote; missing fields have their defaults.

        Raises:
            ValueError: the text is not JSON, or has an unknown field.
            TypeError: it is not a JSON object, or a field has a wrong type.
        """
        return config_of_json(cls, text, "a PortfolioConfig")


def portfolio_config_of(owner: Callable[..., Any], keywords: Mapping[str, Any]) -> PortfolioConfig:
    """The keywords as a PortfolioConfig; TypeError, naming the owner, where one is unknown."""
    check_known(owner, keywords, [field.name for field in fields(PortfolioConfig)])
    return PortfolioConfig(**keywords)


def _checked_costs(costs: Any) -> Costs | dict[str, Costs]:
    """One Costs, or a mapping of symbols to Costs: the values of its fields are numbers, not Costs."""
    by_symbol = isinstance(costs, Mapping) and any(
        part is None or isinstance(part, (Costs, Mapping)) for part in costs.values()
    )
    if not by_symbol:
        one: Costs = as_config(Costs, costs, "costs")
        return one
    for symbol, part in costs.items():
        _check_symbol("costs", symbol)
        if part is None:
            raise TypeError(f"costs[{symbol!r}] must be a Costs or a mapping of its fields, got None")
    return {symbol: as_config(Costs, part, f"costs[{symbol!r}]") for symbol, part in costs.items()}


def _checked_returns(returns: Any) -> dict[str, float]:
    """Delisting returns by symbol."""
    if returns is None:
        return {}
    if not isinstance(returns, Mapping):
        raise TypeError(f"delisting_returns must be a mapping of symbols to fractions, got {brief(returns)}")
    for symbol in returns:
        _check_symbol("delisting_returns", symbol)
    return {s: number(f"delisting_returns[{s!r}]", value, least=-1.0, most=1e6) for s, value in returns.items()}


def _check_symbol(name: str, symbol: Any) -> None:
    if not isinstance(symbol, str):
        raise TypeError(f"{name} must be given by symbols, got {brief(symbol)}")
