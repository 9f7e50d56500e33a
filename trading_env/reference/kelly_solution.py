"""The constant weights of largest expected log growth, for any finite table of joint returns.

Letters: M outcomes of the table, K instruments, n weights searched: K long ones, and with short positions K more.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trading_env.data.bars import Floats

_PRECISION = 1e-13  # of the path's end, before polishing: loss of growth per unit of the largest outcome
_SHRINK = 0.1  # of the barrier from one centre to the next
_MOST_STEPS = 200  # of Newton's method in all


class Kelly(NamedTuple):
    """The best constant weights.

    Attributes:
        weights: of the instruments (K,); the rest is cash.
        growth: expected log growth of a bar, sum_m prob_m log(1 + r_m w).
        gap: upper bound of the growth by which any other weights exceed it.
    """

    weights: Floats
    growth: float
    gap: float


def best_weights(returns: Floats, probabilities: Floats, leverage: float = 1.0, short: bool = False) -> Kelly:
    """The weights w of largest growth with sum |w| <= leverage, and w >= 0 unless ``short``.

    The problem is concave. Short positions are weights >= 0 of instruments with the opposite returns. Newton's method
    follows the central path of a logarithmic barrier; the gap of the result is certified by concavity: no weights y
    exceed the growth of w by more than the gradient at w times y - w.

    Args:
        returns: simple returns of each outcome, above -1 (M, K).
        probabilities: of the outcomes, sum 1 (M,).
        leverage: largest sum of the weights' sizes.
        short: True to allow negative weights.

    Source:
        Kelly (1956), "A new interpretation of information rate". Method: Boyd & Vandenberghe (2004), chapter 11.
    """
    likely = probabilities > 0.0  # an outcome that never happens rules nothing out
    gains = np.concatenate([returns, -returns], axis=1)[likely] if short else returns[likely]  # [M, n]
    chances = probabilities[likely]
    parts = _polished(gains, chances, leverage, _follow_path(gains, chances, leverage))
    weights = parts[: returns.shape[1]] - parts[returns.shape[1] :] if short else parts
    return Kelly(weights, float(chances @ np.log1p(gains @ parts)), certified_gap(gains, chances, leverage, parts))


def certified_gap(gains: Floats, chances: Floats, leverage: float, weights: Floats) -> float:
    """The most by which weights y >= 0 (n,), sum y <= leverage, can exceed the growth of ``weights``."""
    gradient = (chances / (1.0 + gains @ weights)) @ gains
    return leverage * max(0.0, float(gradient.max())) - float(gradient @ weights)


def _follow_path(gains: Floats, chances: Floats, leverage: float) -> Floats:
    """Weights (n,) close to the best, all above 0 and with a sum below ``leverage``."""
    n = gains.shape[1]
    worst = max(float(-gains.min()), 1e-300)
    weights = np.full(n, 0.5 * min(leverage, 1.0 / worst) / (n + 1))  # wealth stays above a half
    scale = max(1e-3 * float(np.abs(gains).max()), 1e-300) * leverage
    barrier = scale
    for _ in range(_MOST_STEPS):
        step, decrement = _newton(gains, chances, leverage, weights, barrier)
        weights = _advance(gains, chances, leverage, weights, step, barrier, decrement)
        if decrement <= 1e-3 * barrier:
            if barrier * (n + 1) <= _PRECISION * scale:
                break
            barrier *= _SHRINK
    return weights


def _newton(gains: Floats, chances: Floats, leverage: float, weights: Floats, barrier: float) -> tuple[Floats, float]:
    """Newton's step (n,) of growth + barrier (sum log w + log cash), and the gain that it promises, twice."""
    n, wealth, cash = len(weights), 1.0 + gains @ weights, leverage - weights.sum()
    gradient = (chances / wealth) @ gains + barrier / weights - barrier / cash
    scaled = gains * (np.sqrt(chances) / wealth)[:, None] * weights
    # In units of the weights the curvature of their barrier is the identity; that of the cash has a row of its own.
    system = np.zeros((n + 1, n + 1))
    system[:n, :n] = scaled.T @ scaled / barrier + np.eye(n)
    system[:n, n], system[n, :n], system[n, n] = weights / cash, weights / cash, -1.0
    step = weights * np.linalg.solve(system, np.append(gradient * weights / barrier, 0.0))[:n]
    return step, float(gradient @ step)


def _advance(
    gains: Floats, chances: Floats, leverage: float, weights: Floats, step: Floats, barrier: float, decrement: float
) -> Floats:
    """The weights after a step, which is shortened until it stays inside and gains at least a little."""

    def value(w: Floats) -> float:
        wealth, cash = 1.0 + gains @ w, leverage - w.sum()
        if min(wealth.min(), cash, w.min()) <= 0.0:
            return -np.inf
        return float(chances @ np.log(wealth) + barrier * (np.log(w).sum() + np.log(cash)))

    size, start = 1.0, value(weights)
    while size > 1e-10:
        if value(weights + size * step) >= start + 0.1 * size * decrement - 1e-16:
            return weights + size * step
        size *= 0.5
    return weights


def _polished(gains: Floats, chances: Floats, leverage: float, weights: Floats) -> Floats:
    """The weights with those at their bounds put exactly there, and the others solved for again, if that is better."""
    gradient = (chances / (1.0 + gains @ weights)) @ gains
    price = max(float(gradient @ weights) / leverage, 0.0)  # of leverage
    free = weights * max(float(np.abs(gains).max()), 1e-300) > np.maximum(price - gradient, 0.0) * leverage
    if not free.any():
        return np.zeros_like(weights)
    bound = leverage - weights.sum() < 1e-6 * leverage
    best = np.where(free, weights, 0.0)
    for _ in range(20):
        wealth = 1.0 + gains @ best
        if wealth.min() <= 0.0:
            return weights
        slope = ((chances / wealth) @ gains)[free]
        scaled = gains[:, free] * (np.sqrt(chances) / wealth)[:, None]
        system, right = scaled.T @ scaled, slope
        if bound:
            ones = np.ones((len(slope), 1))
            system = np.block([[system, ones], [ones.T, np.zeros((1, 1))]])
            right = np.concatenate([slope, [leverage - best.sum()]])
        best[free] += np.linalg.lstsq(system, right)[0][: len(slope)]
    worse = best.min() < 0.0 or best.sum() > leverage * (1.0 + 1e-14) or (1.0 + gains @ best).min() <= 0.0
    if worse or certified_gap(gains, chances, leverage, best) > certified_gap(gains, chances, leverage, weights):
        return weights
    return best
