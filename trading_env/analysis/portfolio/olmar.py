"""On-line moving average reversion: a classic of portfolio selection that costs eat. T = rows, K = instruments."""

from __future__ import annotations

import numpy as np

from trading_env._checks import integer, number
from trading_env.analysis.portfolio.strategies import Floats, listed, on_clock
from trading_env.data.panel import Panel


def olmar(panel: Panel, window: int = 5, epsilon: float = 10.0) -> Floats:
    """Weights (T, K) of OLMAR: the next price is forecast to be the mean of the last ``window`` closes.

    From equal weights on, each row moves the weights as little as is needed for the forecast return of the portfolio to
    reach ``epsilon``, and projects them onto those of sum 1 without short positions. Instruments take part once they
    have ``window`` bars of their own.

    Args:
        panel: the instruments.
        window: closes in the mean, at least 2.
        epsilon: the price relative asked for; above 1, and usually far above what is possible.

    Source:
        Li & Hoi (2012), "On-line portfolio selection with moving average reversion", algorithm 2 (OLMAR-1).
    """
    integer("window", window, 2)
    number("epsilon", epsilon, above=0.0)
    forecast = on_clock(panel, lambda close: _means(close, window) / close[window - 1 :])  # of price relatives
    known = listed(panel) & np.isfinite(forecast)
    weights = np.zeros(known.shape)
    held = weights[0]
    for row in np.flatnonzero(known.any(axis=1)):
        use = known[row]
        if not held[use].any():
            held = use / use.sum()
        weights[row, use] = reverted(held[use], forecast[row, use], epsilon)
        held = weights[row]
    return weights


def reverted(weights: Floats, forecast: Floats, epsilon: float) -> Floats:
    """The weights (n,) nearest to the given ones whose forecast price relative is ``epsilon``, projected."""
    excess = forecast - forecast.mean()
    size = float(excess @ excess)
    step = max(0.0, (epsilon - float(weights @ forecast)) / size) if size > 0.0 else 0.0
    return onto_simplex(weights + step * excess)


def onto_simplex(point: Floats) -> Floats:
    """The nearest point (n,) without negative numbers whose sum is 1.

    Source: Duchi et al. (2008), "Efficient projections onto the l1-ball for learning in high dimensions", figure 1.
    """
    largest = np.sort(point)[::-1]
    excess = (np.cumsum(largest) - 1.0) / np.arange(1, len(point) + 1)
    level = excess[np.flatnonzero(largest > excess)[-1]]
    return np.asarray(np.maximum(point - level, 0.0))


def _means(close: Floats, n: int) -> Floats:
    """Means of the last n closes, of each bar that has so many (m,)."""
    if len(close) < n:
        return np.empty(0)
    return np.asarray(np.lib.stride_tricks.sliding_window_view(close, n).mean(axis=1))
