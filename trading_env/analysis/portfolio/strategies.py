"""Causal rules for weights of several instruments, used as baselines. T = rows of a panel, K = instruments.

A strategy is a function of a Panel that returns the target weights (T, K) at each row, computed from rows up to it
only; NaN keeps an instrument's units. Weights are 0 where it lacks history, before an instrument is listed and from its
last bar before a delisting on. `PortfolioPolicy` turns weights into the actions of an env, with the `predict` of
Stable-Baselines3, so that a strategy pays the same costs in the same account as an agent.

    panel = load_panel("us-stocks")
    env = gym.make("trading_env:PortfolioEnv-v0", data=panel)
    policy = PortfolioPolicy(inverse_volatility(panel), env)

`pairs` is in `trading_env.analysis.portfolio.pairs`, `olmar` in `trading_env.analysis.portfolio.olmar`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from trading_env._checks import brief, flag, integer, number
from trading_env._extras import optional
from trading_env.data.panel import Panel

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_LEAST = 1e-12  # a volatility below it counts as this


def checked_panel(panel: Any) -> Panel:
    """``panel`` if it is a Panel; TypeError otherwise."""
    if not isinstance(panel, Panel):
        raise TypeError(f"panel must be a Panel, got {brief(panel)}")
    return panel


def listed(panel: Panel) -> Bools:
    """True where an instrument is listed: from its first bar on, until its last one before a delisting (T, K)."""
    rows = np.arange(len(checked_panel(panel)))[:, None]
    return (panel.own_rows >= 0) & (rows < panel.ends)


def equal_weight(panel: Panel) -> Floats:
    """The same weight in all listed instruments, their sum 1 (T, K)."""
    return normalised(listed(panel).astype(np.float64))


def buy_and_hold(panel: Panel, start: int | None = None) -> Floats:
    """Equal weights in the instruments listed at ``start``, and NaN, to keep the units, afterwards (T, K).

    Args:
        panel: the instruments.
        start: row of the first decision; by default the panel's own. `PortfolioPolicy` passes the env's.
    """
    first = checked_panel(panel).first if start is None else integer("start", start, 0, len(panel) - 1)
    weights = equal_weight(panel)
    weights[:first] = 0.0
    weights[first + 1 :] = np.nan
    return weights


def random_weights(panel: Panel, turnover: float, seed: int, start: int | None = None) -> Floats:
    """Weights of the listed instruments drawn at random, their sum 1, and NaN, to keep the units, until the next draw.

    Weights are uniform on the simplex. A new draw of k of them trades 2 (k - 1) / (2 k - 1) of the equity on average,
    which gives the chance of a draw at each row.

    Args:
        panel: the instruments.
        turnover: mean notional traded per year, in units of the equity; drifts are not counted.
        seed: of the draws.
        start: row of the first decision, at which weights are drawn too; by default the panel's own.

    Raises:
        ValueError: the panel's bars per year are unknown.
    """
    number("turnover", turnover, least=0.0)
    first = checked_panel(panel).first if start is None else integer("start", start, 0, len(panel) - 1)
    if panel.bars_per_year is None:
        raise ValueError(f"random_weights needs bars_per_year, which {panel.name!r} has not")
    when, what = np.random.default_rng(seed).spawn(2)  # so that no draw depends on the number of rows
    use = listed(panel)
    k = use.sum(axis=1)
    traded = 2.0 * (k - 1) / np.maximum(2 * k - 1, 1)
    chance = np.divide(turnover / panel.bars_per_year, traded, out=np.zeros(len(k)), where=traded > 0.0)
    drawn = when.random(len(k)) < chance
    drawn[first] = True
    weights = normalised(np.where(use, what.standard_exponential(use.shape), 0.0))
    weights[~drawn] = np.nan
    weights[:first] = 0.0
    return weights


def inverse_volatility(panel: Panel, lookback: int = 60) -> Floats:
    """Weights in proportion to 1 / volatility, their sum 1 (T, K).

    Args:
        panel: the instruments.
        lookback: number of an instrument's own returns over which its volatility is measured, with divisor
            lookback - 1.
    """
    integer("lookback", lookback, 2)
    volatility = on_clock(panel, lambda close: _windows(np.diff(close) / close[:-1], lookback).std(axis=1, ddof=1))
    known = listed(panel) & np.isfinite(volatility)
    return normalised(
        np.where(known, 1.0 / np.maximum(volatility, _LEAST, where=known, out=np.ones_like(volatility)), 0.0)
    )


def cross_sectional_momentum(
    panel: Panel, lookback: int = 252, skip: int = 21, top: int | None = None, short: bool = False
) -> Floats:
    """Equal weights in the ``top`` instruments by their past returns (T, K).

    With ``short`` half of the equity is in them and minus half in as many of the worst. Where fewer than ``top`` have a
    past, or with ``short`` fewer than two times ``top``, weights are 0.

    Args:
        panel: the instruments.
        lookback: the return is that from this many of the instrument's own bars ago ...
        skip: ... to this many bars ago.
        top: number of instruments; by default a third of all, at least one.
        short: True to sell the worst short.

    Raises:
        ValueError: skip is not below lookback, or top is beyond the number of instruments.

    Source:
        Jegadeesh & Titman (1993), "Returns to buying winners and selling losers".
    """
    if integer("skip", skip, 0) >= integer("lookback", lookback, 1):
        raise ValueError(f"skip must be below lookback, got skip={skip} and lookback={lookback}")
    n = len(checked_panel(panel).symbols)
    top = max(1, n // 3) if top is None else integer("top", top, 1, n // 2 if flag("short", short) else n)
    past = on_clock(panel, lambda close: _past_returns(close, lookback, skip))
    ranked = np.where(listed(panel) & np.isfinite(past), past, np.nan)
    known = np.isfinite(ranked).sum(axis=1)
    order = np.argsort(-ranked, axis=1, kind="stable")  # best first, the unknown last
    weights = np.zeros(ranked.shape)
    rows = np.flatnonzero(known >= (2 * top if short else top))
    for i in range(top):
        weights[rows, order[rows, i]] = (0.5 if short else 1.0) / top
        if short:
            weights[rows, order[rows, known[rows] - 1 - i]] = -0.5 / top
    return weights


def minimum_variance(panel: Panel, lookback: int = 252, short: bool = False) -> Floats:
    """The weights of least variance, their sum 1, by the Ledoit-Wolf covariance of the last returns (T, K).

    Returns are those of the last closes on the panel's clock. An instrument takes part once it has been listed for
    ``lookback`` of them. Needs scikit-learn (extra ``strategies``).

    Args:
        panel: the instruments.
        lookback: number of returns, at least 2.
        short: True to allow negative weights; they are then divided by the sum of their sizes if that exceeds 1.

    Raises:
        ImportError: scikit-learn is missing.

    Source:
        Ledoit & Wolf (2004), "A well-conditioned estimator for large-dimensional covariance matrices".
    """
    integer("lookback", lookback, 2)
    flag("short", short)
    covariance = optional("sklearn.covariance", "strategies", "minimum_variance").ledoit_wolf
    closes = checked_panel(panel).last_close
    returns = closes[1:] / closes[:-1] - 1.0  # [T - 1, K], NaN before listing
    known = listed(panel)
    weights = np.zeros(known.shape)
    for row in range(lookback, len(panel)):
        window = returns[row - lookback : row]
        use = np.flatnonzero(known[row] & np.isfinite(window[0]))
        if use.size:
            weights[row, use] = _least_variance(covariance(window[:, use])[0], short)
    return weights


def _least_variance(covariance: Floats, short: bool) -> Floats:
    """Weights (n,) of sum 1 and least variance.

    Up to their scale they minimise w'Cw / 2 - sum w, which over w >= 0 is a least-squares problem in the root of C.
    """
    largest = float(np.trace(covariance))
    if largest <= 0.0:  # nothing has moved
        return np.full(len(covariance), 1.0 / len(covariance))
    root = np.linalg.cholesky(covariance / largest + _LEAST * np.eye(len(covariance)))
    if short:
        free: Floats = np.linalg.solve(root.T, np.linalg.solve(root, np.ones(len(root))))
        weights = free / free.sum()
        return np.asarray(weights / max(1.0, float(np.abs(weights).sum())))
    nnls: Any = optional("scipy.optimize", "strategies", "minimum_variance").nnls
    least = nnls(root.T, np.linalg.solve(root, np.ones(len(root))))[0]
    return np.asarray(least / least.sum())


def normalised(weights: Floats) -> Floats:
    """Weights of sum 1 in each row (T, K); rows without any stay 0."""
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weights, total, out=np.zeros_like(weights), where=total > 0.0))


def on_clock(panel: Panel, measure: Callable[[Floats], Floats]) -> Floats:
    """A measure of each instrument's own closes, at each row of the clock; NaN where it has none yet (T, K).

    Args:
        panel: the instruments.
        measure: closes (n,) to the values of the last m <= n bars (m,), each computed from bars up to it.
    """
    result = np.full(checked_panel(panel).tradable.shape, np.nan)
    for k in range(len(panel.symbols)):
        close = panel.close[panel.tradable[:, k], k]
        values = measure(close)
        own = np.concatenate([np.full(len(close) - len(values), np.nan), values, [np.nan]])
        result[:, k] = own[panel.own_rows[:, k]]  # -1 before the first bar: the NaN at the end
    return result


def _past_returns(close: Floats, lookback: int, skip: int) -> Floats:
    """Returns from ``lookback`` bars before each bar, where there are so many, to ``skip`` bars before it (m,)."""
    if len(close) <= lookback:
        return np.empty(0)
    return np.asarray(close[lookback - skip : len(close) - skip] / close[:-lookback] - 1.0)


def _windows(values: Floats, n: int) -> Floats:
    """The last n values of each place that has so many (m, n)."""
    if len(values) < n:
        return np.empty((0, n))
    windows: Floats = np.lib.stride_tricks.sliding_window_view(values, n)
    return windows
