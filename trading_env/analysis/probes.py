"""What a feature table or an env shows on a market, for the check for look-ahead. T = bars, D = columns compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from trading_env._checks import brief
from trading_env.data.bars import Floats
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.data.panel import Panel
from trading_env.data.panel_datasets import load_panel
from trading_env.envs.portfolio.env import PortfolioEnv
from trading_env.envs.portfolio.task import PortfolioTask
from trading_env.envs.trading_env import TradingEnv
from trading_env.features.panel import PanelFeatures, panel_features
from trading_env.features.scaler import scaled_features
from trading_env.features.table import FeatureTable

Data = Market | Panel
_FEATURE_CUTS, _ENV_CUTS = 120, 30
_STEPS = 12  # number of steps that an env makes before a cut
_ACCOUNT = ("exposure", "target", "unrealised log return", "drawdown")


@dataclass(frozen=True)
class Shown:
    """Named values (n, D) shown at n bars from ``first`` on."""

    names: tuple[str, ...]
    first: int
    values: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Given:
    """What a user gave for computing what is shown.

    Attributes:
        features: names, or a callable.
        scaler: a fitted FeatureScaler, its dict, or None.
        reward: a name, a reward object, or a callable.
        code: wrappers and subclasses of the env, by name.
    """

    features: Any
    scaler: Any
    reward: Any = "log_return"
    code: Mapping[str, Any] = field(default_factory=dict)


class FeatureProbe:
    """The feature tables of a market and of its changed copies."""

    n_cuts, least = _FEATURE_CUTS, 0

    def __init__(self, features: Any, scaler: Any, market: Data) -> None:
        self._arguments = features, scaler
        table = _table_of(market, *self._arguments)
        self.features = self.latest = _shown(table, market)
        self.first, self.names = max(table.warmup, market.first), self.features.names  # earlier rows are history
        self.given = Given(features, scaler)

    def given_on(self, market: Data) -> tuple[Given, Shown]:
        """What computes the features of another market, and those features."""
        return self.given, _shown(_table_of(market, *self._arguments), market)

    def rewards(self) -> Floats | None:
        """Without an env there is no reward."""
        return None

    def pairs(self, changed: Data, cut: int) -> Iterator[tuple[Shown, Shown]]:
        """What is shown up to the cut, before and after the change."""
        self.latest = _shown(_table_of(changed, *self._arguments), changed)
        yield _until(self.features, cut), _until(self.latest, cut)


class EnvProbe:
    """An env's features, and what it shows in episodes that lead to the cut."""

    n_cuts = _ENV_CUTS

    def __init__(self, make: Callable[[Any], Any], market: Data, seed: int) -> None:
        self._make, self._seed = make, seed
        self._env = make(market)
        task = self._env.unwrapped.task
        self.first = task.firsts[0] + 1
        self.least = max(task.firsts[0] + (task.episode_length or 1) + 1, task.window + 2)
        self.features = self.latest = _features_of(self._env)
        self.names: Sequence[str] = self.features.names
        self.given = _given_to(self._env)

    def given_on(self, market: Data) -> tuple[Given, Shown]:
        """What computes features and rewards in the env of another market, and its features."""
        env = self._make(market)
        return _given_to(env), _features_of(env)

    def rewards(self) -> Floats | None:
        """The reward shown at each bar under random actions (T,), NaN where none is; None for the kernel's own."""
        if not callable(self.given.reward) and not self.given.code:
            return None
        found = np.full(len(self.features.values), np.nan)
        start, last = self.first - 1, len(found) - 1
        while start < last:
            shown = _episode(self._env, start, last, self._seed + start)
            rewards = shown.values[1:, shown.names.index("reward")]
            found[start + 1 : start + 1 + len(rewards)] = rewards
            start += max(len(rewards), 1)
        return found

    def pairs(self, changed: Data, cut: int) -> Iterator[tuple[Shown, Shown]]:
        """What is shown up to the cut, before and after the change: features, then episodes."""
        other = self._make(changed)
        self.latest = _features_of(other)
        yield _until(self.features, cut), _until(self.latest, cut)
        before = self._leading_to(cut)
        start = before.first
        after = _episode(other, start, cut, self._seed)
        self.names = (*self.features.names, *before.names)
        n = min(len(before.values), len(after.values))  # if the end differs, so does the last common row
        yield before, Shown(after.names, start, after.values[:n])

    def _leading_to(self, cut: int) -> Shown:
        """What the env shows in an episode that reaches the cut; a late start if episodes are short."""
        start = max(self.first - 1, cut - _STEPS)
        while True:
            shown = _episode(self._env, start, cut, self._seed)
            steps = len(shown.values) - 1
            if start + steps == cut:
                return shown
            start = cut - steps  # the episode ended early: start later


