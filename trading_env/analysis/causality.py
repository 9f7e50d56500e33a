"""A check for look-ahead: nothing shown at a bar may change with later bars. T = bars, D = columns compared.

check_causality("default", market)                                # named features
check_causality(lambda market: my_features(market), market)       # a feature callable
check_causality(gym.make("trading_env:TradingEnv-v0", ...))       # everything that an env shows
check_causality({"features": my_features, "window": 10}, market)  # the same, by its keywords
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import integer, number
from trading_env.analysis.futures import changed_data, changed_future, with_other_values
from trading_env.analysis.probes import EnvProbe, FeatureProbe, Shown, resolve
from trading_env.analysis.screen import Screened, screen
from trading_env.analysis.unjudged import unjudged
from trading_env.data.market import Market
from trading_env.data.panel import Panel

_LAST_CUTS = 8  # number of these at the very end of the data


class LookAheadError(ValueError):
    """A value shown at a bar changed when only later bars were changed.

    Attributes:
        name: the first feature, observation, reward or info key that changed.
        bar: the bar at which it is shown.
        cut: the last unchanged bar, at or after ``bar``.
    """

    def __init__(self, name: str, bar: int, cut: int, label: str, before: float, after: float) -> None:
        super().__init__(
            f"{name} at {label} knows the future: it went from {before:g} to {after:g} "
            f"when only the bars after {cut} changed"
        )
        self.name, self.bar, self.cut = name, bar, cut


class CausalityWarning(UserWarning):
    """Some inputs could not be judged, because they were made before the check; the message names them."""


@dataclass(frozen=True)
class CausalityReport:
    """The result of a check that found no look-ahead in what it can judge.

    Attributes:
        names: names of the features and, for an env, of everything else compared.
        cuts: bars after which the future was changed.
        unmoved: features that did not react to any change, even of their own bar, like dates and constants. The
            check says nothing about values computed beforehand, which are also listed here.
        judged: features, scaler and reward that are made of the market alone, by code that was run on changed futures.
        not_judged: inputs made before the check -> the reason why it cannot judge them. They are columns of the market
            that the features read, features without a reaction, the scaler, and callables that hold data.
        screen: the market's further columns, the features, and the reward of a callable against the returns of the
            next bars, most telling first. An honest column that predicts is possible, and so is a leak that does not
            show.
        level: p-values up to it make an input that was not judged a suspect.
    """

    names: tuple[str, ...]
    cuts: tuple[int, ...]
    unmoved: tuple[str, ...]
    judged: tuple[str, ...]
    not_judged: Mapping[str, str]
    screen: tuple[Screened, ...]
    level: float = 0.05

    @property
    def suspects(self) -> tuple[Screened, ...]:
        """Inputs that were not judged and predict the next returns, or were standardised over the whole market."""
        telling = (one for one in self.screen if one.p_value <= self.level or one.standardised)
        return tuple(one for one in telling if self._doubtful(one.name))

    def _doubtful(self, name: str) -> bool:
        """True if an input was not judged, or if something that makes it was not."""
        makers = {name for name in self.not_judged if not name.startswith(("column ", "feature "))}
        of_features = {"scaler", "features"}
        shared = makers & of_features if name.startswith("feature ") else makers - of_features
        return name in self.not_judged or (not name.startswith("column ") and bool(shared))

    def __str__(self) -> str:
        first = f"{len(self.names)} values compared, {len(self.cuts)} times the future changed: none of them knew it"
        rest = self.not_judged.items()
        lines = [first, f"judged: {', '.join(self.judged)}", *(f"not judged: {name}: {why}" for name, why in rest)]
        return "\n".join([*lines, *(f"suspect: {one.name}: {one}" for one in self.suspects)])


def check_causality(
    subject: Any,
    market: Any = None,
    *,
    scaler: Any = None,
    cuts: int | Sequence[int] | None = None,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> CausalityReport:
    """A report on ``subject`` if everything it shows up to a bar is independent of later bars; raises otherwise.

    A cut is a bar after which the data is changed. For each of many cuts, all later prices, volumes and further columns
    are changed, first upwards, then downwards, and then the data is truncated. Everything shown up to the cut must stay
    the same (of a panel, the second time instruments also have other gaps, and are listed and delisted at other times):
    for an env every feature, and in episodes that reach the cut every observation, reward, end and info. A
    fill at the open of bar t + 1 is reported with bar t + 1 and is not look-ahead. Dates are not changed, since a
    calendar is known in advance.

    Values computed before the check cannot change: a market's further columns, a fitted scaler, arrays that a feature
    or reward callable brings along. The report names them in `not_judged`, a warning does too, and `screen` tests
    whether they predict the next returns. Compute them inside ``subject`` to have them judged.

    Args:
        subject: features as for TradingEnv (a callable, names, "default"); or a TradingEnv or PortfolioEnv, bare or
            with the wrappers of `gym.make`; or a mapping of its keywords; or a callable Market -> env.
        market: anything that `load` accepts, or a Panel; by default the data of the env or of the keywords. Of a
            panel nothing is screened.
        scaler: a fitted FeatureScaler, for features only.
        cuts: the number of bars to cut after (at most all), or the bars themselves. By default 120 for features and
            30 for an env: each of the last 8 bars, and the others evenly spread. A leak in a single row elsewhere is
            detected only by a cut at that row.
        tolerance: changes below this fraction of a column's largest absolute value count as rounding.
        seed: seed of the changes and of the actions.

    Returns:
        The report on what was compared.

    Warns:
        CausalityWarning: some inputs were made before the check; the message names them, and those that predict.

    Raises:
        LookAheadError: a value changed; the error names the first one and its bar.
        TypeError: subject is none of these (a vector env, for example), its features are a precomputed array, or an
            argument has a wrong type.
        ValueError: a cut is out of range, the market is too short to cut, or its data cannot be used.
    """
    number("tolerance", tolerance, least=0.0)
    rng = np.random.default_rng(integer("seed", seed, 0))
    make, market = resolve(subject, market)
    if make is not None and scaler is not None:
        raise TypeError("scaler goes with features; an env has its own")
    probe = FeatureProbe(subject, scaler, market) if make is None else EnvProbe(make, market, seed)
    rows = _cuts(cuts, probe.first, len(market) - 2, probe.n_cuts)
    unmoved = dict.fromkeys(probe.features.names)
    for up, short in ((True, False), (False, False), (True, True)):
        for cut in rows:
            stop = min(max(cut + 2, probe.least), len(market)) if short else len(market)
            changed = changed_data(market, cut, rng, up=up, stop=stop)
            for before, after in probe.pairs(changed, cut):
                _raise_if_moved(before, after, cut, market, tolerance)
            for name in _moved_later(probe.features, probe.latest, cut):
                unmoved.pop(name, None)
    if isinstance(market, Panel):
        return _panel_report(probe, rows, tuple(unmoved))
    everywhere = changed_future(market, -1, rng)
    not_judged = unjudged(probe, market, unmoved, everywhere, lambda name: with_other_values(market, name, rng))
    report = _report(probe, market, rows, tuple(unmoved), not_judged)
    if not_judged:
        warnings.warn(_words(report), CausalityWarning, stacklevel=2)
    return report


def _report(
    probe: FeatureProbe | EnvProbe,
    market: Market,
    cuts: Sequence[int],
    unmoved: tuple[str, ...],
    not_judged: Mapping[str, str],
) -> CausalityReport:
    table = probe.features
    raw = set() if callable(probe.given.features) else {*market.columns}  # features that are columns, unchanged
    known = np.where(np.isnan(table.values).any(1)[:, None], np.nan, table.values)  # a scaler is fitted on whole rows
    features = {f"feature {name!r}": known[:, i] for i, name in enumerate(table.names) if name not in raw}
    columns = {**{f"column {name!r}": values for name, values in market.columns.items()}, **features}
    rewards = probe.rewards()
    if rewards is not None:
        columns["reward"] = rewards
    scaler = ["scaler"] if probe.given.scaler is not None else []
    reward = ["reward"] if "reward" in probe.names[len(table.names) :] else []
    made = [] if {"scaler", "features"} & set(not_judged) else [*features]
    code = [name for name in probe.given.code if name in not_judged]
    judged = tuple(name for name in (*made, *scaler, *reward * (not code)) if name not in not_judged)
    screened = sorted(screen(columns, market.close), key=lambda one: (np.isnan(one.p_value), one.p_value))
    return CausalityReport(tuple(probe.names), tuple(cuts), unmoved, judged, dict(not_judged), tuple(screened))


def _panel_report(probe: FeatureProbe | EnvProbe, cuts: Sequence[int], unmoved: tuple[str, ...]) -> CausalityReport:
    """The report on a panel, of which nothing is screened, nor searched for data that callables hold."""
    features = tuple(f"feature {name!r}" for name in probe.features.names if name not in unmoved)
    not_judged = {f"feature {name!r}": "it reacts to no change of the data" for name in unmoved}
    if probe.given.scaler is not None:
        not_judged["scaler"] = "it was fitted before the check"
    return CausalityReport(tuple(probe.names), tuple(cuts), unmoved, features, not_judged, ())


def _words(report: CausalityReport) -> str:
    """The text of the warning."""
    unseen = "; ".join(f"{name} ({why})" for name, why in report.not_judged.items())
    suspects = "; ".join(f"{one.name} ({one})" for one in report.suspects)
    return f"not judged for look-ahead: {unseen}." + f" Suspect: {suspects}." * bool(suspects)


def _cuts(cuts: int | Sequence[int] | None, first: int, last: int, default: int) -> list[int]:
    """The bars after which to change the data, in [first, last]."""
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


def _moves(before: npt.NDArray[Any], after: npt.NDArray[Any], tolerance: float) -> npt.NDArray[np.bool_]:
    """True where values (n, D) differ by more than rounding in their column; NaN equals NaN."""
    largest = np.nanmax(np.abs(np.concatenate([before, after])), axis=0, initial=0.0)
    near = np.abs(before.astype(np.float64) - after) <= tolerance * largest
    result: npt.NDArray[np.bool_] = ~(near | (np.isnan(before) & np.isnan(after)))
    return result


def _raise_if_moved(before: Shown, after: Shown, cut: int, market: Market | Panel, tolerance: float) -> None:
    """Raises LookAheadError for the first column that differs at the first bar with a difference."""
    if before.names != after.names:
        raise ValueError(f"the columns differ with the data: {before.names} and {after.names}")
    n = min(len(before.values), len(after.values))
    moved = _moves(before.values[:n], after.values[:n], tolerance)
    if moved.any():
        row, column = np.argwhere(moved)[0]
        bar, pair = before.first + int(row), (before.values[row, column], after.values[row, column])
        raise LookAheadError(before.names[column], bar, cut, market.time_of(bar), *map(float, pair))


def _moved_later(before: Shown, after: Shown, cut: int) -> list[str]:
    """Names of columns that changed with the bars after the cut."""
    n = min(len(before.values), len(after.values))
    moved = _moves(before.values[cut + 1 : n], after.values[cut + 1 : n], 0.0)
    return [name for name, column in zip(before.names, moved.T, strict=True) if column.any()]
