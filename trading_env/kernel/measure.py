"""Measures of a step: logarithms, rewards, and the numbers that ``info`` reports.

A parameter ``log`` is log_ratio; or log_near, if the caller recomputes the logs that are beyond its range.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from trading_env.kernel.account import Account
from trading_env.kernel.compiled import inlined
from trading_env.kernel.rules import DIFFERENTIAL_SHARPE, EXCESS_LOG_RETURN, LOG_RETURN, PNL, Rules

NEAR = 0.1  # |log(a / b)| up to which the series is accurate to rounding


class Measured(NamedTuple):
    """The measures of an account after a bar. No trade depends on them."""

    peak: float
    reward: float
    exposure: float
    unrealised: float
    drawdown: float
    turnover: float


class Moments(NamedTuple):
    """The moving averages of the differential Sharpe ratio."""

    dsr_a: float
    dsr_b: float


class Info(NamedTuple):
    """The numbers that ``info`` reports of a step, in this order and under these names."""

    equity: float
    cash: float
    units: float
    exposure: float
    price: float
    pnl: float
    commission: float
    slippage: float
    financing: float
    turnover: float


INFO = Info._fields
KEYS = (*INFO, "bar")  # of the info of a step


@inlined
def log_near(a: float, b: float) -> float:
    """log(a / b) of positive numbers that are close: 2 artanh((a - b) / (a + b)) by its series."""
    x = (a - b) / (a + b)
    y = x * x
    z = y * y
    terms = (1.0 + y * (1 / 3)) + z * ((1 / 5 + y * (1 / 7)) + z * (1 / 9 + y * (1 / 11)))
    return 2.0 * x * terms


@inlined
def log_ratio(a: float, b: float) -> float:
    """log(a / b) of positive numbers, to rounding.

    A bar's return is small. The series is then four times as fast as a logarithm, and keeps digits that are lost in
    the quotient a / b, which is close to 1.
    """
    near = log_near(a, b)
    return near if abs(near) <= NEAR else math.log(a / b)


@inlined
def log_growth(equity: float, previous: float, floor: float, log: Any) -> float:
    """log(E' / E), equity floored at the ruin level."""
    return log(max(equity, floor), max(previous, floor))


@inlined
def differential_sharpe(a: float, b: float, simple_return: float) -> float:
    """Differential Sharpe ratio (Moody & Saffell 1998, eq. 6); a, b: moving averages of R and R^2."""
    variance = b - a * a
    if variance <= 1e-12:
        return 0.0
    return (b * (simple_return - a) - 0.5 * a * (simple_return * simple_return - b)) / variance**1.5


@inlined
def reward_of(before: Account, equity: float, c0: float, c1: float, rules: Rules, log: Any) -> float:
    """Reward of a step that took an account to this equity, from close c0 to close c1."""
    previous, floor = before.equity, rules.ruin_fraction * before.initial
    if rules.reward == LOG_RETURN:
        return log_growth(equity, previous, floor, log)
    if rules.reward == PNL:
        return equity - previous
    if rules.reward == EXCESS_LOG_RETURN:
        return log_growth(equity, previous, floor, log) - log(c1, c0)
    if rules.reward == DIFFERENTIAL_SHARPE:
        return differential_sharpe(before.dsr_a, before.dsr_b, equity / previous - 1.0)
    gain = equity - previous
    return gain - 0.5 * rules.reward_parameter * gain * gain


@inlined
def moments_of(before: Account, equity: float, rules: Rules) -> Moments:
    """The moving averages after a step to this equity; unchanged if the reward does not need them."""
    a, b = before.dsr_a, before.dsr_b
    if rules.reward == DIFFERENTIAL_SHARPE:
        simple_return = equity / before.equity - 1.0
        a += rules.reward_parameter * (simple_return - a)
        b += rules.reward_parameter * (simple_return * simple_return - b)
    return Moments(a, b)


@inlined
def exposure_of(units: float, close: float, equity: float) -> float:
    """Notional / equity at the close; 0 where no equity is left."""
    return units * close / equity if equity > 0.0 else 0.0


@inlined
def unrealised_of(units: float, close: float, entry: float, log: Any) -> float:
    """Unrealised log return of the open position, signed by its side; 0 when flat."""
    side = 0.0 if units == 0.0 else math.copysign(1.0, units)
    return side * log(close, entry if units != 0.0 else close)


@inlined
def measure(before: Account, after: Account, traded: float, c0: float, c1: float, rules: Rules, log: Any) -> Measured:
    """The measures of an account that a bar changed from ``before`` to ``after``, whose peak is not updated yet."""
    equity, peak = after.equity, max(before.peak, after.equity)
    return Measured(
        peak=peak,
        reward=reward_of(before, equity, c0, c1, rules, log),
        exposure=exposure_of(after.units, c1, equity),
        unrealised=unrealised_of(after.units, c1, after.entry, log),
        drawdown=1.0 - equity / peak,
        turnover=traded / before.equity,
    )
