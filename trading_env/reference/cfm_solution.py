"""Exact solutions of CFM's problems, and their policies.

Reward p pi - risk pi^2 - cost(d), signal p' = (1 - theta) p + sqrt(2 theta) eps, |pi| <= limit, d the trade.
Letters: N sub-envs, A trades, X grid points of the signal, M of the position.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from trading_env.data.bars import Floats
from trading_env.reference.cfm_problem import CFMProblem
from trading_env.reference.problem import Bools, Policy
from trading_env.reference.solvers import (
    autoregressive_grid,
    interpolated,
    refined_maximum,
    relative_value_iteration,
    stationary,
    worth_of_a_unit,
)

_MOST_POSITIONS = 1001
_BAND_POSITIONS = 401  # 1 + a multiple of 4, since Simpson's rule is applied to one half
_CELLS = {"quadratic": 40, "linear": 200}  # at least, from position 0 to the end of the grid; smooth values need fewer
_SIGNALS = {"quadratic": 101, "linear": 201}  # points of the grid of signals
_USEFUL = 5.0  # in standard deviations of the signal: positions that pay only beyond it are left out


# -- quadratic costs: a linear policy ----------------------------------------------------------------------------


class Quadratic(NamedTuple):
    """The policy pi_t = a pi_{t-1} + b p_t, its mean reward, and standard deviations of position and trade."""

    a: float
    b: float
    value: float
    position: float
    trade: float


def quadratic_solution(risk: float, psi: float, theta: float) -> Quadratic:
    """The optimum under the cost psi d^2 without a limit; rho = 1 - theta.

    a = ((risk + 2 psi) - sqrt((risk + 2 psi)^2 - 4 psi^2)) / (2 psi) and b = a / (2 psi (1 - a rho)), here in a
    form without cancellation that holds for psi = 0 too. Needs risk > 0.

    Source: Chaouki et al. (2020), section 3; Garleanu & Pedersen (2013), "Dynamic trading with predictable returns
    and transaction costs".
    """
    rho, variance = 1.0 - theta, 1.0 / (1.0 - theta / 2.0)  # of the normalised signal
    total = risk + 2.0 * psi
    root = total + math.sqrt(total * total - 4.0 * psi * psi)
    a = 2.0 * psi / root
    b = 1.0 / (root * (1.0 - a * rho))
    product = b * variance / (1.0 - a * rho)  # E[p pi]
    square = (2.0 * a * b * rho * product + b * b * variance) / (1.0 - a * a)  # E[pi^2]
    traded = 2.0 * (square - a * square - b * rho * product)  # E[d^2]
    value = product - risk * square - psi * traded
    return Quadratic(a, b, value, math.sqrt(square), math.sqrt(max(traded, 0.0)))


# -- linear costs, trades of any size: a band --------------------------------------------------------------------


class Band(NamedTuple):
    """The optimum under linear costs: the value of one more unit, by signal (X,) and by position (M,).

    Buy while that is above psi, sell while it is below -psi.
    """

    gain: float
    signals: Floats
    positions: Floats
    worth: Floats  # [X, M]


@cache
def band_solution(psi: float, risk: float, limit: float, theta: float) -> Band:
    """The exact optimum under the cost psi |d|.

    Reward and cost are sums over the units of the position: the unit at level x earns p - 2 risk x in each step in
    which it is held, and each purchase or sale of it costs psi. So each level is an optimal switching problem of its
    own. Let D be the value of holding the unit minus that of not holding it: D(p) = clip(p - 2 risk x + E D(p'), -psi,
    psi), and a level x > 0 earns E max(0, p - 2 risk x + E D(p') - psi) a step. The mean reward is the integral over
    all levels, by Simpson's rule.

    Source: derived here; for one level, Martin & Schoneborn (2011), "Mean reversion pays, but costs".
    """
    signals, transition = autoregressive_grid(1.0 - theta, math.sqrt(2.0 * theta))
    reach = limit if risk == 0.0 else min(limit, float(signals[-1]) / (2.0 * risk))
    positions = np.linspace(-reach, reach, _BAND_POSITIONS)
    middle = _BAND_POSITIONS // 2
    upper = np.empty((len(signals), middle + 1))  # worth of the levels x >= 0
    sides = None
    for j, level in enumerate(positions[middle:]):
        upper[:, j], sides = worth_of_a_unit(signals - 2.0 * risk * level, transition, psi, sides)
    worth = np.concatenate([-upper[::-1, :0:-1], upper], axis=1)  # [X, M]
    gains = stationary(transition) @ np.maximum(upper - psi, 0.0)
    cell = positions[1] - positions[0]
    simpson = cell / 3.0 * (gains[0] + gains[-1] + 4.0 * gains[1:-1:2].sum() + 2.0 * gains[2:-1:2].sum())
    return Band(2.0 * float(simpson), signals, positions, worth)


def band_edges(band: Band, psi: float, signal: Floats) -> tuple[Floats, Floats]:
    """Lower and upper edge (N,) of the band at signals (N,): nothing is traded between them."""
    worth = interpolated(band.signals, band.worth, signal)  # [N, M], falling in the position
    return _crossing(worth, psi, band.positions), _crossing(worth, -psi, band.positions)


def _crossing(worth: Floats, level: float, positions: Floats) -> Floats:
    """Positions (N,) at which the falling values (N, M) cross the level; an end of the grid if they never do."""
    k = np.clip((worth >= level).sum(axis=1), 1, len(positions) - 1)
    rows = np.arange(len(worth))
    left, right = worth[rows, k - 1], worth[rows, k]
    fall = left - right
    share = np.divide(left - level, fall, out=np.where(left >= level, 1.0, 0.0), where=fall > 0.0)
    result: Floats = positions[k - 1] + np.clip(share, 0.0, 1.0) * (positions[1] - positions[0])
    return result


def hysteresis_threshold(psi: float, limit: float, theta: float) -> float:
    """Signal beyond which, without risk aversion, the optimal position is the limit on the signal's side."""
    band = band_solution(psi, 0.0, limit, theta)
    return float(np.interp(psi, band.worth[:, 0], band.signals))


# -- everything else: a table ------------------------------------------------------------------------------------


class Table(NamedTuple):
    """A solution on a grid: mean reward, grids of signal (X,) and position (M,), value of the future (X, M)."""

    gain: float
    signals: Floats
    positions: Floats
    future: Floats


@cache
def table_solution(problem: CFMProblem) -> Table:
    """Relative value iteration over signal and position.

    With a tuple of trades the positions are exact: all that the trades can reach from 0. Continuous trades use a grid
    of positions. Under quadratic costs a parabola finds the best position between its points; under linear costs only
    its points are tried, which loses about risk cell^2 / 12 a step.

    Raises:
        ValueError: trades are so small that there would be too many positions.
    """
    theta = problem.theta
    continuous = problem.actions == "continuous"
    points = _SIGNALS[problem.cost] if continuous else 301
    signals, transition = autoregressive_grid(1.0 - theta, math.sqrt(2.0 * theta), points)
    positions, cells = _grid(problem) if continuous else (_reached(problem), 0)
    rewards = problem.gain_of(signals[:, None], positions)  # [X, M]
    if not continuous:
        best = _best_of_trades(problem, positions, rewards)
    elif problem.cost == "linear":
        best = _best_in_band(problem.psi, positions, rewards, cells)
    else:
        best = _best_nearby(problem.psi, positions, rewards, cells)
    gain, future = relative_value_iteration(best, transition, len(positions))
    if continuous or 0.0 in problem.actions:
        gain = max(gain, 0.0)  # never trading earns 0
    return Table(gain, signals, positions, future)


def _grid(problem: CFMProblem) -> tuple[Floats, int]:
    """Evenly spaced useful positions (M,), and the largest trade in cells of that grid.

    The largest trade is a whole number of cells. If the grid ends at the limit, the limit is a whole number of cells
    instead, chosen so that the trade is one too, up to a relative error of the order of 1e-3.
    """
    limit, trade = problem.limit, problem.largest_trade
    reach = min(limit, _useful(problem))
    least = max(_CELLS[problem.cost], math.ceil(2.0 * reach / trade))
    if 2 * least + 1 > _MOST_POSITIONS:
        raise ValueError(
            f"max_trade must be at least {4.0 * reach / (_MOST_POSITIONS - 1):.3g} for a known optimum: positions "
            f"up to {reach:.3g} would be too many, got {trade!r}"
        )
    if reach < limit:
        per_trade = max(2, math.ceil(least * trade / reach))
        cell = trade / per_trade
        half = math.ceil(reach / cell)
    else:
        counts = np.arange(least, min(2 * least, _MOST_POSITIONS // 2) + 1)
        per_limit = counts * (trade / limit)
        half = int(counts[np.abs(per_limit - np.rint(per_limit)).argmin()])
        cell, per_trade = limit / half, max(2, round(half * trade / limit))
    return cell * np.arange(-half, half + 1.0), min(per_trade, 2 * half)


def _useful(problem: CFMProblem) -> float:
    """The largest position that can be worth holding."""
    if problem.risk == 0.0:
        return math.inf
    useful = _USEFUL / math.sqrt(1.0 - problem.theta / 2.0) / (2.0 * problem.risk)
    if problem.cost == "linear":
        return useful
    return min(useful, 6.0 * quadratic_solution(problem.risk, problem.psi, problem.theta).position)


def _reached(problem: CFMProblem) -> Floats:
    """All positions (M,) that trades can reach from 0, increasing."""
    reached, fresh = {0.0}, {0.0}
    while fresh:
        trades = (x + trade for x in fresh for trade in problem.actions)
        fresh = {round(min(max(x, -problem.limit), problem.limit), 9) + 0.0 for x in trades} - reached
        reached |= fresh
        if len(reached) > _MOST_POSITIONS:
            raise ValueError(f"actions reach more than {_MOST_POSITIONS} positions, too many for an exact optimum")
    return np.array(sorted(reached))


def _best_of_trades(problem: CFMProblem, positions: Floats, rewards: Floats) -> Callable[[Floats], Floats]:
    """The value (X, M) of the best of a few trades."""
    targets = problem.clipped(positions[:, None] + np.array(problem.actions))  # [M, A]
    places = _nearest(positions, targets)
    costs = problem.price_of(targets - positions[:, None])

    def best(future: Floats) -> Floats:
        worth = rewards + future
        value: Floats = np.max([worth[:, place] - cost for place, cost in zip(places.T, costs.T, strict=True)], axis=0)
        return value

    return best


def _best_in_band(psi: float, positions: Floats, rewards: Floats, cells: int) -> Callable[[Floats], Floats]:
    """The value (X, M) of the best trade of at most ``cells`` cells, under the cost psi |d|.

    The value of a position is concave, so the best trade goes to the nearer edge of a band, or as far towards it as the
    cells allow. The edges are grid points: refined by a parabola, they would keep the iteration from converging for
    persistent signals.
    """
    rows = np.arange(len(positions))
    up, down = np.minimum(rows + cells, len(rows) - 1), np.maximum(rows - cells, 0)

    def best(future: Floats) -> Floats:
        worth = rewards + future
        low, high = ((worth - sign * psi * positions).argmax(axis=1)[:, None] for sign in (1.0, -1.0))  # [X, 1]
        after = np.clip(np.clip(rows, low, high), down, up)  # [X, M]
        value: Floats = np.take_along_axis(worth, after, axis=1) - psi * np.abs(positions[after] - positions)
        return value

    return best


def _best_nearby(psi: float, positions: Floats, rewards: Floats, cells: int) -> Callable[[Floats], Floats]:
    """The value (X, M) of the best trade of at most ``cells`` cells, under the cost psi d^2."""
    shifts = np.arange(-cells, cells + 1)
    costs = psi * np.square(shifts * (positions[1] - positions[0]))
    to = shifts[:, None] + np.arange(len(positions)) + cells  # [shifts, M]: columns of the padded worth

    def best(future: Floats) -> Floats:
        padded = np.pad(rewards + future, ((0, 0), (cells, cells)), constant_values=-np.inf)
        values = padded.T[to] - costs[:, None, None]  # [shifts, M, X]
        return refined_maximum(values)[0].T

    return best


def _nearest(positions: Floats, targets: Floats) -> Any:
    """Index of the position (M,) nearest to each target (...)."""
    right = np.clip(np.searchsorted(positions, targets), 1, max(len(positions) - 1, 1))
    right = np.minimum(right, len(positions) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(np.abs(targets - positions[left]) <= np.abs(targets - positions[right]), left, right)


# -- policies ----------------------------------------------------------------------------------------------------


class _TradePolicy(Policy):
    """Trades from the observed position to the target; discrete trades to the nearest."""

    def __init__(self, problem: CFMProblem) -> None:
        self.problem = problem

    def _target(self, signal: Floats, position: Floats) -> Floats:
        """Positions (N,) to hold, given signals and positions (N,)."""
        raise NotImplementedError

    def _act(self, obs: Any, state: Any, start: Bools) -> tuple[Any, Any]:
        signal, position = np.asarray(obs, np.float64).T
        trade = self._target(signal, position) - position
        if self.problem.actions == "continuous":
            return np.clip(trade / self.problem.largest_trade, -1.0, 1.0)[:, None].astype(np.float32), state
        return np.abs(trade[:, None] - np.array(self.problem.actions)).argmin(axis=1), state


class ThresholdPolicy(_TradePolicy):
    """The authors' benchmark under linear costs: trade to the nearer edge of a band around p / (2 lt).

    p > q + 2 lt pi: to (p - q) / (2 lt); p < -q + 2 lt pi: to (p + q) / (2 lt); else hold.
    """

    def __init__(self, problem: CFMProblem, lt: float, q: float) -> None:
        super().__init__(problem)
        self.lt, self.q = lt, q

    def _target(self, signal: Floats, position: Floats) -> Floats:
        return np.asarray(np.clip(position, (signal - self.q) / (2.0 * self.lt), (signal + self.q) / (2.0 * self.lt)))


class LinearPolicy(_TradePolicy):
    """pi_t = a pi_{t-1} + b p_t."""

    def __init__(self, problem: CFMProblem, a: float, b: float) -> None:
        super().__init__(problem)
        self.a, self.b = a, b

    def _target(self, signal: Floats, position: Floats) -> Floats:
        return self.a * position + self.b * signal


class BandPolicy(_TradePolicy):
    """Trades to the nearer edge of the optimal band."""

    def __init__(self, problem: CFMProblem, band: Band) -> None:
        super().__init__(problem)
        self.band = band

    def _target(self, signal: Floats, position: Floats) -> Floats:
        low, high = band_edges(self.band, self.problem.psi, signal)
        return np.asarray(np.clip(position, low, high))


def table_policy(problem: CFMProblem) -> Policy:
    """The policy of `table_solution`."""
    table = table_solution(problem)
    if problem.actions != "continuous" or problem.cost == "quadratic":
        return TablePolicy(problem, table)
    values = problem.gain_of(table.signals[:, None], table.positions) + table.future
    worth = np.gradient(values, table.positions, axis=1, edge_order=2)
    return BandPolicy(problem, Band(table.gain, table.signals, table.positions, worth))


class TablePolicy(_TradePolicy):
    """Makes the best trade, with the value of the future interpolated at the observed signal."""

    def __init__(self, problem: CFMProblem, table: Table) -> None:
        super().__init__(problem)
        self.table = table

    def _target(self, signal: Floats, position: Floats) -> Floats:
        problem, (_, signals, positions, future) = self.problem, self.table
        worth = problem.gain_of(signal[:, None], positions) + interpolated(signals, future, signal)  # [N, M]
        if problem.actions == "continuous":  # a trade towards it, no larger than the largest
            place = refined_maximum((worth - problem.price_of(positions - position[:, None])).T)[1]
            return np.asarray(np.interp(place, np.arange(len(positions)), positions))
        before = positions[_nearest(positions, position)]  # undoes the rounding to float32
        after = problem.clipped(before[:, None] + np.array(problem.actions))  # [N, A]
        values = np.take_along_axis(worth, _nearest(positions, after), axis=1)
        chosen = (values - problem.price_of(after - before[:, None])).argmax(axis=1)
        return np.asarray(position + np.array(problem.actions)[chosen])
