"""EnvConfig: all keywords of TradingEnv but its data, as one frozen, validated object, to and from JSON.

It is here and not beside Costs and Margin because it checks scalers and rewards, which depend on markets.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from trading_env._checks import brief, choice, flag, integer, number
from trading_env.config import Costs, Margin, as_config, config_of_json
from trading_env.data.bars import ON_MISSING, Floats
from trading_env.envs.episodes import LONGEST_BAR
from trading_env.envs.rewards import Reward, reward_of
from trading_env.envs.spec import Parameters, check_json, fits_json
from trading_env.features.build import Features
from trading_env.features.scaler import FeatureScaler

FILLS = ("next_open", "next_close", "close")
OBSERVATIONS = ("flat", "dict", "compact")
SIZINGS = ("drift", "rebalance")
MAX_LOTS = 10_000  # each adds a buying and a selling action
CASH_RANGE = (1e-100, 1e100)  # keeps equity far from both ends of float64


@dataclass(frozen=True, kw_only=True)
class EnvConfig:
    """The keywords of TradingEnv with their defaults; its docstring explains each under Arguments.

    Costs, margin, scaler and reward may be given as mappings and are stored as objects. `to_dict` returns keywords for
    `gym.make` and the env classes:

        >>> config = EnvConfig(window=5, actions=(-1.0, 0.0, 1.0))
        >>> config == EnvConfig.from_json(config.to_json())
        True
        >>> env = TradingEnv("us-stocks/AAPL", **config.to_dict())

    Raises:
        TypeError: a keyword of a wrong type.
        ValueError: a keyword out of range, or one that contradicts another; the message names it.
    """

    features: Features = "default"
    scaler: FeatureScaler | Mapping[str, Any] | None = None
    window: int = 30
    actions: str | Sequence[float] = "buy_hold_sell"
    lots: int = 1
    allow_short: bool | None = None
    sizing: str | None = None
    lot_size: float | None = None
    min_trade: float = 0.0
    fill: str = "next_open"
    costs: Costs | Mapping[str, float] | None = None
    margin: Margin | Mapping[str, float] | None = None
    initial_cash: float = 100_000.0
    bars_per_year: float | None = None
    reward: Reward = "log_return"
    observation: str = "flat"
    random_start: bool = False
    episode_length: int | None = None
    on_missing: str = "raise"

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)

    def _checked(self) -> dict[str, Any]:
        """Fields in their stored form; raises for the first wrong one."""
        margin = as_config(Margin, self.margin, "margin")
        checked: dict[str, Any] = {
            "costs": as_config(Costs, self.costs, "costs"),
            "margin": margin,
            "fill": choice("fill", self.fill, FILLS),
            "observation": choice("observation", self.observation, OBSERVATIONS),
            "on_missing": choice("on_missing", self.on_missing, ON_MISSING),
            "window": integer("window", self.window, 1),
            "episode_length": _unless_none(integer, "episode_length", self.episode_length, 1),
            "random_start": flag("random_start", self.random_start),
            "initial_cash": number("initial_cash", self.initial_cash, least=CASH_RANGE[0], most=CASH_RANGE[1]),
            "min_trade": number("min_trade", self.min_trade, least=0.0),
            "bars_per_year": _unless_none(number, "bars_per_year", self.bars_per_year, least=LONGEST_BAR),
            "allow_short": _unless_none(flag, "allow_short", self.allow_short),
            "lots": integer("lots", self.lots, 1, MAX_LOTS),
        }
        orders = parse_actions(self.actions, checked["lots"], checked["allow_short"], margin.max_leverage)[1]
        if not isinstance(self.actions, str):
            checked["actions"] = tuple(orders.tolist())
        self._check_sizing()
        checked["lot_size"] = _unless_none(number, "lot_size", self.lot_size, above=0.0)
        checked["reward"] = reward_of(self.reward)
        if isinstance(self.scaler, Mapping):
            checked["scaler"] = FeatureScaler.from_dict(self.scaler)
        if isinstance(self.features, list):
            checked["features"] = tuple(tuple(name) if isinstance(name, list) else name for name in self.features)
        return checked

    def _check_sizing(self) -> None:
        """Raises ValueError unless the sizing is known and fits the actions."""
        if self.sizing is None:
            return
        choice("sizing", self.sizing, SIZINGS)
        if self.kind == "lots":
            raise ValueError(f"sizing={self.sizing!r} has no meaning with actions='lots': a lot is a trade")
        if self.kind == "continuous" and self.sizing == "drift":
            raise ValueError("sizing='drift' needs discrete actions; actions='continuous' rebalances")

    # -- derived ------------------------------------------------------------------------------------------

    @property
    def kind(self) -> str:
        """Kind of actions: "buy_hold_sell", "continuous" or "lots", or "targets" for a tuple of exposures."""
        return self.actions if isinstance(self.actions, str) else "targets"

    @property
    def orders(self) -> Floats:
        """Orders of the discrete actions (A,): target exposures or lots, NaN = hold; empty for continuous actions."""
        margin = as_config(Margin, self.margin, "margin")
        return parse_actions(self.actions, self.lots, self.allow_short, margin.max_leverage)[1]

    @property
    def long_only(self) -> bool:
        """True if continuous actions or lots may not go short; other actions name their exposures."""
        return self.kind in ("continuous", "lots") and self.allow_short is False

    @property
    def rebalances(self) -> bool:
        """True if every step trades to the target, not only a step that changes it."""
        return self.kind == "continuous" or self.sizing == "rebalance"

    @property
    def lot(self) -> float:
        """Units per lot; 0 stands for fractional units."""
        return self.lot_size or (1.0 if self.kind == "lots" else 0.0)

    # -- JSON ---------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """All keywords as JSON values.

        Raises:
            TypeError: features or reward is a callable or an array; the message says what to give instead.
        """
        values = {field.name: plain(getattr(self, field.name)) for field in fields(self)}
        check_json("an EnvConfig", values)
        return values

    def to_json(self) -> str:
        """`to_dict` as text."""
        return json.dumps(self.to_dict())

    @classmethod
    def of(cls, policy: Any, **changes: Any) -> EnvConfig:
        """The config of the env that a policy learnt in, as its file keeps it.

        Args:
            policy: an agent of `agents`, a model given to `trading_env.sb3.keep_env_config`, or any other object with
                a copy of the env's ``env_config``.
            changes: keywords with new values. Functions and arrays must be given, since no file holds them.

        Raises:
            ValueError: the policy keeps no config of a TradingEnv, it learnt behind wrappers that change observations
                or actions, or a keyword that no file holds is missing.
            TypeError, ValueError: a keyword is wrong; the message names it.
        """
        keywords, meaning, left_out = _kept_by(policy)
        if meaning.get("wrappers"):
            raise ValueError(
                f"the policy learnt in an env behind the wrappers {brief(meaning['wrappers'])}, which a config cannot "
                "make again: give the env itself"
            )
        missing = [name for name in left_out if name not in changes]
        if missing:
            raise ValueError(f"{brief(missing)} of the env were functions or arrays, which no file holds: give them")
        return as_config(cls, {**keywords, **changes}, "the policy's env_config")

    @classmethod
    def from_json(cls, text: str) -> EnvConfig:
        """The config that `to_json` wrote; missing fields have their defaults.

        Raises:
            ValueError: the text is not JSON, or has an unknown field.
            TypeError: it is not a JSON object, or a field has a wrong type.
        """
        return config_of_json(cls, text, "an EnvConfig")


def json_keywords(config: EnvConfig) -> tuple[dict[str, Any], list[str]]:
    """All keywords that JSON can hold, as JSON values, and the names of the others."""
    values = {field.name: plain(getattr(config, field.name)) for field in fields(config)}
    left_out = [name for name, value in values.items() if not fits_json(value)]
    return {name: value for name, value in values.items() if name not in left_out}, left_out


def _kept_by(policy: Any) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """The keywords that a policy keeps, the meaning, and names of keywords left out; ValueError if it keeps none."""
    kept = getattr(policy, "env_config", None)
    parts = [kept.get(key) if isinstance(kept, Mapping) else None for key in ("keywords", "meaning", "left_out")]
    keywords, meaning, left_out = parts
    if not isinstance(keywords, Mapping) or not isinstance(meaning, Mapping) or not isinstance(left_out, list):
        raise ValueError(
            f"{type(policy).__name__} keeps no configuration of a TradingEnv: give the env's keywords themselves"
        )
    if not all(isinstance(name, str) for name in left_out):
        raise ValueError(f"left_out of the policy's env_config must be names, got {brief(left_out)}")
    return keywords, meaning, left_out


def _unless_none(check: Callable[..., Any], name: str, value: Any, *bounds: Any, **more: Any) -> Any:
    """The checked value; None stays None."""
    return None if value is None else check(name, value, *bounds, **more)


def plain(value: Any) -> Any:
    """The value of a field as JSON values, as far as possible."""
    if isinstance(value, Parameters):
        return asdict(value)
    if isinstance(value, FeatureScaler):
        return value.to_dict()
    return [plain(part) for part in value] if isinstance(value, tuple) else value


def parse_actions(actions: Any, lots: int, allow_short: bool | None, max_leverage: float) -> tuple[str, Floats]:
    """Kind of actions and the order of each: target exposures or lots, NaN = hold.

    Raises:
        TypeError, ValueError: wrong actions, lots or allow_short; the message names the keyword and the value.
    """
    kind = actions if isinstance(actions, str) else "targets"
    if allow_short and kind != "buy_hold_sell":
        raise ValueError(f"allow_short=True belongs to actions='buy_hold_sell', got actions={actions!r}")
    if lots != 1 and kind != "lots":
        raise ValueError(f"lots={lots} belongs to actions='lots', got actions={actions!r}")
    if isinstance(actions, str):
        if actions == "continuous":
            return actions, np.empty(0)
        if actions == "lots":
            return actions, np.arange(-lots, lots + 1, dtype=np.float64)
        if actions != "buy_hold_sell":
            raise ValueError(
                "actions must be 'buy_hold_sell', 'continuous', 'lots' or a tuple of target exposures, "
                f"got {brief(actions)}"
            )
        targets: Sequence[float] = (-1.0 if allow_short else 0.0, math.nan, 1.0)
    else:
        targets = _exposures(actions)
    for target in targets:
        if target < 0.0 and allow_short is False:
            raise ValueError(f"allow_short=False refuses short positions, got actions={brief(actions)}")
        if abs(target) > max_leverage:
            raise ValueError(f"actions: target exposure {target:g} is beyond margin.max_leverage={max_leverage:g}")
    return kind, np.array(targets)


def _exposures(actions: Any) -> list[float]:
    """A tuple of target exposures, checked."""
    if isinstance(actions, np.ndarray):
        actions = list(actions) if actions.ndim == 1 and type(actions) is np.ndarray else None
    if not isinstance(actions, (tuple, list)) or len(actions) == 0:
        raise TypeError(f"actions must be a name or a non-empty tuple of target exposures, got {brief(actions)}")
    targets = [number(f"actions[{i}]", target) for i, target in enumerate(actions)]
    if len(set(targets)) < len(targets):
        raise ValueError(f"actions must be different target exposures, got {brief(actions)}")
    return targets