def _table_of(market: Data, features: Any, scaler: Any) -> FeatureTable | PanelFeatures:
    if isinstance(market, Panel):
        return panel_features(market, features, scaler)
    return scaled_features(market, features, scaler)


def _shown(table: FeatureTable | PanelFeatures, market: Data) -> Shown:
    """The table; that of a panel with a column for each instrument and feature."""
    if not isinstance(market, Panel):
        return Shown(table.names, 0, table.values)
    names = tuple(f"{symbol} {name}" for symbol in market.symbols for name in table.names)
    return Shown(names, 0, table.values.reshape(len(table.values), -1))


def _given_to(env: Any) -> Given:
    """What the user gave to an env: keywords, and code of his own around it or in it."""
    config, code = env.unwrapped.task.config, {}
    if type(env.unwrapped) not in (TradingEnv, PortfolioEnv):
        code[type(env.unwrapped).__name__] = env.unwrapped
    while env is not env.unwrapped:
        if not type(env).__module__.startswith("gymnasium."):
            code[type(env).__name__] = env
        env = env.env
    return Given(config.features, config.scaler, config.reward, code)


def _features_of(env: Any) -> Shown:
    task = env.unwrapped.task
    names, values = tuple(task.feature_names), task.features
    if isinstance(task, PortfolioTask):
        symbols = task.markets[0].symbols
        return Shown(tuple(f"{s} {name}" for s in symbols for name in names), 0, values.reshape(len(values), -1))
    return Shown(names, 0, values)


def _until(shown: Shown, cut: int) -> Shown:
    return Shown(shown.names, shown.first, shown.values[: cut + 1])


def _episode(env: Any, start: int, cut: int, seed: int) -> Shown:
    """Everything that the env shows from bar ``start`` to bar ``cut`` under random actions."""
    env.action_space.seed(seed)
    obs, info = env.reset(seed=seed, options={"start": start})
    names, rows = _named(env.unwrapped, obs, 0.0, False, False, info)
    shown = [rows]
    for _ in range(cut - start):
        step = env.step(env.action_space.sample())
        now, row = _named(env.unwrapped, *step)
        if now != names:
            raise ValueError(f"info of reset and of step must have the same keys, {sorted({*now} ^ {*names})} differ")
        shown.append(row)
        if step[2] or step[3]:
            break
    return Shown(names, start, np.array(shown))


