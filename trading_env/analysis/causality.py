"""Does anything shown at a bar depend on later bars? Change them, and look. T = bars, D = columns compared.

check_causality("default", market)                                # the features of TradingEnv, by name
check_causality(lambda market: my_features(market), market)       # a feature callable
check_causality(gym.make("trading_env:TradingEnv-v0", ...))       # all that an env shows
check_causality({"features": my_features, "window": 10}, market)  # the same, by its keywords
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from trading_env._checks import brief, integer, number
from trading_env.data.bars import BAR_COLUMNS, Floats
from trading_env.data.datasets import load
from trading_env.data.market import Market
from trading_env.envs.trading_env import TradingEnv
from trading_env.features.scaler import scaled_features

_FEATURE_CUTS, _ENV_CUTS = 120, 30
_LAST_CUTS = 8  # of these, so many at the very end of the data
_STEPS = 12  # that an env makes before a cut
_ACCOUNT = ("exposure", "target", "unrealised log return", "drawdown")


class LookAheadError(ValueError):
    """Something shown at a bar moved when only later bars changed.

    Attributes:
        name: the feature, observation, reward or info key that moved first.
        bar: where it is shown.
        cut: the last unchanged bar, at or after ``bar``.
    """

    def __init__(self, name: str, bar: int, cut: int, label: str, before: float, after: float) -> None:
        super().__init__(
            f"{name} at {label} knows the future: it went from {before:g} to {after:g} "
            f"when only the bars after {cut} changed"
        )
        self.name, self.bar, self.cut = name, bar, cut


@dataclass(frozen=True)
class CausalityReport:
    """What was found to be causal.

    Attributes:
        names: of the features and, for an env, of all else that was compared.
        cuts: bars after which the future was changed.
        unmoved: features that followed no change at all, not even of their own bar. Dates and constants do so;
            and so do values computed beforehand, of which the check can say nothing.
    """

    names: tuple[str, ...]
    cuts: tuple[int, ...]
    unmoved: tuple[str, ...]


@dataclass(frozen=True)
class _Shown:
    """What is shown of some bars: values (n, D) by name, from bar ``first`` on."""

    names: tuple[str, ...]
    first: int
    values: npt.NDArray[np.floating[Any]]


def check_causality(
    subject: Any,
    market: Any = None,
    *,
    scaler: Any = None,
    cuts: int | Sequence[int] | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> CausalityReport:
    """Raises unless everything that ``subject`` shows up to a bar is independent of all later bars.

    After each of many cuts all prices, volumes and further columns are changed, upwards and downwards, and then the
    data is cut short; what was shown up to the cut must stay. Of an env that is every feature, and in episodes
    that reach the cut each observation, reward, end and info. A fill at the open of bar t + 1 is reported with
    bar t + 1, and is no look-ahead. Dates stay as they are: a calendar is known beforehand. Values computed
    outside ``subject`` stay too, so make them inside it.

    Args:
        subject: features as TradingEnv takes them (a callable, names, "default"); or a TradingEnv, with the wrappers
            of `gym.make` or bare; or a mapping of its keywords; or a callable Market -> TradingEnv.
        market: what `load` takes; by default the data of the env or of the keywords.
        scaler: a fitted FeatureScaler, beside features only.
        cuts: how many bars to cut after (at most all), or which ones. By default 120 for features and 30 for an
            env, evenly spread and each of the last 8 bars; a leak in a single row elsewhere is seen by a cut at that
            row alone.
        tolerance: a move below this fraction of a column's largest size is rounding.
        seed: of the changes and of the actions.

    Returns:
        What was compared, where nothing moved.

    Raises:
        LookAheadError: something moved; it names the first, and its bar.
        TypeError: subject is none of these (a vector env is not), its features are an array made beforehand, or
            an argument has a wrong type.
        ValueError: a cut is out of range, the market is too short to cut, or its data cannot be used.
    """
    number("tolerance", tolerance, least=0.0)
    rng = np.random.default_rng(integer("seed", seed, 0))
    make, market = _resolve(subject, market)
    if make is not None and scaler is not None:
        raise TypeError("scaler goes with features; an env has its own")
    probe = _FeatureProbe(subject, scaler, market) if make is None else _EnvProbe(make, market, seed)
    rows = _cuts(cuts, probe.first, len(market) - 2, probe.n_cuts)
    unmoved = dict.fromkeys(probe.features.names)
    for up, short in ((True, False), (False, False), (True, True)):
        for cut in rows:
            stop = min(max(cut + 2, probe.least), len(market)) if short else len(market)
            changed = changed_future(market, cut, rng, up=up, stop=stop)
            for before, after in probe.pairs(changed, cut):
                _raise_if_moved(before, after, cut, market, tolerance)
            for name in _moved_later(probe.features, probe.latest, cut):
                unmoved.pop(name, None)
    return CausalityReport(tuple(probe.names), tuple(rows), tuple(unmoved))


# -- other futures ----------------------------------------------------------------------------------------------


def changed_future(
    market: Market, cut: int, rng: np.random.Generator, *, up: bool = True, stop: int | None = None
) -> Market:
    """The market with other bars after ``cut``, up to ``stop``.

    Prices and volumes are multiplied (or divided) by random factors from 1.5 to 4, with another shape of each bar;
    further columns take other values of their own. So everything stays valid: positive, in order, NaN where it was.
    """
    stop = len(market) if stop is None else stop
    later, n = slice(cut + 1, stop), stop - cut - 1
    bars = {name: values[:stop].copy() for name in BAR_COLUMNS if (values := getattr(market, name)) is not None}
    factors = rng.uniform(1.5, 4.0, n) ** (1.0 if up else -1.0)
    for values in bars.values():
        values[later] *= factors * rng.uniform(0.9, 1.1, n)
    prices = np.array([values[later] for name, values in bars.items() if name != "volume"])
    for name, extreme in (("high", prices.max(axis=0)), ("low", prices.min(axis=0))):
        if name in bars:
            bars[name][later] = extreme
    if "volume" in bars:
        bars["volume"][later] += 1.0  # a volume of 0 changes too
    return Market(
        **bars,
        time=None if market.time is None else market.time[:stop],
        columns={name: _other_values(values[:stop], later, rng) for name, values in market.columns.items()},
        name=market.name,
        metadata=market.metadata,
        first=min(market.first, stop - 1),
        bars_per_year=market.bars_per_year,
    )


def _other_values(values: Floats, later: slice, rng: np.random.Generator) -> Floats:
    """The column with each later value exchanged for another one that occurs in it; NaN stays."""
    known = np.unique(values[~np.isnan(values)])
    changed, now = values.copy(), values[later]
    if len(known) > 1:
        others = known[(np.searchsorted(known, now) + rng.integers(1, len(known), len(now))) % len(known)]
        changed[later] = np.where(np.isnan(now), np.nan, others)
    return changed


def _cuts(cuts: int | Sequence[int] | None, first: int, last: int, default: int) -> list[int]:
    """The bars to cut after, in [first, last]."""
    if last < first:
        raise ValueError(f"market has {last + 2} bars, too few to change any after bar {first}, the first that counts")
    if isinstance(cuts, Sequence):
        if not cuts:
            raise ValueError("cuts must have at least one bar, got none")
        return [integer(f"cuts[{i}]", cut, first, last) for i, cut in enumerate(cuts)]
    n = default if cuts is None else integer("cuts", cuts, 1)
    if n > last - first:
        return list(range(first, last + 1))
    ends = range(max(first, last - min((n + 1) // 2, _LAST_CUTS) + 1), last + 1)
    spread = np.linspace(first, last, n - len(ends) + 1, dtype=int).tolist()
    return sorted({*spread, *ends})


# -- what is shown ----------------------------------------------------------------------------------------------


class _FeatureProbe:
    """The feature table of a market, and of others that begin alike."""

    n_cuts, least = _FEATURE_CUTS, 0

    def __init__(self, features: Any, scaler: Any, market: Market) -> None:
        self._arguments = features, scaler
        table = scaled_features(market, *self._arguments)
        self.first, self.names = max(table.warmup, market.first), table.names  # the rows before are history
        self.features = self.latest = _Shown(table.names, 0, table.values)

    def pairs(self, changed: Market, cut: int) -> Iterator[tuple[_Shown, _Shown]]:
        table = scaled_features(changed, *self._arguments)
        self.latest = _Shown(table.names, 0, table.values)
        yield _until(self.features, cut), _until(self.latest, cut)


class _EnvProbe:
    """The features of an env, and what it shows in episodes that lead to the cut."""

    n_cuts = _ENV_CUTS

    def __init__(self, make: Callable[[Market], Any], market: Market, seed: int) -> None:
        self._make, self._seed = make, seed
        self._env = make(market)
        task = self._env.unwrapped.task
        self.first = task.firsts[0] + 1
        self.least = max(task.firsts[0] + (task.episode_length or 1) + 1, task.window + 2)
        self.features = self.latest = _features_of(self._env)
        self.names: Sequence[str] = self.features.names

    def pairs(self, changed: Market, cut: int) -> Iterator[tuple[_Shown, _Shown]]:
        other = self._make(changed)
        self.latest = _features_of(other)
        yield _until(self.features, cut), _until(self.latest, cut)
        before = self._leading_to(cut)
        start = before.first
        after = _episode(other, start, cut, self._seed)
        self.names = (*self.features.names, *before.names)
        n = min(len(before.values), len(after.values))  # an end that moved shows in the last row of both
        yield before, _Shown(after.names, start, after.values[:n])

    def _leading_to(self, cut: int) -> _Shown:
        """What the env shows in an episode that reaches the cut, however short its episodes are."""
        start = max(self.first - 1, cut - _STEPS)
        while True:
            shown = _episode(self._env, start, cut, self._seed)
            steps = len(shown.values) - 1
            if start + steps == cut:
                return shown
            start = cut - steps  # later than before, since it ended early


def _features_of(env: Any) -> _Shown:
    task = env.unwrapped.task
    return _Shown(tuple(task.feature_names), 0, task.features)


def _until(shown: _Shown, cut: int) -> _Shown:
    return _Shown(shown.names, shown.first, shown.values[: cut + 1])


def _episode(env: Any, start: int, cut: int, seed: int) -> _Shown:
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
    return _Shown(names, start, np.array(shown))


def _named(env: Any, obs: Any, reward: Any, terminated: Any, truncated: Any, info: Any) -> tuple[Any, list[float]]:
    """Names and values of one step's outputs."""
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
    if flat.size != task.width:  # a wrapper has made something else of it
        return [(f"observation[{i}]", float(value)) for i, value in enumerate(flat)]
    lags = range(task.window - 1, -1, -1)
    names = [f"observation {name!r} {lag} bars back" for lag in lags for name in task.feature_names]
    if task.observation == "compact":
        names = ["observation 'row'"]
    names += [f"observation {name!r}" for name in _ACCOUNT]
    return list(zip(names, flat.tolist(), strict=True))


