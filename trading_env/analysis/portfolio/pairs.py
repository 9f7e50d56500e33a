"""Pairs trading: two instruments, traded on the distance of their spread from its usual level. n = common bars."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trading_env._checks import choice, integer, number
from trading_env.analysis.portfolio.strategies import Floats, checked_panel, listed
from trading_env.data.panel import Panel

HEDGES = ("rolling", "kalman")
_NOISE = 1e-3  # variance of the spread in the Kalman filter, of log prices; only its ratio to the others matters


class Spread(NamedTuple):
    """The spread of two log prices, a - level - ratio b, at each common bar.

    Attributes:
        score: distance of the spread from 0 in its standard deviations (n,); NaN without enough history.
        ratio: the hedge ratio (n,).
    """

    score: Floats
    ratio: Floats


def pairs(
    panel: Panel,
    a: str,
    b: str,
    *,
    hedge: str = "rolling",
    lookback: int = 60,
    entry: float = 2.0,
    exit: float = 0.5,
    delta: float = 1e-3,
) -> Floats:
    """Weights (T, K) of a position in the spread log p_a - level - ratio log p_b, gross 1; all others 0.

    Where the spread is ``entry`` standard deviations below its level, buy a and sell ratio times as much of b short,
    until it is no more than ``exit`` below; where it is above, the other way round. Needs allow_short=True.

    Args:
        panel: the instruments.
        a: one of them.
        b: another one.
        hedge: "rolling" regresses the last ``lookback`` common log prices, and measures the last residual in standard
            deviations of all; "kalman" follows level and ratio as random walks, and measures the error of the forecast
            in root mean squares of the last ``lookback`` errors.
        lookback: common bars, at least 3; "kalman" needs twice as many before the first position.
        entry: size of the score at which a position is opened.
        exit: size of the score at which it is closed, below entry.
        delta: for "kalman", variance of a step of level and ratio, delta / (1 - delta) of that of the spread.

    Raises:
        ValueError: an argument out of range, an unknown symbol, or a and b the same.

    Source:
        Gatev, Goetzmann & Rouwenhorst (2006), "Pairs trading"; Chan (2013), "Algorithmic Trading", chapter 3.
    """
    i, j = checked_panel(panel).index(a), panel.index(b)
    if i == j:
        raise ValueError(f"pairs needs two instruments, got {a!r} twice")
    integer("lookback", lookback, 3)
    if number("exit", exit, least=0.0) >= number("entry", entry, above=0.0):
        raise ValueError(f"exit must be below entry, got exit={exit} and entry={entry}")
    if not 0.0 < number("delta", delta) < 1.0:
        raise ValueError(f"delta must be in (0, 1), got {delta}")
    rows = np.flatnonzero(panel.tradable[:, i] & panel.tradable[:, j])  # common bars
    left, right = np.log(panel.close[rows, i]), np.log(panel.close[rows, j])
    rolling = choice("hedge", hedge, HEDGES) == "rolling"
    spread = rolling_spread(left, right, lookback) if rolling else kalman_spread(left, right, lookback, delta)
    side = _sides(spread.score, entry, exit)
    gross = 1.0 + np.abs(spread.ratio)
    weights = np.zeros(panel.tradable.shape)
    last = np.searchsorted(rows, np.arange(len(panel)), side="right") - 1  # the last common bar at each row
    known = (last >= 0) & listed(panel)[:, [i, j]].all(axis=1)
    weights[known, i] = (side / gross)[last[known]]
    weights[known, j] = (-side * spread.ratio / gross)[last[known]]
    return weights


def rolling_spread(a: Floats, b: Floats, lookback: int) -> Spread:
    """The spread of log prices a and b (n,) by least squares over the last ``lookback`` bars."""
    score, ratio = np.full(len(a), np.nan), np.zeros(len(a))
    if len(a) < lookback:
        return Spread(score, ratio)
    left, right = (np.lib.stride_tricks.sliding_window_view(values, lookback) for values in (a, b))
    x, y = right - right.mean(axis=1, keepdims=True), left - left.mean(axis=1, keepdims=True)
    square = (x * x).sum(axis=1)
    slope = np.divide((x * y).sum(axis=1), square, out=np.zeros_like(square), where=square > 0.0)
    residuals = y - slope[:, None] * x
    deviation = np.sqrt((residuals**2).sum(axis=1) / (lookback - 2))
    moves = deviation > 1e-12
    score[lookback - 1 :] = np.divide(residuals[:, -1], deviation, out=np.zeros_like(deviation), where=moves)
    ratio[lookback - 1 :] = slope
    return Spread(score, ratio)


def kalman_spread(a: Floats, b: Floats, lookback: int, delta: float) -> Spread:
    """The spread of log prices a and b (n,) by `kalman_filter`, whose first ``lookback`` errors do not count.

    The score is the forecast error over the root of the mean square of the last ``lookback`` errors.
    """
    score = np.full(len(a), np.nan)
    errors, _, ratio = kalman_filter(a, b, delta)
    if len(a) >= 2 * lookback:
        squares = np.lib.stride_tricks.sliding_window_view(errors[lookback:] ** 2, lookback).mean(axis=1)
        deviation, last = np.sqrt(squares), errors[2 * lookback - 1 :]
        score[2 * lookback - 1 :] = np.divide(last, deviation, out=np.zeros_like(last), where=deviation > 1e-12)
    return Spread(score, ratio)


def kalman_filter(a: Floats, b: Floats, delta: float) -> tuple[Floats, Floats, Floats]:
    """Forecast errors, their expected variances, and hedge ratios (n,): level and ratio of a on b are random walks.

    a_t = (1, b_t) theta_t + e, var e = 1e-3; theta_t = theta_{t-1} + w, w ~ N(0, delta / (1 - delta) 1e-3 I);
    theta_0 = 0 with covariance I.
    """
    errors, variances, ratio = np.empty(len(a)), np.empty(len(a)), np.empty(len(a))
    theta, P, walk = np.zeros(2), np.eye(2), delta / (1.0 - delta) * _NOISE * np.eye(2)
    for t, (y, x) in enumerate(zip(a, b, strict=True)):
        H = np.array([1.0, x])
        P = P + walk
        errors[t], variances[t] = y - H @ theta, H @ P @ H + _NOISE
        gain = P @ H / variances[t]
        theta = theta + gain * errors[t]
        P = P - np.outer(gain, H @ P)
        ratio[t] = theta[1]
    return errors, variances, ratio


def _sides(score: Floats, entry: float, exit: float) -> Floats:
    """The position in the spread at each bar (n,): 1, 0 or -1."""
    sides, held = np.zeros(len(score)), 0.0
    for t, distance in enumerate(score.tolist()):
        if held != 0.0 and -held * distance <= exit:  # also where the score has changed its sign
            held = 0.0
        if distance <= -entry:
            held = 1.0
        elif distance >= entry:
            held = -1.0
        sides[t] = held
    return sides