def _named(env: Any, obs: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> tuple[Any, list[float]]:
    """Names and values of the outputs of one step."""
    outputs = {"reward": reward, "terminated": terminated, "truncated": truncated}
    outputs |= {f"info[{key!r}]": value for key, value in info.items()}
    pairs = _observations(env.task, obs)
    for name, value in outputs.items():
        values = np.ravel(value)
        if values.dtype.kind in "biuf":
            pairs += [(name if len(values) == 1 else f"{name}[{i}]", float(v)) for i, v in enumerate(values)]
    return tuple(name for name, _ in pairs), [value for _, value in pairs]


def _observations(task: Any, obs: Any) -> list[tuple[str, float]]:
    """Names and values of an observation, flat, dict or compact."""
    flat = np.concatenate([np.ravel(part) for part in obs.values()]) if isinstance(obs, dict) else np.ravel(obs)
    if flat.size != task.width:  # changed by a wrapper
        return [(f"observation[{i}]", float(value)) for i, value in enumerate(flat)]
    lags = range(task.window - 1, -1, -1)
    if isinstance(task, PortfolioTask):
        names = [f"observation of place {k}, {name!r} {lag} bars back"
                 for lag in lags for k in range(task.n) for name in task.feature_names]  # fmt: skip
        names += [f"observation {part!r} of place {k}" for part in ("tradable", "weights") for k in range(task.n)]
        return list(zip([*names, "observation 'cash_weight'", "observation 'drawdown'"], flat.tolist(), strict=True))
    names = [f"observation {name!r} {lag} bars back" for lag in lags for name in task.feature_names]
    if task.observation == "compact":
        names = ["observation 'row'"]
    names += [f"observation {name!r}" for name in _ACCOUNT]
    return list(zip(names, flat.tolist(), strict=True))


def resolve(subject: Any, market: Any) -> tuple[Callable[[Any], Any] | None, Data]:
    """A function that makes the env of a market or panel (None if the subject is features), and the market or panel."""
    _refuse_array(subject)
    _refuse_vector(subject)
    if isinstance(subject, gym.Env):
        return _resolve_env(subject, market)
    if isinstance(subject, Mapping):
        keywords = dict(subject)
        _refuse_array(keywords.get("features"))
        data = keywords.pop("data", "us-stocks/AAPL")
        data = data if market is None else market
        if isinstance(data, Panel):
            return lambda panel: PortfolioEnv(panel, **keywords), data
        return lambda m: TradingEnv(m, **keywords), _one_market(data, keywords)
    if market is None:
        raise TypeError("market must be given beside features or a callable, got None")
    loaded: Data = market if isinstance(market, Panel) else load(market)
    shown = _called(subject, loaded)
    _refuse_vector(shown)
    if isinstance(shown, gym.Env):
        _check_trading_env(shown)
        return subject, loaded
    return None, loaded


def _called(subject: Any, loaded: Data) -> Any:
    """What a callable makes of the data: an env, or features; of a panel, those of its first instrument."""
    if not callable(subject):
        return None
    if not isinstance(loaded, Panel):
        return subject(loaded)
    try:
        return subject(loaded)
    except (TypeError, ValueError, AttributeError):  # a feature callable takes Markets
        return subject(loaded.market(loaded.symbols[0]))


def _resolve_env(env: gym.Env[Any, Any], market: Any) -> tuple[Callable[[Any], Any], Data]:
    """A function that makes an env like this one for other data, and the data."""
    _check_trading_env(env)
    spec, keywords = env.spec, env.unwrapped.keywords  # type: ignore[attr-defined]
    _refuse_array(keywords.get("features"))
    if spec is None and env is not env.unwrapped:
        raise TypeError(
            f"{env!r} has no spec to make others from, wrappers and all: make it by gym.make, or give a callable "
            "Market -> env"
        )
    if isinstance(env.unwrapped, PortfolioEnv):
        loaded: Data = _one_panel(env.unwrapped, market)
    else:
        loaded = _one_market(keywords["data"] if market is None else market, keywords)
    if spec is not None:
        return lambda m: gym.make(spec, data=m), loaded
    return lambda m: type(env)(**{**keywords, "data": m}), loaded


def _check_trading_env(env: Any) -> None:
    if not isinstance(env.unwrapped, (TradingEnv, PortfolioEnv)):
        raise TypeError(f"an env must be a TradingEnv or a PortfolioEnv to be checked, got {brief(env)}")


def _one_panel(env: PortfolioEnv, market: Any) -> Panel:
    """The panel to check an env on: its own, or the one given."""
    if market is not None:
        return load_panel(market)
    if len(env.task.markets) > 1:
        raise TypeError("several panels: give the one to check as market=")
    return env.task.markets[0]


def _refuse_array(features: Any) -> None:
    if isinstance(features, np.ndarray):
        raise TypeError(
            "an array of features cannot be checked: give the callable that computes it, also as features= of an env"
        )


def _refuse_vector(env: Any) -> None:
    if hasattr(env, "num_envs"):
        raise TypeError(f"a vector env shows what TradingEnv shows: give one with the same keywords, got {brief(env)}")


def _one_market(data: Any, keywords: Mapping[str, Any]) -> Market:
    if isinstance(data, (list, tuple)):
        raise TypeError("several datasets: give the one to check as market=")
    return load(data, on_missing=keywords.get("on_missing", "raise"))