# -- comparing --------------------------------------------------------------------------------------------------


def _moves(before: npt.NDArray[Any], after: npt.NDArray[Any], tolerance: float) -> npt.NDArray[np.bool_]:
    """Where values (n, D) differ by more than rounding of their column; NaN equals NaN."""
    largest = np.nanmax(np.abs(np.concatenate([before, after])), axis=0, initial=0.0)
    near = np.abs(before.astype(np.float64) - after) <= tolerance * largest
    result: npt.NDArray[np.bool_] = ~(near | (np.isnan(before) & np.isnan(after)))
    return result


def _raise_if_moved(before: _Shown, after: _Shown, cut: int, market: Market, tolerance: float) -> None:
    """Raises a LookAheadError at the first bar, and there the first column, that differs."""
    if before.names != after.names:
        raise ValueError(f"the columns differ with the data: {before.names} and {after.names}")
    n = min(len(before.values), len(after.values))
    moved = _moves(before.values[:n], after.values[:n], tolerance)
    if moved.any():
        row, column = np.argwhere(moved)[0]
        bar, pair = before.first + int(row), (before.values[row, column], after.values[row, column])
        raise LookAheadError(before.names[column], bar, cut, market.time_of(bar), *map(float, pair))


def _moved_later(before: _Shown, after: _Shown, cut: int) -> list[str]:
    """Columns that did follow the change of the bars after the cut."""
    n = min(len(before.values), len(after.values))
    moved = _moves(before.values[cut + 1 : n], after.values[cut + 1 : n], 0.0)
    return [name for name, column in zip(before.names, moved.T, strict=True) if column.any()]


