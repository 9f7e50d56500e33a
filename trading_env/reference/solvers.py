"""Exact values of small Markov decision problems, by policy iteration or by relative value iteration.

Letters: X grid points of an exogenous signal, M positions held.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from trading_env.data.bars import Floats

_MOST_ITERATIONS = 20_000
_PATIENCE, _STALLED, _MOST_STALLS = 100, 0.97, 10  # stalled: so many iterations left more of the error than this
_JITTER = 1e-4  # relative error accepted from an iteration that has stalled, or at the last one
_MOST_POLICIES = 100
MOST_POINTS = 4001  # of a signal: X^2 numbers must fit into memory, and X^3 multiplications take seconds
_DISCOUNT = 1.0 - 1e-12  # per step, so that never trading has a finite value too
_TAIL = 6.0  # half width of a grid in standard deviations: what is outside has probability 2e-9
WIDEST_CELL = 0.5  # of the noise: the trapezoid rule on a normal density is exact to rounding up to here


def autoregressive_grid(decay: float, noise: float, points: int = 401) -> tuple[Floats, Floats]:
    """Grid (X,) and transition matrix (X, X) of the signal x' = decay x + noise eps, for |decay| < 1.

    The trapezoid rule on the density is exact to rounding for smooth functions, and of second order in the cell for
    values with kinks. A persistent signal gets more points, so that the cells are narrow enough.

    Raises:
        ValueError: a signal so persistent that there would be too many points.
    """
    if noise == 0.0:
        return np.zeros(1), np.ones((1, 1))
    reach = _TAIL / math.sqrt(1.0 - decay * decay)  # in units of the noise
    half = max(points // 2, math.ceil(reach / WIDEST_CELL))
    if 2 * half + 1 > MOST_POINTS:
        raise ValueError(f"the signal is too persistent for a known optimum: it keeps {decay!r} of itself in a step")
    z = np.linspace(-reach, reach, 2 * half + 1)
    density = np.exp(-0.5 * (z - decay * z[:, None]) ** 2)
    return z * noise, density / density.sum(axis=1, keepdims=True)


def stationary(transition: Floats) -> Floats:
    """Stationary probabilities (X,) of a Markov chain."""
    n = len(transition)
    chances = np.linalg.solve(np.eye(n) - transition.T + 1.0 / n, np.full(n, 1.0 / n))
    result: Floats = np.maximum(chances, 0.0) / np.maximum(chances, 0.0).sum()
    return result


def worth_of_a_unit(
    flow: Floats, transition: Floats, cost: float, sides: Floats | None = None
) -> tuple[Floats, Floats]:
    """Value of holding a unit rather than not holding it: buy above ``cost``, sell below -cost, else wait.

    A held unit earns flow (X,) a step, and each purchase or sale costs ``cost``: an optimal switching problem with
    D = flow + E clip(D', -cost, cost). Policy iteration solves it by a handful of linear systems over the points where
    nothing is traded.

    Args:
        flow: (X,).
        transition: of the signal (X, X).
        cost: of each purchase and each sale.
        sides: the initial policy (X,): 1 buy, -1 sell, 0 wait.

    Returns:
        The value (X,), and the optimal policy (X,).
    """
    sides = np.where(flow >= 0.0, 1.0, -1.0) if sides is None else sides
    before = np.full(len(flow), np.inf)
    for _ in range(_MOST_POLICIES):
        switch = cost * sides
        wait = np.flatnonzero(sides == 0.0)
        inner = _DISCOUNT * transition[np.ix_(wait, wait)]
        switch[wait] = np.linalg.solve(np.eye(len(wait)) - inner, flow[wait] + _DISCOUNT * (transition[wait] @ switch))
        worth = flow + _DISCOUNT * (transition @ switch)
        sides = (worth >= cost).astype(np.float64) - (worth <= -cost)
        if np.abs(worth - before).max() <= 1e-12 * np.abs(worth).max():
            return worth, sides
        before = worth
    raise ValueError(f"the worth of a unit has not settled after {_MOST_POLICIES} policies")


def normal_cdf(z: Floats) -> Floats:
    """The normal distribution function, elementwise."""
    values = [0.5 * math.erfc(-x / math.sqrt(2.0)) for x in np.clip(z, -40.0, 40.0).ravel().tolist()]
    return np.array(values).reshape(z.shape)


def interpolated(grid: Floats, rows: Floats, x: Floats) -> Floats:
    """Rows (X, M) of a uniform grid (X,), linearly interpolated at x (N,): (N, M). Constant outside the grid."""
    if len(grid) == 1:
        return np.repeat(rows, len(x), axis=0)
    place = np.clip((x - grid[0]) / (grid[1] - grid[0]), 0.0, len(grid) - 1.0)
    k = np.minimum(place.astype(np.int64), len(grid) - 2)
    share = (place - k)[:, None]
    result: Floats = (1.0 - share) * rows[k] + share * rows[k + 1]
    return result


def relative_value_iteration(
    best: Callable[[Floats], Floats], transition: Floats, n_positions: int, tolerance: float = 1e-7
) -> tuple[float, Floats]:
    """Optimal mean reward per step, and the value of the future (X, M), up to a constant.

    The optimum lies between the smallest and the largest change of the value in an iteration; their midpoint is
    returned. If the two stop approaching each other, the midpoint is accepted if it is exact to 1e-4 (a maximum refined
    by a parabola may jitter); otherwise further iterations are damped, for chains with a period.

    Args:
        best: maps the value (X, M) of the future, by the position taken now, to the value (X, M) of the best choice,
            by the position held before.
        transition: of the signal (X, X).
        n_positions: M.
        tolerance: allowed error, relative to the mean reward or to 1e-3 of the largest reward.

    Raises:
        ValueError: no convergence in reasonable time: the chain forgets its start too slowly, or never.
    """
    value = np.zeros((len(transition), n_positions))
    scale, before, stalls, share = 0.0, math.inf, 0, 1.0
    for i in range(1, _MOST_ITERATIONS + 1):
        future = transition @ value
        change = best(future) - value
        low, high = float(change.min()), float(change.max())
        scale = scale or 1e-3 * max(abs(low), abs(high), 1e-300)
        error = (high - low) / max(abs(low + high), 2.0 * scale)
        value += share * change
        value -= value[len(value) // 2, n_positions // 2]
        stalled = i % _PATIENCE == 0 and error > before * _STALLED
        enough = max(tolerance / 2.0, _JITTER * (i / _MOST_ITERATIONS) ** 2)  # grows with the iterations
        if error <= enough or (stalled and error <= _JITTER):
            return (low + high) / 2.0, transition @ value
        if stalled:
            stalls, share = stalls + 1, 0.8
            if stalls == _MOST_STALLS:
                break
        before = error if i % _PATIENCE == 0 else before
    raise ValueError(
        "these parameters have no optimum that value iteration finds in reasonable time: the state forgets its "
        f"start too slowly, or never (the mean reward is between {low:.6g} and {high:.6g})"
    )


def refined_maximum(values: Floats) -> tuple[Floats, Floats]:
    """Largest value of each column of smooth values (M, ...), between the rows by a parabola, and its place.

    Rows at the ends may be -inf, for forbidden choices. The parabola passes through three finite rows, and its maximum
    stays between them, so that it is continuous in the values.

    Returns:
        Maxima (...), and places (...) in rows, as floats.
    """
    k = values.argmax(axis=0)
    largest, place = values.max(axis=0), k.astype(np.float64)
    if len(values) < 3:
        return largest, place

    def row(offset: int) -> Floats:
        return np.asarray(np.take_along_axis(values, (inner + offset)[None], 0)[0])

    inner = np.clip(k, 1, len(values) - 2)
    inner = np.clip(inner + np.isinf(row(-1)) - np.isinf(row(1)), 1, len(values) - 2)
    left, middle, right = row(-1), row(0), row(1)
    smooth = np.isfinite(left) & np.isfinite(right)
    slope, curve = np.zeros_like(middle), np.full_like(middle, -1.0)
    np.subtract(right, left, out=slope, where=smooth)
    np.add(left + right, -2.0 * middle, out=curve, where=smooth)
    smooth &= curve < 0.0
    shift = np.clip(-0.5 * slope / np.where(smooth, curve, -1.0), -1.0, 1.0)
    refined = middle + 0.5 * slope * shift + 0.5 * curve * np.square(shift)
    return np.where(smooth, refined, largest), np.where(smooth, inner + shift, place)