def _resolve(subject: Any, market: Any) -> tuple[Callable[[Market], Any] | None, Market]:
    """How to make the env of a market (None where the subject is features), and the market."""
    _refuse_array(subject)
    _refuse_vector(subject)
    if isinstance(subject, gym.Env):
        return _resolve_env(subject, market)
    if isinstance(subject, Mapping):
        keywords = dict(subject)
        _refuse_array(keywords.get("features"))
        data = keywords.pop("data", "us-stocks/AAPL")
        return lambda m: TradingEnv(m, **keywords), _one_market(data if market is None else market, keywords)
    if market is None:
        raise TypeError("market must be given beside features or a callable, got None")
    loaded = load(market)
    shown = subject(loaded) if callable(subject) else None
    _refuse_vector(shown)
    if isinstance(shown, gym.Env):
        _check_trading_env(shown)
        return subject, loaded
    return None, loaded


def _resolve_env(env: gym.Env[Any, Any], market: Any) -> tuple[Callable[[Market], Any], Market]:
    """How to make an env like this one of another market, and the market."""
    _check_trading_env(env)
    spec, keywords = env.spec, env.unwrapped.keywords  # type: ignore[attr-defined]
    _refuse_array(keywords.get("features"))
    if spec is None and env is not env.unwrapped:
        raise TypeError(
            f"{env!r} has no spec to make others from, wrappers and all: make it by gym.make, or give a callable "
            "Market -> env"
        )
    loaded = _one_market(keywords["data"] if market is None else market, keywords)
    if spec is not None:
        return lambda m: gym.make(spec, data=m), loaded
    return lambda m: type(env)(**{**keywords, "data": m}), loaded


def _check_trading_env(env: Any) -> None:
    if not isinstance(env.unwrapped, TradingEnv):
        raise TypeError(f"an env must be a TradingEnv to be checked, got {brief(env)}")


def _refuse_array(features: Any) -> None:
    if isinstance(features, np.ndarray):
        raise TypeError(
            "an array of features has no rule to check: give the callable that makes it, also as features= of an env"
        )


def _refuse_vector(env: Any) -> None:
    if hasattr(env, "num_envs"):
        raise TypeError(f"a vector env shows what TradingEnv shows: give one with the same keywords, got {brief(env)}")


def _one_market(data: Any, keywords: Mapping[str, Any]) -> Market:
    if isinstance(data, (list, tuple)):
        raise TypeError("several datasets: give the one to check as market=")
    return load(data, on_missing=keywords.get("on_missing", "raise"))
